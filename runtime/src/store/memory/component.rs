//! Uploaded components.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use jiff::Timestamp;

use super::table::Table;
use super::{MemoryStore, State};
use crate::component::{Component, ComponentVersion, Digest, Grant};
use crate::id::{ComponentId, OrgId};
use crate::limits::Budget;
use crate::store::component::{check_channels, check_count, check_kind, check_room, check_unused};
use crate::store::rules::{check_digest, page_limit, whole_micros};
use crate::store::{Activation, Collected, ComponentStore, Listing, NewVersion, Page, StoreError, StoreResult, StoredVersion};

/// The components of an org.
#[derive(Default)]
pub(super) struct Components {
    table: Table<ComponentId, ComponentRow>,
}

struct ComponentRow {
    component: Component,
    /// Version n is at n - 1.
    versions: Vec<ComponentVersion>,
}

impl ComponentRow {
    fn version_at(&self, version: u32) -> Option<usize> {
        let at = usize::try_from(version).ok()?.checked_sub(1)?;
        (at < self.versions.len()).then_some(at)
    }

    fn add(&mut self, new: NewVersion, size: u64) -> StoredVersion {
        let now = whole_micros(new.now);
        if let Some(earlier) = self.versions.iter_mut().find(|version| version.digest == new.digest) {
            earlier.stored_at.get_or_insert(now);
            earlier.archived_at = None;
            if new.signature.is_some() {
                earlier.signature = new.signature;
            }
            return StoredVersion { component: self.component.clone(), version: earlier.clone(), created: false };
        }
        self.component.latest_version += 1;
        self.component.updated_at = now;
        let new_kind = new.description.kind();
        let version = ComponentVersion {
            component_id: self.component.id,
            version: self.component.latest_version,
            digest: new.digest,
            size,
            description: new.description,
            imports: new.imports,
            signature: new.signature,
            grant: Grant::default(),
            budget: Budget::of(new_kind),
            created_at: now,
            activated_at: None,
            granted_at: None,
            archived_at: None,
            stored_at: Some(now),
        };
        self.versions.push(version.clone());
        StoredVersion { component: self.component.clone(), version, created: true }
    }
}

impl Components {
    fn find(&self, name: &str) -> Option<&Component> {
        self.table.iter().map(|row| &row.component).find(|component| component.name == name)
    }

    /// Whether these bytes are stored under this name.
    fn has(&self, new: &NewVersion) -> bool {
        let mut named = self.table.iter().filter(|row| row.component.name == new.description.id);
        named.any(|row| row.versions.iter().any(|version| version.digest == new.digest && version.stored_at.is_some()))
    }

    fn bytes(&self) -> StoreResult<u64> {
        let kept = |version: &ComponentVersion| match version.stored_at {
            Some(_) => Ok(version.size),
            None => description_size(version),
        };
        self.table.iter().flat_map(|row| &row.versions).map(kept).sum()
    }

    /// All but archived ones without bytes.
    fn count(&self) -> u64 {
        let counts =
            |row: &&ComponentRow| row.component.archived_at.is_none() || row.versions.iter().any(|version| version.stored_at.is_some());
        self.table.iter().filter(counts).count() as u64
    }

    fn row_mut(&mut self, id: ComponentId) -> StoreResult<&mut ComponentRow> {
        self.table.get_mut(id).ok_or_else(|| StoreError::NotFound { what: "component", id: id.to_string() })
    }

    /// The row for a description's name, made if the name is new.
    fn row_for(&mut self, new: &NewVersion) -> StoreResult<&mut ComponentRow> {
        let known = self.find(&new.description.id);
        if let Some(known) = known {
            check_kind(known, &new.description)?;
        }
        let known = known.map(|component| component.id);
        if known.is_none() {
            check_count(self.count(), new.quota_components)?;
            let now = whole_micros(new.now);
            let component = Component {
                id: new.component_id,
                name: new.description.id.clone(),
                kind: new.description.kind(),
                active_version: None,
                channels: BTreeMap::new(),
                latest_version: 0,
                created_at: now,
                updated_at: now,
                archived_at: None,
            };
            if !self.table.add(new.component_id, ComponentRow { component, versions: Vec::new() }) {
                return Err(StoreError::Duplicate { what: "component", id: new.component_id.to_string() });
            }
        }
        self.row_mut(known.unwrap_or(new.component_id))
    }
}

#[async_trait]
impl ComponentStore for MemoryStore {
    async fn add_version(&self, org: OrgId, mut new: NewVersion) -> StoreResult<StoredVersion> {
        check_digest(&new.wasm, new.digest)?;
        let mut state = self.lock();
        let state = &mut *state;
        let components = &mut state.tenants.entry(org).or_default().components;
        if !components.has(&new) {
            check_room(components.bytes()?, new.wasm.len() as u64, new.quota_bytes)?;
        }
        let row = state.tenants.entry(org).or_default().components.row_for(&new)?;
        let digest = new.digest;
        let wasm = std::mem::take(&mut new.wasm);
        let size = wasm.len() as u64;
        state.blobs.entry(digest).or_insert_with(|| wasm.into());
        Ok(row.add(new, size))
    }

    async fn get_component(&self, org: OrgId, id: ComponentId) -> StoreResult<Option<Component>> {
        Ok(self.read(org, |tenant| tenant.components.table.get(id).map(|row| row.component.clone())))
    }

    async fn find_component(&self, org: OrgId, name: &str) -> StoreResult<Option<Component>> {
        Ok(self.read(org, |tenant| tenant.components.find(name).cloned()))
    }

