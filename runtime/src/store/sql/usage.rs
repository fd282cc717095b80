//! The ledger of what is used. Budgets are in `budget`.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row as _;

use super::error::{store_error, taken};
use super::read::snapshot;
use super::row::{Stored, integer, key};
use super::{DbConnection, DbRow, Lock, Store, budget};
use crate::fail_point::fail_point;
use crate::id::{AgentId, BudgetId, OrgId, ReservationId, SessionId, TopUpId, TurnId};
use crate::store::rules::{check_charges, page_limit, wrong_amounts};
use crate::store::{Listing, Page, StoreError, StoreResult, UsageStore};
use crate::usage::{Account, Balance, Entry, Posting, Reservation, Reserved, TopUp, UsageBudget};

/// A charge that is set aside.
struct Held {
    id: ReservationId,
    session: SessionId,
    turn: TurnId,
    account: Account,
    amount: u64,
}

macro_rules! select_held {
    ($tail:literal) => {
        concat!("SELECT id, place, session_id, turn_id, account, opens, amount FROM usage_reservations ", $tail)
    };
}

fn held(row: &DbRow) -> StoreResult<Held> {
    let row = Stored::new(row, "usage_reservations", &["id", "place"]);
    Ok(Held {
        id: row.id("id", ReservationId::from_uuid)?,
        session: row.id("session_id", SessionId::from_uuid)?,
        turn: row.id("turn_id", TurnId::from_uuid)?,
        account: Account { key: row.required("account")?, opens: row.required("opens")? },
        amount: row.number("amount")?,
    })
}

fn posting(row: &DbRow) -> StoreResult<Posting> {
    let row = Stored::new(row, "usage_postings", &["position"]);
    Ok(Posting {
        entry: match row.optional_id("top_up_id", TopUpId::from_uuid)? {
            Some(top_up) => Entry::TopUp(top_up),
            None => Entry::Use {
                reservation: row.id("reservation_id", ReservationId::from_uuid)?,
                session: row.id("session_id", SessionId::from_uuid)?,
                turn: row.id("turn_id", TurnId::from_uuid)?,
            },
        },
        amount: row.number("amount")?,
        at: row.time("at")?,
    })
}

pub(super) async fn balance(connection: &mut DbConnection, org: OrgId, account: &Account) -> StoreResult<Option<Balance>> {
    let statement = "SELECT account, opens, spent, reserved, granted FROM usage_accounts WHERE org_id = $1 AND account = $2 AND opens = $3";
    let row = sqlx::query(statement)
        .bind(key(org.uuid()))
        .bind(&account.key)
        .bind(account.opens)
        .fetch_optional(connection)
        .await
        .map_err(store_error)?;
    row.map(|row| {
        let row = Stored::new(&row, "usage_accounts", &["account", "opens"]);
        Ok(Balance { spent: row.number("spent")?, reserved: row.number("reserved")?, granted: row.number("granted")? })
    })
    .transpose()
}

