//! A component as a connection provider. How accounts are connected is data; the guest translates
//! the question whether a credential works, and the host asks it. One instance serves one question.
//! What it returns is checked like everything from a guest, and none of its words spell the
//! credential.

mod convert;
mod question;
mod source;

use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

pub(super) use self::convert::description;
use self::question::Question;
pub use self::source::ComponentConnectionProviders;
use super::loaded::{Exports, Loaded};
use super::{Sandbox, Terms};
use crate::component::{ComponentDescription, ConnectionMethodDescription, CredentialPlace, Digest};
use crate::connection::{
    ClientAuthentication, ConnectionCredential, ConnectionEgress, ConnectionMethod, ConnectionProvider, ConnectionValidation,
    OAuthSettings, ValidationError,
};
use crate::error::Error;
use crate::id::OrgId;
use crate::limits::Budget;

/// One version of a connection provider component, ready to be used.
#[derive(Clone)]
pub struct ComponentConnectionProvider {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    sandbox: Sandbox,
    loaded: Arc<Loaded>,
    description: ComponentDescription,
    digest: Digest,
    budget: Budget,
    origin: Url,
    icon: String,
    method: ConnectionMethod,
    credentials: Vec<CredentialPlace>,
    /// The host of `origin`, if it was granted.
    hosts: Vec<String>,
    /// Whose questions it answers.
    org: OrgId,
}

impl ComponentConnectionProvider {
    /// # Errors
    /// If the component is of another kind, or what it declares was never admitted.
    pub(super) fn new(
        sandbox: Sandbox,
        loaded: Arc<Loaded>,
        description: ComponentDescription,
        digest: Digest,
        terms: Terms,
    ) -> Result<Self, Error> {
        let wrong = |what: String| Error::Sandbox(format!("{digest}: {what}"));
        let (Exports::ConnectionProvider { .. }, Some(connection)) = (&loaded.exports, description.connection.clone()) else {
            return Err(wrong("it is no connection provider".to_owned()));
        };
        let origin = Url::parse(&connection.origin).map_err(|error| wrong(format!("the origin is no URL: {error}")))?;
        let method = method_of(&connection.method).map_err(wrong)?;
        let host = convert::host_of(&origin);
        let hosts = if terms.grant.http.iter().any(|granted| granted.host == host) { vec![host] } else { Vec::new() };
        let (icon, credentials, budget) = (connection.icon, connection.credentials, terms.budget);
        let org = OrgId::from_uuid(uuid::Uuid::nil());
        let inner = Inner { sandbox, loaded, description, digest, budget, origin, icon, method, credentials, hosts, org };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The same, whose questions are those of an org and take its turns.
    pub(super) fn of(self, org: OrgId) -> Self {
        Self { inner: Arc::new(Inner { org, ..self.inner.as_ref().clone() }) }
    }

    /// What it says about itself.
    pub fn component(&self) -> &ComponentDescription {
        &self.inner.description
    }

    /// Digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.inner.digest
    }
}

/// What a component declares, as the runtime carries it out.
///
/// # Errors
/// A sentence about a URL that is none.
pub(super) fn method_of(declared: &ConnectionMethodDescription) -> Result<ConnectionMethod, String> {
    let url = |name: &str, text: &str| Url::parse(text).map_err(|error| format!("{name} is no URL: {error}"));
    Ok(match declared {
        ConnectionMethodDescription::ApiKey(form) => ConnectionMethod::ApiKey(form.clone()),
        ConnectionMethodDescription::OAuth(oauth) => ConnectionMethod::OAuth(Box::new(OAuthSettings {
            authorize_url: url("authorize_url", &oauth.authorize_url)?,
            token_url: url("token_url", &oauth.token_url)?,
            scopes: oauth.scopes.clone(),
            client_id: oauth.client_id.clone(),
            client_secret: None,
            // A public client has no credentials for a header; its id stands in the body.
            client_authentication: ClientAuthentication::Body,
            authorize_parameters: oauth.authorize_parameters.clone(),
        })),
    })
}

#[async_trait]
impl ConnectionProvider for ComponentConnectionProvider {
    fn id(&self) -> &str {
        &self.inner.description.id
    }

    fn name(&self) -> &str {
        &self.inner.description.title
    }

    fn description(&self) -> &str {
        &self.inner.description.summary
    }

    fn icon(&self) -> &str {
        if self.inner.icon.is_empty() { "plug" } else { &self.inner.icon }
    }

    fn hosts(&self) -> &[String] {
        &self.inner.hosts
    }

    fn method(&self) -> &ConnectionMethod {
        &self.inner.method
    }

    async fn validate(
        &self,
        egress: &ConnectionEgress<'_>,
        credential: &ConnectionCredential,
    ) -> Result<ConnectionValidation, ValidationError> {
        let mut question = Question::begin(&self.inner, credential).await?;
        let request = question.request().await?;
        let answer = egress.send(request).await;
        let (status, body) = answer.map_err(|error| question.unavailable(&format!("{} cannot be asked: {error}", self.name())))?;
        question.account(status, &body).await
    }
}
