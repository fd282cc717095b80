//! What is read of turns.

use super::error::store_error;
use super::read::snapshot;
use super::row::{Stored, Word, key};
use super::{Db, DbQuery, DbRow};
use crate::id::{OrgId, SessionId, TurnId};
use crate::store::rules::page_limit;
use crate::store::{Fence, Listing, Page, StoreResult, TurnEnd, TurnFilter, TurnRecord};

/// The turns that a filter lets through.
macro_rules! from_turns {
    () => {
        " FROM turns WHERE org_id = $1 AND (session_id = $2 OR $2 IS NULL) AND (id = $3 OR $3 IS NULL) AND (outcome = $4 OR $4 IS NULL)"
    };
}

fn record(row: &DbRow) -> StoreResult<TurnRecord> {
    let row = Stored::new(row, "turns", &["id"]);
    let end = row.optional::<&str>("outcome")?.map(|_| row.word::<TurnEnd>("outcome")).transpose()?;
    Ok(TurnRecord {
        turn_id: row.id("id", TurnId::from_uuid)?,
        session_id: row.id("session_id", SessionId::from_uuid)?,
        input_sequence: row.number("input_sequence")?,
        attempts: row.number("attempt")?,
        end,
    })
}

/// A page of an org's turns, and how many there are, both of one moment.
pub(super) async fn list_turns(db: &Db, org: OrgId, filter: TurnFilter, page: Page) -> StoreResult<Listing<TurnRecord>> {
    let filtered = |query: DbQuery<'static>| {
        query
            .bind(key(org.uuid()))
            .bind(filter.session.map(|session| key(session.uuid())))
            .bind(filter.turn.map(|turn| key(turn.uuid())))
            .bind(filter.end.map(|end| end.word()))
    };
    let mut reader = db.reader().await?;
    let mut tx = snapshot(&mut reader).await?;
    let count = filtered(sqlx::query(concat!("SELECT count(*) AS total", from_turns!())));
    let total = count.fetch_one(&mut *tx).await.map_err(store_error)?;
    let rows = filtered(sqlx::query(concat!(
        "SELECT id, session_id, input_sequence, attempt, outcome",
        from_turns!(),
        " ORDER BY id DESC LIMIT $5 OFFSET $6"
    )));
    let rows = rows.bind(i64::from(page_limit(page))).bind(i64::from(page.offset)).fetch_all(&mut *tx).await.map_err(store_error)?;
    tx.commit().await.map_err(store_error)?;
    let total = Stored::new(&total, "turns", &[]).number("total")?;
    Ok(Listing { items: rows.iter().map(record).collect::<StoreResult<_>>()?, total })
}

/// See [`SessionLog::owner`](crate::store::SessionLog::owner).
pub(super) async fn owner(db: &Db, org: OrgId, session: SessionId, turn: TurnId) -> StoreResult<Option<Fence>> {
    let row = sqlx::query(
        "SELECT id, fence FROM turns WHERE org_id = $1 AND session_id = $2 AND id = $3 \
         AND outcome IS NULL AND parked = FALSE AND fence > 0",
    )
    .bind(key(org.uuid()))
    .bind(key(session.uuid()))
    .bind(key(turn.uuid()))
    .fetch_optional(&mut *db.reader().await?)
    .await
    .map_err(store_error)?;
    row.map(|row| Ok(Fence(Stored::new(&row, "turns", &["id"]).number("fence")?))).transpose()
}

/// See [`SessionLog::waiting_sessions`](crate::store::SessionLog::waiting_sessions).
pub(super) async fn waiting_sessions(db: &Db, org: OrgId, after: Option<SessionId>, limit: u32) -> StoreResult<Vec<SessionId>> {
    let rows = sqlx::query(concat!(
        "SELECT DISTINCT session_id FROM turns",
        indexed_by!("turns_parked"),
        " WHERE org_id = $1 AND session_id > $2 AND outcome IS NULL AND parked = ",
        yes!(),
        " ORDER BY session_id LIMIT $3"
    ))
    .bind(key(org.uuid()))
    .bind(after.map(|after| key(after.uuid())).unwrap_or_default())
    .bind(i64::from(limit))
    .fetch_all(&mut *db.reader().await?)
    .await
    .map_err(store_error)?;
    rows.iter().map(|row| Stored::new(row, "turns", &["session_id"]).id("session_id", SessionId::from_uuid)).collect()
}

/// See [`SessionLog::busy_sessions`](crate::store::SessionLog::busy_sessions).
pub(super) async fn busy_sessions(db: &Db, org: OrgId) -> StoreResult<u64> {
    let row = sqlx::query(concat!(
        "SELECT count(DISTINCT session_id) AS busy FROM turns",
        indexed_by!("turns_open"),
        " WHERE org_id = $1 AND outcome IS NULL"
    ))
    .bind(key(org.uuid()))
    .fetch_one(&mut *db.reader().await?)
    .await
    .map_err(store_error)?;
    Stored::new(&row, "turns", &[]).number("busy")
}
