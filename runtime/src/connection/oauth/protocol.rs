//! The protocol, which is the `oauth2` crate's; its requests leave through the gateway.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use oauth2::basic::{BasicClient, BasicErrorResponseType, BasicTokenResponse};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardErrorResponse,
    TokenResponse as _, TokenUrl,
};
use secrecy::{ExposeSecret, SecretString};

use super::{Begun, ClientAuthentication, OAuthError, OAuthSettings, Tokens, random_text, shown};
use crate::connection::ConnectionEgress;
use crate::connection::record::{ConnectionCredential, Secrets};
use crate::egress::{EgressError, EgressErrorKind, EgressRequest};

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

impl OAuthSettings {
    fn client(&self, redirect_uri: Option<&str>) -> Result<Client, OAuthError> {
        let mut client = BasicClient::new(ClientId::new(self.client_id.clone()))
            .set_auth_uri(AuthUrl::from_url(self.authorize_url.clone()))
            .set_token_uri(TokenUrl::from_url(self.token_url.clone()))
            .set_auth_type(match self.client_authentication {
                ClientAuthentication::Basic => AuthType::BasicAuth,
                ClientAuthentication::Body => AuthType::RequestBody,
            });
        if let Some(secret) = &self.client_secret {
            client = client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()));
        }
        if let Some(uri) = redirect_uri {
            let uri = RedirectUrl::new(uri.to_owned());
            client =
                client.set_redirect_uri(uri.map_err(|error| OAuthError::Misconfigured(format!("the redirect URI is no URL: {error}")))?);
        }
        Ok(client)
    }

    /// Where to send the user.
    pub(in crate::connection) fn begin(&self, redirect_uri: &str, state: &SecretString) -> Result<Begun, OAuthError> {
        let client = self.client(Some(redirect_uri))?;
        let verifier = random_text().map_err(|error| OAuthError::Unavailable(error.to_string()))?;
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier.expose_secret().to_owned()));
        let mut request = client.authorize_url(|| CsrfToken::new(state.expose_secret().to_owned())).set_pkce_challenge(challenge);
        for scope in &self.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        for (name, value) in &self.authorize_parameters {
            request = request.add_extra_param(name.clone(), value.clone());
        }
        Ok(Begun { url: request.url().0, verifier })
    }

    /// Exchanges a code.
    pub(in crate::connection) fn exchange<'a>(
        &'a self,
        egress: &'a ConnectionEgress<'a>,
        code: &'a SecretString,
        (redirect_uri, verifier): (&'a str, SecretString),
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Tokens, OAuthError>> {
        async move {
            let client = self.client(Some(redirect_uri))?;
            let request = client.exchange_code(AuthorizationCode::new(code.expose_secret().to_owned()));
            let request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier.expose_secret().to_owned()));
            request.request_async(&Sender(egress)).await.map_err(refused).map(|answer| tokens(&answer, None, now))
        }
        .boxed()
    }

    /// Exchanges a refresh token. Third parties that give no new one let the old one live on.
    pub(in crate::connection) fn refresh<'a>(
        &'a self,
        egress: &'a ConnectionEgress<'a>,
        refresh_token: &'a SecretString,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Tokens, OAuthError>> {
        async move {
            let client = self.client(None)?;
            let old = RefreshToken::new(refresh_token.expose_secret().to_owned());
            let answer = client.exchange_refresh_token(&old).request_async(&Sender(egress)).await;
            answer.map_err(refused).map(|answer| tokens(&answer, Some(refresh_token), now))
        }
        .boxed()
    }
}

fn tokens(answer: &BasicTokenResponse, old: Option<&SecretString>, now: Timestamp) -> Tokens {
    let refresh_token = answer.refresh_token().map(|token| token.secret().clone().into()).or_else(|| old.cloned());
    let credential = ConnectionCredential::from(SecretString::from(answer.access_token().secret().clone()));
    let after = |lasts: Duration| now.checked_add(SignedDuration::try_from(lasts).ok()?).ok();
    Tokens {
        secrets: Secrets { credential, refresh_token },
        expires_at: answer.expires_in().and_then(after),
        scopes: answer.scopes().map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect()),
    }
}

/// Sends the library's requests through the gateway. Its futures are boxed: compilers up to now
/// cannot tell that those of a closure can change threads.
struct Sender<'a>(&'a ConnectionEgress<'a>);

impl<'c> AsyncHttpClient<'c> for Sender<'_> {
    type Error = EgressError;
    type Future = BoxFuture<'c, Result<HttpResponse, EgressError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        send(self.0, request).boxed()
    }
}

async fn send(egress: &ConnectionEgress<'_>, request: HttpRequest) -> Result<HttpResponse, EgressError> {
    let (parts, body) = request.into_parts();
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| Some((name.to_string(), value.to_str().ok()?.to_owned()));
    let (status, body) = egress
        .send(EgressRequest {
            method: parts.method.to_string(),
            url: parts.uri.to_string(),
            headers: parts.headers.iter().filter_map(field).collect(),
            body: body.into(),
            ..EgressRequest::default()
        })
        .await?;
    // Without a content type the library takes the body for JSON, which it then has to be.
    let response = http::Response::builder().status(status).body(body.to_vec());
    response.map_err(|_| EgressError::new(EgressErrorKind::Protocol, "the answer has no valid status").after_sending())
}

type TokenError = RequestTokenError<EgressError, StandardErrorResponse<BasicErrorResponseType>>;

/// What a failed request for tokens means. The third party's own words are left out: some repeat
/// what they were sent.
fn refused(error: TokenError) -> OAuthError {
    match error {
        RequestTokenError::ServerResponse(answer) => match answer.error() {
            BasicErrorResponseType::InvalidGrant => {
                OAuthError::Refused("the third party does not accept the authorization any more (invalid_grant)".to_owned())
            }
            BasicErrorResponseType::Extension(word) => OAuthError::Unavailable(format!("the third party answered {}", shown(word))),
            known => OAuthError::Misconfigured(format!("the third party answered {}", shown(known.as_ref()))),
        },
        RequestTokenError::Request(error) => OAuthError::Unavailable(format!("the third party cannot be asked for tokens: {error}")),
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            OAuthError::Unavailable("the third party's answer is not what OAuth 2 says".to_owned())
        }
    }
}
