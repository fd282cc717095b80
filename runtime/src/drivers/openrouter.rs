//! OpenRouter: Chat Completions of many vendors, with routing between them.
//!
//! Reasoning comes as `reasoning_details`, which go back as they were.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::chat::{self, Answer, Style};
use super::dialect::{self, Dialect};
use super::endpoint::{Endpoint, api_key, extra};
use super::options::{self, set_all};
use super::output::Output;
use crate::driver::{ChatRequest, CodecRequest, DriverConfig, DriverError, DriverId, DriverRegistry, Frame, ResponseHead};

/// Base URL if the provider has none.
pub const DEFAULT_BASE_URL: &str = "https://openrouter.ai/api/v1";
/// Vendors who cache what is marked, and nothing else.
const MARKED_VENDORS: [&str; 1] = ["anthropic/"];

static OPTIONS: LazyLock<Validator> = LazyLock::new(|| {
    options::schema(&chat::own_options(&[
        ("provider", json!({ "type": "object" })),
        ("models", json!({ "type": "array", "maxItems": 16, "items": { "type": "string" } })),
        ("transforms", json!({ "type": "array", "maxItems": 16, "items": { "type": "string" } })),
        ("route", json!({ "const": "fallback" })),
        ("reasoning", json!({ "type": "object" })),
        ("verbosity", json!({ "enum": ["low", "medium", "high"] })),
    ]))
});

/// Registers the driver as [`DriverId::OpenRouter`].
///
/// # Panics
/// If it is registered already.
pub fn register_driver(registry: &mut DriverRegistry) {
    dialect::register::<OpenRouter>(registry, DriverId::OpenRouter, Some(DEFAULT_BASE_URL));
}

#[derive(Default)]
struct OpenRouter {
    answer: Answer,
}

impl Dialect for OpenRouter {
    fn begin(&mut self, config: &DriverConfig, request: &ChatRequest) -> Result<CodecRequest, DriverError> {
        let options = options::of(request, &DriverId::OpenRouter, &OPTIONS)?;
        let key = api_key(config, &DriverId::OpenRouter)?;
        let marks_cache = request.prompt_cache.is_some() && MARKED_VENDORS.iter().any(|vendor| request.model.starts_with(vendor));
        let mut body = chat::body(request, &Style { max_tokens: "max_tokens", marks_cache, details: true })?;
        if let Some(effort) = &request.reasoning_effort {
            body["reasoning"] = json!({ "effort": effort });
        }
        set_all(&mut body, options);
        let endpoint = Endpoint::new(config)?.path(&["chat", "completions"]).header("authorization", format!("Bearer {key}"));
        // Whose traffic it is, in the vendor's statistics.
        let endpoint = endpoint.optional_header("http-referer", extra(config, "http_referer"));
        Ok(endpoint.optional_header("x-title", extra(config, "title")).post(&body))
    }

    fn frame(&mut self, frame: Frame, out: &mut Output) -> Result<(), DriverError> {
        self.answer.frame(&frame, out)
    }

    fn refusal(&self, head: &ResponseHead, body: &Value) -> DriverError {
        chat::refused(head, body)
    }
}
