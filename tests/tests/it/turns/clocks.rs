//! Clocks that are set by an hour while turns run, and while nobody runs them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use everwit_runtime::clock::Clock;
use everwit_runtime::driver::llmsim::{LlmSimConfig, SimTurn};
use everwit_runtime::event::{EventData, ToolCompleted};
use everwit_runtime::store::TurnEnd;
use everwit_runtime::turn::TurnRun;
use jiff::{SignedDuration, Timestamp};

use super::faults::{Fault, dies};
use super::rig::{Rig, call};

/// How far a clock is set, back and forward: longer than turns may take.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A clock on which no time passes, and which is set once, when it was read so often.
struct StepClock {
    reads: AtomicUsize,
    at: usize,
    by: SignedDuration,
}

impl StepClock {
    fn new(at: usize, by: SignedDuration) -> Arc<Self> {
        Arc::new(Self { reads: AtomicUsize::new(0), at, by })
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }
}

impl Clock for StepClock {
    fn now(&self) -> Timestamp {
        let is_set = self.reads.fetch_add(1, Ordering::Relaxed) >= self.at;
        let base = Timestamp::UNIX_EPOCH + HOUR * 24;
        if is_set { base + self.by } else { base }
    }

    fn steady(&self) -> Duration {
        Duration::ZERO
    }
}

/// A turn of two steps with tools.
async fn rig(clock: Arc<StepClock>) -> Rig {
    let script = [
        SimTurn::ToolCalls(vec![call("look"), call("order")]),
        SimTurn::ToolCalls(vec![call("look")]),
        SimTurn::Assistant("done".to_owned()),
    ];
    let mut rig = Rig::new(LlmSimConfig::scripted(script)).await;
    rig.platform.clock = clock;
    rig.submit("go").await;
    rig
}

/// What the events of a turn say that it took, and parts of it.
async fn durations(rig: &Rig) -> Vec<u64> {
    let took = rig.events().await.into_iter().filter_map(|event| match event.data {
        EventData::ReasonCompleted { duration_ms, .. }
        | EventData::LlmGeneration { duration_ms, .. }
        | EventData::ActCompleted { duration_ms, .. }
        | EventData::ToolCompleted(ToolCompleted { duration_ms, .. })
        | EventData::TurnCompleted { duration_ms, .. } => Some(duration_ms),
        _ => None,
    });
    took.collect()
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_while_a_turn_runs_is_not_time_that_it_took() {
    let clock = StepClock::new(usize::MAX, HOUR);
    let undisturbed = rig(clock.clone()).await;
    assert_eq!(undisturbed.run().await, TurnRun::Ended(TurnEnd::Completed));
    let names = undisturbed.names().await;
    assert!(clock.reads() > 5, "the clock is read again and again");
    for at in 0..clock.reads() {
        for by in [HOUR, -HOUR] {
            let rig = rig(StepClock::new(at, by)).await;
            assert_eq!(rig.run().await, TurnRun::Ended(TurnEnd::Completed), "set by {by:#} at reading {at}");
            assert_eq!(rig.names().await, names, "set by {by:#} at reading {at}");
            let took = durations(&rig).await;
            assert!(took.len() >= 10 && took.iter().all(|millis| *millis == 0), "set by {by:#} at reading {at}: {took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_while_the_process_is_dead_ends_no_turn() {
    let undisturbed = rig(StepClock::new(usize::MAX, HOUR)).await;
    undisturbed.run().await;
    let events = undisturbed.events().await.len();
    for dead_after in 0..events - 2 {
        for by in [HOUR, -HOUR] {
            let mut rig = rig(StepClock::new(usize::MAX, HOUR)).await;
            dies(&rig, Fault::DeadAfter(dead_after)).await.unwrap_err();
            rig.platform.clock = StepClock::new(0, by);
            rig.recover().await;
            assert!(
                matches!(rig.end().await, EventData::TurnCompleted { .. }),
                "set by {by:#} after {dead_after} events: {:?}",
                rig.end().await
            );
            assert_eq!(rig.last_text().await, "done");
            assert!(rig.desk.executed("order").len() <= 1);
        }
    }
}

/// The step is between two events of the log, so that whoever takes the turn up sees an hour in which something ran.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_before_the_process_dies_ends_no_turn() {
    let clock = StepClock::new(usize::MAX, HOUR);
    let undisturbed = rig(clock.clone()).await;
    undisturbed.run().await;
    let events = undisturbed.events().await.len();
    for at in 0..clock.reads() {
        for dead_after in 0..events - 2 {
            let rig = rig(StepClock::new(at, HOUR)).await;
            dies(&rig, Fault::DeadAfter(dead_after)).await.unwrap_err();
            rig.recover().await;
            let end = rig.end().await;
            assert!(matches!(end, EventData::TurnCompleted { .. }), "set at reading {at}, dead after {dead_after} events: {end:?}");
        }
    }
}
