//! The secrets of one call: which its guest has opened, and where each may go. The guest holds a
//! random placeholder. The value takes its place in the granted place of a request to the granted
//! host, and a request that carries a placeholder anywhere else is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

use super::signing::{self, Signed, Use};
use super::state::Subject;
use crate::capability::{ToolCallContext, ToolServices};
use crate::component::{Grant, HttpPermission, HttpRequestParts, SecretPermission};
use crate::egress::{CheckedRequest, EgressError, EgressErrorKind};
use crate::error::ErrorKind;
use crate::id::{AuditEntryId, OrgId, SessionId};
use crate::mutation::off;
use crate::secret::Scrubber;
use crate::store::AuditEntry;

/// What a grant writes before the id of a connection provider: `{"secrets": {"tracker": "connection:issues"}}`.
const CONNECTION: &str = "connection:";
/// The action under which the audit log has a misplaced placeholder.
const MISPLACED: &str = "placeholder of a secret misplaced";
/// The action under which it has that a component read a value.
const REVEALED: &str = "value of a secret revealed";
/// What placeholders begin with.
const PREFIX: &str = "everwit_secret_";
/// Random bytes of a placeholder: nobody guesses one.
const PLACEHOLDER_BYTES: usize = 16;
/// Secrets that one call may open.
const MAX_OPENED: usize = 32;
/// Bytes of all values that one call may open. What is looked for in all that leaves the call takes
/// some hundred times as much memory.
const MAX_OPENED_BYTES: usize = 32 << 10;

/// Times that one call may read a value. Each is an entry of the audit log, so that a guest in a loop would fill it.
const MAX_REVEALED: u32 = 32;

/// For whom a call acts, and where that user's credentials are.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) session: SessionId,
    pub(super) services: Arc<ToolServices>,
    /// The call itself.
    pub(super) call: Arc<ToolCallContext>,
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
    /// Whether a misplaced placeholder is in the audit log: one entry a call says it.
    reported: bool,
    /// How often a value was read.
    revealed: u32,
}

struct Opened {
    name: String,
    placeholder: String,
    value: SecretString,
    used: Use,
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

/// Why a request does not leave.
pub(super) enum Unsent {
    /// It has the placeholder of this secret where it does not belong.
    Misplaced { secret: String, error: EgressError },
    /// The secret cannot be put into it.
    Unfit(EgressError),
}

impl Unsent {
    pub(super) fn into_error(self) -> EgressError {
        match self {
            Self::Misplaced { error, .. } | Self::Unfit(error) => error,
        }
    }
}

/// What the guest learns of a secret that it opened.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    /// The component's name for it.
    pub(super) name: String,
    pub(super) token: String,
    pub(super) audience: String,
}

impl Account {
    /// That a component did something, for the audit log.
    fn entry(&self, component: &str, action: &str, target: String) -> AuditEntry {
        AuditEntry {
            id: AuditEntryId::from_uuid(self.services.ids.next()),
            at: self.services.clock.now(),
            actor: format!("component:{component}"),
            action: action.to_owned(),
            target,
            status: 200,
            before: None,
            after: None,
        }
    }

    /// The value of a secret of the org.
    async fn stored(&self, org: OrgId, name: &str) -> Result<SecretString, String> {
        let backends = &self.services.backends;
        let secret = backends.secret_store.get_secret(org, name).await.map_err(|error| {
            tracing::error!(%error, secret = name, "a secret of an org could not be read");
            "the store is not available".to_owned()
        })?;
        let secret = secret.ok_or_else(|| format!("the org has no secret {name:?}; add it under /v1/secrets"))?;
        secret.open(&backends.cipher, org).await.map_err(|error| {
            tracing::error!(%error, secret = name, "a secret of an org does not open");
            match error.kind() {
                ErrorKind::Unavailable => "it cannot be opened right now".to_owned(),
                _ => "it does not open; replace its value".to_owned(),
            }
        })
    }
}

impl SecretAccess {
    /// The secrets of a call; without an account nothing can be opened.
    pub(super) fn new(account: Option<Account>) -> Self {
        Self { account, ..Self::default() }
    }

