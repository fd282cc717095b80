//! OpenAI's models on Azure: Chat Completions of a deployment.
//!
//! The base URL is the resource's, `https://NAME.openai.azure.com`, and the model is the name of
//! the deployment. With a base URL that ends in `/openai/v1` the version-less API is used.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use super::chat::{self, Answer, Style};
use super::dialect::{self, Dialect};
use super::endpoint::{Endpoint, api_key, configuration, extra};
use super::openai_completions::known_options;
use super::options::{self, set, set_all};
use super::output::Output;
use crate::driver::{ChatRequest, CodecRequest, DriverConfig, DriverError, DriverId, DriverRegistry, Frame, ResponseHead};

/// Version of the API if the provider's `metadata.extra.api_version` names none: the newest one
/// that is no preview.
pub const DEFAULT_API_VERSION: &str = "2024-10-21";

static OPTIONS: LazyLock<Validator> = LazyLock::new(|| options::schema(&known_options()));

/// Registers the driver as [`DriverId::AzureOpenAi`].
///
/// # Panics
/// If it is registered already.
pub fn register_driver(registry: &mut DriverRegistry) {
    dialect::register::<AzureOpenAi>(registry, DriverId::AzureOpenAi, None);
}

#[derive(Default)]
struct AzureOpenAi {
    answer: Answer,
}

impl Dialect for AzureOpenAi {
    fn begin(&mut self, config: &DriverConfig, request: &ChatRequest) -> Result<CodecRequest, DriverError> {
        let options = options::of(request, &DriverId::AzureOpenAi, &OPTIONS)?;
        let key = api_key(config, &DriverId::AzureOpenAi)?;
        let mut body = chat::body(request, &Style { max_tokens: "max_completion_tokens", ..Style::default() })?;
        set(&mut body, "reasoning_effort", request.reasoning_effort.as_deref());
        set_all(&mut body, options);
        let endpoint = Endpoint::new(config)?;
        let endpoint = if endpoint.last_segment() == "v1" {
            // The versions with a date do not know it.
            set(&mut body, "prompt_cache_key", request.prompt_cache.as_ref().map(|cache| cache.key.as_str()));
            endpoint.path(&["chat", "completions"])
        } else {
            let version = extra(config, "api_version").unwrap_or(DEFAULT_API_VERSION);
            if !version.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
                return Err(configuration("metadata.extra.api_version of the provider is no version such as 2024-10-21"));
            }
            let endpoint = if endpoint.last_segment() == "openai" { endpoint } else { endpoint.path(&["openai"]) };
            endpoint.path(&["deployments", &request.model, "chat", "completions"]).query("api-version", version)
        };
        Ok(endpoint.header("api-key", key).post(&body))
    }

    fn frame(&mut self, frame: Frame, out: &mut Output) -> Result<(), DriverError> {
        self.answer.frame(&frame, out)
    }

    fn refusal(&self, head: &ResponseHead, body: &Value) -> DriverError {
        chat::refused(head, body)
    }
}
