//! Compiled code of components that nobody has any more.

use std::time::{Duration, SystemTime};

use super::Sandbox;
use super::engine::EngineClass;
use crate::component::Digest;
use crate::error::Error;
use crate::store::ComponentStore;

/// Younger code is left alone: an upload is compiled before it is stored.
const SETTLED: Duration = Duration::from_secs(24 * 60 * 60);
/// Components that are looked at in one round.
const AT_ONCE: usize = 1_000;

/// What a round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Components whose compiled code was removed.
    pub components: u32,
    /// Bytes of files that were removed.
    pub bytes: u64,
    /// Where the next round goes on; none once all were looked at.
    pub reached: Option<Digest>,
}

impl Sandbox {
    /// Removes compiled code that is a day old, of components of which no org has the bytes and that this process does not
    /// use: of a thousand components at most, behind one of them. Should one of them come back meanwhile, it is compiled again.
    ///
    /// # Errors
    /// Those of the store; `Sandbox` if the directory cannot be used.
    pub async fn sweep(&self, store: &dyn ComponentStore, after: Option<Digest>) -> Result<Swept, Error> {
        let failed = |error| Error::Sandbox(format!("compiled components that nobody has could not be removed: {error}"));
        let before = SystemTime::from(self.inner.services.clock.now()).checked_sub(SETTLED).unwrap_or(SystemTime::UNIX_EPOCH);
        let inner = self.inner.clone();
        let listing = tokio::task::spawn_blocking(move || inner.compiler.artifacts().settled(before));
        let settled = listing.await.map_err(std::io::Error::other).and_then(|settled| settled).map_err(failed)?;
        let due: Vec<Digest> = settled.into_iter().filter(|digest| after.is_none_or(|after| *digest > after)).take(AT_ONCE).collect();
        let reached = due.last().copied().filter(|_| due.len() == AT_ONCE);
        let mut doomed = Vec::new();
        for digest in due {
            if !self.uses(digest) && !store.is_stored(digest).await? {
                doomed.push(digest);
            }
        }
        let (inner, components) = (self.inner.clone(), u32::try_from(doomed.len()).unwrap_or(u32::MAX));
        let removing = tokio::task::spawn_blocking(move || inner.compiler.artifacts().remove(&doomed));
        let bytes = removing.await.map_err(std::io::Error::other).and_then(|removed| removed).map_err(failed)?;
        Ok(Swept { components, bytes, reached })
    }

    /// Whether calls of a component are answered from memory.
    fn uses(&self, digest: Digest) -> bool {
        [EngineClass::Small, EngineClass::Large].into_iter().any(|class| self.inner.loaded.contains_key(&(digest, class)))
    }
}