    async fn list_components(&self, org: OrgId, page: Page) -> StoreResult<Listing<Component>> {
        Ok(self.read(org, |tenant| tenant.components.table.list(page, |row| row.component.clone())))
    }

    async fn get_version(&self, org: OrgId, id: ComponentId, version: u32) -> StoreResult<Option<ComponentVersion>> {
        Ok(self.read(org, |tenant| {
            let row = tenant.components.table.get(id)?;
            row.version_at(version).map(|at| row.versions[at].clone())
        }))
    }

    async fn list_versions(&self, org: OrgId, id: ComponentId, page: Page) -> StoreResult<Listing<ComponentVersion>> {
        Ok(self.read(org, |tenant| {
            let versions = tenant.components.table.get(id).map(|row| row.versions.as_slice()).unwrap_or_default();
            let items = versions.iter().rev().skip(page.offset as usize).take(page_limit(page) as usize).cloned().collect();
            Listing { items, total: versions.len() as u64 }
        }))
    }

    async fn read_wasm(&self, org: OrgId, digest: Digest) -> StoreResult<Option<Vec<u8>>> {
        let state = self.lock();
        let Some(tenant) = state.tenants.get(&org) else { return Ok(None) };
        let uploaded = tenant
            .components
            .table
            .iter()
            .flat_map(|row| &row.versions)
            .any(|version| version.digest == digest && version.stored_at.is_some());
        Ok(state.blobs.get(&digest).filter(|_| uploaded).map(|bytes| bytes.to_vec()))
    }

    async fn is_stored(&self, digest: Digest) -> StoreResult<bool> {
        let state = self.lock();
        let mut rows = state.tenants.values().flat_map(|tenant| tenant.components.table.iter());
        Ok(rows.any(|row| row.versions.iter().any(|version| version.digest == digest && version.stored_at.is_some())))
    }

    async fn activate(&self, org: OrgId, id: ComponentId, version: u32, activation: Activation) -> StoreResult<Component> {
        self.write(org, |tenant| {
            let row = tenant.components.row_mut(id)?;
            let now = whole_micros(activation.now);
            let ComponentRow { component, versions } = row;
            let stored = versions.iter_mut().find(|stored| stored.version == version && stored.stored_at.is_some());
            let stored = stored.ok_or_else(|| missing_version(id, version))?;
            match activation.channel {
                Some(channel) => {
                    check_channels(component, &channel)?;
                    component.channels.insert(channel, version);
                }
                None => {
                    stored.activated_at = Some(now);
                    component.active_version = Some(version);
                    component.archived_at = None;
                }
            }
            (stored.grant, stored.budget) = (activation.grant, activation.budget);
            (stored.granted_at, stored.archived_at) = (Some(now), None);
            component.updated_at = now;
            Ok(component.clone())
        })
    }

    async fn remove_channel(&self, org: OrgId, id: ComponentId, channel: &str) -> StoreResult<bool> {
        self.write(org, |tenant| Ok(tenant.components.row_mut(id)?.component.channels.remove(channel).is_some()))
    }

    async fn archive_component(&self, org: OrgId, id: ComponentId, now: Timestamp) -> StoreResult<Component> {
        self.write(org, |tenant| {
            let component = &mut tenant.components.row_mut(id)?.component;
            component.archived_at.get_or_insert(whole_micros(now));
            Ok(component.clone())
        })
    }

    async fn archive_version(&self, org: OrgId, id: ComponentId, version: u32, now: Timestamp) -> StoreResult<ComponentVersion> {
        self.write(org, |tenant| {
            let ComponentRow { component, versions } = tenant.components.row_mut(id)?;
            let stored = versions.iter_mut().find(|stored| stored.version == version).ok_or_else(|| missing_version(id, version))?;
            check_unused(component, version)?;
            stored.archived_at.get_or_insert(whole_micros(now));
            Ok(stored.clone())
        })
    }

    async fn collect(&self, org: OrgId, before: Timestamp, limit: u32) -> StoreResult<Collected> {
        let mut state = self.lock();
        let State { tenants, blobs, .. } = &mut *state;
        let Some(tenant) = tenants.get_mut(&org) else { return Ok(Collected::default()) };
        let Some(in_use) = tenant.sessions.used_by_open_turns() else { return Ok(Collected::default()) };
        let mut collected = Collected::default();
        for row in tenant.components.table.iter_mut() {
            let is_old = |at: Option<Timestamp>| at.is_some_and(|at| at <= before);
            let with_component = is_old(row.component.archived_at);
            let is_due = |version: &&mut ComponentVersion| {
                is_old(version.stored_at) && (with_component || is_old(version.archived_at)) && !in_use.contains(&version.digest)
            };
            for version in row.versions.iter_mut().filter(is_due).take((limit - collected.versions) as usize) {
                version.stored_at = None;
                collected.versions += 1;
                collected.bytes += version.size;
            }
        }
        let versions = tenants.values().flat_map(|tenant| tenant.components.table.iter()).flat_map(|row| &row.versions);
        let needed: HashSet<Digest> = versions.filter(|version| version.stored_at.is_some()).map(|version| version.digest).collect();
        blobs.retain(|digest, _| needed.contains(digest));
        Ok(collected)
    }
}

fn missing_version(id: ComponentId, version: u32) -> StoreError {
    StoreError::NotFound { what: "component version", id: format!("{id}/{version}") }
}

/// What remains of a version without bytes, in characters of its description.
fn description_size(version: &ComponentVersion) -> StoreResult<u64> {
    let description = serde_json::to_string(&version.description);
    let description = description.map_err(|error| StoreError::Corrupt(format!("a description cannot be written as JSON: {error}")))?;
    Ok(description.chars().count() as u64)
}
