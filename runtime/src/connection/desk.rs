//! Connects accounts, keeps them fresh, and hands their credentials out.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use url::Url;
use uuid::Uuid;

use super::oauth::{Begun, OAuthError, Tokens, random_text, shown};
use super::record::{Secrets, verifier_place};
use super::{
    Authorization, Connection, ConnectionCredential, ConnectionEgress, ConnectionError, ConnectionMethod, ConnectionProvider,
    ConnectionProviderSource, ConnectionStatus, ConnectionValidation, OAuthSettings, Refreshes, UserConnectionResolver, ValidationError,
    session_secret_name,
};
use crate::clock::Clock;
use crate::egress::Gateway;
use crate::error::Error;
use crate::id::{OrgId, SessionId};
use crate::secret::Cipher;
use crate::store::{ConnectionStore, RuntimeBackends, RuntimeSessionStore, StoreError};

/// How long a user has at the third party, in seconds.
pub const MAX_AUTHORIZATION_SECONDS: i64 = 600;
/// How long before its end an access token is refreshed, so that it does not end on its way.
const REFRESH_SKEW: SignedDuration = SignedDuration::from_secs(60);

/// An authorization that was begun.
#[derive(Debug)]
pub struct Pending {
    /// Where the user's browser goes.
    pub url: Url,
    /// What the user's browser keeps, to show that it is the same one at the end.
    pub browser: SecretString,
    /// Until when it can be finished.
    pub expires_at: Timestamp,
}

/// What a third party answered, through the user's browser.
#[derive(Debug)]
pub struct Authorized<'a> {
    /// The state.
    pub state: &'a str,
    /// The code, or the third party's error code.
    pub answer: Result<SecretString, String>,
    /// The user, if the request said who it is.
    pub subject: Option<(OrgId, &'a str)>,
    /// What the browser keeps, if it showed it.
    pub browser: Option<&'a str>,
}

/// See the module.
pub struct Connections {
    store: Arc<dyn ConnectionStore>,
    sessions: Arc<dyn RuntimeSessionStore>,
    cipher: Arc<Cipher>,
    providers: Arc<dyn ConnectionProviderSource>,
    gateway: Arc<Gateway>,
    clock: Arc<dyn Clock>,
    refreshes: Arc<Refreshes>,
}

impl Connections {
    /// Over the stores of `backends`. All desks over the same stores share `refreshes`.
    pub fn new(
        backends: &RuntimeBackends,
        providers: Arc<dyn ConnectionProviderSource>,
        gateway: Arc<Gateway>,
        clock: Arc<dyn Clock>,
        refreshes: Arc<Refreshes>,
    ) -> Self {
        let (store, sessions, cipher) = (backends.connection_store.clone(), backends.session_store.clone(), backends.cipher.clone());
        Self { store, sessions, cipher, providers, gateway, clock, refreshes }
    }

    /// The providers that an org's users can connect with, by id.
    ///
    /// # Errors
    /// Those of the store and the sandbox.
    pub async fn providers(&self, org: OrgId) -> Result<Vec<Arc<dyn ConnectionProvider>>, Error> {
        self.providers.all(org).await
    }

