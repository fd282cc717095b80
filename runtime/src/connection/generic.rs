//! Connection providers as data, for operators and embedders who write no code.

use async_trait::async_trait;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::egress::host_of;
use super::{ConnectionCredential, ConnectionEgress, ConnectionMethod, ConnectionProvider, ConnectionValidation, ValidationError};
use crate::egress::EgressRequest;

/// Longest name of an account, in bytes.
pub(crate) const MAX_USERNAME_BYTES: usize = 256;
/// Longest id of a provider, in bytes.
const MAX_ID_BYTES: usize = 64;
/// Hosts of one provider.
const MAX_HOSTS: usize = 32;

/// A request that only succeeds with a credential that works: a GET that answers 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialCheck {
    /// Where; its host is one of the provider's.
    pub url: Url,
    /// Header field that takes the credential. Default: `authorization`.
    #[serde(default = "authorization")]
    pub header: String,
    /// What stands before the credential there. Default: `Bearer `.
    #[serde(default = "bearer")]
    pub prefix: String,
    /// JSON pointer to the account's name in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_pointer: Option<String>,
}

fn authorization() -> String {
    "authorization".to_owned()
}

fn bearer() -> String {
    "Bearer ".to_owned()
}

/// A connection provider as data. JSON example: `{"id": "issues", "display_name": "Issues",
/// "hosts": ["api.issues.example"], "method": {"oauth": {"authorize_url": "https://issues.example/authorize",
/// "token_url": "https://issues.example/token", "client_id": "everwit", "client_secret": "…"}}}`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenericConnectionProvider {
    /// Id, see [`ConnectionProvider::id`].
    pub id: String,
    /// Name for people.
    pub display_name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Word for an icon.
    #[serde(default = "plug")]
    pub icon: String,
    /// Hosts that credentials may be sent to, see [`ConnectionProvider::hosts`].
    pub hosts: Vec<String>,
    /// How accounts are connected.
    pub method: ConnectionMethod,
    /// How to find out whether a credential works; without it, credentials are taken unseen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CredentialCheck>,
}

fn plug() -> String {
    "plug".to_owned()
}

impl GenericConnectionProvider {
    /// What is wrong with it, as sentences.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = match &self.method {
            ConnectionMethod::ApiKey(form) => form.problems(),
            ConnectionMethod::OAuth(settings) => settings.problems(),
        };
        if !is_provider_id(&self.id) {
            problems.push(format!("the id {:?} is not of the form [a-z0-9]+([-_][a-z0-9]+)* with at most {MAX_ID_BYTES} bytes", self.id));
        }
        if self.hosts.len() > MAX_HOSTS {
            problems.push(format!("it has {} hosts; at most {MAX_HOSTS} are allowed", self.hosts.len()));
        }
        if let Some(check) = &self.check
            && !self.hosts.contains(&host_of(&check.url))
        {
            problems.push(format!("check.url leads to {:?}, which is not among its hosts", host_of(&check.url)));
        }
        problems
    }
}

/// Whether a text can be the id of a provider.
pub(crate) fn is_provider_id(id: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    id.len() <= MAX_ID_BYTES && id.split(['-', '_']).all(word)
}

#[async_trait]
impl ConnectionProvider for GenericConnectionProvider {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.display_name
    }

    fn description(&self) -> &str {
        &self.description
    }

    fn icon(&self) -> &str {
        &self.icon
    }

    fn hosts(&self) -> &[String] {
        &self.hosts
    }

    fn method(&self) -> &ConnectionMethod {
        &self.method
    }

    async fn validate(
        &self,
        egress: &ConnectionEgress<'_>,
        credential: &ConnectionCredential,
    ) -> Result<ConnectionValidation, ValidationError> {
        let Some(check) = &self.check else { return Ok(ConnectionValidation::default()) };
        let value = format!("{}{}", check.prefix, credential.token.expose_secret());
        let request = EgressRequest {
            method: "GET".to_owned(),
            url: check.url.to_string(),
            headers: vec![(check.header.clone(), value), ("accept".to_owned(), "application/json".to_owned())],
            ..EgressRequest::default()
        };
        let answer = egress.send(request).await;
        let (status, body) =
            answer.map_err(|error| ValidationError::Unavailable(format!("{} cannot be asked: {error}", self.display_name)))?;
        match status {
            200..=299 => Ok(ConnectionValidation { provider_username: check.username(&body), provider_metadata: Map::new() }),
            401 | 403 => Err(ValidationError::Refused(format!("{} does not accept the credential (status {status})", self.display_name))),
            _ => Err(ValidationError::Unavailable(format!("{} answered with status {status}", self.display_name))),
        }
    }
}

impl CredentialCheck {
    fn username(&self, body: &[u8]) -> Option<String> {
        let answer: Value = serde_json::from_slice(body).ok()?;
        let name = answer.pointer(self.username_pointer.as_deref()?)?.as_str()?;
        let visible = name.chars().all(|character| !character.is_control());
        (visible && !name.is_empty() && name.len() <= MAX_USERNAME_BYTES).then(|| name.to_owned())
    }
}
