//! Models behind a Codex gateway: OpenAI's Responses protocol, signed in with what an account's
//! sign-in left (`metadata.refresh_token`, `metadata.account_id`) instead of an API key.
//!
//! The gateway serves both at the base URL: `POST /oauth/token` gives an access token for the
//! refresh token, `POST /responses` answers. The guest sees neither refresh token nor account id.

mod answer;
mod request;

use everwit_guest::driver::{self, Access, Config, Description, Driver, Event, ExchangeToken, Framing, Head, HttpRequest, Request, Sse};
use everwit_guest::{Failure, Result, serde_json};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Answer;

/// A completion.
#[derive(Default)]
struct Codex {
    answer: Answer,
    /// The status, if it is a refusal.
    refused: Option<u16>,
}

impl Driver for Codex {
    fn describe() -> Description {
        let options = json!({
            "type": "object",
            "properties": { "verbosity": { "enum": ["low", "medium", "high"], "description": "How long answers are" } },
            "additionalProperties": false,
        });
        let summary = "Talks to a Codex gateway, signed in with the refresh token and the account id of its account.";
        Description::new("openai-codex", "Codex gateway", env!("CARGO_PKG_VERSION"), summary)
            .optional_credential("api-key", "header:authorization")
            .credential("refresh-token", "body")
            .credential("account-id", "header:chatgpt-account-id")
            .options_schema(&options)
    }

    fn begin(&mut self, config: &Config, request: &Request) -> Result<HttpRequest> {
        let account = config.account_id().ok_or_else(|| missing("account id"))?;
        Ok(driver::post_json(config.url("/responses")?, &request::body(request)?)
            .header("authorization", config.bearer()?)
            .header("chatgpt-account-id", account)
            .header("accept", "text/event-stream"))
    }

    fn on_head(&mut self, head: &Head) -> Result<Framing> {
        self.refused = (!(200..300).contains(&head.status)).then_some(head.status);
        Ok(if self.refused.is_some() { Framing::Whole } else { Framing::Sse })
    }

    fn on_bytes(&mut self, frame: &[u8]) -> Result<Vec<Event>> {
        Err(refusal(self.refused.unwrap_or(502), frame))
    }

    fn on_sse(&mut self, frame: &Sse) -> Result<Vec<Event>> {
        self.answer.add(&serde_json::from_str(&frame.data).map_err(driver::unreadable)?)
    }

    fn on_end(&mut self) -> Result<Vec<Event>> {
        if self.answer.is_complete() { Ok(Vec::new()) } else { Err(driver::incomplete()) }
    }
}

impl ExchangeToken for Codex {
    fn token_request(config: &Config) -> Result<HttpRequest> {
        let refresh_token = config.refresh_token().ok_or_else(|| missing("refresh token"))?;
        let body = json!({ "grant_type": "refresh_token", "refresh_token": refresh_token, "scope": "openid profile email" });
        Ok(driver::post_json(config.url("/oauth/token")?, &body))
    }

    fn token(status: u16, body: &[u8]) -> Result<Access> {
        #[derive(Deserialize)]
        struct Tokens {
            access_token: String,
            expires_in: Option<u64>,
            refresh_token: Option<String>,
        }
        match status {
            200 => {}
            // A refresh token that was used, revoked or is too old is an invalid grant: RFC 6749, 5.2.
            400 | 401 | 403 => {
                return Err(Failure::denied("authentication", "the gateway does not accept the stored sign-in; sign in again"));
            }
            _ => return Err(refusal(status, body)),
        }
        let tokens: Tokens = serde_json::from_slice(body).map_err(driver::unreadable)?;
        let expires_in_ms = tokens.expires_in.map(|seconds| seconds.saturating_mul(1_000));
        Ok(Access { token: tokens.access_token, expires_in_ms, refresh_token: tokens.refresh_token })
    }
}

fn missing(what: &str) -> Failure {
    Failure::invalid("configuration", format!("the provider's metadata has no {what}"))
}

/// The gateway says why as `{"error": {"code", "message"}}` or `{"detail": ".."}`.
fn refusal(status: u16, body: &[u8]) -> Failure {
    let said = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let message = said["error"]["message"].as_str().or(said["detail"].as_str()).unwrap_or("the gateway gives no reason");
    match said["error"]["code"].as_str() {
        Some("context_length_exceeded") => Failure::invalid("context_too_long", message),
        Some("model_not_found") => Failure::not_found("model_not_available", message),
        _ => driver::fail(status, message),
    }
}

everwit_guest::driver! {
    Codex,
    token_exchange,
    exchanges: include_bytes!("../exchanges.json"),
}

#[cfg(test)]
mod tests;
