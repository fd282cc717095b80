//! OAuth 2 with an authorization code and PKCE, for any third party, as data. What is done with it is in
//! `protocol`, or without the feature `oauth` in `absent`.

#[cfg(not(feature = "oauth"))]
mod absent;
#[cfg(feature = "oauth")]
mod protocol;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use super::record::Secrets;
use crate::secret::SecretError;

/// Scopes of one provider.
const MAX_SCOPES: usize = 64;
/// Random bytes of a state and of a verifier.
const RANDOM_BYTES: usize = 32;

/// Where the client's own credentials go in a request for tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// Into the `Authorization` header, as RFC 6749 recommends.
    #[default]
    Basic,
    /// Into the body, for vendors that know nothing else.
    Body,
}

/// What is known of a third party that speaks OAuth 2. Its `Debug` and `Serialize` show no secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuthSettings {
    /// Where the user's browser is sent.
    pub authorize_url: Url,
    /// Where codes and refresh tokens are exchanged.
    pub token_url: Url,
    /// What the user is asked to allow.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Id of this installation at the third party.
    pub client_id: String,
    /// Its secret; none for public clients.
    #[serde(default, serialize_with = "hidden", skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretString>,
    /// Where id and secret go.
    #[serde(default)]
    pub client_authentication: ClientAuthentication,
    /// Further parameters of the authorization URL, for example `access_type=offline`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorize_parameters: Vec<(String, String)>,
}

fn hidden<S: Serializer>(_secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("[hidden]")
}

/// Why there are no tokens. No text holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum OAuthError {
    /// The third party refuses the code or the refresh token for good.
    #[error("{0}")]
    Refused(String),
    /// The settings do not work; the operator has to see to it.
    #[error("{0}")]
    Misconfigured(String),
    /// It cannot be reached, or its answer makes no sense.
    #[error("{0}")]
    Unavailable(String),
}

/// An authorization on its way.
pub(super) struct Begun {
    /// Where the user's browser goes.
    pub(super) url: Url,
    /// What has to be shown again with the code.
    pub(super) verifier: SecretString,
}

/// Tokens that a third party gave.
pub(super) struct Tokens {
    pub(super) secrets: Secrets,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) scopes: Option<Vec<String>>,
}

/// As much randomness as guessing must be hopeless against, as text for URLs.
pub(super) fn random_text() -> Result<SecretString, SecretError> {
    use base64::Engine as _;
    let mut bytes = zeroize::Zeroizing::new([0; RANDOM_BYTES]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|_| SecretError::NoRandomness)?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes.as_slice()).into())
}

impl OAuthSettings {
    /// What is wrong with them, as sentences.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !cfg!(feature = "oauth") {
            problems.push("this program was built without OAuth; it needs the feature `oauth` of everwit-runtime".to_owned());
        }
        for (name, url) in [("authorize_url", &self.authorize_url), ("token_url", &self.token_url)] {
            if !is_private_enough(url) {
                problems.push(format!("{name} is not an https URL without user information and fragment"));
            }
        }
        if self.client_id.trim().is_empty() {
            problems.push("client_id is blank".to_owned());
        }
        let plain =
            |scope: &String| !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
        if self.scopes.len() > MAX_SCOPES || !self.scopes.iter().all(plain) {
            problems.push(format!("scopes are at most {MAX_SCOPES} words of visible ASCII without quotes and backslashes"));
        }
        let own = ["client_id", "code_challenge", "code_challenge_method", "redirect_uri", "response_type", "scope", "state"];
        for (name, _) in self.authorize_parameters.iter().filter(|(name, _)| own.contains(&name.as_str())) {
            problems.push(format!("authorize_parameters sets {name}, which the platform sets itself"));
        }
        problems
    }
}

/// Tokens travel over TLS, or within the machine.
fn is_private_enough(url: &Url) -> bool {
    let is_local = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => return false,
    };
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && is_local);
    scheme && url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
}

/// An error code as RFC 6749 allows it; nothing else of a stranger's text is shown.
pub(super) fn shown(code: &str) -> String {
    let usual = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    match !code.is_empty() && code.len() <= 64 && code.bytes().all(usual) {
        true => code.to_owned(),
        false => "an unknown error".to_owned(),
    }
}

#[cfg(all(test, feature = "oauth"))]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn settings() -> OAuthSettings {
        OAuthSettings {
            authorize_url: "https://login.example/authorize?tenant=a".parse().expect("a URL"),
            token_url: "https://login.example/token".parse().expect("a URL"),
            scopes: vec!["read:user".to_owned(), "repo".to_owned()],
            client_id: "everwit".to_owned(),
            client_secret: Some("planted".into()),
            client_authentication: ClientAuthentication::Basic,
            authorize_parameters: vec![("access_type".to_owned(), "offline".to_owned())],
        }
    }

    #[test]
    fn the_authorization_url_carries_state_and_challenge_and_no_secret() {
        let begun = settings().begin("https://everwit.example/callback", &"the-state".into()).expect("it begins");
        let value = |name: &str| begun.url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        for (name, expected) in [
            ("tenant", "a"),
            ("client_id", "everwit"),
            ("response_type", "code"),
            ("state", "the-state"),
            ("redirect_uri", "https://everwit.example/callback"),
            ("scope", "read:user repo"),
            ("access_type", "offline"),
            ("code_challenge_method", "S256"),
        ] {
            assert_eq!(value(name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!((begun.verifier.expose_secret().len(), value("code_challenge").map(|text| text.len())), (43, Some(43)));
        for secret in ["planted", begun.verifier.expose_secret()] {
            assert!(!begun.url.as_str().contains(secret));
        }
        assert!(!format!("{:?} {}", settings(), serde_json::to_string(&settings()).expect("JSON")).contains("planted"));
    }

    #[test]
    fn settings_that_cannot_be_trusted_are_told() {
        assert_eq!(settings().problems(), Vec::<String>::new());
        let local = OAuthSettings { token_url: "http://127.0.0.1:7/token".parse().expect("a URL"), ..settings() };
        assert_eq!(local.problems(), Vec::<String>::new());
        for url in ["http://login.example/t", "https://u:p@login.example/t", "https://login.example/t#f", "ftp://login.example/t"] {
            let wrong = OAuthSettings { token_url: url.parse().expect("a URL"), ..settings() };
            assert_eq!(wrong.problems().len(), 1, "{url}");
        }
        let wrong = OAuthSettings {
            client_id: " ".to_owned(),
            scopes: vec!["a b".to_owned()],
            authorize_parameters: vec![("state".to_owned(), "mine".to_owned())],
            ..settings()
        };
        assert_eq!(wrong.problems().len(), 3, "{:?}", wrong.problems());
    }

    #[test]
    fn a_strangers_error_text_is_not_shown() {
        assert_eq!(shown("access_denied"), "access_denied");
        for text in ["", "token planted", "A", "<b>", &"x".repeat(65)] {
            assert_eq!(shown(text), "an unknown error", "{text}");
        }
    }
}
