//! Uploaded components.

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryStore;
use super::table::Table;
use crate::component::{Component, ComponentVersion, Digest, Grant};
use crate::id::{ComponentId, OrgId};
use crate::limits::Budget;
use crate::store::component::{check_count, check_kind, check_room};
use crate::store::rules::{check_digest, page_limit, whole_micros};
use crate::store::{Activation, ComponentStore, Listing, NewVersion, Page, StoreError, StoreResult, StoredVersion};

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
        if let Some(earlier) = self.versions.iter().find(|version| version.digest == new.digest) {
            return StoredVersion { component: self.component.clone(), version: earlier.clone(), created: false };
        }
        let now = whole_micros(new.now);
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
            grant: Grant::default(),
            budget: Budget::of(new_kind),
            created_at: now,
            activated_at: None,
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
        named.any(|row| row.versions.iter().any(|version| version.digest == new.digest))
    }

    fn bytes(&self) -> u64 {
        self.table.iter().flat_map(|row| &row.versions).map(|version| version.size).sum()
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
            check_count(self.table.iter().count() as u64, new.quota_components)?;
            let now = whole_micros(new.now);
            let component = Component {
                id: new.component_id,
                name: new.description.id.clone(),
                kind: new.description.kind(),
                active_version: None,
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
            check_room(components.bytes(), new.wasm.len() as u64, new.quota_bytes)?;
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
        let uploaded = tenant.components.table.iter().flat_map(|row| &row.versions).any(|version| version.digest == digest);
        Ok(state.blobs.get(&digest).filter(|_| uploaded).map(|bytes| bytes.to_vec()))
    }

    async fn activate(&self, org: OrgId, id: ComponentId, version: u32, activation: Activation) -> StoreResult<Component> {
        self.write(org, |tenant| {
            let row = tenant.components.row_mut(id)?;
            let at =
                row.version_at(version).ok_or_else(|| StoreError::NotFound { what: "component version", id: format!("{id}/{version}") })?;
            row.versions[at].grant = activation.grant;
            row.versions[at].budget = activation.budget;
            row.versions[at].activated_at = Some(whole_micros(activation.now));
            row.component.active_version = Some(version);
            row.component.archived_at = None;
            row.component.updated_at = whole_micros(activation.now);
            Ok(row.component.clone())
        })
    }

    async fn archive_component(&self, org: OrgId, id: ComponentId, now: Timestamp) -> StoreResult<Component> {
        self.write(org, |tenant| {
            let component = &mut tenant.components.row_mut(id)?.component;
            component.archived_at.get_or_insert(whole_micros(now));
            Ok(component.clone())
        })
    }
}