    /// For whom the call acts; none if it is nobody's call.
    pub(super) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
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
        if let Some((used, stored)) = Use::parse(bound) {
            let value = account.stored(org, stored).await.map_err(|problem| format!("the secret {name:?} cannot be used: {problem}"))?;
            used.check(value.expose_secret()).map_err(|problem| format!("the secret {name:?} cannot be used: {problem}"))?;
            return self.keep(asked, (place, used), value);
        }
        let resolver = &account.services.backends.connection_resolver;
        let (Some(provider), Some(resolver)) = (bound.strip_prefix(CONNECTION), resolver) else { return Err(unbound()) };
        let unusable = |error: crate::Error| format!("the secret {name:?} cannot be used right now: {error}");
        let hosts = resolver.hosts(org, provider).await.map_err(unusable)?;
        if !hosts.contains(&asked.host) {
            return Err(format!("credentials of {provider:?} are not sent to {:?}; they are for {}", asked.host, hosts.join(", ")));
        }
        let Some(credential) = resolver.connection(org, account.session, provider).await.map_err(unusable)? else {
            self.missing = Some(provider.to_lowercase());
            return Err(format!("the user has to connect with {provider:?} first"));
        };
        self.keep(asked, (place, Use::Value), credential.token)
    }

    fn keep(&mut self, asked: &SecretPermission, (place, used): (Place, Use), value: SecretString) -> Result<Handle, String> {
        let bytes = |opened: &Opened| opened.value.expose_secret().len();
        let total = self.opened.iter().map(bytes).sum::<usize>() + value.expose_secret().len();
        if total > MAX_OPENED_BYTES && !off("secret.opened_bytes") {
            return Err(format!("the secrets of one call have at most {MAX_OPENED_BYTES} bytes together"));
        }
        let mut bytes = [0; PLACEHOLDER_BYTES];
        getrandom::fill(&mut bytes).map_err(|_| "the system gives no randomness".to_owned())?;
        let placeholder = format!("{PREFIX}{:032x}", u128::from_be_bytes(bytes));
        let handle = Handle { name: asked.name.clone(), token: placeholder.clone(), audience: format!("{} {}", asked.host, asked.place) };
        self.opened.push(Opened { name: asked.name.clone(), placeholder, value, used, host: asked.host.clone(), place });
        self.scrubber = Scrubber::new(self.opened.iter().flat_map(Opened::untold)).map(Arc::new);
        Ok(handle)
    }

    /// Puts the values of placeholders into a request; `url` is its URL as the guest wrote it. What signs the
    /// whole request comes last.
    ///
    /// # Errors
    /// `denied` for a placeholder on another host or in another place than its own.
    pub(super) fn put(&self, request: &mut CheckedRequest, url: &str, now: Timestamp) -> Result<(), Unsent> {
        let signs = |opened: &&Opened| matches!(opened.used, Use::AwsSigV4 { .. });
        let (signing, plain): (Vec<&Opened>, Vec<&Opened>) = self.opened.iter().partition(signs);
        plain.into_iter().chain(signing).try_for_each(|opened| opened.put(request, url, now))
    }

    /// The value of a secret that the call has opened, once the org's audit log says that it was read.
    ///
    /// # Errors
    /// Why it is not told.
    pub(super) async fn reveal(&mut self, (org, component): (OrgId, &str), secret: &Handle) -> Result<SecretString, String> {
        let opened = self.opened.iter().find(|opened| opened.placeholder == secret.token);
        let (Some(opened), Some(account)) = (opened, &self.account) else { return Err("the secret is not open".to_owned()) };
        if self.revealed >= MAX_REVEALED && !off("reveal.count") {
            return Err(format!("one call reads values of secrets at most {MAX_REVEALED} times; keep what was read"));
        }
        self.revealed += 1;
        let entry =
            account.entry(component, REVEALED, format!("{} in {}, call {}", secret.name, account.session, account.call.idempotency_key));
        match account.services.backends.org_store.add_audit_entry(org, entry).await {
            Err(error) if !off("reveal.note") => {
                tracing::error!(%error, component, secret = secret.name, "the reading of a secret could not be noted in the audit log");
                Err("its reading cannot be noted right now, and so it is not told".to_owned())
            }
            _ => Ok(opened.value.clone()),
        }
    }

    /// Notes in the org's audit log that a component tried to send a secret's placeholder where it does not
    /// belong. Nothing was sent, so a log that cannot be written changes nothing for the guest.
    pub(super) async fn report(&mut self, (org, component): (OrgId, &str), (secret, host): (&str, &str)) {
        let Some(account) = self.account.as_ref().filter(|_| !self.reported) else { return };
        self.reported = true;
        let entry = AuditEntry { status: 403, ..account.entry(component, MISPLACED, format!("{secret} to {host}")) };
        if let Err(error) = account.services.backends.org_store.add_audit_entry(org, entry).await {
            tracing::error!(%error, component, secret, "a misplaced placeholder could not be noted in the audit log");
        }
    }

    /// Finds the values of what is opened; none while there are none.
    pub(super) fn scrubber(&self) -> Option<&Arc<Scrubber>> {
        self.scrubber.as_ref()
    }

    /// Notes that the user has to connect with a provider first, as a tool says that this call called.
    pub(super) fn needs(&mut self, provider: String) {
        self.missing = Some(provider);
    }

    /// The connection provider that the user has to connect with first.
    pub(super) fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }
}

