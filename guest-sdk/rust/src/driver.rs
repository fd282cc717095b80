//! Write a model driver: the translation between Everwit's chat language and one vendor's HTTP
//! protocol. The host sends, frames, retries, times out and cancels; a driver reaches nothing.
//!
//! ```
//! use everwit_guest::{Result, driver, driver::*};
//!
//! #[derive(Default)]
//! struct Plain {
//!     done: bool,
//! }
//!
//! impl Driver for Plain {
//!     fn describe() -> Description {
//!         Description::new("plain", "Plain", env!("CARGO_PKG_VERSION"), "Answers whole texts.")
//!             .credential("api-key", "header:authorization")
//!     }
//!
//!     fn begin(&mut self, config: &Config, request: &Request) -> Result<HttpRequest> {
//!         let body = serde_json::json!({ "model": request.model, "prompt": text_of(&request.messages) });
//!         Ok(post_json(config.url("/complete")?, &body).header("authorization", config.bearer()?))
//!     }
//!
//!     fn on_head(&mut self, head: &Head) -> Result<Framing> {
//!         Ok(Framing::Whole)
//!     }
//!
//!     fn on_bytes(&mut self, frame: &[u8]) -> Result<Vec<Event>> {
//!         self.done = true;
//!         Ok(vec![Event::Text(String::from_utf8_lossy(frame).into_owned()), driver::finish("stop")])
//!     }
//!
//!     fn on_end(&mut self) -> Result<Vec<Event>> {
//!         if self.done { Ok(Vec::new()) } else { Err(driver::incomplete()) }
//!     }
//! }
//!
//! driver! { Plain }
//! # fn main() {}
//! ```
//!
//! One instance serves one completion, so a driver keeps its state in itself. Its answer's frames
//! come as the framing says that [`Driver::on_head`] returned. A failure's code tells the host what
//! it means: "configuration", "authentication", "rate_limited", "model_not_available",
//! "context_too_long", "invalid_request", "invalid_response" or "unavailable"; [`fail`] makes the
//! right one of an HTTP status.

use serde_json::Value;

pub use crate::bindings::driver::everwit::driver::config::{DriverConfig as Config, Metadata};
pub use crate::bindings::driver::everwit::types::chat::{
    Block, Event, Finish, Message, ModelInfo, Reasoning, Request, ResponseFormat, ToolCall, ToolCallDelta, ToolCallEnd, ToolCallStart,
    ToolResult, Usage,
};
pub use crate::bindings::driver::exports::everwit::driver::codec::Framing;
pub use crate::bindings::driver::exports::everwit::driver::meta::{Credential, Description};
pub use crate::bindings::everwit::http::types::{Head, Request as HttpRequest, Sse};
pub use crate::bindings::everwit::types::common::Extension;
pub use crate::bindings::everwit::types::content::{Blob, Link, Part};
pub use crate::bindings::everwit::types::tools::Tool;
pub use crate::bindings::token_exchange::exports::everwit::driver::token_exchange::Access;
use crate::{Failure, Result};

/// A model driver. [`crate::driver!`] exports it; each completion begins with its `default()`.
pub trait Driver: Default + 'static {
    /// Describes the driver; pure.
    fn describe() -> Description;

    /// Translates a request. Called once, first. The request goes to the origin of the base URL.
    ///
    /// # Errors
    /// What the vendor cannot do, or what the configuration lacks.
    fn begin(&mut self, config: &Config, request: &Request) -> Result<HttpRequest>;

    /// Judges the response's head. To read the vendor's reason for a refusal, answer
    /// [`Framing::Whole`] and fail in [`Self::on_bytes`].
    ///
    /// # Errors
    /// What the status means.
    fn on_head(&mut self, head: &Head) -> Result<Framing>;

    /// Translates one server-sent event.
    ///
    /// # Errors
    /// What the vendor reports in it, or that it cannot be read.
    fn on_sse(&mut self, frame: &Sse) -> Result<Vec<Event>> {
        let _ = frame;
        Err(Failure::internal("unexpected_frame", "this driver asks for no server-sent events"))
    }

    /// Translates one frame of another kind.
    ///
    /// # Errors
    /// As for [`Self::on_sse`].
    fn on_bytes(&mut self, frame: &[u8]) -> Result<Vec<Event>> {
        let _ = frame;
        Err(Failure::internal("unexpected_frame", "this driver asks for server-sent events only"))
    }

    /// The body has ended.
    ///
    /// # Errors
    /// [`incomplete`] if the completion is not complete.
    fn on_end(&mut self) -> Result<Vec<Event>>;
}

