//! The embedded engine: order, concurrency, cancel, drain and panics.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use everwit_runtime::driver::llmsim::LlmSimConfig;
use everwit_runtime::driver::{ChatDriver, ChatRequest, ChatStream, DriverContext, DriverError};
use everwit_runtime::engine::{Executor, Next, Step, StepError, StepHandler, TurnKey};
use everwit_runtime::error::{Error, ErrorKind};
use everwit_runtime::event::EventData;
use everwit_runtime::id::{HarnessId, OrgId, SessionId};
use everwit_runtime::store::TurnEnd;
use everwit_runtime::turn::{TurnPlatform, TurnRun};
use uuid::Uuid;

use super::rig::{CountingIds, Rig, calling, heard, input};

#[tokio::test]
async fn queued_turns_run_in_order_and_submitting_twice_is_once() {
    let rig = Rig::new(LlmSimConfig::echo()).await;
    let engine = rig.engine();
    let keys = [rig.submit("one").await, rig.submit_apart("two").await, rig.submit_apart("three").await];
    for key in keys.iter().rev().chain(&keys) {
        engine.submit(*key).unwrap();
    }
    engine.settled(rig.org, rig.session).await;
    let ended: Vec<_> = rig
        .events()
        .await
        .into_iter()
        .filter_map(|event| if let EventData::TurnCompleted { turn_id, .. } = event.data { Some(turn_id) } else { None })
        .collect();
    assert_eq!(ended, keys.map(|key| key.turn));
    assert_eq!(rig.last_text().await, "three");
}

/// The platform, with somebody who submits a turn between the end of the first step and what follows from it.
struct LastMoment {
    platform: TurnPlatform,
    ids: Arc<CountingIds>,
    engine: OnceLock<Executor>,
    is_over: AtomicBool,
}

#[async_trait]
impl StepHandler for LastMoment {
    async fn step(&self, step: Step) -> Result<Next, StepError> {
        let (org, session) = (step.key.org, step.key.session);
        let next = self.platform.step(step).await?;
        if !self.is_over.swap(true, Ordering::Relaxed) {
            assert!(matches!(next, Next::Done), "{next:?}");
            let (turn, input) = input(&*self.ids, "two");
            self.platform.backends.log.submit_turn(org, session, turn, input).await.unwrap();
            self.engine.get().unwrap().submit(TurnKey { org, session, turn }).unwrap();
        }
        Ok(next)
    }

    async fn idle(&self, org: OrgId, session: SessionId) -> Result<Next, Error> {
        self.platform.idle(org, session).await
    }
}

#[tokio::test]
async fn a_turn_that_is_submitted_when_the_one_before_it_has_just_ended_runs() {
    let rig = Rig::new(LlmSimConfig::echo()).await;
    let (platform, ids) = (rig.platform.clone(), rig.ids.clone());
    let handler = Arc::new(LastMoment { platform, ids, engine: OnceLock::new(), is_over: AtomicBool::new(false) });
    let engine = Executor::with_handler(handler.clone(), rig.log(), rig.platform.clock.clone(), 4);
    handler.engine.set(engine.clone()).ok().unwrap();
    rig.go(&engine, "one").await;
    assert_eq!(rig.log().open_turns(rig.org, rig.session).await.unwrap(), []);
    assert_eq!(rig.last_text().await, "two");
}

#[tokio::test]
async fn no_more_turns_run_at_once_than_allowed() {
    let rig = Rig::new(calling(&["gate"])).await;
    let other = rig.add_session(HarnessId::from_uuid(Uuid::from_u128(0xb)), |_| {}).await;
    let engine = Executor::new(rig.platform.clone(), 1);
    let mut listener = rig.listen();
    let mut other_listener = rig.platform.backends.event_bus.subscribe(other);
    engine.submit(rig.submit("first").await).unwrap();
    heard(&mut listener, "tool.started").await;
    engine.submit(rig.submit_to(other, "second").await).unwrap();
    tokio::task::yield_now().await;
    assert!(other_listener.try_recv().is_err(), "the second session waits");
    rig.desk.gate.add_permits(2);
    engine.settled(rig.org, rig.session).await;
    engine.settled(rig.org, other).await;
    heard(&mut other_listener, "turn.completed").await;
}

