//! Uploaded components. Their bytes are stored once for all orgs, see [`blob`]; an org finds them only by a
//! version of its own.

use async_trait::async_trait;
use jiff::Timestamp;

use super::blob::{Arriving, checked};
use super::error::{store_error, taken};
use super::read::list;
use super::row::{Stored, json, key};
use super::{DbConnection, DbRow, Lock, Store, blob, component_version as versions};
use crate::component::{Component, ComponentDescription, ComponentVersion, Digest, Grant};
use crate::id::{ComponentId, OrgId};
use crate::limits::Budget;
use crate::store::component::{check_channels, check_count, check_kind, check_room, check_unused};
use crate::store::rules::{check_digest, page_limit, whole_micros};
use crate::store::{Activation, Collected, ComponentStore, Listing, NewVersion, Note, Page, StoreError, StoreResult, StoredVersion};

macro_rules! select_component {
    ($tail:literal) => {
        concat!(
            "SELECT id, name, kind, active_version, channels, latest_version, created_at, updated_at, archived_at FROM components ",
            $tail
        )
    };
}

macro_rules! select_version {
    ($tail:literal) => {
        concat!(
            "SELECT component_id, version, digest, size, description, imports, signature, granted, budget, created_at, activated_at, ",
            "granted_at, archived_at, stored_at FROM component_versions ",
            $tail
        )
    };
}

