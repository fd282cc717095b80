//! Entries of the audit log on their way into the transactions of the changes that they are about.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::AuditEntry;
use crate::component::Digest;
use crate::id::OrgId;

tokio::task_local! {
    static CURRENT: Option<Note>;
}

/// An entry of the audit log that is part of what it is about: every transaction that a store in a
/// database begins for the work in [`Note::with`] writes it first, until one of them is committed.
/// A change whose entry cannot be written is not made, and of a change that is undone none is left.
#[derive(Debug, Clone)]
pub struct Note {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres")),
        expect(dead_code, reason = "stores of databases alone ask whose log it is")
    )]
    org: OrgId,
    entry: AuditEntry,
    written: bool,
}

impl Note {
    /// An entry of an org's log.
    pub fn new(org: OrgId, entry: AuditEntry) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { org, entry, written: false })) }
    }

    /// Does something that the entry is about. What it spawns is not part of it.
    pub async fn with<F: Future>(&self, work: F) -> F::Output {
        CURRENT.scope(Some(self.clone()), work).await
    }

    /// Does something within the work that is no part of what the entry is about, and may stay although the rest fails.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) async fn apart<F: Future>(work: F) -> F::Output {
        CURRENT.scope(None, work).await
    }

    /// Says, within the work, which content takes the place of which.
    pub fn replaces(before: Option<Digest>, after: Option<Digest>) {
        // Whoever calls a handler without a note has none to complete.
        if let Ok(Some(note)) = CURRENT.try_with(Clone::clone) {
            let entry = &mut note.inner().entry;
            (entry.before, entry.after) = (before, after);
        }
    }

    /// The entry, if no change was committed with it.
    pub fn unwritten(&self) -> Option<AuditEntry> {
        let inner = self.inner();
        (!inner.written).then(|| inner.entry.clone())
    }

    /// The note of the work under way, if it is to be written still.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok().flatten().filter(|note| !note.inner().written)
    }

    /// What is to be written, and whose log it is.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn entry(&self) -> (OrgId, AuditEntry) {
        let inner = self.inner();
        (inner.org, inner.entry.clone())
    }

    /// A change was committed with it.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn is_written(&self) {
        self.inner().written = true;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics while it holds the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
