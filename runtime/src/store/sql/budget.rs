//! Budgets: rows and statements.

use uuid::Uuid;

use super::error::{store_error, taken};
use super::read::{list, unmet};
use super::row::{Stored, Word, integer, key};
use super::{DbRow, Lock, Store, usage};
use crate::fail_point::fail_point;
use crate::id::{AgentId, BudgetId, OrgId, SessionId};
use crate::store::rules::{check_budgets, check_top_up};
use crate::store::{Listing, Page, StoreError, StoreResult};
use crate::usage::{BudgetStatus, BudgetSubject, Currency, Period, TopUp, UsageBudget};

macro_rules! select_budget {
    ($tail:literal) => {
        concat!(
            "SELECT id, subject_type, subject_id, currency, amount, soft_limit, period, status, version, created_at, updated_at FROM budgets ",
            $tail
        )
    };
}

const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM budgets WHERE org_id = $1 AND id = $2)";

/// Kind of a subject.
#[derive(Clone, Copy)]
enum SubjectType {
    Session,
    Agent,
    Org,
}

impl Word for SubjectType {
    const ALL: &'static [Self] = &[Self::Session, Self::Agent, Self::Org];

    fn word(&self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Agent => "agent",
            Self::Org => "org",
        }
    }
}

impl Word for Currency {
    const ALL: &'static [Self] = &[Self::Tokens, Self::Usd];

    fn word(&self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Usd => "usd",
        }
    }
}

impl Word for BudgetStatus {
    const ALL: &'static [Self] = &[Self::Active, Self::Disabled];