    /// The connections of a user, by provider.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn list(&self, org: OrgId, subject: &str) -> Result<Vec<Connection>, Error> {
        Ok(self.store.list_connections(org, subject).await?)
    }

    /// Connects with a form that the user filled in, in place of an earlier connection. The
    /// credential is validated first.
    ///
    /// # Errors
    /// See [`ConnectionError`].
    pub async fn connect(
        &self,
        org: OrgId,
        subject: &str,
        provider: &str,
        values: BTreeMap<String, SecretString>,
    ) -> Result<Connection, ConnectionError> {
        let provider = self.provider(org, provider).await?;
        let ConnectionMethod::ApiKey(form) = provider.method() else {
            let id = provider.id();
            let fix = format!("{} connects accounts over OAuth: GET /v1/user/connections/{id}/authorize", provider.name());
            return Err(ConnectionError::WrongMethod(fix));
        };
        let credential = form.fill(values).map_err(ConnectionError::Form)?;
        let validation = self.validate(org, &*provider, &credential).await?;
        let secrets = Secrets { credential, refresh_token: None };
        self.keep(org, subject, &*provider, (secrets, None, Vec::new()), validation).await
    }

    /// Asks the provider whether the user's connection works.
    ///
    /// # Errors
    /// See [`ConnectionError`]; `Refused` if it does not.
    pub async fn verify(&self, org: OrgId, subject: &str, provider: &str) -> Result<(), ConnectionError> {
        let provider = self.provider(org, provider).await?;
        let missing = || ConnectionError::NotConnected(provider.id().to_owned());
        let connection = self.store.get_connection(org, subject, provider.id()).await?.ok_or_else(missing)?;
        let Some(credential) = self.usable(org, &*provider, connection).await? else {
            return Err(ConnectionError::Refused(format!("the connection with {} has expired; connect again", provider.name())));
        };
        self.validate(org, &*provider, &credential).await?;
        Ok(())
    }

    /// Forgets the user's connection; false if there is none. The third party is not told.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn disconnect(&self, org: OrgId, subject: &str, provider: &str) -> Result<bool, Error> {
        Ok(self.store.remove_connection(org, subject, &provider.to_lowercase()).await?)
    }

    /// Begins to connect over OAuth. `return_to` is where the user's browser goes at the end.
    ///
    /// # Errors
    /// See [`ConnectionError`].
    pub async fn authorize(
        &self,
        org: OrgId,
        subject: &str,
        provider: &str,
        (redirect_uri, return_to): (&str, Option<String>),
    ) -> Result<Pending, ConnectionError> {
        let provider = self.provider(org, provider).await?;
        let settings = oauth_of(&*provider)?;
        let state: SecretString = format!("{}.{}", org.uuid().simple(), random_text()?.expose_secret()).into();
        let browser = random_text()?;
        let Begun { url, verifier } = settings.begin(redirect_uri, &state)?;
        let now = self.clock.now();
        let state_hash = hash(state.expose_secret());
        let expires_at = now.checked_add(SignedDuration::from_secs(MAX_AUTHORIZATION_SECONDS)).unwrap_or(now);
        let authorization = Authorization {
            state_hash,
            browser_hash: hash(browser.expose_secret()),
            subject: subject.to_owned(),
            provider: provider.id().to_owned(),
            verifier: self.cipher.seal(&verifier, &verifier_place(org, &state_hash)).await?,
            redirect_uri: redirect_uri.to_owned(),
            return_to,
            expires_at,
        };
        self.store.add_authorization(org, authorization, now).await?;
        Ok(Pending { url, browser, expires_at })
    }

    /// Finishes what [`Self::authorize`] began, once: whatever comes of it, the state is used up.
    /// Returns the connection, its org, and where the user's browser goes.
    ///
    /// # Errors
    /// See [`ConnectionError`].
    pub async fn finish(&self, provider: &str, authorized: Authorized<'_>) -> Result<(OrgId, Connection, Option<String>), ConnectionError> {
        let org = org_of(authorized.state).ok_or(ConnectionError::UnknownAuthorization)?;
        let state_hash = hash(authorized.state);
        let begun = self.store.take_authorization(org, &state_hash).await?.ok_or(ConnectionError::UnknownAuthorization)?;
        let now = self.clock.now();
        if begun.expires_at <= now || begun.provider != provider.to_lowercase() {
            return Err(ConnectionError::UnknownAuthorization);
        }
        // Otherwise somebody could have another user's browser finish what he began, and so get
        // hold of that user's account.
        let is_user = authorized.subject == Some((org, &*begun.subject));
        let is_browser = authorized.subject.is_none() && authorized.browser.is_some_and(|shown| hash(shown) == begun.browser_hash);
        if !is_user && !is_browser {
            return Err(ConnectionError::NotYours);
        }
        let code = authorized.answer.map_err(|code| ConnectionError::Refused(format!("the third party answered {}", shown(&code))))?;
        let provider = self.provider(org, &begun.provider).await?;
        let settings = oauth_of(&*provider)?;
        let verifier = self.cipher.open(&begun.verifier, &verifier_place(org, &state_hash)).await?;
        let egress = ConnectionEgress::to_url(&self.gateway, org, &settings.token_url);
        let tokens = settings.exchange(&egress, &code, (&begun.redirect_uri, verifier), now).await?;
        let Tokens { secrets, expires_at, scopes } = tokens;
        let validation = self.validate(org, &*provider, &secrets.credential).await?;
        let scopes = scopes.unwrap_or_else(|| settings.scopes.clone());
        let connection = self.keep(org, &begun.subject, &*provider, (secrets, expires_at, scopes), validation).await?;
        Ok((org, connection, begun.return_to))
    }

    async fn provider(&self, org: OrgId, id: &str) -> Result<Arc<dyn ConnectionProvider>, ConnectionError> {
        let unknown = || ConnectionError::UnknownProvider(id.chars().take(64).collect());
        self.providers.find(org, id).await?.ok_or_else(unknown)
    }

    async fn validate(
        &self,
        org: OrgId,
        provider: &dyn ConnectionProvider,
        credential: &ConnectionCredential,
    ) -> Result<ConnectionValidation, ValidationError> {
        let egress = ConnectionEgress::to_hosts(&self.gateway, org, provider.hosts());
        provider.validate(&egress, credential).await
    }

    async fn keep(
        &self,
        org: OrgId,
        subject: &str,
        provider: &dyn ConnectionProvider,
        (secrets, expires_at, scopes): (Secrets, Option<Timestamp>, Vec<String>),
        validation: ConnectionValidation,
    ) -> Result<Connection, ConnectionError> {
        let now = self.clock.now();
        let mut connection = Connection {
            subject: subject.to_owned(),
            provider: provider.id().to_owned(),
            connection_type: provider.method().connection_type(),
            status: ConnectionStatus::Active,
            provider_username: validation.provider_username,
            provider_metadata: validation.provider_metadata,
            scopes,
            credential: secrets.seal(&self.cipher, org, subject, provider.id()).await?,
            expires_at,
            version: 1,
            connected_at: now,
            updated_at: now,
        };
        connection.version = self.store.put_connection(org, connection.clone()).await?;
        tracing::info!(%org, subject, provider = provider.id(), "connected");
        Ok(connection)
    }

    /// The credential of a connection, refreshed if it is about to end; none if it has ended.
    async fn usable(
        &self,
        org: OrgId,
        provider: &dyn ConnectionProvider,
        connection: Connection,
    ) -> Result<Option<ConnectionCredential>, ConnectionError> {
        if connection.status == ConnectionStatus::Expired {
            return Ok(None);
        }
        if !self.ends_soon(&connection) {
            return Ok(Some(Secrets::open(&self.cipher, org, &connection).await?.credential));
        }
        let _alone = self.refreshes.enter(org, &connection.subject, &connection.provider).await;
        // Whoever was here before has refreshed it.
        let Some(connection) = self.store.get_connection(org, &connection.subject, &connection.provider).await? else { return Ok(None) };
        let secrets = Secrets::open(&self.cipher, org, &connection).await?;
        match connection.status {
            ConnectionStatus::Expired => Ok(None),
            ConnectionStatus::Active if !self.ends_soon(&connection) => Ok(Some(secrets.credential)),
            ConnectionStatus::Active => self.refreshed(org, provider, connection, secrets).await,
        }
    }

    async fn refreshed(
        &self,
        org: OrgId,
        provider: &dyn ConnectionProvider,
        connection: Connection,
        secrets: Secrets,
    ) -> Result<Option<ConnectionCredential>, ConnectionError> {
        let now = self.clock.now();
        let lives = connection.expires_at.is_none_or(|end| end > now);
        let (Ok(settings), Some(refresh_token)) = (oauth_of(provider), &secrets.refresh_token) else {
            return if lives { Ok(Some(secrets.credential)) } else { self.expire(org, connection).await };
        };
        let egress = ConnectionEgress::to_url(&self.gateway, org, &settings.token_url);
        match settings.refresh(&egress, refresh_token, now).await {
            Ok(Tokens { secrets, expires_at, scopes }) => {
                let credential = secrets.seal(&self.cipher, org, &connection.subject, &connection.provider).await?;
                let scopes = scopes.unwrap_or_else(|| connection.scopes.clone());
                let version = connection.version + 1;
                let fresh = Connection { credential, expires_at, scopes, version, updated_at: now, ..connection };
                self.store.update_connection(org, fresh).await?;
                Ok(Some(secrets.credential))
            }
            Err(OAuthError::Refused(reason)) => {
                tracing::info!(%org, provider = provider.id(), reason, "a connection has expired");
                self.expire(org, connection).await
            }
            Err(error) if lives => {
                tracing::warn!(%org, provider = provider.id(), %error, "a connection could not be refreshed; its token still lives");
                Ok(Some(secrets.credential))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn expire(&self, org: OrgId, connection: Connection) -> Result<Option<ConnectionCredential>, ConnectionError> {
        let (version, updated_at) = (connection.version + 1, self.clock.now());
        let expired = Connection { status: ConnectionStatus::Expired, version, updated_at, ..connection };
        match self.store.update_connection(org, expired).await {
            // The user has connected again, or disconnected, in the meantime; the next call sees it.
            Ok(()) | Err(StoreError::Stale { .. } | StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn ends_soon(&self, connection: &Connection) -> bool {
        connection.expires_at.is_some_and(|end| end.duration_since(self.clock.now()) <= REFRESH_SKEW)
    }
}

#[async_trait]
impl UserConnectionResolver for Connections {
    async fn connection(&self, org: OrgId, session: SessionId, provider: &str) -> Result<Option<ConnectionCredential>, Error> {
        let found = self.providers.find(org, provider).await?;
        let provider = found.ok_or_else(|| Error::Invalid(format!("there is no connection provider {provider:?}")))?;
        if let Some(secret) = self.store.get_session_secret(org, session, &session_secret_name(provider.id())).await? {
            return Ok(Some(secret.open(&self.cipher, org).await?.into()));
        }
        let session = self.sessions.get_session(org, session).await?;
        let Some(owner) = session.and_then(|session| session.owner) else { return Ok(None) };
        let Some(connection) = self.store.get_connection(org, &owner, provider.id()).await? else { return Ok(None) };
        self.usable(org, &*provider, connection).await.map_err(|error| match error {
            ConnectionError::Runtime(error) => error,
            other => Error::Unavailable(format!("the connection with {} cannot be used right now: {other}", provider.name())),
        })
    }

    async fn hosts(&self, org: OrgId, provider: &str) -> Result<Vec<String>, Error> {
        let found = self.providers.find(org, provider).await?;
        found.map(|found| found.hosts().to_vec()).ok_or_else(|| Error::Invalid(format!("there is no connection provider {provider:?}")))
    }
}

fn oauth_of(provider: &dyn ConnectionProvider) -> Result<&OAuthSettings, ConnectionError> {
    match provider.method() {
        ConnectionMethod::OAuth(settings) => Ok(settings),
        ConnectionMethod::ApiKey(_) => {
            let fix = format!("{} connects accounts with a form: POST /v1/user/connections/{}", provider.name(), provider.id());
            Err(ConnectionError::WrongMethod(fix))
        }
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// The org that a state names in front, so that it is looked for in that org alone.
fn org_of(state: &str) -> Option<OrgId> {
    let (org, _) = state.split_once('.')?;
    Some(OrgId::from_uuid(Uuid::try_parse(org).ok()?))
}
