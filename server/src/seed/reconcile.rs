//! The rules of seeding, for one resource after the other.

use std::collections::BTreeMap;

use everwit_runtime::id::OrgId;
use everwit_runtime::store::{RuntimeBackends, Seed, SeedKind, StoreError, StoreResult};
use uuid::Uuid;

use super::report::{SeedAction, SeedEntry, SeedReport};
use super::row::Row;
use crate::moments::Moments;

/// Reconciles one org.
pub(super) struct Reconciler<'a> {
    pub(super) stores: &'a RuntimeBackends,
    pub(super) moments: &'a Moments,
    pub(super) org: OrgId,
    /// What was seeded before.
    pub(super) known: BTreeMap<(SeedKind, String), Seed>,
    pub(super) report: SeedReport,
}

impl Reconciler<'_> {
    /// Adds to the report.
    pub(super) fn note(&mut self, kind: SeedKind, key: &str, action: SeedAction, detail: &str) {
        self.report.entries.push(SeedEntry { kind, key: key.to_owned(), action, detail: detail.to_owned() });
    }

    /// Brings one resource up to date with its template; returns the id of what stands for the
    /// template in the org, none if the org uses its name for something else.
    pub(super) async fn seed(&mut self, key: &str, template: Row) -> StoreResult<Option<Uuid>> {
        let kind = template.kind();
        let seed = self.known.get(&(kind, key.to_owned())).cloned();
        let stored = match &seed {
            Some(seed) => Row::get(self.stores, self.org, kind, seed.resource).await?,
            None => None,
        };
        match (seed, stored) {
            (Some(seed), Some(stored)) => self.refresh(seed, stored, template).await.map(Some),
            (Some(_), None) if kind == SeedKind::Agent => {
                self.note(kind, key, SeedAction::Kept, "the org deleted it");
                Ok(None)
            }
            _ => self.create(key, template).await,
        }
    }

    async fn create(&mut self, key: &str, template: Row) -> StoreResult<Option<Uuid>> {
        let kind = template.kind();
        match Row::find(self.stores, self.org, kind, key).await? {
            // Made by seeding, of which nothing is remembered: by an earlier version, or because the
            // process died in between.
            Some(stored) if stored.is_built_in() || stored.digest()? == template.digest()? => {
                let seed = self.seed_of(key, &stored)?;
                return self.refresh(seed, stored, template).await.map(Some);
            }
            Some(_) => {
                self.note(kind, key, SeedAction::NameTaken, "the org has one of its own by this name; rename that to get the template");
                return Ok(None);
            }
            None => {}
        }
        let seed = self.seed_of(key, &template)?;
        match template.add(self.stores, self.org).await {
            Ok(()) => {}
            Err(StoreError::Duplicate { .. }) => {
                self.note(kind, key, SeedAction::NameTaken, "the org has just got one of its own by this name");
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        let id = seed.resource;
        self.remember(seed).await?;
        self.note(kind, key, SeedAction::Created, "");
        Ok(Some(id))
    }

    async fn refresh(&mut self, seed: Seed, stored: Row, template: Row) -> StoreResult<Uuid> {
        let (kind, key, id) = (seed.kind, seed.key.clone(), stored.id());
        let (is, wanted) = (stored.digest()?, template.digest()?);
        // Whoever made it so: also healed is a process that died between the two writes below.
        if is == wanted && stored.is_active() {
            self.remember(Seed { digest: wanted, archived: false, ..seed }).await?;
            self.note(kind, &key, SeedAction::Unchanged, "");
            return Ok(id);
        }
        // What seeding archived comes back; what the org archived does not.
        let archived_by_org = !stored.is_active() && !seed.archived;
        if is != seed.digest || archived_by_org {
            let detail = if archived_by_org { "the org archived it" } else { "the org changed it" };
            self.note(kind, &key, SeedAction::Kept, detail);
            self.remember(Seed { archived: false, ..seed }).await?;
            return Ok(id);
        }
        let returning = !stored.is_active();
        match stored.with_content_of(template, self.moments.now()).update(self.stores, self.org).await {
            Ok(()) => {
                self.remember(Seed { digest: wanted, archived: false, ..seed }).await?;
                let detail = if returning { "its template is back" } else { "its template changed" };
                self.note(kind, &key, SeedAction::Updated, detail);
            }
            Err(StoreError::Stale { .. }) => self.note(kind, &key, SeedAction::Kept, "the org is just changing it"),
            Err(error) => return Err(error),
        }
        Ok(id)
    }

    /// Archives what is left of templates of a kind that are not among `wanted`.
    pub(super) async fn remove(&mut self, kind: SeedKind, wanted: &[&str]) -> StoreResult<()> {
        let is_left = |seed: &&Seed| seed.kind == kind && !seed.archived && !wanted.contains(&seed.key.as_str());
        let mut left: Vec<Seed> = self.known.values().filter(is_left).cloned().collect();
        // A parent is needed by its children until they are archived, so that one pass may free
        // what the next one archives.
        loop {
            let before = left.len();
            let mut still = Vec::new();
            for seed in left {
                if !self.archive(&seed).await? {
                    still.push(seed);
                }
            }
            left = still;
            if left.is_empty() || left.len() == before {
                break;
            }
        }
        for seed in left {
            self.note(kind, &seed.key, SeedAction::LeftBehind, "its template is gone, but it is needed, or the org changed it");
        }
        Ok(())
    }

    /// Archives a resource that is as it was seeded and that nothing needs; tells whether nothing
    /// is left to do about it.
    async fn archive(&mut self, seed: &Seed) -> StoreResult<bool> {
        let Some(stored) = Row::get(self.stores, self.org, seed.kind, seed.resource).await? else { return Ok(true) };
        if !stored.is_active() {
            return Ok(true);
        }
        let is_untouched = stored.digest()? == seed.digest;
        if !is_untouched || self.stores.setup_store.is_used(self.org, seed.kind, seed.resource).await? {
            return Ok(false);
        }
        match stored.archived(self.moments.now()).update(self.stores, self.org).await {
            Ok(()) => {
                self.remember(Seed { archived: true, ..seed.clone() }).await?;
                self.note(seed.kind, &seed.key, SeedAction::Archived, "its template is gone");
                Ok(true)
            }
            Err(StoreError::Stale { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn seed_of(&self, key: &str, row: &Row) -> StoreResult<Seed> {
        Ok(Seed { kind: row.kind(), key: key.to_owned(), resource: row.id(), digest: row.digest()?, archived: false })
    }

    async fn remember(&mut self, seed: Seed) -> StoreResult<()> {
        let key = (seed.kind, seed.key.clone());
        if self.known.get(&key) != Some(&seed) {
            self.stores.setup_store.put_seed(self.org, seed.clone()).await?;
            self.known.insert(key, seed);
        }
        Ok(())
    }
}
