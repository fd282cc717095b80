//! One refresh at a time for each connection: of those who find it stale at once, one refreshes
//! and the others find it fresh.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

use crate::id::OrgId;

type Key = (OrgId, String, String);
type Gate = tokio::sync::Mutex<()>;

/// Who refreshes which connection. To be shared by all who use the same store.
#[derive(Debug, Default)]
pub struct Refreshes {
    gates: Mutex<HashMap<Key, Weak<Gate>>>,
}

impl Refreshes {
    /// Waits until nobody else refreshes the connection, and keeps others waiting until the guard
    /// is dropped.
    pub(super) async fn enter(&self, org: OrgId, subject: &str, provider: &str) -> OwnedMutexGuard<()> {
        let gate = {
            let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
            gates.retain(|_, gate| gate.strong_count() > 0);
            let key = (org, subject.to_owned(), provider.to_owned());
            let known = gates.get(&key).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let gate = Arc::new(Gate::default());
                gates.insert(key, Arc::downgrade(&gate));
                gate
            })
        };
        gate.lock_owned().await
    }
}
