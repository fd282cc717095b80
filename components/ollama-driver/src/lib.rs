//! Chat models of an Ollama server, over its own API (`/api/chat`): answers as lines of JSON, with
//! tools, thinking, images and structured output.

mod answer;
mod request;

use everwit_guest::driver::{self, Config, Description, Discover, Driver, Event, Framing, Head, HttpRequest, ModelInfo, Request};
use everwit_guest::{Failure, Result, serde_json};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Line};

/// A completion.
#[derive(Default)]
struct Ollama {
    answer: Answer,
    /// The status, if it is a refusal.
    refused: Option<u16>,
}

impl Driver for Ollama {
    fn describe() -> Description {
        let options = json!({
            "type": "object",
            "properties": {
                "keep_alive": { "type": ["string", "integer"], "description": "How long the model stays loaded, for example \"5m\"" },
                "options": { "type": "object", "description": "Parameters of the model, for example {\"num_ctx\": 8192}" },
            },
            "additionalProperties": false,
        });
        Description::new("ollama", "Ollama", env!("CARGO_PKG_VERSION"), "Talks to an Ollama server in its own protocol.")
            .default_base_url("http://localhost:11434")
            .optional_credential("api-key", "header:authorization")
            .options_schema(&options)
    }

    fn begin(&mut self, config: &Config, request: &Request) -> Result<HttpRequest> {
        let body = request::body(request)?;
        Ok(authorized(driver::post_json(config.url("/api/chat")?, &body), config))
    }

    fn on_head(&mut self, head: &Head) -> Result<Framing> {
        self.refused = (!(200..300).contains(&head.status)).then_some(head.status);
        Ok(if self.refused.is_some() { Framing::Whole } else { Framing::JsonLines })
    }

    fn on_bytes(&mut self, frame: &[u8]) -> Result<Vec<Event>> {
        if let Some(status) = self.refused {
            return Err(refusal(status, frame));
        }
        let line: Line = serde_json::from_slice(frame).map_err(driver::unreadable)?;
        self.answer.add(line)
    }

    fn on_end(&mut self) -> Result<Vec<Event>> {
        if self.answer.is_complete() { Ok(Vec::new()) } else { Err(driver::incomplete()) }
    }
}

impl Discover for Ollama {
    fn models_request(config: &Config) -> Result<HttpRequest> {
        Ok(authorized(driver::get(config.url("/api/tags")?), config))
    }

    fn models(status: u16, body: &[u8]) -> Result<Vec<ModelInfo>> {
        #[derive(Deserialize)]
        struct Tags {
            models: Vec<Tag>,
        }
        #[derive(Deserialize)]
        struct Tag {
            name: String,
        }
        if status != 200 {
            return Err(refusal(status, body));
        }
        let tags: Tags = serde_json::from_slice(body).map_err(driver::unreadable)?;
        let info = |tag: Tag| ModelInfo {
            title: tag.name.clone(),
            id: tag.name,
            context_tokens: None,
            output_tokens: None,
            features: Vec::new(),
            extra: Vec::new(),
        };
        Ok(tags.models.into_iter().map(info).collect())
    }
}

/// A server of one's own needs no key; one behind a gateway, and the vendor's cloud, do.
fn authorized(request: HttpRequest, config: &Config) -> HttpRequest {
    match config.bearer() {
        Ok(bearer) => request.header("authorization", bearer),
        Err(_) => request,
    }
}

/// The server says why as `{"error": ".."}`, with any status.
fn refusal(status: u16, body: &[u8]) -> Failure {
    let said = serde_json::from_slice::<Value>(body).ok();
    let said = said.as_ref().and_then(|body| body["error"].as_str()).unwrap_or("the server gives no reason");
    driver::fail(status, said)
}

everwit_guest::driver! {
    Ollama,
    discovery,
    exchanges: include_bytes!("../exchanges.json"),
}

#[cfg(test)]
mod tests;
