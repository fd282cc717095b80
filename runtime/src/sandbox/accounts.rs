//! The secrets of one call: which its guest has opened, and where each may go. The guest holds a
//! random placeholder. The value takes its place in the granted place of a request to the granted
//! host, and a request that carries a placeholder anywhere else is refused.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

use super::state::Subject;
use crate::component::{Grant, HttpPermission, HttpRequestParts, SecretPermission};
use crate::connection::UserConnectionResolver;
use crate::egress::{CheckedRequest, EgressError, EgressErrorKind};
use crate::id::{OrgId, SessionId};
use crate::mutation::off;
use crate::secret::{Cipher, Scrubber};
use crate::store::SecretStore;

/// What a grant writes before the id of a connection provider: `{"secrets": {"tracker": "connection:issues"}}`.
const CONNECTION: &str = "connection:";
/// What a grant writes before the name of a secret of the org: `{"secrets": {"tracker": "secret:tracker-token"}}`.
const SECRET: &str = "secret:";
/// What placeholders begin with.
const PREFIX: &str = "everwit_secret_";
/// Random bytes of a placeholder: nobody guesses one.
const PLACEHOLDER_BYTES: usize = 16;
/// Secrets that one call may open.
const MAX_OPENED: usize = 32;
/// Bytes of all values that one call may open. What is looked for in all that leaves the call takes
/// some hundred times as much memory.
const MAX_OPENED_BYTES: usize = 32 << 10;

/// For whom a call acts, and where that user's credentials are.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) session: SessionId,
    /// None if nobody can connect.
    pub(super) resolver: Option<Arc<dyn UserConnectionResolver>>,
    /// The secrets of its org.
    pub(super) secrets: Arc<dyn SecretStore>,
    pub(super) cipher: Arc<Cipher>,
}

/// See the module.
#[derive(Default)]
pub(super) struct SecretAccess {
    account: Option<Account>,
    opened: Vec<Opened>,
    /// Finds the values of what is opened.
    scrubber: Option<Arc<Scrubber>>,
    /// The connection provider that the user has to connect with first.
    missing: Option<String>,
}

struct Opened {
    name: String,
    placeholder: String,
    value: SecretString,
    /// The host as a grant writes it.
    host: String,
    place: Place,
}

#[derive(PartialEq, Eq)]
enum Place {
    /// The name is in lower case.
    Header(String),
    Query(String),
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("header", name) => HeaderName::from_bytes(name.as_bytes()).ok().map(|name| Self::Header(name.as_str().to_owned())),
            ("query", name) if !name.is_empty() => Some(Self::Query(name.to_owned())),
            _ => None,
        }
    }
}

/// What the guest learns of a secret that it opened.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) token: String,
    pub(super) audience: String,
}

impl Account {
    /// The value of a secret of the org.
    async fn stored(&self, org: OrgId, name: &str) -> Result<SecretString, String> {
        let secret = self.secrets.get_secret(org, name).await.map_err(|error| {
            tracing::error!(%error, secret = name, "a secret of an org could not be read");
            "the store is not available".to_owned()
        })?;
        let secret = secret.ok_or_else(|| format!("the org has no secret {name:?}; add it under /v1/secrets"))?;
        secret.open(&self.cipher, org).map_err(|error| {
            tracing::error!(%error, secret = name, "a secret of an org does not open");
            "it does not open; replace its value".to_owned()
        })
    }
}

impl SecretAccess {
    /// The secrets of a call; without an account nothing can be opened.
    pub(super) fn new(account: Option<Account>) -> Self {
        Self { account, ..Self::default() }
    }

    /// Opens the secret that the tenant bound to a name.
    ///
    /// # Errors
    /// Why there is none, for the guest.
    pub(super) async fn open(&mut self, subject: &Subject, org: OrgId, name: &str) -> Result<Handle, String> {
        let unbound = || format!("no secret is bound to {name:?}; bind one when activating the version");
        let (Some(bound), Some(asked)) = (subject.grant.secrets.get(name), subject.secrets.iter().find(|asked| asked.name == name)) else {
            return Err(unbound());
        };
        let Some(account) = self.account.clone() else { return Err(unbound()) };
        if self.opened.len() >= MAX_OPENED {
            return Err(format!("one call opens at most {MAX_OPENED} secrets"));
        }
        let place = Place::parse(&asked.place).ok_or_else(|| format!("the place {:?} of {name:?} is none", asked.place))?;
        if let Some(stored) = bound.strip_prefix(SECRET) {
            let value = account.stored(org, stored).await.map_err(|problem| format!("the secret {name:?} cannot be used: {problem}"))?;
            return self.keep(asked, place, value);
        }
        let (Some(provider), Some(resolver)) = (bound.strip_prefix(CONNECTION), &account.resolver) else { return Err(unbound()) };
        let unusable = |error: crate::Error| format!("the secret {name:?} cannot be used right now: {error}");
        let hosts = resolver.hosts(org, provider).await.map_err(unusable)?;
        if !hosts.contains(&asked.host) {
            return Err(format!("credentials of {provider:?} are not sent to {:?}; they are for {}", asked.host, hosts.join(", ")));
        }
        let Some(credential) = resolver.connection(org, account.session, provider).await.map_err(unusable)? else {
            self.missing = Some(provider.to_lowercase());
            return Err(format!("the user has to connect with {provider:?} first"));
        };
        self.keep(asked, place, credential.token)
    }

