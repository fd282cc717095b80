//! Asks a vendor which models there are.

use async_trait::async_trait;
use serde_json::Value;

use super::dialect::Dialect;
use super::endpoint::{Endpoint, api_key};
use super::output::{invalid, text};
use crate::driver::{CodecRequest, Discovery, DriverConfig, DriverError, DriverId, ModelInfo, ResponseHead};

/// Most models that are asked for at once, and taken; no vendor has so many.
const MAX_MODELS: usize = 1_000;

/// Whose list it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Catalog {
    OpenAi,
    OpenRouter,
    Anthropic,
    Gemini,
}

/// One question to a vendor whose dialect knows what its refusals mean.
pub(super) struct Listing<D> {
    pub(super) id: DriverId,
    pub(super) catalog: Catalog,
    pub(super) dialect: D,
}

#[async_trait]
impl<D: Dialect> Discovery for Listing<D> {
    async fn begin(&mut self, config: &DriverConfig) -> Result<CodecRequest, DriverError> {
        let key = api_key(config, &self.id)?;
        let endpoint = Endpoint::new(config)?;
        let most = MAX_MODELS.to_string();
        let endpoint = match self.catalog {
            Catalog::OpenAi | Catalog::OpenRouter => endpoint.path(&["models"]).header("authorization", format!("Bearer {key}")),
            Catalog::Anthropic => {
                let endpoint = endpoint.version("v1").path(&["models"]).query("limit", &most).header("x-api-key", key);
                endpoint.header("anthropic-version", super::anthropic::VERSION)
            }
            Catalog::Gemini => endpoint.version("v1beta").path(&["models"]).query("pageSize", &most).header("x-goog-api-key", key),
        };
        Ok(endpoint.get())
    }

    async fn decode(&mut self, status: u16, body: &[u8]) -> Result<Vec<ModelInfo>, DriverError> {
        let head = ResponseHead { status, headers: Vec::new() };
        let body = serde_json::from_slice::<Value>(body);
        if !head.is_success() {
            return Err(self.dialect.refusal(&head, &body.unwrap_or_default()));
        }
        let body = body.map_err(|_| invalid("the list of models is no JSON; check the base URL of the provider"))?;
        let list = if self.catalog == Catalog::Gemini { &body["models"] } else { &body["data"] };
        let list = list.as_array().ok_or_else(|| invalid("the answer has no list of models; check the base URL of the provider"))?;
        Ok(list.iter().take(MAX_MODELS).filter_map(|model| self.catalog.model(model)).collect())
    }
}

impl Catalog {
    /// What a vendor says about a model; none if it has no name, or does not chat.
    fn model(self, model: &Value) -> Option<ModelInfo> {
        let (title, context, output) = match self {
            Self::OpenAi => ("id", &Value::Null, &Value::Null),
            Self::OpenRouter => ("name", &model["context_length"], &model["top_provider"]["max_completion_tokens"]),
            Self::Anthropic => ("display_name", &model["max_input_tokens"], &model["max_tokens"]),
            Self::Gemini => ("displayName", &model["inputTokenLimit"], &model["outputTokenLimit"]),
        };
        if self == Self::Gemini && !names(&model["supportedGenerationMethods"]).any(|method| method == "generateContent") {
            return None;
        }
        let id = text(model, if self == Self::Gemini { "name" } else { "id" });
        let id = id.strip_prefix("models/").unwrap_or(id);
        let title = Some(text(model, title)).filter(|title| !title.is_empty()).unwrap_or(id);
        let info = ModelInfo {
            id: id.to_owned(),
            title: title.to_owned(),
            context_tokens: context.as_u64(),
            output_tokens: output.as_u64(),
            features: self.features(model),
        };
        (!id.is_empty()).then_some(info)
    }

    fn features(self, model: &Value) -> Vec<String> {
        let mut features = Vec::new();
        let mut add = |has: bool, feature: &str| {
            if has {
                features.push(feature.to_owned());
            }
        };
        match self {
            Self::OpenRouter => {
                let takes = |parameter: &str| names(&model["supported_parameters"]).any(|name| name == parameter);
                add(takes("tools"), "tools");
                add(names(&model["architecture"]["input_modalities"]).any(|kind| kind == "image"), "images");
                add(takes("reasoning"), "reasoning");
                add(takes("structured_outputs"), "structured-output");
            }
            Self::Anthropic => {
                let has = |capability: &str| model["capabilities"][capability]["supported"] == true;
                add(true, "tools");
                add(has("image_input"), "images");
                add(has("thinking"), "reasoning");
                add(has("structured_outputs"), "structured-output");
            }
            Self::Gemini => add(model["thinking"] == true, "reasoning"),
            Self::OpenAi => {}
        }
        features
    }
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
