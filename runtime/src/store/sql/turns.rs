//! What is read of turns.

use jiff::Timestamp;

use super::error::store_error;
use super::read::snapshot;
use super::row::{Stored, Word, key};
use super::{Db, DbQuery, DbRow};
use crate::id::{OrgId, SessionId, TurnId};
use crate::store::rules::page_limit;
use crate::store::{Fence, Listing, LogUsage, Page, StoreResult, TurnEnd, TurnFilter, TurnRecord};
use crate::usage::{BegunTurns, TurnRate};

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

/// See [`SessionLog::log_usage`](crate::store::SessionLog::log_usage). The sums are of a few parts.
pub(super) async fn log_usage(db: &Db, org: OrgId, now: Timestamp) -> StoreResult<LogUsage> {
    let row = sqlx::query(concat!(
        "SELECT CAST(coalesce(sum(event_bytes), 0) AS bigint) AS event_bytes, ",
        "CAST(coalesce(sum(CASE WHEN minute = $2 THEN turns WHEN minute = $2 + 1 THEN turns + turns_before ELSE 0 END), 0) AS bigint) ",
        "AS this_minute, ",
        "CAST(coalesce(sum(CASE WHEN minute = $2 THEN turns_before WHEN minute = $2 - 1 THEN turns ELSE 0 END), 0) AS bigint) ",
        "AS last_minute, (SELECT count(DISTINCT session_id) FROM turns",
        indexed_by!("turns_open"),
        " WHERE org_id = $1 AND outcome IS NULL) AS busy FROM log_usage WHERE org_id = $1"
    ))
    .bind(key(org.uuid()))
    .bind(TurnRate::minute(now))
    .fetch_one(&mut *db.reader().await?)
    .await
    .map_err(store_error)?;
    let row = Stored::new(&row, "log_usage", &[]);
    let begun = BegunTurns { this_minute: row.number("this_minute")?, last_minute: row.number("last_minute")? };
    Ok(LogUsage { busy_sessions: row.number("busy")?, begun, event_bytes: row.number("event_bytes")? })
}