/// The optional ability to ask the vendor which models there are.
pub trait Discover: Driver {
    /// The request to send.
    ///
    /// # Errors
    /// As for [`Driver::begin`].
    fn models_request(config: &Config) -> Result<HttpRequest>;

    /// Reads the answer, whatever its status.
    ///
    /// # Errors
    /// What the status means, or that the answer cannot be read.
    fn models(status: u16, body: &[u8]) -> Result<Vec<ModelInfo>>;
}

/// The optional ability to exchange stored credentials for an access token before a completion;
/// the token then is the API key.
pub trait ExchangeToken: Driver {
    /// The request to send.
    ///
    /// # Errors
    /// As for [`Driver::begin`].
    fn token_request(config: &Config) -> Result<HttpRequest>;

    /// Reads the answer, whatever its status.
    ///
    /// # Errors
    /// Code "authentication" if the vendor refuses the credentials.
    fn token(status: u16, body: &[u8]) -> Result<Access>;
}

impl Description {
    /// A description without options, credentials and models.
    pub fn new(id: &str, title: &str, version: &str, summary: &str) -> Self {
        Description {
            id: id.into(),
            title: title.into(),
            version: version.into(),
            summary: summary.into(),
            options_schema: r#"{"type":"object","additionalProperties":false}"#.into(),
            credentials: Vec::new(),
            default_base_url: None,
            models: Vec::new(),
            extra: Vec::new(),
        }
    }

    /// Names a required credential ("api-key", "refresh-token", "account-id") and a place for it:
    /// "header:<name>", "query:<name>" or "body". The driver then gets a placeholder, which the
    /// host replaces there.
    #[must_use]
    pub fn credential(mut self, name: &str, place: &str) -> Self {
        self.credentials.push(Credential { name: name.into(), title: String::new(), place: place.into(), required: true });
        self
    }

    /// As [`Self::credential`], for one that the driver can do without.
    #[must_use]
    pub fn optional_credential(mut self, name: &str, place: &str) -> Self {
        self.credentials.push(Credential { name: name.into(), title: String::new(), place: place.into(), required: false });
        self
    }

    /// The base URL if the provider configures none.
    #[must_use]
    pub fn default_base_url(mut self, url: &str) -> Self {
        self.default_base_url = Some(url.into());
        self
    }

    /// JSON Schema of the request's options; without one there are none.
    #[must_use]
    pub fn options_schema(mut self, schema: &Value) -> Self {
        self.options_schema = schema.to_string();
        self
    }
}

impl Config {
    /// A URL below the base URL; the path begins with a slash.
    ///
    /// # Errors
    /// If there is no base URL.
    pub fn url(&self, path: &str) -> Result<String> {
        let base = self.base_url.as_deref().ok_or_else(|| Failure::new("invalid-arguments", "configuration", "there is no base URL"))?;
        Ok(format!("{}{path}", base.trim_end_matches('/')))
    }

    /// The value of an authorization header with the API key.
    ///
    /// # Errors
    /// If there is no API key.
    pub fn bearer(&self) -> Result<String> {
        let key = self.api_key.as_deref().filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| Failure::new("invalid-arguments", "configuration", "there is no API key"))?;
        Ok(format!("Bearer {key}"))
    }

    /// The refresh token.
    pub fn refresh_token(&self) -> Option<&str> {
        self.metadata.as_ref()?.refresh_token.as_deref()
    }

    /// The account id.
    pub fn account_id(&self) -> Option<&str> {
        self.metadata.as_ref()?.account_id.as_deref()
    }
}

