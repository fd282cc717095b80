//! What the log of a session says about budgets to all of its turns: whose soft limits somebody has
//! let it pass, and of which it was warned. Both hold for a period, and until there is more.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::event::{BudgetNotice, EventData};
use crate::id::BudgetId;

/// A fold of the events of budgets. It is not known of events that are folded as messages only: then a session pauses
/// and is warned once more.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct BudgetMemory {
    /// The soft limits that the session was resumed at.
    resumed: HashMap<BudgetId, Mark>,
    /// The limits that it was warned of.
    warned: HashMap<BudgetId, Mark>,
}

/// An amount in a period.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mark {
    period: Option<Timestamp>,
    amount: f64,
}

impl Mark {
    fn covers(self, period: Option<Timestamp>, amount: f64) -> bool {
        self.period == period && amount <= self.amount
    }
}

impl BudgetMemory {
    pub(super) fn fold(&mut self, event: &EventData) {
        match event {
            EventData::BudgetResumed(notice) => {
                if let Some(amount) = notice.soft_limit {
                    self.resumed.insert(notice.budget_id, Mark { period: notice.period_started_at, amount });
                }
            }
            EventData::BudgetWarning(notice) => {
                self.warned.insert(notice.budget_id, Mark { period: notice.period_started_at, amount: notice.limit });
            }
            _ => {}
        }
    }

    /// Whether somebody has let the session pass the soft limit that a notice tells of, in its period.
    pub(super) fn is_resumed(&self, notice: &BudgetNotice) -> bool {
        let covers = |soft| self.resumed.get(&notice.budget_id).is_some_and(|mark| mark.covers(notice.period_started_at, soft));
        notice.soft_limit.is_none_or(covers)
    }

    /// Whether the session was told that little is left of the limit that a notice tells of, in its period.
    pub(super) fn is_warned(&self, notice: &BudgetNotice) -> bool {
        self.warned.get(&notice.budget_id).is_some_and(|mark| mark.covers(notice.period_started_at, notice.limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Currency;

    #[test]
    fn what_was_said_holds_for_its_period_and_until_there_is_more() {
        let notice = |day: Option<i64>, soft: f64, limit: f64| BudgetNotice {
            budget_id: BudgetId::from_uuid(uuid::Uuid::from_u128(1)),
            currency: Currency::Tokens,
            limit,
            soft_limit: Some(soft),
            balance: 0.0,
            period_started_at: day.map(|day| Timestamp::from_second(day * 86_400).expect("a time")),
            message: String::new(),
        };
        let mut memory = BudgetMemory::default();
        let of = |memory: &BudgetMemory, notice: &BudgetNotice| (memory.is_resumed(notice), memory.is_warned(notice));
        assert_eq!(of(&memory, &notice(Some(1), 5.0, 10.0)), (false, false));
        memory.fold(&EventData::BudgetPaused(notice(Some(1), 5.0, 10.0)));
        assert_eq!(of(&memory, &notice(Some(1), 5.0, 10.0)), (false, false));
        memory.fold(&EventData::BudgetResumed(notice(Some(1), 5.0, 10.0)));
        assert_eq!(of(&memory, &notice(Some(1), 5.0, 10.0)), (true, false));
        memory.fold(&EventData::BudgetWarning(notice(Some(1), 5.0, 10.0)));
        assert_eq!(of(&memory, &notice(Some(1), 4.0, 9.0)), (true, true));
        assert_eq!(of(&memory, &notice(Some(1), 5.5, 10.5)), (false, false), "there is more");
        assert_eq!(of(&memory, &notice(Some(2), 5.0, 10.0)), (false, false), "another day");
        assert_eq!(of(&memory, &notice(None, 5.0, 10.0)), (false, false), "no period");
    }
}
