//! What may be used up: budgets of sessions, agents and orgs, and the accounts that are held against
//! them. An amount is reserved before something is done, and settled with what it took; what is
//! reserved counts as used until then, so that calls at the same time cannot exceed a budget together.

#[cfg(feature = "sandbox")]
mod calls;
mod meter;
mod rate;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[cfg(feature = "sandbox")]
pub(crate) use calls::HeldCall;
pub use meter::{Meter, NANOS_PER_USD};
pub use rate::{BegunTurns, TurnRate};

use crate::event::BudgetNotice;
use crate::id::{AgentId, BudgetId, OrgId, ReservationId, SessionId, TopUpId, TurnId};

/// Tokens without which an answer is not worth its question. A budget of tokens that has fewer left is used up.
pub const LEAST_OUTPUT_TOKENS: u64 = 256;

/// Percentage of a budget that is left when sessions are warned.
pub const WARN_PERCENT: u64 = 20;
/// Most that a budget may come to with what it was topped up by, in tokens or in billionths of a dollar.
pub const MAX_BUDGET_AMOUNT: u64 = 2_000_000_000_000_000_000;

/// What a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Currency {
    /// Tokens of model calls, in and out, cached ones included.
    Tokens,
    /// US dollars that model calls cost by the prices of their models, kept in billionths.
    Usd,
}

impl Currency {
    /// An amount as it is told: in tokens, or in US dollars.
    pub fn told(self, amount: u64) -> f64 {
        match self {
            Self::Tokens => amount as f64,
            Self::Usd => amount as f64 / NANOS_PER_USD as f64,
        }
    }

    /// Whether what was spent of a limit leaves too little for any model call.
    pub fn is_used_up(self, spent: u64, limit: u64) -> bool {
        let least = match self {
            Self::Tokens => LEAST_OUTPUT_TOKENS,
            Self::Usd => 1,
        };
        limit.saturating_sub(spent) < least
    }
}

/// The time after which a budget is whole again. Days and months are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
}

impl Period {
    /// When the period of a moment began.
    pub fn opened(self, now: Timestamp) -> Timestamp {
        let day = now.to_zoned(TimeZone::UTC).date();
        start_of(match self {
            Self::Day => day,
            Self::Month => day.first_of_month(),
        })
    }

    /// When the period of a moment ends.
    pub fn ends(self, now: Timestamp) -> Timestamp {
        let day = now.to_zoned(TimeZone::UTC).date();
        let next = match self {
            Self::Day => day.tomorrow(),
            Self::Month => day.last_of_month().tomorrow(),
        };
        next.map_or(Timestamp::MAX, start_of)
    }
}

fn start_of(day: Date) -> Timestamp {
    TimeZone::UTC.to_timestamp(day.to_datetime(jiff::civil::Time::midnight())).unwrap_or(Timestamp::MAX)
}

/// Whose use a budget limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BudgetSubject {
    /// One session.
    Session(SessionId),
    /// All sessions of an agent.
    Agent(AgentId),
    /// Everything of the org.
    Org(OrgId),
}

impl BudgetSubject {
    /// The id of what is limited.
    pub fn uuid(self) -> Uuid {
        match self {
            Self::Session(id) => id.uuid(),
            Self::Agent(id) => id.uuid(),
            Self::Org(id) => id.uuid(),
        }
    }
}

/// Whether a budget limits anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum BudgetStatus {
    /// It does.
    Active,
    /// It does not, and nothing is counted.
    Disabled,
}

/// How much somebody may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageBudget {
    /// Id.
    pub id: BudgetId,
    /// Whose use it limits.
    pub subject: BudgetSubject,
    /// What it counts.
    pub currency: Currency,
    /// How much, in tokens or in billionths of a dollar, at least 1.
    pub limit: u64,
    /// At which use sessions pause until somebody resumes them, less than the limit; none means that nothing pauses. What
    /// is used by calls that run at the same time may go beyond it, but never beyond the limit.
    pub soft_limit: Option<u64>,
    /// After which time it is whole again; none means never.
    pub period: Option<Period>,
    /// Whether it limits anything.
    pub status: BudgetStatus,
    /// Grows by one with each change; the resource's ETag.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl UsageBudget {
    /// Whether it has too little left for any call, whatever runs now and may give some back.
    pub fn is_used_up(&self, balance: Balance) -> bool {
        self.currency.is_used_up(balance.spent, balance.whole(self.limit))
    }

    /// Whether what was used reaches the soft limit.
    pub fn reaches_soft_limit(&self, balance: Balance) -> bool {
        self.soft_limit.is_some_and(|soft| balance.spent >= balance.whole(soft))
    }

    /// Whether at most [`WARN_PERCENT`] of it are not used yet.
    pub fn runs_low(&self, balance: Balance) -> bool {
        let whole = balance.whole(self.limit);
        let left = u128::from(whole.saturating_sub(balance.spent));
        left * 100 <= u128::from(whole) * u128::from(WARN_PERCENT)
    }

    /// What an event of a session says about it.
    pub fn notice(&self, balance: Balance, now: Timestamp, message: String) -> BudgetNotice {
        BudgetNotice {
            budget_id: self.id,
            currency: self.currency,
            limit: self.currency.told(balance.whole(self.limit)),
            soft_limit: self.soft_limit.map(|soft| self.currency.told(balance.whole(soft))),
            balance: self.currency.told(balance.left(self.limit)),
            period_started_at: self.period.map(|period| period.opened(now)),
            message,
        }
    }

    /// The account that it is held against at a moment.
    pub fn account(&self, now: Timestamp) -> Account {
        Account::new(self.id.to_string(), self.period, now)
    }
}

