//! OpenAI's Chat Completions, and what other vendors and servers offer under its name.
//!
//! At OpenAI itself the driver uses what only OpenAI has; elsewhere it keeps to what all know.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::chat::{self, Answer, Style};
use super::dialect::{self, Dialect};
use super::endpoint::{Endpoint, api_key};
use super::options::{self, set, set_all};
use super::output::Output;
use crate::driver::{ChatRequest, CodecRequest, DriverConfig, DriverError, DriverId, DriverRegistry, Frame, ResponseHead};

/// Where OpenAI is.
pub(super) const HOST: &str = "api.openai.com";
/// Base URL if the provider has none.
pub const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

static OPTIONS: LazyLock<Validator> = LazyLock::new(|| options::schema(&known_options()));

/// What OpenAI's two protocols and its own models on Azure know beyond the common options.
pub(super) fn known_options() -> Value {
    chat::own_options(&[
        ("verbosity", json!({ "enum": ["low", "medium", "high"] })),
        ("service_tier", json!({ "enum": ["auto", "default", "flex", "scale", "priority", "fast"] })),
        ("prompt_cache_retention", json!({ "enum": ["in_memory", "24h"] })),
        ("safety_identifier", json!({ "type": "string", "maxLength": 128 })),
    ])
}

/// Registers the driver as [`DriverId::OpenAiCompletions`].
///
/// # Panics
/// If it is registered already.
pub fn register_driver(registry: &mut DriverRegistry) {
    dialect::register::<OpenAiCompletions>(registry, DriverId::OpenAiCompletions, Some(DEFAULT_BASE_URL));
}

#[derive(Default)]
struct OpenAiCompletions {
    answer: Answer,
}

impl Dialect for OpenAiCompletions {
    fn begin(&mut self, config: &DriverConfig, request: &ChatRequest) -> Result<CodecRequest, DriverError> {
        let options = options::of(request, &DriverId::OpenAiCompletions, &OPTIONS)?;
        let key = api_key(config, &DriverId::OpenAiCompletions)?;
        let endpoint = Endpoint::new(config)?;
        let at_openai = endpoint.is_at(HOST);
        let max_tokens = if at_openai { "max_completion_tokens" } else { "max_tokens" };
        let mut body = chat::body(request, &Style { max_tokens, ..Style::default() })?;
        set(&mut body, "reasoning_effort", request.reasoning_effort.as_deref());
        if at_openai {
            set(&mut body, "prompt_cache_key", request.prompt_cache.as_ref().map(|cache| cache.key.as_str()));
        }
        set_all(&mut body, options);
        let account = config.metadata.as_ref().and_then(|metadata| metadata.account_id.as_deref());
        let endpoint = endpoint.path(&["chat", "completions"]).header("authorization", format!("Bearer {key}"));
        Ok(endpoint.optional_header("openai-organization", account).post(&body))
    }

    fn frame(&mut self, frame: Frame, out: &mut Output) -> Result<(), DriverError> {
        self.answer.frame(&frame, out)
    }

    fn refusal(&self, head: &ResponseHead, body: &Value) -> DriverError {
        chat::refused(head, body)
    }
}
