//! Budgets, and the one ledger of what is used.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Listing, Page, StoreResult};
use crate::id::{AgentId, BudgetId, OrgId, ReservationId, SessionId, TurnId};
use crate::usage::{Account, Balance, Posting, Reservation, Reserved, TopUp, UsageBudget};

/// Budgets, and the one ledger of what is used. Amounts are below 2^63.
#[async_trait]
pub trait UsageStore: Send + Sync {
    /// Adds a budget. `NotFound` if the org does not exist, `Duplicate` if the id is taken, `Limit` if its
    /// subject has [`crate::limits::MAX_BUDGETS_PER_SUBJECT`] budgets.
    async fn add_budget(&self, org: OrgId, budget: UsageBudget) -> StoreResult<()>;
    /// Reads one.
    async fn get_budget(&self, org: OrgId, id: BudgetId) -> StoreResult<Option<UsageBudget>>;
    /// Lists them in order of creation.
    async fn list_budgets(&self, org: OrgId, page: Page) -> StoreResult<Listing<UsageBudget>>;
    /// The budgets that what happens in a session is held against, in order of creation: of the session,
    /// of its agent and of the org. Disabled ones are among them.
    async fn budgets_of(&self, org: OrgId, session: SessionId, agent: Option<AgentId>) -> StoreResult<Vec<UsageBudget>>;
    /// Replaces limit, soft limit and status of a budget whose stored version is `budget.version - 1`; `Stale`
    /// otherwise, `NotFound` if absent.
    async fn update_budget(&self, org: OrgId, budget: UsageBudget) -> StoreResult<()>;
    /// Removes a budget, which must have the version `expected`: `Stale` otherwise, `NotFound` if absent.
    /// What it counted goes as well; what is reserved of it is settled without a trace.
    async fn remove_budget(&self, org: OrgId, id: BudgetId, expected: u64) -> StoreResult<()>;
    /// What an account says; nothing is used of one that nobody wrote to.
    async fn read_balance(&self, org: OrgId, account: &Account) -> StoreResult<Balance>;
    /// Sets amounts aside if all of their accounts have them left. Accounts of the same keys whose
    /// periods began earlier are forgotten, once nothing of them is reserved. `NotFound` if the org does
    /// not exist, `Duplicate` if the id is taken.
    async fn reserve(&self, org: OrgId, reservation: Reservation) -> StoreResult<Reserved>;
    /// Ends a reservation: counts `spent`, in the order of its charges, in place of what it set aside.
    /// That may be more; what was used is told as it was. Returns what the accounts say then, in the same order; of one
    /// that is gone, nothing is used. None if there is no such reservation, for example because it was settled before.
    /// `Invalid` if `spent` has another length.
    async fn settle(&self, org: OrgId, id: ReservationId, spent: Vec<u64>, at: Timestamp) -> StoreResult<Option<Vec<Balance>>>;
    /// Ends all reservations of a turn, with all that they set aside: who made them died, and nobody
    /// knows what was used. Returns how many there were.
    async fn settle_turn(&self, org: OrgId, session: SessionId, turn: TurnId, at: Timestamp) -> StoreResult<u64>;
    /// Adds to what a budget has in the period of the top-up's time, and to its soft limit; false if that was done before
    /// by the same id. `NotFound` if the budget is absent, `Limit` if it would come to more than
    /// [`crate::usage::MAX_BUDGET_AMOUNT`].
    async fn top_up(&self, org: OrgId, budget: BudgetId, top_up: TopUp) -> StoreResult<bool>;
    /// What was counted in the accounts of a key, newest first.
    async fn list_postings(&self, org: OrgId, key: &str, page: Page) -> StoreResult<Listing<Posting>>;
}
