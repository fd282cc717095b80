//! Why something cannot be done with a connection.

use super::oauth::OAuthError;
use super::{FormProblem, MAX_AUTHORIZATION_SECONDS, ValidationError};
use crate::error::Error;
use crate::secret::SecretError;
use crate::store::StoreError;

/// Why something cannot be done with a connection. No text holds a credential.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// There is no such provider.
    #[error("there is no connection provider {0:?}")]
    UnknownProvider(String),
    /// The provider connects accounts in another way.
    #[error("{0}")]
    WrongMethod(String),
    /// The form is not filled in right.
    #[error("the form is not filled in right")]
    Form(Vec<FormProblem>),
    /// The third party refuses.
    #[error("{0}")]
    Refused(String),
    /// The third party cannot be asked right now.
    #[error("{0}")]
    Unavailable(String),
    /// The user has no connection with the provider.
    #[error("you are not connected with {0:?}")]
    NotConnected(String),
    /// The state is not known, was used before, or has expired.
    #[error(
        "this authorization is not known: it was finished before, or took longer than {MAX_AUTHORIZATION_SECONDS} seconds; begin again"
    )]
    UnknownAuthorization,
    /// Somebody else began the authorization.
    #[error("this authorization was begun by another user, or in another browser; begin again")]
    NotYours,
    /// What is wrong is on the operator's side.
    #[error("{0}")]
    Misconfigured(String),
    /// A store or the sandbox failed.
    #[error(transparent)]
    Runtime(#[from] Error),
}

impl From<StoreError> for ConnectionError {
    fn from(error: StoreError) -> Self {
        Self::Runtime(error.into())
    }
}

impl From<SecretError> for ConnectionError {
    fn from(error: SecretError) -> Self {
        Self::Runtime(error.into())
    }
}

impl From<OAuthError> for ConnectionError {
    fn from(error: OAuthError) -> Self {
        match error {
            OAuthError::Refused(text) => Self::Refused(text),
            OAuthError::Misconfigured(text) => Self::Misconfigured(text),
            OAuthError::Unavailable(text) => Self::Unavailable(text),
        }
    }
}

impl From<ValidationError> for ConnectionError {
    fn from(error: ValidationError) -> Self {
        match error {
            ValidationError::Refused(text) => Self::Refused(text),
            ValidationError::Unavailable(text) => Self::Unavailable(text),
        }
    }
}
