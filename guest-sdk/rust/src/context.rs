//! The circumstances of a call.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::exports::everwit::capability::tools;
use crate::{Failure, Result};

/// The circumstances of a call. A tool that wants them takes `&Context` first.
///
/// ```
/// use everwit_guest::prelude::*;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Settings {
///     region: String,
/// }
///
/// /// Says where it works.
/// #[tool(read_only)]
/// fn place(ctx: &Context) -> Result<String> {
///     Ok(ctx.config::<Settings>()?.region)
/// }
/// # let ctx = Context::default().with_config(&serde_json::json!({"region": "eu"})).expect("json");
/// # assert_eq!(place(&ctx).expect("configured"), "eu");
/// ```
#[derive(Debug, Clone)]
pub struct Context {
    org: String,
    session: String,
    turn: String,
    idempotency_key: String,
    config: String,
    locale: Option<String>,
}

impl Context {
    /// Opaque id of the org; salted, so that two components cannot compare notes.
    pub fn org(&self) -> &str {
        &self.org
    }

    /// Opaque id of the session; salted likewise.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Opaque id of the turn; salted likewise.
    pub fn turn(&self) -> &str {
        &self.turn
    }

    /// The same for every execution of the same tool call, also after a crash: what to send
    /// as idempotency key to a service, or to remember in [`crate::kv`].
    pub fn idempotency_key(&self) -> &str {
        &self.idempotency_key
    }

    /// The agent's configuration of this capability.
    ///
    /// # Errors
    /// If it does not fit `T`: kind "internal", code "invalid_config". The host has checked it
    /// against the schema of the type given as `config` in [`crate::capability!`], so with
    /// that type this is a fault of the capability.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.config)
            .map_err(|error| Failure::internal("invalid_config", format!("configuration does not fit: {error}")))
    }

    /// BCP 47 tag of the user's language, if known.
    pub fn locale(&self) -> Option<&str> {
        self.locale.as_deref()
    }

    /// The same context with this configuration; for tests.
    ///
    /// # Errors
    /// If the value has no JSON form.
    pub fn with_config<T: Serialize + ?Sized>(mut self, config: &T) -> Result<Self> {
        self.config = serde_json::to_string(config)?;
        Ok(self)
    }

    /// The same context with this locale; for tests.
    #[must_use]
    pub fn with_locale(mut self, locale: impl Into<String>) -> Self {
        self.locale = Some(locale.into());
        self
    }
}

/// A context for tests: fixed ids, an empty configuration, no locale.
impl Default for Context {
    fn default() -> Self {
        Context {
            org: "org".into(),
            session: "session".into(),
            turn: "turn".into(),
            idempotency_key: "call".into(),
            config: "{}".into(),
            locale: None,
        }
    }
}

impl From<tools::Context> for Context {
    fn from(raw: tools::Context) -> Self {
        Context {
            org: raw.org,
            session: raw.session,
            turn: raw.turn,
            idempotency_key: raw.idempotency_key,
            config: raw.config,
            locale: raw.locale,
        }
    }
}
