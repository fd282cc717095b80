//! The table of workers.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::Store;
use super::error::store_error;
use crate::id::WorkerId;
use crate::store::lock::Lock;
use crate::store::rules::page_limit;
use crate::store::worker::check_workers;
use crate::store::{Listing, Page, StoreError, StoreResult, WorkerRecord, WorkerReport, WorkerState, WorkerStore};

macro_rules! columns {
    () => {
        "id, version, definition, slots, running, state, drain, started_at, seen_at"
    };
}

fn word(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Active => "active",
        WorkerState::Draining => "draining",
        WorkerState::Drained => "drained",
    }
}

fn record(row: &PgRow) -> StoreResult<WorkerRecord> {
    let id: Uuid = row.try_get("id").map_err(store_error)?;
    let corrupt = |column: &str| StoreError::Corrupt(format!("workers.{column} of {id} cannot be read"));
    let text = |column: &'static str| row.try_get::<String, _>(column).map_err(store_error);
    let number = |column: &'static str| row.try_get::<i64, _>(column).map_err(store_error);
    let time = |column: &'static str| Timestamp::from_microsecond(number(column)?).map_err(|_| corrupt(column));
    let count = |column: &'static str| u32::try_from(number(column)?).map_err(|_| corrupt(column));
    let known = [WorkerState::Active, WorkerState::Draining, WorkerState::Drained];
    let state = text("state")?;
    let report = WorkerReport {
        id: WorkerId::from_uuid(id),
        version: text("version")?,
        definition: text("definition")?.parse().map_err(|_| corrupt("definition"))?,
        slots: count("slots")?,
        running: count("running")?,
        state: known.into_iter().find(|known| word(*known) == state).ok_or_else(|| corrupt("state"))?,
        started_at: time("started_at")?,
    };
    Ok(WorkerRecord { report, drain: row.try_get("drain").map_err(store_error)?, seen_at: time("seen_at")? })
}

#[async_trait]
impl WorkerStore for Store {
    async fn report_worker(&self, report: WorkerReport, told: bool, now: Timestamp, forget: Timestamp) -> StoreResult<bool> {
        let mut writer = self.db.writer(Lock::Installation).await;
        let update = concat!(
            "UPDATE workers SET version = $2, definition = $3, slots = $4, running = $5, state = $6, started_at = $7, seen_at = $8 ",
            "WHERE id = $1 RETURNING drain"
        );
        let insert = concat!("INSERT INTO workers (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $9, $7, $8) RETURNING drain");
        let tell = |query| {
            sqlx::query_scalar::<_, bool>(query)
                .bind(report.id.uuid())
                .bind(report.version.clone())
                .bind(report.definition.to_string())
                .bind(i64::from(report.slots))
                .bind(i64::from(report.running))
                .bind(word(report.state))
                .bind(report.started_at.as_microsecond())
                .bind(now.as_microsecond())
        };
        if let Some(drain) = tell(update).fetch_optional(&mut *writer.connection().await?).await.map_err(store_error)? {
            return Ok(drain);
        }
        let mut tx = writer.begin().await?;
        let forgotten = sqlx::query("DELETE FROM workers WHERE seen_at < $1").bind(forget.as_microsecond());
        forgotten.execute(&mut *tx).await.map_err(store_error)?;
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM workers").fetch_one(&mut *tx).await.map_err(store_error)?;
        check_workers(usize::try_from(count).unwrap_or(usize::MAX))?;
        let drain = tell(insert).bind(told).fetch_one(&mut *tx).await.map_err(store_error)?;
        tx.commit().await.map_err(store_error)?;
        Ok(drain)
    }

    async fn list_workers(&self, seen_since: Timestamp, page: Page) -> StoreResult<Listing<WorkerRecord>> {
        let rows = sqlx::query(concat!("SELECT ", columns!(), " FROM workers WHERE seen_at >= $1 ORDER BY started_at, id"));
        let rows = rows.bind(seen_since.as_microsecond()).fetch_all(&mut *self.db.reader().await?).await.map_err(store_error)?;
        // There are at most [`MAX_WORKERS`](crate::limits::MAX_WORKERS). Pages are cut here, so that the total is of the same moment.
        let part = rows.iter().skip(page.offset as usize).take(page_limit(page) as usize);
        Ok(Listing { items: part.map(record).collect::<StoreResult<_>>()?, total: rows.len() as u64 })
    }

    async fn drain_worker(&self, id: WorkerId, drain: bool) -> StoreResult<Option<WorkerRecord>> {
        let mut writer = self.db.writer(Lock::Installation).await;
        let row = sqlx::query(concat!("UPDATE workers SET drain = $2 WHERE id = $1 RETURNING ", columns!())).bind(id.uuid()).bind(drain);
        // With its entry of the audit log, which a transaction begins with.
        let mut tx = writer.begin().await?;
        let Some(row) = row.fetch_optional(&mut *tx).await.map_err(store_error)? else { return Ok(None) };
        tx.commit().await.map_err(store_error)?;
        record(&row).map(Some)
    }

    async fn remove_worker(&self, id: WorkerId) -> StoreResult<bool> {
        let mut writer = self.db.writer(Lock::Installation).await;
        let removed = sqlx::query("DELETE FROM workers WHERE id = $1").bind(id.uuid());
        let removed = removed.execute(&mut *writer.connection().await?).await.map_err(store_error)?;
        Ok(removed.rows_affected() > 0)
    }
}