    fn word(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

impl Word for Period {
    const ALL: &'static [Self] = &[Self::Day, Self::Month];

    fn word(&self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

fn type_of(subject: BudgetSubject) -> SubjectType {
    match subject {
        BudgetSubject::Session(_) => SubjectType::Session,
        BudgetSubject::Agent(_) => SubjectType::Agent,
        BudgetSubject::Org(_) => SubjectType::Org,
    }
}

fn budget(row: &DbRow) -> StoreResult<UsageBudget> {
    let row = Stored::new(row, "budgets", &["id"]);
    let subject: Uuid = row.id("subject_id", |id| id)?;
    let period = row.optional::<&str>("period")?.map(|_| row.word("period")).transpose()?;
    Ok(UsageBudget {
        id: row.id("id", BudgetId::from_uuid)?,
        subject: match row.word("subject_type")? {
            SubjectType::Session => BudgetSubject::Session(SessionId::from_uuid(subject)),
            SubjectType::Agent => BudgetSubject::Agent(AgentId::from_uuid(subject)),
            SubjectType::Org => BudgetSubject::Org(OrgId::from_uuid(subject)),
        },
        currency: row.word("currency")?,
        limit: row.number("amount")?,
        soft_limit: row.optional_number("soft_limit")?,
        period,
        status: row.word("status")?,
        version: row.number("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

pub(super) async fn add(store: &Store, org: OrgId, budget: UsageBudget) -> StoreResult<()> {
    let mut writer = store.db.writer(Lock::Usage(org)).await;
    let mut tx = writer.begin().await?;
    let known: i64 = sqlx::query_scalar("SELECT count(*) FROM budgets WHERE org_id = $1 AND subject_id = $2 AND id <> $3")
        .bind(key(org.uuid()))
        .bind(key(budget.subject.uuid()))
        .bind(key(budget.id.uuid()))
        .fetch_one(&mut *tx)
        .await
        .map_err(store_error)?;
    check_budgets(known.unsigned_abs())?;
    // Selecting from orgs inserts nothing, instead of failing, if the org does not exist.
    let inserted = sqlx::query(concat!(
        "INSERT INTO budgets (org_id, id, subject_type, subject_id, currency, amount, soft_limit, period, status, version, created_at, ",
        "updated_at) SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 FROM orgs WHERE id = $1"
    ))
    .bind(key(org.uuid()))
    .bind(key(budget.id.uuid()))
    .bind(type_of(budget.subject).word())
    .bind(key(budget.subject.uuid()))
    .bind(budget.currency.word())
    .bind(integer(budget.limit)?)
    .bind(budget.soft_limit.map(integer).transpose()?)
    .bind(budget.period.as_ref().map(Word::word))
    .bind(budget.status.word())
    .bind(integer(budget.version)?)
    .bind(budget.created_at.as_microsecond())
    .bind(budget.updated_at.as_microsecond())
    .execute(&mut *tx)
    .await
    .map_err(|error| taken(error, "budget", &[("budgets.id", &budget.id)]))?;
    if inserted.rows_affected() == 0 {
        return Err(StoreError::NotFound { what: "org", id: org.to_string() });
    }
    tx.commit().await.map_err(store_error)
}

pub(super) async fn get(store: &Store, org: OrgId, id: BudgetId) -> StoreResult<Option<UsageBudget>> {
    let row = sqlx::query(select_budget!("WHERE org_id = $1 AND id = $2"))
        .bind(key(org.uuid()))
        .bind(key(id.uuid()))
        .fetch_optional(&mut *store.db.reader().await?)
        .await
        .map_err(store_error)?;
    row.as_ref().map(budget).transpose()
}

pub(super) async fn list_all(store: &Store, org: OrgId, page: Page) -> StoreResult<Listing<UsageBudget>> {
    let count = "SELECT count(*) FROM budgets WHERE org_id = $1";
    list(&store.db, org, page, (count, select_budget!("WHERE org_id = $1 ORDER BY position LIMIT $2 OFFSET $3")), budget).await
}

pub(super) async fn of(store: &Store, org: OrgId, session: SessionId, agent: Option<AgentId>) -> StoreResult<Vec<UsageBudget>> {
    let agent = agent.map_or(session.uuid(), AgentId::uuid);
    let rows = sqlx::query(select_budget!("WHERE org_id = $1 AND subject_id IN ($1, $2, $3) ORDER BY position"))
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .bind(key(agent))
        .fetch_all(&mut *store.db.reader().await?)
        .await
        .map_err(store_error)?;
    rows.iter().map(budget).collect()
}

pub(super) async fn update(store: &Store, org: OrgId, budget: UsageBudget) -> StoreResult<()> {
    let mut writer = store.db.writer(Lock::Usage(org)).await;
    let mut tx = writer.begin().await?;
    let updated = sqlx::query(concat!(
        "UPDATE budgets SET amount = $3, status = $4, version = $5, updated_at = $6, soft_limit = $7 ",
        "WHERE org_id = $1 AND id = $2 AND version = $5 - 1"
    ))
    .bind(key(org.uuid()))
    .bind(key(budget.id.uuid()))
    .bind(integer(budget.limit)?)
    .bind(budget.status.word())
    .bind(integer(budget.version)?)
    .bind(budget.updated_at.as_microsecond())
    .bind(budget.soft_limit.map(integer).transpose()?)
    .execute(&mut *tx)
    .await
    .map_err(store_error)?;
    if updated.rows_affected() == 0 {
        return Err(unmet(&mut tx, EXISTS, org, budget.id.uuid(), "budget", budget.id.to_string()).await);
    }
    tx.commit().await.map_err(store_error)
}

pub(super) async fn remove(store: &Store, org: OrgId, id: BudgetId, expected: u64) -> StoreResult<()> {
    let mut writer = store.db.writer(Lock::Usage(org)).await;
    let mut tx = writer.begin().await?;
    let removed = sqlx::query("DELETE FROM budgets WHERE org_id = $1 AND id = $2 AND version = $3")
        .bind(key(org.uuid()))
        .bind(key(id.uuid()))
        .bind(integer(expected)?)
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
    if removed.rows_affected() == 0 {
        return Err(unmet(&mut tx, EXISTS, org, id.uuid(), "budget", id.to_string()).await);
    }
    for statement in
        ["DELETE FROM usage_accounts WHERE org_id = $1 AND account = $2", "DELETE FROM usage_postings WHERE org_id = $1 AND account = $2"]
    {
        sqlx::query(statement).bind(key(org.uuid())).bind(id.to_string()).execute(&mut *tx).await.map_err(store_error)?;
    }
    tx.commit().await.map_err(store_error)
}

/// Adds to the account of the current period, once for each id.
pub(super) async fn top_up(store: &Store, org: OrgId, id: BudgetId, top_up: TopUp) -> StoreResult<bool> {
    let mut writer = store.db.writer(Lock::Usage(org)).await;
    let mut tx = writer.begin().await?;
    let row = sqlx::query(select_budget!("WHERE org_id = $1 AND id = $2"))
        .bind(key(org.uuid()))
        .bind(key(id.uuid()))
        .fetch_optional(&mut *tx)
        .await
        .map_err(store_error)?;
    let Some(row) = row else { return Err(StoreError::NotFound { what: "budget", id: id.to_string() }) };
    let budget = budget(&row)?;
    let account = budget.account(top_up.at);
    let noted = sqlx::query(concat!(
        "INSERT INTO usage_postings (org_id, account, top_up_id, amount, at) VALUES ($1, $2, $3, $4, $5) ",
        "ON CONFLICT (org_id, top_up_id) WHERE top_up_id IS NOT NULL DO NOTHING"
    ))
    .bind(key(org.uuid()))
    .bind(&account.key)
    .bind(key(top_up.id.uuid()))
    .bind(integer(top_up.amount)?)
    .bind(top_up.at.as_microsecond())
    .execute(&mut *tx)
    .await
    .map_err(store_error)?;
    if noted.rows_affected() == 0 {
        return Ok(false);
    }
    let granted = usage::balance(&mut tx, org, &account).await?.unwrap_or_default().granted;
    check_top_up(budget.limit, granted, top_up.amount)?;
    sqlx::query(concat!(
        "INSERT INTO usage_accounts (org_id, account, opens, spent, reserved, granted) VALUES ($1, $2, $3, 0, 0, $4) ",
        "ON CONFLICT (org_id, account, opens) DO UPDATE SET granted = usage_accounts.granted + excluded.granted"
    ))
    .bind(key(org.uuid()))
    .bind(&account.key)
    .bind(account.opens)
    .bind(integer(top_up.amount)?)
    .execute(&mut *tx)
    .await
    .map_err(store_error)?;
    tx.commit().await.map_err(store_error)?;
    fail_point!(StoreToppedUp);
    Ok(true)
}