    fn keep(&mut self, asked: &SecretPermission, place: Place, value: SecretString) -> Result<Handle, String> {
        let bytes = |opened: &Opened| opened.value.expose_secret().len();
        let total = self.opened.iter().map(bytes).sum::<usize>() + value.expose_secret().len();
        if total > MAX_OPENED_BYTES {
            return Err(format!("the secrets of one call have at most {MAX_OPENED_BYTES} bytes together"));
        }
        let mut bytes = [0; PLACEHOLDER_BYTES];
        getrandom::fill(&mut bytes).map_err(|_| "the system gives no randomness".to_owned())?;
        let placeholder = format!("{PREFIX}{:032x}", u128::from_be_bytes(bytes));
        let handle = Handle { token: placeholder.clone(), audience: format!("{} {}", asked.host, asked.place) };
        self.opened.push(Opened { name: asked.name.clone(), placeholder, value, host: asked.host.clone(), place });
        self.scrubber = Scrubber::new(self.opened.iter().map(|opened| opened.value.expose_secret())).map(Arc::new);
        Ok(handle)
    }

    /// Puts the values of placeholders into a request; `url` is its URL as the guest wrote it.
    ///
    /// # Errors
    /// `denied` for a placeholder on another host or in another place than its own.
    pub(super) fn put(&self, request: &mut CheckedRequest, url: &str) -> Result<(), EgressError> {
        self.opened.iter().try_for_each(|opened| opened.put(request, url))
    }

    /// Finds the values of what is opened; none while there are none.
    pub(super) fn scrubber(&self) -> Option<&Arc<Scrubber>> {
        self.scrubber.as_ref()
    }

    /// The connection provider that the user has to connect with first.
    pub(super) fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }
}

impl Opened {
    fn put(&self, request: &mut CheckedRequest, url: &str) -> Result<(), EgressError> {
        let before_query = url.split('?').next().unwrap_or_default();
        let in_body = request.body().windows(self.placeholder.len()).any(|window| window == self.placeholder.as_bytes());
        let in_name = request.headers().keys().any(|name| name.as_str().contains(&self.placeholder));
        if (before_query.contains(&self.placeholder) || in_body || in_name) && !off("secret.place") {
            return Err(self.misplaced(request));
        }
        let carried = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains(&self.placeholder));
        let names: Vec<HeaderName> = request.headers().iter().filter(|(_, value)| carried(value)).map(|(name, _)| name.clone()).collect();
        let in_query = request.query().is_some_and(|query| query.contains(&self.placeholder));
        if names.is_empty() && !in_query {
            return Ok(());
        }
        if !self.is_for(request) && !off("secret.host") {
            return Err(self.misplaced(request));
        }
        for name in names {
            if self.place != Place::Header(name.as_str().to_owned()) && !off("secret.place") {
                return Err(self.misplaced(request));
            }
            for (_, value) in request.headers_mut().iter_mut().filter(|(field, _)| **field == name) {
                *value = self.filled(value)?;
            }
        }
        if in_query {
            let query = self.filled_query(request)?;
            request.set_query(Some(&query));
        }
        Ok(())
    }

    fn filled(&self, value: &HeaderValue) -> Result<HeaderValue, EgressError> {
        let Ok(text) = value.to_str() else { return Ok(value.clone()) };
        let filled = HeaderValue::from_str(&text.replace(&self.placeholder, self.value.expose_secret()));
        let mut filled = filled.map_err(|_| EgressError::new(EgressErrorKind::Invalid, "the secret cannot be sent in a header field"))?;
        filled.set_sensitive(true);
        Ok(filled)
    }

    fn filled_query(&self, request: &CheckedRequest) -> Result<String, EgressError> {
        let mut filled = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(request.query().unwrap_or_default().as_bytes()) {
            let carries = value.contains(&self.placeholder);
            let elsewhere = name.contains(&self.placeholder) || (carries && self.place != Place::Query(name.clone().into_owned()));
            if elsewhere && !off("secret.place") {
                return Err(self.misplaced(request));
            }
            filled.append_pair(&name, &value.replace(&self.placeholder, self.value.expose_secret()));
        }
        Ok(filled.finish())
    }

    fn is_for(&self, request: &CheckedRequest) -> bool {
        let methods = vec![request.method().to_string()];
        let http = vec![HttpPermission { host: self.host.clone(), methods, path_prefix: None, reason: String::new() }];
        let (host, port) = (request.host(), request.port());
        let default_port = request.is_https() && port == 443;
        let parts = HttpRequestParts { method: request.method().as_str(), host, port, default_port, path: "/" };
        Grant { http, ..Grant::default() }.allows_request(&parts).is_ok()
    }

    fn misplaced(&self, request: &CheckedRequest) -> EgressError {
        tracing::warn!(secret = self.name, host = request.host(), "a request carried a secret's placeholder where it does not belong");
        let place = match &self.place {
            Place::Header(name) => format!("the header field {name:?}"),
            Place::Query(name) => format!("the query parameter {name:?}"),
        };
        EgressError::new(
            EgressErrorKind::Denied,
            format!("the secret {:?} may only be in {place} of a request to {}", self.name, self.host),
        )
    }
}
