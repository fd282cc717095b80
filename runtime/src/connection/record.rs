//! What is stored of connections, and how their credentials are sealed.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::ConnectionType;
use crate::id::{OrgId, SessionId};
use crate::secret::{Cipher, Place, Sealed, SecretError};

/// What a tool uses on behalf of a user. Its `Debug` shows no value.
#[derive(Clone)]
pub struct ConnectionCredential {
    /// The API key or access token.
    pub token: SecretString,
    /// Further fields of the provider's form, by name.
    pub fields: BTreeMap<String, SecretString>,
}

impl fmt::Debug for ConnectionCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionCredential").field("fields", &self.fields.keys()).finish_non_exhaustive()
    }
}

/// Whether a connection can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConnectionStatus {
    /// It can.
    Active,
    /// Its credential came to its end; the user has to connect again.
    Expired,
}

/// A user's account at a third party.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// The user, as the caller of the API is named: 1 to 256 bytes.
    pub subject: String,
    /// Id of the provider, lower case.
    pub provider: String,
    /// How it was connected.
    pub connection_type: ConnectionType,
    /// Whether it can be used.
    pub status: ConnectionStatus,
    /// Name of the account at the third party.
    pub provider_username: Option<String>,
    /// Further facts about it.
    pub provider_metadata: Map<String, Value>,
    /// What the user allowed, if the third party said so.
    pub scopes: Vec<String>,
    /// The credentials.
    pub credential: Sealed,
    /// When the access token ends; none if that is not known, or never.
    pub expires_at: Option<Timestamp>,
    /// Grows by one with each change.
    pub version: u64,
    /// When the user connected.
    pub connected_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The credentials of a connection in the clear.
#[derive(Clone)]
pub(super) struct Secrets {
    pub(super) credential: ConnectionCredential,
    pub(super) refresh_token: Option<SecretString>,
}

/// [`Secrets`] as they are sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretsText {
    token: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

impl Secrets {
    pub(super) async fn seal(&self, cipher: &Cipher, org: OrgId, subject: &str, provider: &str) -> Result<Sealed, SecretError> {
        let clear = |secret: &SecretString| secret.expose_secret().to_owned();
        let text = SecretsText {
            token: clear(&self.credential.token),
            fields: self.credential.fields.iter().map(|(name, value)| (name.clone(), clear(value))).collect(),
            refresh_token: self.refresh_token.as_ref().map(clear),
        };
        let text: SecretString = serde_json::to_string(&text).expect("all keys are strings").into();
        cipher.seal(&text, &credential_place(org, subject, provider)).await
    }

    pub(super) async fn open(cipher: &Cipher, org: OrgId, connection: &Connection) -> Result<Self, SecretError> {
        let text = cipher.open(&connection.credential, &credential_place(org, &connection.subject, &connection.provider)).await?;
        let broken = |_| SecretError::Broken { key_id: connection.credential.key_id().to_owned() };
        let SecretsText { token, fields, refresh_token } = serde_json::from_str(text.expose_secret()).map_err(broken)?;
        let fields = fields.into_iter().map(|(name, value)| (name, value.into())).collect();
        Ok(Self { credential: ConnectionCredential { token: token.into(), fields }, refresh_token: refresh_token.map(Into::into) })
    }
}

impl Connection {
    /// Seals its credentials again with the current master key; says whether that was needed.
    ///
    /// # Errors
    /// If they do not open.
    pub async fn reseal(&mut self, cipher: &Cipher, org: OrgId) -> Result<bool, SecretError> {
        reseal(cipher, &mut self.credential, &credential_place(org, &self.subject, &self.provider)).await
    }
}

/// Where the credentials of a connection belong. The row's id comes from user and provider, so
/// that they open as those of no other user or provider.
fn credential_place(org: OrgId, subject: &str, provider: &str) -> Place<'static> {
    Place { org, field: "connection.credential", row: id_of(&[subject, provider]) }
}

/// An authorization that a user began and the third party has not answered yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Authorization {
    /// SHA-256 of the state.
    pub state_hash: [u8; 32],
    /// SHA-256 of what the user's browser keeps.
    pub browser_hash: [u8; 32],
    /// The user who began it.
    pub subject: String,
    /// Id of the provider.
    pub provider: String,
    /// The PKCE verifier.
    pub verifier: Sealed,
    /// Where the third party sends the user's browser.
    pub redirect_uri: String,
    /// Path that the user's browser is sent to at the end.
    pub return_to: Option<String>,
    /// From when on it does not count any more.
    pub expires_at: Timestamp,
}

/// Where the verifier of an authorization belongs.
pub(super) fn verifier_place(org: OrgId, state_hash: &[u8; 32]) -> Place<'static> {
    Place { org, field: "connection.verifier", row: first_half(state_hash) }
}

