//! What stands in for the protocol in a program without it: nobody is sent anywhere, and nothing is
//! exchanged.

use jiff::Timestamp;
use secrecy::SecretString;

use super::{Begun, OAuthError, OAuthSettings, Tokens};
use crate::connection::ConnectionEgress;

fn absent<T>() -> Result<T, OAuthError> {
    Err(OAuthError::Misconfigured("this program was built without OAuth; it needs the feature `oauth` of everwit-runtime".to_owned()))
}

impl OAuthSettings {
    pub(in crate::connection) fn begin(&self, _redirect_uri: &str, _state: &SecretString) -> Result<Begun, OAuthError> {
        absent()
    }

    pub(in crate::connection) async fn exchange(
        &self,
        _egress: &ConnectionEgress<'_>,
        _code: &SecretString,
        _place: (&str, SecretString),
        _now: Timestamp,
    ) -> Result<Tokens, OAuthError> {
        absent()
    }

    pub(in crate::connection) async fn refresh(
        &self,
        _egress: &ConnectionEgress<'_>,
        _refresh_token: &SecretString,
        _now: Timestamp,
    ) -> Result<Tokens, OAuthError> {
        absent()
    }
}
