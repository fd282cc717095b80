//! A transaction that writes.

use std::ops::{Deref, DerefMut};

use sqlx::Transaction;

use super::org::insert_audit_entry;
use super::{DbConnection, dialect};
use crate::store::{Note, StoreResult};

/// See the module. Begins with the entry of the audit log about what it changes, if there is one.
/// Dropping it without a commit undoes it.
pub(in super::super) struct Tx<'a> {
    transaction: Transaction<'a, dialect::Database>,
    note: Option<Note>,
}

impl<'a> Tx<'a> {
    /// # Errors
    /// If the entry cannot be written.
    pub(in super::super) async fn new(mut transaction: Transaction<'a, dialect::Database>) -> StoreResult<Self> {
        let note = Note::current();
        if let Some(note) = &note {
            let (org, entry) = note.entry();
            insert_audit_entry(&mut transaction, org, &entry).await?;
        }
        Ok(Self { transaction, note })
    }

    pub(in super::super) async fn commit(self) -> sqlx::Result<()> {
        self.transaction.commit().await?;
        if let Some(note) = self.note {
            note.is_written();
        }
        Ok(())
    }

    pub(super) async fn rollback(self) -> sqlx::Result<()> {
        self.transaction.rollback().await
    }
}

impl Deref for Tx<'_> {
    type Target = DbConnection;

    fn deref(&self) -> &DbConnection {
        &self.transaction
    }
}

impl DerefMut for Tx<'_> {
    fn deref_mut(&mut self) -> &mut DbConnection {
        &mut self.transaction
    }
}
