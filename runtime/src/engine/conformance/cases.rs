//! The cases. Each begins without a worker.

use super::Site;
use super::session::{Bench, until};
use crate::engine::{TurnStatus, reconcile};

type Case<'a> = Bench<'a, dyn Site + 'a>;

pub(super) async fn a_turn_runs_once_however_often_it_is_submitted(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let key = bench.begin("note hold note").await;
    bench.held(key).await;
    for _ in 0..3 {
        bench.engine().submit(key).await.expect("submitting is idempotent");
    }
    bench.release(key).await;
    assert_eq!(bench.ended(key).await, "note hold note end");
    bench.engine().submit(key).await.expect("also behind its end");
    // A later turn of the session comes behind whatever the submission did.
    let later = bench.submit(key.session, "note").await;
    assert_eq!(bench.ended(later).await, "note end");
    assert_eq!(bench.notes(key).await, "note hold note end");
}

pub(super) async fn turns_of_a_session_run_one_at_a_time_in_order_of_submission(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    bench.site.start_worker().await;
    let session = bench.session().await;
    let first = bench.submit(session, "hold note").await;
    bench.held(first).await;
    let mut keys = vec![first];
    for _ in 0..3 {
        keys.push(bench.open(session, "note note").await);
    }
    // The order of the store counts, not that of the calls.
    for key in keys.iter().rev() {
        bench.engine().submit(*key).await.expect("the engine takes it");
    }
    bench.release(first).await;
    for key in &keys {
        bench.ended(*key).await;
    }
    let mut log: Vec<_> = bench.log(session).await.into_iter().map(|(turn, _)| turn).collect();
    log.dedup();
    assert_eq!(log, keys.iter().map(|key| key.turn).collect::<Vec<_>>(), "no turn began before the one before it had ended");
}

pub(super) async fn sessions_run_at_the_same_time(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let (first, second) = (bench.begin("hold").await, bench.begin("hold").await);
    bench.held(first).await;
    bench.held(second).await;
    for key in [second, first] {
        bench.release(key).await;
        assert_eq!(bench.ended(key).await, "hold end");
    }
}

pub(super) async fn turns_wait_for_a_worker(bench: &mut Case<'_>) {
    let key = bench.begin("note").await;
    assert_eq!(bench.notes(key).await, "");
    bench.site.start_worker().await;
    assert_eq!(bench.ended(key).await, "note end");
}

pub(super) async fn a_step_is_run_again_after_its_worker_died(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let key = bench.begin("note hold note").await;
    bench.held(key).await;
    bench.site.kill_workers().await;
    bench.site.start_worker().await;
    bench.held(key).await;
    bench.release(key).await;
    assert_eq!(bench.ended(key).await, "note hold note end", "what was done is not done again");
}

pub(super) async fn a_signal_ends_a_wait(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let key = bench.begin("wait note").await;
    bench.begun(key).await;
    let engine = bench.engine();
    until("the turn waits", async || engine.status(key).await.expect("it is told") == TurnStatus::Waiting).await;
    bench.answer(key).await;
    assert_eq!(bench.ended(key).await, "answered note end");
}

pub(super) async fn a_signal_that_comes_before_the_wait_is_kept(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let key = bench.begin("late note").await;
    // The step has seen that there is no answer, and does not look again.
    bench.held(key).await;
    bench.answer(key).await;
    bench.release(key).await;
    assert_eq!(bench.ended(key).await, "answered note end");
}

pub(super) async fn a_wait_ends_after_its_limit(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let key = bench.begin("wait:200 note").await;
    assert_eq!(bench.ended(key).await, "timed-out note end");
}

pub(super) async fn a_wait_survives_the_death_of_everybody(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let (answered, limited) = (bench.begin("wait note").await, bench.begin("wait:1000 note").await);
    bench.begun(answered).await;
    bench.begun(limited).await;
    bench.site.kill_workers().await;
    bench.site.kill_control_plane().await;
    bench.site.start_worker().await;
    assert_eq!(bench.ended(limited).await, "timed-out note end");
    bench.answer(answered).await;
    assert_eq!(bench.ended(answered).await, "answered note end");
}