#[tokio::test]
async fn sessions_run_at_the_same_time() {
    let rig = Rig::new(calling(&["gate"])).await;
    let other = rig.add_session(HarnessId::from_uuid(Uuid::from_u128(0xb)), |_| {}).await;
    let engine = rig.engine();
    let mut listener = rig.listen();
    let mut other_listener = rig.platform.backends.event_bus.subscribe(other);
    engine.submit(rig.submit("first").await).unwrap();
    engine.submit(rig.submit_to(other, "second").await).unwrap();
    heard(&mut listener, "tool.started").await;
    heard(&mut other_listener, "tool.started").await;
    rig.desk.gate.add_permits(2);
    engine.drain().await;
}

#[tokio::test]
async fn a_waiting_turn_can_be_cancelled() {
    let rig = Rig::new(calling(&["gate"])).await;
    let engine = rig.engine();
    let mut listener = rig.listen();
    let (first, second) = (rig.submit("first").await, rig.submit_apart("second").await);
    engine.submit(first).unwrap();
    heard(&mut listener, "tool.started").await;
    assert!(engine.cancel(second).await.unwrap());
    rig.desk.gate.add_permits(1);
    engine.settled(rig.org, rig.session).await;
    let names = rig.names().await;
    assert_eq!(names[names.len() - 5..], ["session.idled", "turn.started", "session.activated", "turn.cancelled", "session.idled"]);
    assert_eq!(names.iter().filter(|name| **name == "turn.completed").count(), 1);
}

#[tokio::test]
async fn a_cancel_that_was_recorded_before_the_start_is_kept() {
    let rig = Rig::new(LlmSimConfig::echo()).await;
    let key = rig.submit("go").await;
    rig.log().request_cancel(rig.org, rig.session, key.turn).await.unwrap();
    assert_eq!(rig.run().await, TurnRun::Ended(TurnEnd::Cancelled));
}

#[tokio::test]
async fn a_drain_waits_for_the_step_and_leaves_the_turn_to_the_next_start() {
    let rig = Rig::new(calling(&["gate"])).await;
    let engine = rig.engine();
    let mut listener = rig.listen();
    let key = rig.submit("go").await;
    engine.submit(key).unwrap();
    heard(&mut listener, "tool.started").await;
    let mut drain = std::pin::pin!(engine.drain());
    assert!(futures::poll!(&mut drain).is_pending());
    assert_eq!(engine.submit(key).unwrap_err().kind(), ErrorKind::Unavailable);
    rig.desk.gate.add_permits(1);
    drain.await;
    let names = rig.names().await;
    assert_eq!(names.last(), Some(&"act.completed"));
    assert_eq!(rig.log().open_turns(rig.org, rig.session).await.unwrap(), [key.turn]);
    rig.recover().await;
    assert_eq!(rig.last_text().await, "done");
    assert_eq!(rig.desk.executed("gate").len(), 1);
}

/// A driver with a defect.
#[derive(Clone)]
struct Broken;

#[async_trait]
impl ChatDriver for Broken {
    async fn complete(&self, request: ChatRequest, _context: DriverContext) -> Result<ChatStream, DriverError> {
        panic!("cannot answer {} messages", request.messages.len());
    }
}

#[tokio::test]
async fn a_panic_seals_the_turn_and_the_next_one_runs() {
    let rig = Rig::with_driver(Broken).await;
    let engine = rig.engine();
    let (first, second) = (rig.submit("first").await, rig.submit_apart("second").await);
    engine.submit(first).unwrap();
    engine.submit(second).unwrap();
    engine.settled(rig.org, rig.session).await;
    let sealed: Vec<_> = rig
        .events()
        .await
        .into_iter()
        .filter_map(|event| if let EventData::TurnSealed { turn_id, reason, .. } = event.data { Some((turn_id, reason)) } else { None })
        .collect();
    assert_eq!(sealed, [(first.turn, "internal_error".to_owned()), (second.turn, "internal_error".to_owned())]);
    let names = rig.names().await;
    assert_eq!(names[names.len() - 4..], ["reason.started", "reason.completed", "turn.sealed", "session.idled"]);
}
