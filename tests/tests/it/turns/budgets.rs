//! Soft limits of budgets: sessions wait at them until somebody resumes them, and are warned before the end.

use everwit_runtime::event::{BudgetNotice, EventData};
use everwit_runtime::id::{IdSource, SessionId, TopUpId};
use everwit_runtime::session::SessionStatus;
use everwit_runtime::store::TurnEnd;
use everwit_runtime::turn::{Accepted, OutsideError, TurnRun, TurnSignals};
use everwit_runtime::usage::{BudgetSubject, Currency, TopUp, UsageBudget};
use jiff::Timestamp;

use super::rig::{Rig, calling};
use super::spending::{Bench, run};

const DONE: TurnRun = TurnRun::Ended(TurnEnd::Completed);

impl Bench {
    /// A budget of tokens with a soft limit.
    async fn soft(&self, subject: BudgetSubject, limit: u64, soft_limit: u64) -> UsageBudget {
        let budget = self.budget(subject, Currency::Tokens, limit).await;
        self.change(&budget, soft_limit).await
    }

    async fn change(&self, budget: &UsageBudget, soft_limit: u64) -> UsageBudget {
        let changed = UsageBudget { soft_limit: Some(soft_limit), version: budget.version + 1, ..budget.clone() };
        self.rig.platform.backends.usage_store.update_budget(self.rig.org, changed.clone()).await.unwrap();
        changed
    }

    async fn top_up(&self, budget: &UsageBudget, amount: u64) {
        let top_up = TopUp { id: TopUpId::from_uuid(self.rig.ids.next()), amount, at: Timestamp::UNIX_EPOCH };
        assert!(self.rig.platform.backends.usage_store.top_up(self.rig.org, budget.id, top_up).await.unwrap());
    }
}

async fn resume(rig: &Rig, session: SessionId) -> Result<Accepted, OutsideError> {
    rig.platform.outside_desk().resume(rig.org, session).await
}

async fn status(rig: &Rig, session: SessionId) -> SessionStatus {
    rig.platform.backends.session_store.get_session(rig.org, session).await.unwrap().unwrap().status
}

/// The events of budgets.
async fn notices(rig: &Rig) -> Vec<(&'static str, BudgetNotice)> {
    let notice = |data: EventData| match data {
        EventData::BudgetWarning(notice) => Some(("warning", notice)),
        EventData::BudgetPaused(notice) => Some(("paused", notice)),
        EventData::BudgetResumed(notice) => Some(("resumed", notice)),
        EventData::BudgetExhausted(notice) => Some(("exhausted", notice)),
        _ => None,
    };
    rig.events().await.into_iter().filter_map(|event| notice(event.data)).collect()
}

async fn told(rig: &Rig) -> Vec<&'static str> {
    notices(rig).await.into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn a_session_pauses_before_the_call_behind_its_soft_limit_and_goes_on_when_it_is_resumed() {
    let bench = Bench::new(100, 3_900, 9).await;
    let rig = &bench.rig;
    let budget = bench.soft(BudgetSubject::Session(rig.session), 100_000, 4_000).await;
    assert!(matches!(resume(rig, rig.session).await, Err(OutsideError::NotPaused { .. })));
    assert_eq!(rig.ask("first").await, DONE);
    assert_eq!(rig.ask("second").await, TurnRun::Parked);
    assert_eq!((bench.calls(), status(rig, rig.session).await), (1, SessionStatus::Paused));
    assert_eq!(rig.names().await[rig.names().await.len() - 2..], ["reason.completed", "budget.paused"]);
    let [("paused", notice)] = &notices(rig).await[..] else { panic!("it is paused once") };
    assert_eq!((notice.budget_id, notice.limit, notice.soft_limit, notice.balance), (budget.id, 100_000.0, Some(4_000.0), 96_000.0));
    assert!(notice.message.contains(&budget.id.to_string()) && notice.message.contains("resume the session"), "{}", notice.message);

    let accepted = resume(rig, rig.session).await.unwrap();
    assert!(accepted.wakes_turn);
    assert_eq!(status(rig, rig.session).await, SessionStatus::Active);
    assert!(matches!(resume(rig, rig.session).await, Err(OutsideError::NotPaused { .. })), "once");
    assert_eq!(rig.run().await, DONE);
    assert_eq!(rig.ask("third").await, DONE, "later turns go on as well");
    assert_eq!((bench.balance(&budget).await, told(rig).await), ((12_000, 0), vec!["paused", "resumed"]));

    let raised = bench.change(&budget, 12_001).await;
    assert_eq!(rig.ask("fourth").await, DONE);
    assert_eq!(rig.ask("fifth").await, TurnRun::Parked, "a soft limit that was raised is one again");
    bench.change(&raised, 16_001).await;
    resume(rig, rig.session).await.unwrap();
    assert_eq!(rig.run().await, TurnRun::Ended(TurnEnd::Completed));
    assert_eq!(rig.ask("sixth").await, TurnRun::Parked, "it was resumed at the one before");
}