pub(super) async fn a_pause_is_kept_although_there_are_signals(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let key = bench.begin("pause:300 note").await;
    bench.begun(key).await;
    bench.engine().signal(key).await.expect("the engine takes it");
    assert_eq!(bench.ended(key).await, "pause:300 note end");
}

pub(super) async fn a_pause_survives_the_death_of_everybody(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let key = bench.begin("pause:1000 note").await;
    bench.begun(key).await;
    bench.site.kill_workers().await;
    bench.site.kill_control_plane().await;
    bench.site.start_worker().await;
    assert_eq!(bench.ended(key).await, "pause:1000 note end");
}

pub(super) async fn a_cancel_reaches_a_running_step(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let key = bench.begin("note hold").await;
    bench.held(key).await;
    assert!(bench.engine().cancel(key).await.expect("the store answers"));
    assert_eq!(bench.ended(key).await, "note cancelled");
}

pub(super) async fn a_cancel_ends_a_wait(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let key = bench.begin("wait").await;
    bench.begun(key).await;
    assert!(bench.engine().cancel(key).await.expect("the store answers"));
    assert_eq!(bench.ended(key).await, "cancelled");
}

pub(super) async fn a_cancel_of_a_queued_turn_leaves_the_running_one_alone(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let first = bench.begin("hold note").await;
    bench.held(first).await;
    let second = bench.submit(first.session, "note").await;
    assert!(bench.engine().cancel(second).await.expect("the store answers"));
    bench.release(first).await;
    assert_eq!(bench.ended(first).await, "hold note end");
    assert_eq!(bench.ended(second).await, "cancelled");
    assert!(!bench.is_held(first).await, "the step was run once");
}

pub(super) async fn an_ended_turn_cannot_be_cancelled(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let key = bench.begin("note").await;
    bench.ended(key).await;
    assert!(!bench.engine().cancel(key).await.expect("the store answers"));
    assert_eq!(bench.notes(key).await, "note end");
}

pub(super) async fn a_failed_step_is_tried_again(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let key = bench.begin("note fail note").await;
    assert_eq!(bench.ended(key).await, "note fail note end");
}

pub(super) async fn an_engine_tells_what_it_knows(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let engine = bench.engine();
    let silent = bench.open(bench.session().await, "note").await;
    assert_eq!(engine.status(silent).await.expect("it is told"), TurnStatus::Unknown);
    let key = bench.begin("hold wait").await;
    bench.held(key).await;
    assert_eq!(engine.status(key).await.expect("it is told"), TurnStatus::Running);
    bench.release(key).await;
    until("the turn waits", async || engine.status(key).await.expect("it is told") == TurnStatus::Waiting).await;
    bench.answer(key).await;
    bench.ended(key).await;
    until("it is forgotten", async || engine.status(key).await.expect("it is told") == TurnStatus::Unknown).await;
}

pub(super) async fn what_the_engine_was_not_told_is_reconciled(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let known = bench.begin("hold").await;
    bench.held(known).await;
    let session = bench.session().await;
    let lost = [bench.open(session, "note").await, bench.open(session, "hold").await];
    let (log, engine) = (bench.stores().log, bench.engine());
    assert_eq!(reconcile(&*log, &*engine, None).await.expect("the store answers").told, lost.len());
    bench.held(lost[1]).await;
    assert_eq!(bench.notes(lost[0]).await, "note end");
    assert_eq!(reconcile(&*log, &*engine, None).await.expect("the store answers").told, 0, "all is known");
    for key in [known, lost[1]] {
        bench.release(key).await;
        bench.ended(key).await;
    }
}

pub(super) async fn an_answer_that_the_engine_was_not_told_of_is_reconciled(bench: &mut Case<'_>) {
    bench.site.start_worker().await;
    let key = bench.begin("wait").await;
    let (log, engine) = (bench.stores().log, bench.engine());
    bench.begun(key).await;
    until("the turn waits", async || engine.status(key).await.expect("it is told") == TurnStatus::Waiting).await;
    bench.store_answer(key).await;
    assert_eq!(reconcile(&*log, &*engine, None).await.expect("the store answers").told, 1);
    assert_eq!(bench.ended(key).await, "answered end");
}
