//! Sessions that wait at the soft limit of a budget: what lets them go on.

use super::{Accepted, MAX_ATTEMPTS, OutsideDesk, OutsideError, Waiting};
use crate::event::{BudgetNotice, EventData};
use crate::id::{OrgId, SessionId};
use crate::session::Session;
use crate::store::{StoreError, StoreResult, TurnAnswer};
use crate::turn::history::with_history;
use crate::turn::spend::pause_at;
use crate::usage::BudgetStatus;

impl OutsideDesk<'_> {
    /// Lets a paused session go on: its model calls are held to the limits of the budgets alone that it waits at, also
    /// those of its later turns, until their periods end or their soft limits are raised and reached again. The turn has
    /// to be given to an engine.
    ///
    /// # Errors
    /// `NotPaused` if no turn of the session waits for that; those of the stores.
    pub async fn resume(&self, org: OrgId, session: SessionId) -> Result<Accepted, OutsideError> {
        let not_paused = || OutsideError::NotPaused { session };
        let mut attempt = 1;
        loop {
            let Waiting { state, input_sequence, .. } = self.waiting(org, session).await?.ok_or_else(not_paused)?;
            if state.paused_by().is_empty() {
                return Err(not_paused());
            }
            let resumed = |notice: &BudgetNotice| {
                let message = format!("the session was resumed and goes on to the limit of {}", notice.budget_id);
                EventData::BudgetResumed(BudgetNotice { message, ..notice.clone() })
            };
            let answer = TurnAnswer {
                turn_id: state.turn_id(),
                expected_sequence: state.last_sequence(),
                events: self.events_of(&state, state.paused_by().iter().map(resumed)),
                wakes_turn: true,
            };
            match self.backends.log.answer_turn(org, session, answer).await {
                Ok(events) => {
                    events.iter().cloned().for_each(|event| self.backends.event_bus.emit(event));
                    return Ok(Accepted { turn_id: state.turn_id(), input_sequence, events, wakes_turn: true });
                }
                Err(StoreError::NotFound { what: "waiting turn", .. }) => return Err(not_paused()),
                Err(StoreError::SequenceConflict { .. }) if attempt < MAX_ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The soft limits at which the next model call of a session would wait.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn pauses(&self, org: OrgId, session: &Session) -> StoreResult<Vec<BudgetNotice>> {
        let (store, now) = (&self.backends.usage_store, self.clock.now());
        let mut reached = Vec::new();
        for budget in store.budgets_of(org, session.id, session.agent_id).await? {
            if budget.soft_limit.is_some() && budget.status == BudgetStatus::Active {
                reached.extend(pause_at(&budget, store.read_balance(org, &budget.account(now)).await?, now));
            }
        }
        if !reached.is_empty() {
            with_history(self.backends, org, session.id, |history| reached.retain(|notice| !history.budgets().is_resumed(notice))).await?;
        }
        Ok(reached)
    }
}
