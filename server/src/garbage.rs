//! Deletes what nobody needs any more, a little at a time: bytes of versions that were archived long ago, and compiled code of
//! components of which no org has the bytes. Nothing depends on it: an upload that needs room makes it by itself, and
//! compiled code that is missed is made again.

use std::convert::Infallible;
use std::time::Duration;

use everwit_runtime::Error;
use everwit_runtime::component::Digest;
use everwit_runtime::id::OrgId;
use everwit_runtime::limits::MAX_PAGE;
use everwit_runtime::store::{Collected, Page, RuntimeBackends, StoreResult};
use jiff::Timestamp;

use crate::components::Components;
use crate::moments::Moments;

/// How often it looks, unless somebody says otherwise.
pub(crate) const EVERY: Duration = Duration::from_secs(60 * 60);
/// How long the bytes of what was archived stay, unless their room is needed.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Versions of an org that lose their bytes at once.
const COLLECTED_AT_ONCE: u32 = 100;

/// Deletes bytes of what an org archived long ago. What is left over is for the next time.
pub(crate) async fn collect_old(stores: &RuntimeBackends, org: OrgId, now: Timestamp) -> StoreResult<()> {
    let before = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
    told(org, stores.component_store.collect(org, before, COLLECTED_AT_ONCE).await?);
    Ok(())
}

/// Deletes bytes of what an org has archived, because their room is needed; tells whether there is more room now.
pub(crate) async fn make_room(stores: &RuntimeBackends, org: OrgId, now: Timestamp) -> StoreResult<bool> {
    let collected = stores.component_store.collect(org, now, COLLECTED_AT_ONCE).await?;
    told(org, collected);
    Ok(collected.versions > 0)
}

fn told(org: OrgId, Collected { versions, bytes }: Collected) {
    if versions > 0 {
        tracing::info!(%org, versions, bytes, "the bytes of archived versions are deleted");
    }
}

/// See the module.
pub(crate) struct Garbage {
    pub(crate) stores: RuntimeBackends,
    pub(crate) components: Components,
    pub(crate) moments: Moments,
    /// Whether it looks at versions, too: workers leave those to servers.
    pub(crate) versions: bool,
    pub(crate) every: Duration,
}

impl Garbage {
    /// Collects for as long as it is polled.
    pub(crate) async fn collect(self) -> Infallible {
        let mut reached = None;
        loop {
            tokio::time::sleep(self.every).await;
            if self.versions
                && let Err(error) = self.collect_versions().await
            {
                tracing::warn!(%error, "archived versions could not be looked at; trying again later");
            }
            match self.collect_code(reached).await {
                Ok(further) => reached = further,
                Err(error) => tracing::warn!(%error, "compiled components could not be looked at; trying again later"),
            }
        }
    }

    async fn collect_versions(&self) -> StoreResult<()> {
        let mut page = Page { offset: 0, limit: MAX_PAGE };
        loop {
            let orgs = self.stores.setup_store.list_orgs(page).await?.items;
            for org in &orgs {
                collect_old(&self.stores, org.id, self.moments.now()).await?;
            }
            if orgs.len() < MAX_PAGE as usize {
                return Ok(());
            }
            page.offset += MAX_PAGE;
        }
    }

    async fn collect_code(&self, after: Option<Digest>) -> Result<Option<Digest>, Error> {
        let swept = self.components.sweep(&*self.stores.component_store, after).await?;
        if swept.components > 0 {
            tracing::info!(
                components = swept.components,
                bytes = swept.bytes,
                "compiled code that no org has the components of is deleted"
            );
        }
        Ok(swept.reached)
    }
}
