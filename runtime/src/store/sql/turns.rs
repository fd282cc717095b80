//! Turns, as lists show them.

use super::error::store_error;
use super::read::snapshot;
use super::row::{Stored, Word, key};
use super::{Db, DbQuery, DbRow};
use crate::id::{OrgId, SessionId, TurnId};
use crate::store::rules::page_limit;
use crate::store::{Listing, Page, StoreResult, TurnEnd, TurnFilter, TurnRecord};

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
