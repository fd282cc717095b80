//! One question to one instance: does this credential work?

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};

use super::Inner;
use crate::capability::{StopKind, Stopped};
use crate::component::Grant;
use crate::connection::{ConnectionCredential, ConnectionValidation, MAX_METADATA_BYTES, MAX_USERNAME_BYTES, ValidationError};
use crate::egress::EgressRequest;
use crate::sandbox::bindings::everwit::types::common::Failure;
use crate::sandbox::bindings::exports::everwit::connection::validation as wit;
use crate::sandbox::convert as shared;
use crate::sandbox::driver::http_request;
use crate::sandbox::loaded::Exports;
use crate::sandbox::placeholders::{Place, Placeholders};
use crate::sandbox::running::{Running, step};
use crate::sandbox::state::Subject;
use crate::secret::Scrubber;

/// Name under which a description places the credential itself.
const TOKEN: &str = "token";

/// See the module. Dropping it ends the guest, and tells the operator what it logged.
pub(super) struct Question<'a> {
    provider: &'a Inner,
    running: Running,
    guest: wit::Guest,
    placeholders: Placeholders,
    /// What may be in none of the guest's words.
    secrets: Option<Scrubber>,
    given: wit::Credential,
}

impl<'a> Question<'a> {
    /// Starts an instance, and keeps from it what its description places.
    ///
    /// # Errors
    /// `Unavailable`: the sandbox is busy, or the guest's start fails.
    pub(super) async fn begin(provider: &'a Inner, credential: &ConnectionCredential) -> Result<Self, ValidationError> {
        let Exports::ConnectionProvider { validation, .. } = &provider.loaded.exports else {
            return Err(fault(provider, "it is no connection provider"));
        };
        let mut placeholders = Placeholders::default();
        let mut shown = |name: &str, value: &secrecy::SecretString| {
            let places: Vec<Place> =
                provider.credentials.iter().filter(|at| at.name == name).filter_map(|at| Place::parse(&at.place)).collect();
            if places.is_empty() {
                return Ok(value.expose_secret().to_owned());
            }
            placeholders.keep(name, value.clone(), places).map_err(ValidationError::Unavailable)
        };
        let token = shown(TOKEN, &credential.token)?;
        let fields = credential.fields.iter().map(|(name, value)| Ok((name.clone(), shown(name, value)?)));
        let fields = fields.collect::<Result<Vec<_>, ValidationError>>()?;
        let given = wit::Credential { token, fields, extra: Vec::new() };
        let values = std::iter::once(&credential.token).chain(credential.fields.values());
        let secrets = Scrubber::new(values.map(|value| value.expose_secret()));
        let subject = Arc::new(Subject { component: provider.description.id.clone(), grant: Grant::default(), secrets: Vec::new() });
        let (services, shares) = (provider.sandbox.services(), provider.sandbox.shares());
        let started = Running::start(services, (shares, provider.org), &provider.loaded, &subject, &provider.budget).await;
        let (mut running, instance) = started.map_err(|why| halted(provider, &why, |text| text.to_owned()))?;
        let guest = validation.load(running.store(), &instance).map_err(|error| fault(provider, &format!("{error:#}")))?;
        Ok(Self { provider, running, guest, placeholders, secrets, given })
    }

    /// The request that answers it, with the credential in it.
    ///
    /// # Errors
    /// What the guest says, or did wrong.
    pub(super) async fn request(&mut self) -> Result<EgressRequest, ValidationError> {
        let (guest, given) = (self.guest.clone(), self.given.clone());
        let bytes = given.token.len() + given.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let result = step!(self.running, bytes, |store| guest.call_begin(store, &given));
        let request = http_request(self.answer(result)?);
        self.running.returned(request.body.len());
        let completed = self.placeholders.complete(&self.provider.origin, request);
        let request = completed.map_err(|problem| fault(self.provider, &self.scrub(&problem)))?;
        let (method, url, headers, body) = (request.method, request.url, request.headers, request.body);
        Ok(EgressRequest { method, url, headers, body, ..EgressRequest::default() })
    }

