//! Reconciles each org with the templates of the platform definition, by their keys: at the start
//! of a server, and when an org is first seen. What it did is logged and reported.
//!
//! Rules: a template that an org lacks is created; one that changed is changed; one that was
//! removed is archived unless something needs it, and comes back when the template does. A
//! resource that its org changed, archived or named first is never touched. Agents are skipped if
//! the platform lacks a capability or the harness that they need.

mod reconcile;
mod report;
mod row;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use everwit_runtime::id::{HarnessId, OrgId};
use everwit_runtime::limits::MAX_PAGE;
use everwit_runtime::platform::{BuiltInHarnessDefinition, SeedAgent};
use everwit_runtime::store::{Org, Page, RuntimeBackends, Seed, SeedKind, StoreError, StoreResult};
use everwit_runtime::{BuiltInHarnessRole, PlatformDefinition};
use tokio::sync::Mutex;

use crate::moments::Moments;
use crate::seed_models;
use reconcile::Reconciler;
pub use report::{SeedAction, SeedEntry, SeedReport};
use row::Row;

/// How often settings are written again because somebody else changed them at the same time.
const MAX_RACES: u32 = 8;

/// Seeds orgs, and knows what their roles refer to.
#[derive(Clone)]
pub(crate) struct Seeder {
    inner: Arc<Inner>,
}

struct Inner {
    stores: RuntimeBackends,
    moments: Moments,
    platform: PlatformDefinition,
    /// Orgs that were reconciled by this process.
    done: RwLock<HashSet<OrgId>>,
    /// One org is reconciled at a time.
    turn: Mutex<()>,
}

