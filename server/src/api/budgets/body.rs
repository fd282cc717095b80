//! Budgets as they are sent and answered.

use everwit_runtime::id::{BudgetId, ReservationId, SessionId, TopUpId, TurnId};
use everwit_runtime::usage::{Balance, BudgetStatus, BudgetSubject, Currency, Entry, NANOS_PER_USD, Period, Posting, UsageBudget};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::extract::{given, present};

/// Kind of a budget's subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SubjectType {
    /// One session.
    Session,
    /// All sessions of an agent.
    Agent,
    /// Everything of the org.
    Org,
}

/// A new budget.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CreateBudgetRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBudget {
    /// Whose use it limits.
    pub(super) subject_type: SubjectType,
    /// Id of the session, id or name of the agent; absent for the org.
    pub(super) subject_id: Option<String>,
    /// What it counts.
    pub(super) currency: Currency,
    /// How much: whole tokens, or US dollars.
    #[schema(example = 100000, exclusive_minimum = 0)]
    pub(super) limit: f64,
    /// At which use sessions pause before their next model call until somebody resumes them, in the same unit and less than
    /// the limit. They never do if absent.
    #[schema(example = 80000, exclusive_minimum = 0)]
    pub(super) soft_limit: Option<f64>,
    /// After which time it is whole again: days and months are those of UTC. Never if absent.
    pub(super) period: Option<Period>,
    /// Whether it limits anything.
    #[serde(default = "active")]
    #[schema(default = "active")]
    pub(super) status: BudgetStatus,
}

fn active() -> BudgetStatus {
    BudgetStatus::Active
}

/// What to add to a budget.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = TopUpBudgetRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopUpBudget {
    /// How much: whole tokens, or US dollars.
    #[schema(example = 50000, exclusive_minimum = 0)]
    pub(super) amount: f64,
}

/// What to change of a budget: absent fields stay, null clears.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UpdateBudgetRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateBudget {
    /// How much: whole tokens, or US dollars. What was used stays.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = f64, required = false, exclusive_minimum = 0)]
    pub(super) limit: Option<f64>,
    /// At which use sessions pause, less than the limit; null means never.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<f64>, exclusive_minimum = 0)]
    pub(super) soft_limit: Option<Option<f64>>,
    /// Whether it limits anything.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = BudgetStatus, required = false)]
    pub(super) status: Option<BudgetStatus>,
}

/// How much somebody may use, and has used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Budget)]
pub(crate) struct BudgetBody {
    /// Id.
    id: BudgetId,
    /// Whose use it limits.
    subject_type: SubjectType,
    /// Id of the session, agent or org.
    subject_id: String,
    /// What it counts.
    currency: Currency,
    /// How much there is, in tokens or US dollars, without what it was topped up by.
    limit: f64,
    /// At which use sessions pause, likewise; they never do if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    soft_limit: Option<f64>,
    /// What was added to both in the current period.
    topped_up: f64,
    /// What is left of it: neither used nor reserved by a model call that runs.
    balance: f64,
    /// What was used in the current period.
    spent: f64,
    /// What is reserved by model calls that run.
    reserved: f64,
    /// After which time it is whole again; never if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    period: Option<Period>,
    /// When that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    period_ends_at: Option<Timestamp>,
    /// Whether it limits anything.
    status: BudgetStatus,
    /// Whether too little is left for any model call: nothing, or fewer than 256 tokens.
    exhausted: bool,
    /// Whether what was used reaches the soft limit: sessions that were not resumed since then pause before their next model call.
    soft_limit_reached: bool,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl BudgetBody {
    /// A budget with its balance at a moment.
    pub(super) fn new(budget: &UsageBudget, balance: Balance, now: Timestamp) -> Self {
        let (subject_type, subject_id) = match budget.subject {
            BudgetSubject::Session(id) => (SubjectType::Session, id.to_string()),
            BudgetSubject::Agent(id) => (SubjectType::Agent, id.to_string()),
            BudgetSubject::Org(id) => (SubjectType::Org, id.to_string()),
        };
        let told = |amount| budget.currency.told(amount);
        Self {
            id: budget.id,
            subject_type,
            subject_id,
            currency: budget.currency,
            limit: told(budget.limit),
            soft_limit: budget.soft_limit.map(told),
            topped_up: told(balance.granted),
            balance: told(balance.left(budget.limit)),
            spent: told(balance.spent),
            reserved: told(balance.reserved),
            period: budget.period,
            period_ends_at: budget.period.map(|period| period.ends(now)),
            status: budget.status,
            exhausted: budget.is_used_up(balance),
            soft_limit_reached: budget.reaches_soft_limit(balance),
            created_at: budget.created_at,
            updated_at: budget.updated_at,
        }
    }
}

/// What a posting tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PostingKind {
    /// A model call took something.
    Use,
    /// Somebody added something.
    TopUp,
}

/// What a model call took from a budget, or somebody added to it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BudgetPosting)]
pub(crate) struct PostingBody {
    /// Which of both.
    kind: PostingKind,
    /// The reservation of a model call that it settled.
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation_id: Option<ReservationId>,
    /// In which session the call was.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
    /// In which turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    turn_id: Option<TurnId>,
    /// What was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    top_up_id: Option<TopUpId>,
    /// How much, in tokens or US dollars.
    amount: f64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl PostingBody {
    /// A posting of a budget in this currency.
    pub(super) fn new(currency: Currency, Posting { entry, amount, at }: Posting) -> Self {
        let (reservation_id, session_id, turn_id, top_up_id) = match entry {
            Entry::Use { reservation, session, turn } => (Some(reservation), Some(session), Some(turn), None),
            Entry::TopUp(id) => (None, None, None, Some(id)),
        };
        let kind = if top_up_id.is_some() { PostingKind::TopUp } else { PostingKind::Use };
        Self { kind, reservation_id, session_id, turn_id, top_up_id, amount: currency.told(amount), at }
    }
}

/// An amount as it is kept; none if it is not one.
pub(super) fn kept(currency: Currency, amount: f64, most: f64) -> Option<u64> {
    let within = amount > 0.0 && amount <= most;
    match currency {
        Currency::Tokens => (within && amount.fract() == 0.0).then_some(amount as u64),
        Currency::Usd => {
            let nanos = (amount * NANOS_PER_USD as f64).round();
            (within && nanos >= 1.0).then_some(nanos as u64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_kept_as_they_are_told() {
        let check = |currency, amount: f64, expected: Option<u64>| {
            assert_eq!(kept(currency, amount, 1e9), expected, "{amount}");
            if let Some(expected) = expected {
                assert!((currency.told(expected) - amount).abs() < 1e-9, "{amount}");
            }
        };
        check(Currency::Tokens, 1.0, Some(1));
        check(Currency::Tokens, 1e9, Some(1_000_000_000));
        check(Currency::Usd, 0.1, Some(100_000_000));
        check(Currency::Usd, 12.34, Some(12_340_000_000));
        for wrong in [0.0, -1.0, 1e9 + 1.0, f64::NAN, f64::INFINITY] {
            check(Currency::Tokens, wrong, None);
            check(Currency::Usd, wrong, None);
        }
        check(Currency::Tokens, 1.5, None);
        check(Currency::Usd, 1e-10, None);
    }
}