fn component(row: &DbRow) -> StoreResult<Component> {
    let row = Stored::new(row, "components", &["id"]);
    Ok(Component {
        id: row.id("id", ComponentId::from_uuid)?,
        name: row.required("name")?,
        kind: row.word("kind")?,
        active_version: row.optional_number("active_version")?,
        channels: row.json("channels")?,
        latest_version: row.number("latest_version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        archived_at: row.optional_time("archived_at")?,
    })
}

fn version(row: &DbRow) -> StoreResult<ComponentVersion> {
    let row = Stored::new(row, "component_versions", &["component_id", "version"]);
    Ok(ComponentVersion {
        component_id: row.id("component_id", ComponentId::from_uuid)?,
        version: row.number("version")?,
        digest: row.parsed("digest")?,
        size: row.number("size")?,
        description: row.json("description")?,
        imports: row.json("imports")?,
        signature: row.optional("signature")?,
        grant: row.json("granted")?,
        budget: row.json("budget")?,
        created_at: row.time("created_at")?,
        activated_at: row.optional_time("activated_at")?,
        granted_at: row.optional_time("granted_at")?,
        archived_at: row.optional_time("archived_at")?,
        stored_at: row.optional_time("stored_at")?,
    })
}

async fn component_by_name(connection: &mut DbConnection, org: OrgId, name: &str) -> StoreResult<Option<Component>> {
    let row = sqlx::query(select_component!("WHERE org_id = $1 AND name = $2"))
        .bind(key(org.uuid()))
        .bind(name)
        .fetch_optional(connection)
        .await
        .map_err(store_error)?;
    row.as_ref().map(component).transpose()
}

async fn component_by_id(connection: &mut DbConnection, org: OrgId, id: ComponentId) -> StoreResult<Option<Component>> {
    let row = sqlx::query(select_component!("WHERE org_id = $1 AND id = $2"))
        .bind(key(org.uuid()))
        .bind(key(id.uuid()))
        .fetch_optional(connection)
        .await
        .map_err(store_error)?;
    row.as_ref().map(component).transpose()
}

async fn version_by_digest(
    connection: &mut DbConnection,
    org: OrgId,
    id: ComponentId,
    digest: Digest,
) -> StoreResult<Option<ComponentVersion>> {
    let row = sqlx::query(select_version!("WHERE org_id = $1 AND component_id = $2 AND digest = $3"))
        .bind(key(org.uuid()))
        .bind(key(id.uuid()))
        .bind(digest.to_string())
        .fetch_optional(connection)
        .await
        .map_err(store_error)?;
    row.as_ref().map(version).transpose()
}

async fn insert_component(
    connection: &mut DbConnection,
    org: OrgId,
    id: ComponentId,
    description: &ComponentDescription,
    now: Timestamp,
) -> StoreResult<()> {
    sqlx::query(concat!(
        "INSERT INTO components (org_id, id, name, kind, active_version, channels, latest_version, created_at, updated_at, archived_at) ",
        "VALUES ($1, $2, $3, $4, NULL, '{}', 0, $5, $5, NULL)"
    ))
    .bind(key(org.uuid()))
    .bind(key(id.uuid()))
    .bind(&description.id)
    .bind(description.kind().as_str())
    .bind(now.as_microsecond())
    .execute(connection)
    .await
    .map_err(|error| taken(error, "component", &[("components.id", &id)]))?;
    Ok(())
}

/// Counts the component's versions up by one and returns it.
async fn next_version(connection: &mut DbConnection, org: OrgId, id: ComponentId, now: Timestamp) -> StoreResult<Component> {
    let row = sqlx::query(concat!(
        "UPDATE components SET latest_version = latest_version + 1, updated_at = $3 WHERE org_id = $1 AND id = $2 ",
        "RETURNING id, name, kind, active_version, channels, latest_version, created_at, updated_at, archived_at"
    ))
    .bind(key(org.uuid()))
    .bind(key(id.uuid()))
    .bind(now.as_microsecond())
    .fetch_one(connection)
    .await
    .map_err(store_error)?;
    component(&row)
}

/// Bytes of all versions of an org; of those whose bytes were deleted, the description is left. The same
/// bytes under two names count twice: whose they are first must make no difference.
async fn stored_bytes(connection: &mut DbConnection, org: OrgId) -> StoreResult<u64> {
    let row = sqlx::query(concat!(
        "SELECT CAST(coalesce(sum(CASE WHEN stored_at IS NULL THEN length(description) ELSE size END), 0) AS BIGINT) AS bytes ",
        "FROM component_versions WHERE org_id = $1"
    ))
    .bind(key(org.uuid()))
    .fetch_one(connection)
    .await
    .map_err(store_error)?;
    Stored::new(&row, "component_versions", &[]).number("bytes")
}

async fn stored_components(connection: &mut DbConnection, org: OrgId) -> StoreResult<u64> {
    let row = sqlx::query(concat!(
        "SELECT count(*) AS components FROM components WHERE org_id = $1 AND (archived_at IS NULL OR EXISTS (",
        "SELECT 1 FROM component_versions AS it WHERE it.org_id = $1 AND it.component_id = components.id AND it.stored_at IS NOT NULL))"
    ))
    .bind(key(org.uuid()))
    .fetch_one(connection)
    .await
    .map_err(store_error)?;
    Stored::new(&row, "components", &[]).number("components")
}

async fn insert_version(connection: &mut DbConnection, org: OrgId, version: &ComponentVersion) -> StoreResult<()> {
    sqlx::query(concat!(
        "INSERT INTO component_versions (org_id, component_id, version, digest, size, description, imports, granted, budget, created_at, stored_at, ",
        "signature) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11)"
    ))
    .bind(key(org.uuid()))
    .bind(key(version.component_id.uuid()))
    .bind(i64::from(version.version))
    .bind(version.digest.to_string())
    .bind(super::row::integer(version.size)?)
    .bind(json(&version.description)?)
    .bind(json(&version.imports)?)
    .bind(json(&version.grant)?)
    .bind(json(&version.budget)?)
    .bind(version.created_at.as_microsecond())
    .bind(&version.signature)
    .execute(connection)
    .await
    .map_err(store_error)?;
    Ok(())
}

fn missing(id: ComponentId) -> StoreError {
    StoreError::NotFound { what: "component", id: id.to_string() }
}

impl Store {
    /// Adds a version, and tells whether it needed the bytes.
    async fn add(&self, org: OrgId, new: NewVersion, arriving: &Arriving) -> StoreResult<(StoredVersion, bool)> {
        let (digest, size, now) = (new.digest, arriving.size(), whole_micros(new.now));
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        let id = match component_by_name(&mut tx, org, &new.description.id).await? {
            Some(component) => {
                check_kind(&component, &new.description)?;
                if let Some(mut version) = version_by_digest(&mut tx, org, component.id, digest).await? {
                    if version.stored_at.is_none() {
                        check_room(stored_bytes(&mut tx, org).await?, size, new.quota_bytes)?;
                    }
                    let is_needed = (version.stored_at.is_none() || arriving.mends()) && blob::insert(&mut tx, arriving).await?;
                    versions::bring_back(&mut tx, org, &mut version, (new.signature, now)).await?;
                    tx.commit().await.map_err(store_error)?;
                    return Ok((StoredVersion { component, version, created: false }, is_needed));
                }
                component.id
            }
            None => {
                check_count(stored_components(&mut tx, org).await?, new.quota_components)?;
                // Whatever is refused below is not kept either.
                insert_component(&mut tx, org, new.component_id, &new.description, now).await?;
                new.component_id
            }
        };
        check_room(stored_bytes(&mut tx, org).await?, size, new.quota_bytes)?;
        let is_needed = blob::insert(&mut tx, arriving).await?;
        let component = next_version(&mut tx, org, id, now).await?;
        let kind = new.description.kind();
        let version = ComponentVersion {
            component_id: id,
            version: component.latest_version,
            digest,
            size,
            description: new.description,
            imports: new.imports,
            signature: new.signature,
            grant: Grant::default(),
            budget: Budget::of(kind),
            created_at: now,
            activated_at: None,
            granted_at: None,
            archived_at: None,
            stored_at: Some(now),
        };
        insert_version(&mut tx, org, &version).await?;
        tx.commit().await.map_err(store_error)?;
        Ok((StoredVersion { component, version, created: true }, is_needed))
    }
}

#[async_trait]
impl ComponentStore for Store {
    async fn add_version(&self, org: OrgId, mut new: NewVersion) -> StoreResult<StoredVersion> {
        let digest = new.digest;
        let bytes = checked(std::mem::take(&mut new.wasm).into(), move |bytes| check_digest(bytes, digest)).await?;
        let arriving = self.arrive(org, bytes, digest, (new.component_id.uuid(), whole_micros(new.now))).await?;
        let stored = self.add(org, new, &arriving).await;
        if !matches!(stored, Ok((_, true))) {
            self.turn_away(&arriving).await;
        }
        stored.map(|(stored, _)| stored)
    }

    async fn get_component(&self, org: OrgId, id: ComponentId) -> StoreResult<Option<Component>> {
        component_by_id(&mut *self.db.reader().await?, org, id).await
    }

    async fn find_component(&self, org: OrgId, name: &str) -> StoreResult<Option<Component>> {
        component_by_name(&mut *self.db.reader().await?, org, name).await
    }

    async fn list_components(&self, org: OrgId, page: Page) -> StoreResult<Listing<Component>> {
        let count = "SELECT count(*) FROM components WHERE org_id = $1";
        let rows = select_component!("WHERE org_id = $1 ORDER BY position LIMIT $2 OFFSET $3");
        list(&self.db, org, page, (count, rows), component).await
    }

    async fn get_version(&self, org: OrgId, id: ComponentId, number: u32) -> StoreResult<Option<ComponentVersion>> {
        let row = sqlx::query(select_version!("WHERE org_id = $1 AND component_id = $2 AND version = $3"))
            .bind(key(org.uuid()))
            .bind(key(id.uuid()))
            .bind(i64::from(number))
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.as_ref().map(version).transpose()
    }

    async fn list_versions(&self, org: OrgId, id: ComponentId, page: Page) -> StoreResult<Listing<ComponentVersion>> {
        // Versions are numbered from 1 without gaps and never removed, so the newest number is
        // also how many there are.
        let newest = self.get_component(org, id).await?.map_or(0, |component| component.latest_version);
        let rows = sqlx::query(select_version!(
            "WHERE org_id = $1 AND component_id = $2 AND version <= $3 ORDER BY version DESC LIMIT $4 OFFSET $5"
        ))
        .bind(key(org.uuid()))
        .bind(key(id.uuid()))
        .bind(i64::from(newest))
        .bind(i64::from(page_limit(page)))
        .bind(i64::from(page.offset))
        .fetch_all(&mut *self.db.reader().await?)
        .await
        .map_err(store_error)?;
        Ok(Listing { items: rows.iter().map(version).collect::<StoreResult<_>>()?, total: newest.into() })
    }

    async fn read_wasm(&self, org: OrgId, digest: Digest) -> StoreResult<Option<Vec<u8>>> {
        let row = sqlx::query(concat!(
            "SELECT digest, bytes, object FROM blobs WHERE digest = $2 ",
            "AND EXISTS (SELECT 1 FROM component_versions WHERE org_id = $1 AND digest = $2 AND stored_at IS NOT NULL)"
        ))
        .bind(key(org.uuid()))
        .bind(digest.to_string())
        .fetch_optional(&mut *self.db.reader().await?)
        .await
        .map_err(store_error)?;
        let Some(row) = row else { return Ok(None) };
        self.fetch(&Stored::new(&row, "blobs", &["digest"]), digest).await.map(|bytes| Some(bytes.into()))
    }

    async fn is_stored(&self, digest: Digest) -> StoreResult<bool> {
        versions::is_stored(&mut *self.db.reader().await?, digest).await
    }

    async fn activate(&self, org: OrgId, id: ComponentId, number: u32, activation: Activation) -> StoreResult<Component> {
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        let now = whole_micros(activation.now);
        let mut component = component_by_id(&mut tx, org, id).await?.ok_or_else(|| missing(id))?;
        let is_pointed_to = activation.channel.is_some();
        match &activation.channel {
            Some(channel) => {
                check_channels(&component, channel)?;
                component.channels.insert(channel.clone(), number);
            }
            None => (component.active_version, component.archived_at) = (Some(number), None),
        }
        component.updated_at = now;
        versions::grant(&mut tx, org, (id, number), &activation, is_pointed_to).await?;
        versions::point(&mut tx, org, &component).await?;
        tx.commit().await.map_err(store_error)?;
        Ok(component)
    }

    async fn remove_channel(&self, org: OrgId, id: ComponentId, channel: &str) -> StoreResult<bool> {
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        let mut component = component_by_id(&mut tx, org, id).await?.ok_or_else(|| missing(id))?;
        let removed = component.channels.remove(channel).is_some();
        // What changes nothing is not committed, so that the audit log does not say that it was done.
        if removed {
            versions::point(&mut tx, org, &component).await?;
            tx.commit().await.map_err(store_error)?;
        }
        Ok(removed)
    }

    async fn archive_component(&self, org: OrgId, id: ComponentId, now: Timestamp) -> StoreResult<Component> {
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        // One that is archived already keeps its time.
        let row = sqlx::query(concat!(
            "UPDATE components SET archived_at = coalesce(archived_at, $3) WHERE org_id = $1 AND id = $2 ",
            "RETURNING id, name, kind, active_version, channels, latest_version, created_at, updated_at, archived_at"
        ))
        .bind(key(org.uuid()))
        .bind(key(id.uuid()))
        .bind(now.as_microsecond())
        .fetch_optional(&mut *tx)
        .await
        .map_err(store_error)?
        .ok_or_else(|| missing(id))?;
        tx.commit().await.map_err(store_error)?;
        component(&row)
    }

    async fn archive_version(&self, org: OrgId, id: ComponentId, number: u32, now: Timestamp) -> StoreResult<ComponentVersion> {
        let mut writer = self.db.writer(Lock::Org(org)).await;
        let mut tx = writer.begin().await?;
        let component = component_by_id(&mut tx, org, id).await?.ok_or_else(|| missing(id))?;
        let row = versions::archive(&mut tx, org, (id, number), whole_micros(now)).await?;
        // What was written above is gone with the transaction.
        check_unused(&component, number)?;
        tx.commit().await.map_err(store_error)?;
        version(&row)
    }

    async fn collect(&self, org: OrgId, before: Timestamp, limit: u32) -> StoreResult<Collected> {
        let collected = {
            let mut writer = self.db.writer(Lock::Org(org)).await;
            let mut tx = Note::apart(writer.begin()).await?;
            let collected = versions::collect(&mut tx, org, before, limit).await?;
            tx.commit().await.map_err(store_error)?;
            collected
        };
        // Others write while the bucket is waited for.
        if let Some(blobs) = &self.blobs {
            self.sweep(&**blobs, before).await;
        }
        Ok(collected)
    }
}