/// A secret that a session has under a name.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSecret {
    /// The session.
    pub session: SessionId,
    /// Name: `[A-Z][A-Z0-9_]*`, at most 64 bytes.
    pub name: String,
    /// The value.
    pub value: Sealed,
}

impl SessionSecret {
    /// Seals a value.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub async fn seal(cipher: &Cipher, org: OrgId, session: SessionId, name: &str, value: &SecretString) -> Result<Self, SecretError> {
        let value = cipher.seal(value, &session_secret_place(org, session, name)).await?;
        Ok(Self { session, name: name.to_owned(), value })
    }

    /// Its value.
    ///
    /// # Errors
    /// If it does not open.
    pub async fn open(&self, cipher: &Cipher, org: OrgId) -> Result<SecretString, SecretError> {
        cipher.open(&self.value, &session_secret_place(org, self.session, &self.name)).await
    }

    /// Seals it again with the current master key; says whether that was needed.
    ///
    /// # Errors
    /// If it does not open.
    pub async fn reseal(&mut self, cipher: &Cipher, org: OrgId) -> Result<bool, SecretError> {
        reseal(cipher, &mut self.value, &session_secret_place(org, self.session, &self.name)).await
    }
}

fn session_secret_place(org: OrgId, session: SessionId, name: &str) -> Place<'static> {
    Place { org, field: "session.secret", row: id_of(&[&session.to_string(), name]) }
}

async fn reseal(cipher: &Cipher, sealed: &mut Sealed, place: &Place<'_>) -> Result<bool, SecretError> {
    if cipher.is_current(sealed)? {
        return Ok(false);
    }
    *sealed = cipher.seal(&cipher.open(sealed, place).await?, place).await?;
    Ok(true)
}

/// An id that stands for some texts; different texts never have the same.
fn id_of(parts: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    first_half(&hash.finalize().into())
}

fn first_half(hash: &[u8; 32]) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Uuid::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn connection(cipher: &Cipher, org: OrgId, subject: &str, provider: &str) -> Connection {
        let credential = ConnectionCredential { token: "planted".into(), fields: BTreeMap::from([("a".to_owned(), "planted-b".into())]) };
        let secrets = Secrets { credential, refresh_token: Some("planted-r".into()) };
        Connection {
            subject: subject.to_owned(),
            provider: provider.to_owned(),
            connection_type: ConnectionType::OAuth,
            status: ConnectionStatus::Active,
            provider_username: None,
            provider_metadata: Map::new(),
            scopes: Vec::new(),
            credential: secrets.seal(cipher, org, subject, provider).await.expect("it is sealed"),
            expires_at: None,
            version: 1,
            connected_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[tokio::test]
    async fn credentials_open_for_their_org_user_and_provider_only() {
        let (cipher, one, two) = (Cipher::ephemeral(), OrgId::from_uuid(Uuid::from_u128(1)), OrgId::from_uuid(Uuid::from_u128(2)));
        let own = connection(&cipher, one, "ada", "github").await;
        assert!(!format!("{own:?}").contains("planted"), "{own:?}");
        let opened = Secrets::open(&cipher, one, &own).await.expect("it opens");
        assert_eq!(opened.credential.token.expose_secret(), "planted");
        assert_eq!(opened.credential.fields["a"].expose_secret(), "planted-b");
        assert_eq!(opened.refresh_token.expect("there is one").expose_secret(), "planted-r");
        assert!(Secrets::open(&cipher, two, &own).await.is_err(), "another org");
        for (subject, provider) in [("eve", "github"), ("ada", "gitlab"), ("adag", "ithub")] {
            let moved = Connection { subject: subject.to_owned(), provider: provider.to_owned(), ..own.clone() };
            assert!(Secrets::open(&cipher, one, &moved).await.is_err(), "{subject} {provider}");
        }
    }

    #[tokio::test]
    async fn a_session_secret_opens_under_its_session_and_name_only() {
        let (cipher, org) = (Cipher::ephemeral(), OrgId::from_uuid(Uuid::from_u128(1)));
        let session = SessionId::from_uuid(Uuid::from_u128(2));
        let own = SessionSecret::seal(&cipher, org, session, "A", &"planted".into()).await.expect("it is sealed");
        assert_eq!(own.open(&cipher, org).await.expect("it opens").expose_secret(), "planted");
        assert!(SessionSecret { name: "B".to_owned(), ..own.clone() }.open(&cipher, org).await.is_err());
        assert!(SessionSecret { session: SessionId::from_uuid(Uuid::from_u128(3)), ..own }.open(&cipher, org).await.is_err());
    }
}
