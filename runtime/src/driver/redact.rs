//! Keeps credentials of a model out of what people and other programs read.

use std::fmt;

use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use super::{DriverConfig, DriverError, ProviderMetadata, ResolvedModel};
use crate::mutation::off;
use crate::provider::Provider;
use crate::secret::{REDACTED, Scrubber};

impl ResolvedModel {
    /// As [`DriverConfig::redact`].
    pub fn redact(&self, text: &str) -> String {
        self.driver_config().redact(text)
    }

    /// As [`DriverConfig::redact_error`].
    pub fn redact_error(&self, error: DriverError) -> DriverError {
        self.driver_config().redact_error(error)
    }
}

impl DriverConfig {
    /// A text of a driver or a vendor without the credentials: vendors repeat keys in their
    /// refusals, and drivers repeat vendors.
    pub fn redact(&self, text: &str) -> String {
        self.scrubber().map_or_else(|| text.to_owned(), |scrubber| scrubber.scrub(text))
    }

    /// Finds its credentials; none if it has none.
    pub(crate) fn scrubber(&self) -> Option<Scrubber> {
        Scrubber::new(self.secrets().iter().map(String::as_str)).filter(|_| !off("scrub.drivers"))
    }

    /// An error of a driver without the credentials.
    pub fn redact_error(&self, error: DriverError) -> DriverError {
        let vendor_message = error.vendor_message.as_deref().map(|message| self.redact(message));
        DriverError { message: self.redact(&error.message), vendor_message, ..error }
    }

    fn secrets(&self) -> Vec<String> {
        let mut secrets: Vec<String> = self.api_key.iter().map(|key| key.expose_secret().to_owned()).collect();
        if let Some(metadata) = &self.metadata {
            secrets.extend(metadata.refresh_token.iter().map(|token| token.expose_secret().to_owned()));
            secrets.extend(metadata.account_id.clone());
            metadata.extra.iter().for_each(|extra| texts_of(extra, &mut secrets));
        }
        self.base_url.iter().for_each(|url| secrets_of_url(url, &mut secrets));
        secrets
    }
}

/// All texts of a value; its keys are names and no secrets.
fn texts_of(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts_of(item, texts)),
        Value::Object(members) => members.values().for_each(|member| texts_of(member, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What a URL may carry beside its origin: user, password, and the values of its query. Some
/// gateways have the key in the path.
fn secrets_of_url(text: &str, secrets: &mut Vec<String>) {
    let Ok(url) = Url::parse(text) else {
        secrets.push(text.to_owned());
        return;
    };
    secrets.push(url.username().to_owned());
    secrets.extend(url.password().map(str::to_owned));
    secrets.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
    secrets.extend(url.query().map(str::to_owned));
    secrets.extend(url.fragment().map(str::to_owned));
    secrets.extend(url.path_segments().into_iter().flatten().filter(|segment| looks_random(segment)).map(str::to_owned));
}

/// Whether a path segment is rather a token than a name such as `openai` or `v1beta`.
fn looks_random(segment: &str) -> bool {
    const SHORTEST_TOKEN: usize = 16;
    segment.len() >= SHORTEST_TOKEN
}

/// A base URL in `Debug`: scheme, host and port; never user, path or query.
struct Origin<'a>(&'a str);

impl fmt::Debug for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Url::parse(self.0) {
            Ok(url) if url.has_host() => write!(f, "{:?}", url.origin().ascii_serialization()),
            _ => f.write_str(REDACTED),
        }
    }
}

fn shown<T>(secret: &Option<T>) -> Option<&'static str> {
    secret.as_ref().map(|_| REDACTED)
}

impl fmt::Debug for ProviderMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderMetadata")
            .field("refresh_token", &shown(&self.refresh_token))
            .field("account_id", &shown(&self.account_id))
            .field("extra", &shown(&self.extra))
            .finish()
    }
}

impl fmt::Debug for DriverConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverConfig")
            .field("api_key", &shown(&self.api_key))
            .field("base_url", &self.base_url.as_deref().map(Origin))
            .field("metadata", &self.metadata)
            .finish()
    }
}

impl fmt::Debug for ResolvedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResolvedModel")
            .field("model", &self.model)
            .field("provider_type", &self.provider_type)
            .field("api_key", &shown(&self.api_key))
            .field("base_url", &self.base_url.as_deref().map(Origin))
            .field("provider_metadata", &self.provider_metadata)
            .finish()
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("provider_type", &self.provider_type)
            .field("base_url", &self.base_url.as_deref().map(Origin))
            .field("status", &self.status)
            .field("api_key", &shown(&self.api_key))
            .field("provider_metadata", &shown(&self.provider_metadata))
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::DriverId;

    fn model(base_url: &str) -> ResolvedModel {
        ResolvedModel {
            model: "m".to_owned(),
            provider_type: DriverId::LlmSim,
            api_key: Some("sk-12345".into()),
            base_url: Some(base_url.to_owned()),
            provider_metadata: Some(ProviderMetadata {
                refresh_token: Some("sk-12345-refresh".into()),
                account_id: Some("a1".to_owned()),
                extra: Some(serde_json::json!({"nested": [{"token": "deep-token"}], "n": 1234567})),
            }),
        }
    }

    #[test]
    fn texts_lose_every_credential_and_nothing_else() {
        let model = model("https://someone:passwort@vendor.example/v1?key=querykey");
        let check = |text: &str, expected: &str| assert_eq!(model.redact(text), expected);
        check("wrong key sk-12345.", "wrong key [redacted].");
        check("sk-12345-refresh and sk-12345", "[redacted] and [redacted]");
        check("deep-token someone passwort querykey", "[redacted] [redacted] [redacted] [redacted]");
        check("a1 of vendor.example has no 1234567 at /v1", "a1 of vendor.example has no 1234567 at /v1");
    }

    #[test]
    fn a_base_url_shows_its_origin_only() {
        let check = |url: &str, expected: &str| {
            let debug = format!("{:?}", model(url));
            assert!(debug.contains(&format!("base_url: Some({expected})")), "{debug}");
        };
        check("https://someone:passwort@vendor.example:8443/path-token?key=query", "\"https://vendor.example:8443\"");
        check("no url but a secret", "[redacted]");
        check("data:text/plain,secret", "[redacted]");
    }
}
