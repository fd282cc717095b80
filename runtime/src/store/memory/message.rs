//! Messages of sessions.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::id::{OrgId, SessionId};
use crate::store::message::check_batch;
use crate::store::{MessageBatch, RuntimeMessageStore, SessionMessages, StoreResult};

/// A copy of messages in memory, gone with the value: the smallest complete message store, to
/// be used as it is or as the model of another.
#[derive(Debug, Default)]
pub struct MemoryMessageStore {
    sessions: Mutex<HashMap<(OrgId, SessionId), SessionMessages>>,
}

#[async_trait]
impl RuntimeMessageStore for MemoryMessageStore {
    async fn record_messages(&self, org: OrgId, session: SessionId, batch: MessageBatch) -> StoreResult<()> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let through = sessions.get(&(org, session)).map_or(0, |kept| kept.through);
        check_batch(&batch, through)?;
        let kept = sessions.entry((org, session)).or_default();
        kept.messages.extend(batch.messages.into_iter().filter(|stored| stored.sequence > through));
        kept.through = through.max(batch.through);
        Ok(())
    }

    async fn load_messages(&self, org: OrgId, session: SessionId) -> StoreResult<SessionMessages> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(sessions.get(&(org, session)).cloned().unwrap_or_default())
    }
}