impl Opened {
    /// What nobody may be told of it.
    fn untold(&self) -> impl Iterator<Item = &str> {
        let value = self.value.expose_secret();
        std::iter::once(value).chain(self.used.parts(value))
    }

    fn put(&self, request: &mut CheckedRequest, url: &str, now: Timestamp) -> Result<(), Unsent> {
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
        let elsewhere = names.iter().any(|name| self.place != Place::Header(name.as_str().to_owned()));
        if elsewhere && !off("secret.place") {
            return Err(self.misplaced(request));
        }
        if let Use::AwsSigV4 { region, service } = &self.used {
            return self.sign(request, (region, service), now);
        }
        let sent = self.sent(request);
        for name in names {
            for (_, value) in request.headers_mut().iter_mut().filter(|(field, _)| **field == name) {
                *value = self.filled(value, &sent)?;
            }
        }
        if in_query {
            let query = self.filled_query(request, &sent)?;
            request.set_query(Some(&query));
        }
        Ok(())
    }

    /// What takes the place of the placeholder.
    fn sent(&self, request: &CheckedRequest) -> SecretString {
        let value = self.value.expose_secret();
        match self.used {
            Use::Basic => signing::basic(value).into(),
            Use::HmacSha256 => signing::hmac_sha256(value, request.body()).into(),
            Use::Value | Use::AwsSigV4 { .. } => self.value.clone(),
        }
    }

    /// Signs the request as it leaves: its field `authorization` is the signature and nothing else.
    fn sign(&self, request: &mut CheckedRequest, scope: (&str, &str), now: Timestamp) -> Result<(), Unsent> {
        let unfit = |text: &str| Unsent::Unfit(EgressError::new(EgressErrorKind::Invalid, text));
        let alone = request.headers().get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes).eq([self.placeholder.as_bytes()]);
        if self.place != Place::Header(AUTHORIZATION.as_str().to_owned()) || !alone {
            return Err(unfit("a request that is signed has the secret's token, and nothing else, in the header field \"authorization\""));
        }
        let is_signed = |name: &HeaderName| *name == CONTENT_TYPE || name.as_str().starts_with("x-amz-");
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in request.headers().iter().filter(|(name, _)| is_signed(name)) {
            let text = value.to_str().map_err(|_| unfit("a field that is signed is not plain text"))?;
            extra.entry(name.as_str().to_owned()).or_default().push(text.to_owned());
        }
        let extra: Vec<(String, String)> = extra.into_iter().map(|(name, values)| (name, values.join(","))).collect();
        let signed = Signed {
            method: request.method().as_str(),
            host: request.authority(),
            path: request.path(),
            query: request.query().unwrap_or_default(),
            body: request.body(),
        };
        let fields = signing::aws_sigv4(scope, self.value.expose_secret(), &signed, &extra, now);
        for (name, value) in fields.ok_or_else(|| unfit("the secret cannot sign"))? {
            let mut value = HeaderValue::from_str(&value).map_err(|_| unfit("the secret cannot be sent in a header field"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(name, value);
        }
        Ok(())
    }

    fn filled(&self, value: &HeaderValue, sent: &SecretString) -> Result<HeaderValue, Unsent> {
        let Ok(text) = value.to_str() else { return Ok(value.clone()) };
        let filled = HeaderValue::from_str(&text.replace(&self.placeholder, sent.expose_secret()));
        let unfit = |_| Unsent::Unfit(EgressError::new(EgressErrorKind::Invalid, "the secret cannot be sent in a header field"));
        let mut filled = filled.map_err(unfit)?;
        filled.set_sensitive(true);
        Ok(filled)
    }

    fn filled_query(&self, request: &CheckedRequest, sent: &SecretString) -> Result<String, Unsent> {
        let mut filled = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(request.query().unwrap_or_default().as_bytes()) {
            let carries = value.contains(&self.placeholder);
            let elsewhere = name.contains(&self.placeholder) || (carries && self.place != Place::Query(name.clone().into_owned()));
            if elsewhere && !off("secret.place") {
                return Err(self.misplaced(request));
            }
            filled.append_pair(&name, &value.replace(&self.placeholder, sent.expose_secret()));
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

    fn misplaced(&self, request: &CheckedRequest) -> Unsent {
        tracing::warn!(secret = self.name, host = request.host(), "a request carried a secret's placeholder where it does not belong");
        let place = match &self.place {
            Place::Header(name) => format!("the header field {name:?}"),
            Place::Query(name) => format!("the query parameter {name:?}"),
        };
        let text = format!("the secret {:?} may only be in {place} of a request to {}", self.name, self.host);
        Unsent::Misplaced { secret: self.name.clone(), error: EgressError::new(EgressErrorKind::Denied, text) }
    }
}

#[cfg(test)]
mod tests;