    /// Reads what the third party answered.
    ///
    /// # Errors
    /// `Refused` if the guest says so; whatever else it says, or did wrong.
    pub(super) async fn account(&mut self, status: u16, body: &[u8]) -> Result<ConnectionValidation, ValidationError> {
        let (guest, body) = (self.guest.clone(), body.to_vec());
        let result = step!(self.running, body.len(), |store| guest.call_decode(store, status, &body));
        let account = self.answer(result)?;
        self.checked(account).map_err(|problem| fault(self.provider, &self.scrub(&problem)))
    }

    /// What was found out about the account, if it is fit to be stored and shown.
    fn checked(&self, account: wit::Account) -> Result<ConnectionValidation, String> {
        let metadata = match shared::json("the metadata of the account", &account.metadata)? {
            Value::Object(metadata) => metadata,
            Value::Null => Map::new(),
            _ => return Err("the metadata of the account are no JSON object".to_owned()),
        };
        let told = Value::Object(metadata.clone()).to_string();
        if told.len() > MAX_METADATA_BYTES {
            return Err(format!("the metadata of the account have {} bytes; {MAX_METADATA_BYTES} are the most", told.len()));
        }
        let username = account.username.unwrap_or_default();
        if username.len() > MAX_USERNAME_BYTES || username.chars().any(char::is_control) {
            return Err(format!(
                "the name of the account has {} bytes or control characters; {MAX_USERNAME_BYTES} are the most",
                username.len()
            ));
        }
        if self.holds_a_secret(&told) || self.holds_a_secret(&username) {
            return Err("what it says about the account holds the credential".to_owned());
        }
        Ok(ConnectionValidation { provider_username: (!username.is_empty()).then_some(username), provider_metadata: metadata })
    }

    /// That it cannot be found out right now.
    pub(super) fn unavailable(&self, text: &str) -> ValidationError {
        ValidationError::Unavailable(self.scrub(text))
    }

    fn answer<T>(&self, result: Result<Result<T, Failure>, Stopped>) -> Result<T, ValidationError> {
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(failure)) => {
                let failure = shared::failure(failure);
                let text = self.scrub(&format!("{}: {}", self.provider.description.title, failure.message));
                Err(match failure.kind.as_str() {
                    "denied" => ValidationError::Refused(text),
                    _ => ValidationError::Unavailable(text),
                })
            }
            Err(why) => Err(halted(self.provider, &why, |text| self.scrub(text))),
        }
    }

    /// A whole text, whose end is no beginning of anything.
    fn holds_a_secret(&self, text: &str) -> bool {
        let shown = self.placeholders.scrub(text);
        self.secrets.as_ref().map_or_else(|| shown.clone(), |secrets| secrets.scrub(&shown)) != text
    }

    fn scrub(&self, text: &str) -> String {
        let text = self.secrets.as_ref().map_or_else(|| text.to_owned(), |secrets| secrets.scrub_line(text));
        self.placeholders.scrub(&text)
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        for line in self.running.take_logs() {
            let (component, level, message) = (&self.provider.description.id, &line.level, self.scrub(&line.message));
            tracing::info!(component, level, message, "a connection provider component logged");
        }
    }
}

/// The error of a question whose guest was stopped.
fn halted(provider: &Inner, why: &Stopped, scrub: impl Fn(&str) -> String) -> ValidationError {
    match why.kind {
        StopKind::Busy | StopKind::Cancelled => ValidationError::Unavailable(why.message.clone()),
        kind => fault(provider, &format!("{} ({})", scrub(&why.message), kind.as_str())),
    }
}

/// A defect of the component.
fn fault(provider: &Inner, what: &str) -> ValidationError {
    ValidationError::Unavailable(format!("the connection provider component {} is at fault: {what}", provider.description.id))
}