impl Seeder {
    /// Seeds from an opened definition.
    pub(crate) fn new(stores: RuntimeBackends, moments: Moments, platform: PlatformDefinition) -> Self {
        let inner = Inner { stores, moments, platform, done: RwLock::default(), turn: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Reconciles all orgs.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn reconcile_all(&self) -> StoreResult<Vec<SeedReport>> {
        let (mut reports, mut offset) = (Vec::new(), 0);
        loop {
            let page = Page { offset, limit: MAX_PAGE };
            let listing = self.inner.stores.setup_store.list_orgs(page).await?;
            for org in &listing.items {
                reports.extend(self.ensure(org.id).await?);
            }
            offset += MAX_PAGE;
            if u64::from(offset) >= listing.total {
                return Ok(reports);
            }
        }
    }

    /// Reconciles an org unless this process did so before. An org that an authenticator speaks of
    /// for the first time is made.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn ensure(&self, org: OrgId) -> StoreResult<Option<SeedReport>> {
        if self.is_done(org) {
            return Ok(None);
        }
        let _turn = self.inner.turn.lock().await;
        if self.is_done(org) {
            return Ok(None);
        }
        let stores = &self.inner.stores;
        if stores.setup_store.get_org(org).await?.is_none() {
            match stores.org_store.add_org(org, &org.to_string(), self.inner.moments.now()).await {
                Ok(()) | Err(StoreError::Duplicate { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let report = self.reconcile(org).await?;
        let drivers = self.inner.platform.driver_registry();
        seed_models::providers_and_models(stores, &self.inner.moments, org, drivers).await?;
        report.log();
        self.inner.done.write().unwrap_or_else(PoisonError::into_inner).insert(org);
        Ok(Some(report))
    }

    fn is_done(&self, org: OrgId) -> bool {
        self.inner.done.read().unwrap_or_else(PoisonError::into_inner).contains(&org)
    }

    /// The harness of an org's sessions and agents that name none: the org's own choice, or else
    /// the one with the role base.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn base_harness(&self, org: OrgId) -> StoreResult<Option<HarnessId>> {
        let settings = self.inner.stores.setup_store.get_org(org).await?;
        match settings.and_then(|org| org.base_harness_id) {
            Some(chosen) => Ok(Some(chosen)),
            None => self.harness_for_role(org, BuiltInHarnessRole::Base).await,
        }
    }

    /// What the template with a role became in an org.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn harness_for_role(&self, org: OrgId, role: BuiltInHarnessRole) -> StoreResult<Option<HarnessId>> {
        let Some(template) = self.inner.platform.harness_for_role(role) else { return Ok(None) };
        let seed = self.inner.stores.setup_store.find_seed(org, SeedKind::Harness, &template.key).await?;
        Ok(seed.map(|seed| HarnessId::from_uuid(seed.resource)))
    }

    async fn reconcile(&self, org: OrgId) -> StoreResult<SeedReport> {
        let Inner { stores, moments, platform, .. } = &*self.inner;
        let known = stores.setup_store.list_seeds(org).await?;
        let known: BTreeMap<(SeedKind, String), Seed> = known.into_iter().map(|seed| ((seed.kind, seed.key.clone()), seed)).collect();
        let mut work = Reconciler { stores, moments, org, known, report: SeedReport { org, entries: Vec::new() } };
        let harnesses = self.seed_harnesses(&mut work).await?;
        let wanted = self.seed_agents(&mut work, &harnesses).await?;
        // Agents go first: a harness is free to go once its agents are gone.
        work.remove(SeedKind::Agent, &wanted).await?;
        let keys: Vec<&str> = platform.built_in_harnesses().iter().map(|harness| harness.key.as_str()).collect();
        self.set_default(&mut work, &harnesses).await?;
        work.remove(SeedKind::Harness, &keys).await?;
        Ok(work.report)
    }

    /// Seeds the harnesses, parents before children; returns what each template became.
    async fn seed_harnesses(&self, work: &mut Reconciler<'_>) -> StoreResult<BTreeMap<String, HarnessId>> {
        let mut seeded: BTreeMap<String, HarnessId> = BTreeMap::new();
        let mut waiting: Vec<&BuiltInHarnessDefinition> = self.inner.platform.built_in_harnesses().iter().collect();
        loop {
            let is_ready = |harness: &&BuiltInHarnessDefinition| harness.parent_key.as_ref().is_none_or(|key| seeded.contains_key(key));
            let (ready, blocked): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_ready);
            if ready.is_empty() {
                for template in blocked {
                    work.note(SeedKind::Harness, &template.key, SeedAction::Skipped, "its parent is not part of the org");
                }
                return Ok(seeded);
            }
            for template in ready {
                let parent = template.parent_key.as_ref().and_then(|key| seeded.get(key)).copied();
                let row = Row::of_harness(template, parent, work.moments);
                if let Some(id) = work.seed(&template.key, row).await? {
                    seeded.insert(template.key.clone(), HarnessId::from_uuid(id));
                }
            }
            waiting = blocked;
        }
    }

    /// Seeds the agents that the platform can run; returns their keys.
    async fn seed_agents(&self, work: &mut Reconciler<'_>, harnesses: &BTreeMap<String, HarnessId>) -> StoreResult<Vec<&str>> {
        let mut wanted = Vec::new();
        for template in self.inner.platform.seed_agents() {
            match (harnesses.get(&template.harness_key), self.lacking(template)) {
                (Some(&harness), None) => {
                    let row = Row::of_agent(template, harness, work.moments);
                    work.seed(&template.key, row).await?;
                    wanted.push(template.key.as_str());
                }
                (_, Some(capability)) => {
                    let detail = format!("it needs the capability {capability:?}, which is not part of the platform");
                    work.note(SeedKind::Agent, &template.key, SeedAction::Skipped, &detail);
                }
                (None, None) => {
                    let detail = format!("it needs the harness {:?}, which is not part of the org", template.harness_key);
                    work.note(SeedKind::Agent, &template.key, SeedAction::Skipped, &detail);
                }
            }
        }
        Ok(wanted)
    }

    fn lacking<'t>(&self, template: &'t SeedAgent) -> Option<&'t str> {
        let registry = self.inner.platform.capability_registry();
        template.capabilities.iter().map(|capability| capability.id.as_str()).find(|id| !registry.has(id))
    }

    /// Makes the harness with the role default the org's default, unless the org chose another.
    async fn set_default(&self, work: &mut Reconciler<'_>, harnesses: &BTreeMap<String, HarnessId>) -> StoreResult<()> {
        let template = self.inner.platform.harness_for_role(BuiltInHarnessRole::Default);
        let wanted = template.and_then(|template| harnesses.get(&template.key)).copied();
        let store = &self.inner.stores.setup_store;
        for _ in 0..MAX_RACES {
            let Some(org) = store.get_org(work.org).await? else { return Ok(()) };
            let chosen_by_org = org.default_harness_id.is_some() && !org.default_is_seeded;
            if chosen_by_org || org.default_harness_id == wanted {
                return Ok(());
            }
            let changed = Org {
                default_harness_id: wanted,
                default_is_seeded: wanted.is_some(),
                version: org.version + 1,
                updated_at: self.inner.moments.now(),
                ..org
            };
            match store.update_org(changed).await {
                Err(StoreError::Stale { .. }) => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let key = template.map_or("", |template| template.key.as_str());
                    let detail =
                        if wanted.is_some() { "it is the org's default harness now" } else { "the org has no default harness any more" };
                    work.note(SeedKind::Harness, key, SeedAction::DefaultChanged, detail);
                    return Ok(());
                }
            }
        }
        Err(StoreError::Unavailable("the settings of the org are changed all the time".to_owned()))
    }
}