#[tokio::test]
async fn sessions_at_the_same_time_pause_and_go_on_each_by_itself() {
    let mut bench = Bench::new(100, 3_900, 0).await;
    let org = BudgetSubject::Org(bench.rig.org);
    let budget = bench.soft(org, 100_000, 1).await;
    let harness = bench.rig.platform.backends.session_store.get_session(bench.rig.org, bench.rig.session).await.unwrap().unwrap();
    let other = bench.rig.add_session(harness.harness_id, |_| {}).await;
    let first = bench.begin(bench.rig.session, TurnSignals::default()).await;
    let second = bench.begin(other, TurnSignals::default()).await;
    bench.driver.gate.add_permits(9);
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (DONE, DONE), "what runs is not held against what is not used yet");
    assert_eq!(bench.balance(&budget).await, (8_000, 0));
    let rig = &bench.rig;
    let begun = rig.submit_to(other, "go on").await;
    assert_eq!(run(rig.platform.clone(), begun, TurnSignals::default()).await, TurnRun::Parked);
    assert_eq!(rig.ask("go on").await, TurnRun::Parked);
    resume(rig, rig.session).await.unwrap();
    assert_eq!(rig.run().await, DONE);
    assert_eq!((status(rig, other).await, bench.calls()), (SessionStatus::Paused, 3), "nobody resumed the other one");
}

#[tokio::test]
async fn a_turn_that_pauses_behind_its_tools_does_not_repeat_them() {
    let bench = Bench::new(0, 0, 0).await.with_rig(Rig::new(calling(&["order"])).await);
    bench.soft(BudgetSubject::Session(bench.rig.session), 1_000_000, 1).await;
    assert_eq!(bench.rig.ask("go").await, TurnRun::Parked);
    resume(&bench.rig, bench.rig.session).await.unwrap();
    bench.rig.recover().await;
    assert_eq!((bench.rig.desk.executed("order").len(), bench.rig.last_text().await.as_str()), (1, "done"));
    assert_eq!(told(&bench.rig).await, ["paused", "resumed"]);
}

#[tokio::test]
async fn a_paused_turn_ends_with_a_cancel_and_with_a_further_message() {
    let bench = Bench::new(100, 3_900, 9).await;
    let rig = &bench.rig;
    let budget = bench.soft(BudgetSubject::Session(rig.session), 100_000, 4_000).await;
    rig.ask("first").await;
    let key = rig.submit("second").await;
    assert_eq!(rig.run().await, TurnRun::Parked);
    assert!(rig.log().request_cancel(rig.org, rig.session, key.turn).await.unwrap());
    assert_eq!(rig.run().await, TurnRun::Ended(TurnEnd::Cancelled));
    assert_eq!((bench.calls(), status(rig, rig.session).await), (1, SessionStatus::Idle));

    assert_eq!(rig.ask("third").await, TurnRun::Parked);
    bench.top_up(&budget, 10_000).await;
    rig.submit("fourth").await;
    assert_eq!(rig.run().await, DONE);
    assert!(matches!(rig.end().await, EventData::TurnCompleted { reason, .. } if reason == "superseded"));
    assert_eq!(rig.run().await, DONE, "there is more by now");
    assert_eq!((bench.calls(), told(rig).await), (2, vec!["paused", "paused"]));
}

#[tokio::test]
async fn a_session_is_warned_once_and_told_of_the_end_with_its_turn() {
    let bench = Bench::new(100, 3_900, 9).await;
    let rig = &bench.rig;
    let budget = bench.tokens_of_session(10_000).await;
    rig.ask("first").await;
    assert_eq!(told(rig).await, Vec::<&str>::new());
    rig.ask("second").await;
    let names = rig.names().await;
    assert_eq!(names[names.len() - 4..], ["reason.completed", "budget.warning", "turn.completed", "session.idled"]);
    rig.ask("third").await;
    assert_eq!(rig.ask("fourth").await, TurnRun::Ended(TurnEnd::Sealed));
    let names = rig.names().await;
    assert_eq!(names[names.len() - 4..], ["reason.completed", "budget.exhausted", "turn.sealed", "session.idled"]);
    assert_eq!(told(rig).await, ["warning", "exhausted"]);
    let (_, warning) = &notices(rig).await[0];
    assert_eq!((warning.budget_id, warning.limit, warning.balance), (budget.id, 10_000.0, 2_000.0));

    bench.top_up(&budget, 10_000).await;
    assert_eq!(rig.ask("fifth").await, DONE, "there is more by now");
    assert_eq!(bench.balance(&budget).await.0, 16_000);
    assert_eq!(told(rig).await, ["warning", "exhausted", "warning"], "a fifth of what there is by now is left");
}