async fn hold(connection: &mut DbConnection, org: OrgId, reservation: &Reservation) -> StoreResult<()> {
    for (place, charge) in (0_i64..).zip(&reservation.charges) {
        sqlx::query("DELETE FROM usage_accounts WHERE org_id = $1 AND account = $2 AND opens < $3 AND reserved = 0")
            .bind(key(org.uuid()))
            .bind(&charge.account.key)
            .bind(charge.account.opens)
            .execute(&mut *connection)
            .await
            .map_err(store_error)?;
        sqlx::query(concat!(
            "INSERT INTO usage_accounts (org_id, account, opens, spent, reserved) VALUES ($1, $2, $3, 0, $4) ",
            "ON CONFLICT (org_id, account, opens) DO UPDATE SET reserved = usage_accounts.reserved + excluded.reserved"
        ))
        .bind(key(org.uuid()))
        .bind(&charge.account.key)
        .bind(charge.account.opens)
        .bind(integer(charge.amount)?)
        .execute(&mut *connection)
        .await
        .map_err(store_error)?;
        sqlx::query(concat!(
            "INSERT INTO usage_reservations (org_id, id, place, session_id, turn_id, account, opens, amount) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        ))
        .bind(key(org.uuid()))
        .bind(key(reservation.id.uuid()))
        .bind(place)
        .bind(key(reservation.session.uuid()))
        .bind(key(reservation.turn.uuid()))
        .bind(&charge.account.key)
        .bind(charge.account.opens)
        .bind(integer(charge.amount)?)
        .execute(&mut *connection)
        .await
        .map_err(|error| {
            taken(error, "reservation", &[("usage_reservations.id", &reservation.id), ("usage_reservations.pkey", &reservation.id)])
        })?;
    }
    Ok(())
}

/// Counts what a charge came to, and returns what its account says then. One that is gone belonged to a budget that is gone.
async fn end(connection: &mut DbConnection, org: OrgId, held: &Held, spent: u64, at: Timestamp) -> StoreResult<Balance> {
    let Some(before) = balance(connection, org, &held.account).await? else { return Ok(Balance::default()) };
    // A sum that the database cannot hold is as good as the largest one.
    let total = i64::try_from(before.spent.saturating_add(spent)).unwrap_or(i64::MAX);
    let after = Balance { spent: total.unsigned_abs(), reserved: before.reserved.saturating_sub(held.amount), ..before };
    sqlx::query("UPDATE usage_accounts SET spent = $4, reserved = $5 WHERE org_id = $1 AND account = $2 AND opens = $3")
        .bind(key(org.uuid()))
        .bind(&held.account.key)
        .bind(held.account.opens)
        .bind(total)
        .bind(integer(after.reserved)?)
        .execute(&mut *connection)
        .await
        .map_err(store_error)?;
    if spent == 0 || !held.account.has_ledger() {
        return Ok(after);
    }
    sqlx::query(concat!(
        "INSERT INTO usage_postings (org_id, account, reservation_id, session_id, turn_id, amount, at) ",
        "VALUES ($1, $2, $3, $4, $5, $6, $7)"
    ))
    .bind(key(org.uuid()))
    .bind(&held.account.key)
    .bind(key(held.id.uuid()))
    .bind(key(held.session.uuid()))
    .bind(key(held.turn.uuid()))
    .bind(i64::try_from(spent).unwrap_or(i64::MAX))
    .bind(at.as_microsecond())
    .execute(connection)
    .await
    .map_err(store_error)?;
    Ok(after)
}

#[async_trait]
impl UsageStore for Store {
    async fn add_budget(&self, org: OrgId, budget: UsageBudget) -> StoreResult<()> {
        budget::add(self, org, budget).await
    }

    async fn get_budget(&self, org: OrgId, id: BudgetId) -> StoreResult<Option<UsageBudget>> {
        budget::get(self, org, id).await
    }

    async fn list_budgets(&self, org: OrgId, page: Page) -> StoreResult<Listing<UsageBudget>> {
        budget::list_all(self, org, page).await
    }

    async fn budgets_of(&self, org: OrgId, session: SessionId, agent: Option<AgentId>) -> StoreResult<Vec<UsageBudget>> {
        budget::of(self, org, session, agent).await
    }

    async fn update_budget(&self, org: OrgId, budget: UsageBudget) -> StoreResult<()> {
        budget::update(self, org, budget).await
    }

    async fn remove_budget(&self, org: OrgId, id: BudgetId, expected: u64) -> StoreResult<()> {
        budget::remove(self, org, id, expected).await
    }

    async fn read_balance(&self, org: OrgId, account: &Account) -> StoreResult<Balance> {
        Ok(balance(&mut *self.db.reader().await?, org, account).await?.unwrap_or_default())
    }

    async fn reserve(&self, org: OrgId, reservation: Reservation) -> StoreResult<Reserved> {
        let mut writer = self.db.writer(Lock::Usage(org)).await;
        let mut tx = writer.begin().await?;
        let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM orgs WHERE id = $1)")
            .bind(key(org.uuid()))
            .fetch_one(&mut *tx)
            .await
            .map_err(store_error)?;
        if !known {
            return Err(StoreError::NotFound { what: "org", id: org.to_string() });
        }
        let mut balances = Vec::with_capacity(reservation.charges.len());
        for charge in &reservation.charges {
            balances.push(balance(&mut tx, org, &charge.account).await?.unwrap_or_default());
        }
        let outcome = check_charges(&reservation.charges, &balances);
        if outcome == Reserved::Held {
            hold(&mut tx, org, &reservation).await?;
            tx.commit().await.map_err(store_error)?;
            fail_point!(StoreReserved);
        }
        Ok(outcome)
    }

    async fn settle(&self, org: OrgId, id: ReservationId, spent: Vec<u64>, at: Timestamp) -> StoreResult<Option<Vec<Balance>>> {
        let mut writer = self.db.writer(Lock::Usage(org)).await;
        let mut tx = writer.begin().await?;
        let rows = sqlx::query(select_held!("WHERE org_id = $1 AND id = $2 ORDER BY place"))
            .bind(key(org.uuid()))
            .bind(key(id.uuid()))
            .fetch_all(&mut *tx)
            .await
            .map_err(store_error)?;
        if rows.is_empty() {
            return Ok(None);
        }
        if rows.len() != spent.len() {
            return Err(wrong_amounts(spent.len(), rows.len()));
        }
        let mut balances = Vec::with_capacity(rows.len());
        for (row, spent) in rows.iter().zip(spent) {
            balances.push(end(&mut tx, org, &held(row)?, spent, at).await?);
        }
        sqlx::query("DELETE FROM usage_reservations WHERE org_id = $1 AND id = $2")
            .bind(key(org.uuid()))
            .bind(key(id.uuid()))
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        tx.commit().await.map_err(store_error)?;
        fail_point!(StoreSettled);
        Ok(Some(balances))
    }

    async fn settle_turn(&self, org: OrgId, session: SessionId, turn: TurnId, at: Timestamp) -> StoreResult<u64> {
        let mut writer = self.db.writer(Lock::Usage(org)).await;
        let mut tx = writer.begin().await?;
        let rows = sqlx::query(select_held!("WHERE org_id = $1 AND session_id = $2 AND turn_id = $3 ORDER BY id, place"))
            .bind(key(org.uuid()))
            .bind(key(session.uuid()))
            .bind(key(turn.uuid()))
            .fetch_all(&mut *tx)
            .await
            .map_err(store_error)?;
        let mut ended: Vec<ReservationId> = Vec::new();
        for row in &rows {
            let held = held(row)?;
            end(&mut tx, org, &held, held.amount, at).await?;
            ended.push(held.id);
        }
        ended.dedup();
        sqlx::query("DELETE FROM usage_reservations WHERE org_id = $1 AND session_id = $2 AND turn_id = $3")
            .bind(key(org.uuid()))
            .bind(key(session.uuid()))
            .bind(key(turn.uuid()))
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
        tx.commit().await.map_err(store_error)?;
        Ok(ended.len() as u64)
    }

    async fn top_up(&self, org: OrgId, budget: BudgetId, top_up: TopUp) -> StoreResult<bool> {
        budget::top_up(self, org, budget, top_up).await
    }

    async fn list_postings(&self, org: OrgId, account: &str, page: Page) -> StoreResult<Listing<Posting>> {
        let mut reader = self.db.reader().await?;
        let mut tx = snapshot(&mut reader).await?;
        let total = sqlx::query("SELECT count(*) FROM usage_postings WHERE org_id = $1 AND account = $2")
            .bind(key(org.uuid()))
            .bind(account)
            .fetch_one(&mut *tx)
            .await
            .map_err(store_error)?;
        let total: i64 = total.try_get(0).map_err(store_error)?;
        let rows = sqlx::query(concat!(
            "SELECT position, reservation_id, session_id, turn_id, top_up_id, amount, at FROM usage_postings WHERE org_id = $1 AND account = $2 ",
            "ORDER BY position DESC LIMIT $3 OFFSET $4"
        ))
        .bind(key(org.uuid()))
        .bind(account)
        .bind(i64::from(page_limit(page)))
        .bind(i64::from(page.offset))
        .fetch_all(&mut *tx)
        .await
        .map_err(store_error)?;
        tx.commit().await.map_err(store_error)?;
        Ok(Listing { items: rows.iter().map(posting).collect::<StoreResult<_>>()?, total: total.unsigned_abs() })
    }
}
