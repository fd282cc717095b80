//! What a write transaction changes, as far as others must not change it at the same time.

use sha2::{Digest as _, Sha256};

use super::KvScope;
use crate::id::{OrgId, SessionId};

/// What a write has for itself. A database with one writer needs none of this; one with many
/// lets transactions of the same lock wait for each other, and those of others pass.
pub(super) enum Lock<'a> {
    /// Orgs, keys and secrets of the installation.
    Installation,
    /// Resources of an org.
    Org(OrgId),
    /// A session: its row, its log, its turns and its secrets.
    Session(OrgId, SessionId),
    /// Files of a session.
    Files(OrgId, SessionId),
    /// A bucket of key-value data.
    Bucket(&'a KvScope),
    /// Budgets of an org, and what is used of them.
    Usage(OrgId),
    /// Connections of an org's users.
    Connections(OrgId),
    /// A request, by its route and its key.
    Request(OrgId, &'a str, &'a str),
}

impl Lock<'_> {
    /// A number that tells locks apart. Two locks of one number only wait for each other
    /// without need.
    pub(super) fn number(&self) -> i64 {
        let nil = OrgId::from_uuid(uuid::Uuid::nil());
        let (kind, org, parts) = match self {
            Self::Installation => ("installation", nil, Vec::new()),
            Self::Org(org) => ("org", *org, Vec::new()),
            Self::Session(org, session) => ("session", *org, vec![session.to_string()]),
            Self::Files(org, session) => ("files", *org, vec![session.to_string()]),
            Self::Bucket(scope) => ("bucket", scope.org, vec![scope.component.clone(), scope.bucket.clone()]),
            Self::Usage(org) => ("usage", *org, Vec::new()),
            Self::Connections(org) => ("connections", *org, Vec::new()),
            Self::Request(org, route, key) => ("request", *org, vec![(*route).to_owned(), (*key).to_owned()]),
        };
        let mut hash = Sha256::new().chain_update(kind).chain_update(org.uuid().as_bytes());
        for part in &parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        i64::from_be_bytes(digest[..8].try_into().expect("a SHA-256 digest has more than 8 bytes"))
    }
}