impl HttpRequest {
    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// A request without body.
pub fn get(url: impl Into<String>) -> HttpRequest {
    HttpRequest { method: "GET".into(), url: url.into(), headers: Vec::new(), body: Vec::new(), timeout_ms: None, extra: Vec::new() }
}

/// A request with a body of JSON.
pub fn post_json(url: impl Into<String>, body: &Value) -> HttpRequest {
    HttpRequest { method: "POST".into(), body: body.to_string().into_bytes(), ..get(url) }.header("content-type", "application/json")
}

/// The end of an answer: "stop", "tool-calls", "length", "content-filter" or the vendor's word.
pub fn finish(reason: impl Into<String>) -> Event {
    Event::Finish(Finish { reason: reason.into(), response_id: None, extra: Vec::new() })
}

/// A whole tool call as the three events that it takes; `index` counts the calls of the answer
/// from 0.
pub fn whole_tool_call(index: u32, id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> [Event; 3] {
    [
        Event::ToolCallStart(ToolCallStart { index, id: id.into(), name: name.into() }),
        Event::ToolCallDelta(ToolCallDelta { index, arguments: arguments.into() }),
        Event::ToolCallEnd(ToolCallEnd { index, opaque: None }),
    ]
}

/// Token counts without caches.
pub fn usage(input_tokens: u64, output_tokens: u64) -> Usage {
    let (cache_read_tokens, cache_write_tokens, reasoning_tokens) = (None, None, None);
    Usage { input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, extra: Vec::new() }
}

/// The text parts of messages, joined by newlines.
pub fn text_of(messages: &[Message]) -> String {
    let texts = messages.iter().flat_map(|message| &message.blocks).filter_map(|block| match block {
        Block::Part(Part::Text(text)) => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// The failure of a completion whose body ended before its answer did.
pub fn incomplete() -> Failure {
    Failure::new("upstream", "invalid_response", "the answer ended before it was complete")
}

/// The failure of an answer that is not what the protocol says.
pub fn unreadable(what: impl core::fmt::Display) -> Failure {
    Failure::new("upstream", "invalid_response", format!("the answer cannot be read: {what}"))
}

/// The failure that an HTTP status other than 2xx means, with the vendor's words.
pub fn fail(status: u16, message: impl Into<String>) -> Failure {
    let message = format!("status {status}: {}", message.into());
    match status {
        401 | 403 => Failure::denied("authentication", message),
        404 => Failure::not_found("model_not_available", message),
        408 | 504 => Failure::timeout("timeout", message),
        413 => Failure::invalid("context_too_long", message),
        429 => Failure::rate_limited("rate_limited", message),
        400..500 => Failure::invalid("invalid_request", message),
        _ => Failure::upstream("unavailable", message).retryable(true),
    }
}

/// What [`crate::driver!`] expands to. No part of the public interface.
#[doc(hidden)]
pub mod exports;

/// Exports a driver from the component: its type, and behind it whatever applies of
/// - `discovery`: the type implements [`Discover`]
/// - `token_exchange`: it implements [`ExchangeToken`]
/// - `exchanges: include_bytes!("exchanges.json")`: recorded exchanges, which the host replays at
///   upload
#[macro_export]
macro_rules! driver {
    ($driver:ty $(, $option:ident $(: $value:expr)?)* $(,)?) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::driver::exports::Exported<$driver>;
            $crate::__private::bindings::driver::export_driver!(Exported with_types_in $crate::__private::bindings::driver);
            $($crate::__driver_option!(Exported, $option $(: $value)?);)*
        };
        // Native builds have no exports; this keeps what they need from looking unused.
        #[cfg(not(target_family = "wasm"))]
        const _: () = $crate::driver::exports::assert_driver::<$driver>();
    };
}

/// One option of [`crate::driver!`].
#[doc(hidden)]
#[macro_export]
macro_rules! __driver_option {
    ($exported:ident, discovery) => {
        $crate::__private::bindings::discovery::export_discovery!($exported with_types_in $crate::__private::bindings::discovery);
    };
    ($exported:ident, token_exchange) => {
        $crate::__private::bindings::token_exchange::export_token_exchange!(
            $exported with_types_in $crate::__private::bindings::token_exchange
        );
    };
    ($exported:ident, exchanges: $bytes:expr) => {
        const _: () = {
            const BYTES: &[u8] = $bytes;
            #[used]
            #[unsafe(link_section = "everwit:exchanges")]
            static SECTION: [u8; BYTES.len()] = $crate::driver::exports::section(BYTES);
        };
    };
    ($exported:ident, $other:ident $(: $value:expr)?) => {
        compile_error!(concat!("unknown option `", stringify!($other), "`; there are: `discovery`, `token_exchange`, `exchanges`"));
    };
}