/// What the keys of accounts begin with that hold every org to a limit of the installation.
const OF_EVERY_ORG: &str = "every org: ";

/// Where use is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Account {
    /// What it is the account of: the id of a budget, or the name of a limit of every org.
    pub key: String,
    /// When its period began, in seconds of Unix time; 0 if it has none.
    pub opens: i64,
}

impl Account {
    /// The account of a key at a moment.
    pub fn new(key: impl Into<String>, period: Option<Period>, now: Timestamp) -> Self {
        Self { key: key.into(), opens: period.map_or(0, |period| period.opened(now).as_second()) }
    }

    /// The account of a limit that every org has, for a period that began at a moment.
    fn of_every_org(name: &str, opened: Timestamp) -> Self {
        Self { key: format!("{OF_EVERY_ORG}{name}"), opens: opened.as_second() }
    }

    /// Whether what is counted is noted one by one as well: somebody reads the ledger of a budget, and
    /// nobody that of a limit which every org has.
    pub(crate) fn has_ledger(&self) -> bool {
        !self.key.starts_with(OF_EVERY_ORG)
    }
}

/// What an account says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// What was used.
    pub spent: u64,
    /// What is reserved by what has not ended.
    pub reserved: u64,
    /// What the limit was topped up by.
    pub granted: u64,
}

impl Balance {
    /// A limit with what it was topped up by.
    pub fn whole(self, limit: u64) -> u64 {
        limit.saturating_add(self.granted)
    }

    /// What of a limit can still be reserved.
    pub fn left(self, limit: u64) -> u64 {
        self.whole(limit).saturating_sub(self.spent.saturating_add(self.reserved))
    }
}

/// A part of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Where it is counted.
    pub account: Account,
    /// What the account may not exceed.
    pub limit: u64,
    /// How much.
    pub amount: u64,
}

/// Amounts to set aside, all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Id.
    pub id: ReservationId,
    /// The session of the turn that needs them.
    pub session: SessionId,
    /// That turn: when it is taken up again after its process died, what it left open is settled.
    pub turn: TurnId,
    /// The amounts, of different accounts.
    pub charges: Vec<Charge>,
    /// When.
    pub at: Timestamp,
}

/// What became of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// All of it is set aside.
    Held,
    /// Nothing is.
    Refused {
        /// The charge whose account has too little left.
        charge: usize,
        /// What it has left.
        left: u64,
    },
}

/// What was used or added, as it is noted in an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// By what.
    pub entry: Entry,
    /// How much.
    pub amount: u64,
    /// When it was settled or added.
    pub at: Timestamp,
}

/// What an account was changed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Something was used.
    Use {
        /// The reservation that was settled.
        reservation: ReservationId,
        /// In which session.
        session: SessionId,
        /// In which turn.
        turn: TurnId,
    },
    /// Somebody added to what may be used.
    TopUp(TopUpId),
}

/// An amount that is added to what a budget has in its current period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopUp {
    /// Id: the same one is added once.
    pub id: TopUpId,
    /// How much, at least 1.
    pub amount: u64,
    /// When.
    pub at: Timestamp,
}

/// What every org may use, whatever its budgets say; none means that it is not limited. Days are those of
/// UTC, minutes those of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OrgAllowance {
    /// Tokens of model calls in a day.
    pub tokens_per_day: Option<u64>,
    /// Fuel of tool calls of components in a minute.
    pub fuel_per_minute: Option<u64>,
    /// Fuel of tool calls of components in a day.
    pub fuel_per_day: Option<u64>,
    /// Bytes of HTTP bodies, in both directions, of tool calls of components in a day.
    pub http_bytes_per_day: Option<u64>,
    /// Bytes of all stored events, see [`LogUsage::event_bytes`](crate::store::LogUsage::event_bytes). No turn begins beyond
    /// them; one that runs is asked again before every [`STORAGE_CHECK_CALLS`](crate::limits::STORAGE_CHECK_CALLS)th model call.
    pub event_bytes: Option<u64>,
}

impl OrgAllowance {
    /// The account of an org's tokens at a moment, and what it may not exceed; none if nothing limits it.
    pub fn tokens(&self, now: Timestamp) -> Option<(Account, u64)> {
        Some((Account::of_every_org("tokens per day", Period::Day.opened(now)), self.tokens_per_day?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn periods_are_those_of_the_calendar() {
        let check = |period: Period, now: &str, opened: &str, ends: &str| {
            assert_eq!((period.opened(at(now)), period.ends(at(now))), (at(opened), at(ends)), "{period:?} of {now}");
        };
        check(Period::Day, "2026-02-28T23:59:59.999Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z");
        check(Period::Day, "2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z");
        check(Period::Month, "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z");
        check(Period::Month, "2026-12-31T23:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_reserved_is_not_left() {
        assert_eq!(Balance { spent: 3, reserved: 4, granted: 0 }.left(10), 3);
        assert_eq!(Balance { spent: 3, reserved: 40, granted: 0 }.left(10), 0);
        assert_eq!(Balance { spent: 3, reserved: 40, granted: 40 }.left(10), 7);
        assert_eq!(Balance { spent: u64::MAX, reserved: 1, granted: 9 }.left(u64::MAX), 0);
    }
}
