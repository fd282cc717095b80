//! Secrets as handles: a guest can use a secret, and reads it only with a grant of its own.
//!
//! A secret must be asked for in [`crate::capability!`] under `permissions: { secrets: [..] }`
//! with the host and the place where it may be used.

use core::fmt;

use crate::bindings::everwit::secrets::store as wit;
use crate::{Failure, Result, host};

/// A granted secret.
#[derive(Debug)]
pub struct Secret {
    handle: host::secrets::Secret,
}

/// Why there is no handle. With `?` it becomes the tool's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Absent {
    /// Missing or not granted, which look the same; the text says what to bind.
    Unavailable(String),
    /// Anything else.
    Other(String),
}

/// Opens the secret that the tenant bound to this name.
///
/// # Errors
/// If there is none for this capability.
pub fn open(name: &str) -> Result<Secret, Absent> {
    match host::secrets::open(name) {
        Ok(handle) => Ok(Secret { handle }),
        Err(wit::Absent::Unavailable(text)) => Err(Absent::Unavailable(text)),
        Err(wit::Absent::Other(text)) => Err(Absent::Other(text)),
    }
}

impl Secret {
    /// A random placeholder, valid for this call only. Put it where the grant says, such as a
    /// header; the host replaces it on the granted host, and refuses a request that carries
    /// it anywhere else.
    pub fn token(&self) -> String {
        self.handle.token()
    }

    /// The value itself, which the tenant has to grant beside the secret: `{"reveal": ["name"]}`. Each use is in
    /// the audit log of the org. What leaves the call does not have the value all the same.
    ///
    /// # Errors
    /// A denial that says what to grant.
    pub fn reveal(&self) -> Result<Vec<u8>> {
        host::reveal::reveal(&self.handle).map_err(|text| Failure::denied("reveal_denied", text))
    }

    /// Granted host and place, for error messages: "api.example.com header:authorization".
    pub fn audience(&self) -> String {
        self.handle.audience()
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Absent::Unavailable(text) | Absent::Other(text) => f.write_str(text),
        }
    }
}

impl From<Absent> for Failure {
    fn from(absent: Absent) -> Self {
        let message = absent.to_string();
        match absent {
            Absent::Unavailable(_) => Failure::denied("secret_unavailable", message),
            Absent::Other(_) => Failure::internal("secret_fault", message),
        }
    }
}
