//! Members of orgs.

use async_trait::async_trait;

use super::error::{store_error, taken};
use super::read::{list, unmet};
use super::row::{Stored, Word, integer, key};
use super::{DbConnection, DbRow, Lock, Store};
use crate::id::{MemberId, OrgId};
use crate::store::rules::{check_members, check_owners};
use crate::store::{Listing, Member, MemberStore, Page, Role, StoreError, StoreResult};

macro_rules! select_member {
    ($tail:literal) => {
        concat!("SELECT id, name, email, role, version, created_at, updated_at FROM members ", $tail)
    };
}

fn member(row: &DbRow) -> StoreResult<Member> {
    let row = Stored::new(row, "members", &["id"]);
    Ok(Member {
        id: row.id("id", MemberId::from_uuid)?,
        name: row.required("name")?,
        email: row.optional("email")?,
        role: row.word("role")?,
        version: row.number("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// The role of a member; none if there is no such member.
pub(super) async fn role(connection: &mut DbConnection, org: OrgId, id: MemberId) -> StoreResult<Option<Role>> {
    let row = sqlx::query("SELECT id, role FROM members WHERE org_id = $1 AND id = $2")
        .bind(key(org.uuid()))
        .bind(key(id.uuid()))
        .fetch_optional(connection)
        .await
        .map_err(store_error)?;
    row.map(|row| Stored::new(&row, "members", &["id"]).word("role")).transpose()
}

/// How many members an org has, and how many of them are owners. Whoever changes one of them holds the lock of the org's keys.
async fn count(connection: &mut DbConnection, org: OrgId) -> StoreResult<(usize, usize)> {
    let (members, owners): (i64, i64) =
        sqlx::query_as("SELECT count(*), count(CASE WHEN role = 'owner' THEN 1 END) FROM members WHERE org_id = $1")
            .bind(key(org.uuid()))
            .fetch_one(connection)
            .await
            .map_err(store_error)?;
    let number = |count: i64| usize::try_from(count).unwrap_or(usize::MAX);
    Ok((number(members), number(owners)))
}

#[async_trait]
impl MemberStore for Store {
    async fn add_member(&self, org: OrgId, member: Member) -> StoreResult<()> {
        let mut writer = self.db.writer(Lock::Installation).await;
        let mut tx = writer.begin().await?;
        check_members(count(&mut tx, org).await?.0)?;
        // Selecting from orgs inserts nothing, instead of failing, if the org does not exist.
        let inserted = sqlx::query(concat!(
            "INSERT INTO members (org_id, id, name, email, role, version, created_at, updated_at) ",
            "SELECT id, $2, $3, $4, $5, $6, $7, $8 FROM orgs WHERE id = $1"
        ))
        .bind(key(org.uuid()))
        .bind(key(member.id.uuid()))
        .bind(&member.name)
        .bind(&member.email)
        .bind(member.role.word())
        .bind(integer(member.version)?)
        .bind(member.created_at.as_microsecond())
        .bind(member.updated_at.as_microsecond())
        .execute(&mut *tx)
        .await
        .map_err(|error| taken(error, "member", &[("members.id", &member.id)]))?;
        if inserted.rows_affected() == 0 {
            return Err(StoreError::NotFound { what: "org", id: org.to_string() });
        }
        tx.commit().await.map_err(store_error)
    }

    async fn get_member(&self, org: OrgId, id: MemberId) -> StoreResult<Option<Member>> {
        let row = sqlx::query(select_member!("WHERE org_id = $1 AND id = $2"))
            .bind(key(org.uuid()))
            .bind(key(id.uuid()))
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.as_ref().map(member).transpose()
    }

    async fn list_members(&self, org: OrgId, page: Page) -> StoreResult<Listing<Member>> {
        let count = "SELECT count(*) FROM members WHERE org_id = $1";
        list(&self.db, org, page, (count, select_member!("WHERE org_id = $1 ORDER BY position LIMIT $2 OFFSET $3")), member).await
    }

    async fn update_member(&self, org: OrgId, changed: Member) -> StoreResult<()> {
        let mut writer = self.db.writer(Lock::Installation).await;
        let mut tx = writer.begin().await?;
        let updated = sqlx::query(concat!(
            "UPDATE members SET name = $3, email = $4, role = $5, version = $6, updated_at = $7 ",
            "WHERE org_id = $1 AND id = $2 AND version = $6 - 1"
        ));
        let was = role(&mut tx, org, changed.id).await?;
        let owners = count(&mut tx, org).await?.1;
        let updated = updated
            .bind(key(org.uuid()))
            .bind(key(changed.id.uuid()))
            .bind(&changed.name)
            .bind(&changed.email)
            .bind(changed.role.word())
            .bind(integer(changed.version)?)
            .bind(changed.updated_at.as_microsecond())
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        let Some(was) = was.filter(|_| updated.rows_affected() > 0) else {
            let exists = "SELECT EXISTS (SELECT 1 FROM members WHERE org_id = $1 AND id = $2)";
            return Err(unmet(&mut tx, exists, org, changed.id.uuid(), "member", changed.id.to_string()).await);
        };
        check_owners(changed.id, was, Some(changed.role), owners)?;
        tx.commit().await.map_err(store_error)
    }

    async fn remove_member(&self, org: OrgId, id: MemberId) -> StoreResult<bool> {
        let mut writer = self.db.writer(Lock::Installation).await;
        let mut tx = writer.begin().await?;
        let Some(was) = role(&mut tx, org, id).await? else { return Ok(false) };
        check_owners(id, was, None, count(&mut tx, org).await?.1)?;
        for statement in ["DELETE FROM api_keys WHERE org_id = $1 AND member_id = $2", "DELETE FROM members WHERE org_id = $1 AND id = $2"]
        {
            sqlx::query(statement).bind(key(org.uuid())).bind(key(id.uuid())).execute(&mut *tx).await.map_err(store_error)?;
        }
        tx.commit().await.map_err(store_error)?;
        Ok(true)
    }
}
