//! How many requests of one scope are under way at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One lane a scope; a lane exists while a request of its scope does.
pub(super) struct Lanes {
    width: usize,
    scopes: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl Lanes {
    /// Lanes of `width` requests each.
    pub(super) fn new(width: usize) -> Self {
        let width = if crate::mutation::off("egress.lanes") { Semaphore::MAX_PERMITS } else { width };
        Self { width: width.clamp(1, Semaphore::MAX_PERMITS), scopes: Mutex::default() }
    }

    /// Waits for a place, first come, first served. Dropping the permit frees it.
    pub(super) async fn enter(&self, scope: &str) -> OwnedSemaphorePermit {
        self.lane(scope).acquire_owned().await.expect("a lane is never closed")
    }

    fn lane(&self, scope: &str) -> Arc<Semaphore> {
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = scopes.get(scope).and_then(Weak::upgrade) {
            return lane;
        }
        scopes.retain(|_, lane| lane.strong_count() > 0);
        let lane = Arc::new(Semaphore::new(self.width));
        scopes.insert(scope.to_owned(), Arc::downgrade(&lane));
        lane
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn scopes_do_not_share_places_and_leave_nothing_behind() {
        let lanes = Lanes::new(1);
        let first = lanes.enter("a").await;
        assert!(lanes.enter("a").now_or_never().is_none());
        let other = lanes.enter("b").await;
        drop(first);
        drop(lanes.enter("a").await);
        drop(other);
        let _last = lanes.enter("c").await;
        assert_eq!(lanes.scopes.lock().expect("no test panics with it").len(), 1);
    }
}
