//! Nobody is waited for for ever: by the time that was told, a turn goes on without.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use everwit_runtime::capability::{CallError, Capability, ToolCallContext, ToolDefinition, ToolOutcome};
use everwit_runtime::client_tool::ClientTool;
use everwit_runtime::clock::Clock;
use everwit_runtime::connection::{ConnectionCredential, UserConnectionResolver};
use everwit_runtime::driver::llmsim::{LlmSimConfig, SimToolCall, SimTurn};
use everwit_runtime::event::{EventData, ToolStatus};
use everwit_runtime::id::{OrgId, SessionId};
use everwit_runtime::limits::MAX_CONNECTION_REQUESTS;
use everwit_runtime::store::TurnEnd;
use everwit_runtime::turn::{ApprovalVerdict, ClientToolResult, OutsideError, ToolApproval, TurnRun};
use everwit_runtime::{AskUserCapability, Error, ToolApprovalCapability};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::rig::{Rig, WAIT_LIMIT, call, heard};

/// A clock that goes on when it is told to.
#[derive(Default)]
struct SetClock(AtomicI64);

impl SetClock {
    fn set(&self, seconds: u64) {
        self.0.store(i64::try_from(seconds).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

/// A clock that goes with the timers.
struct TimerClock(tokio::time::Instant);

impl Clock for TimerClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + self.0.elapsed()
    }
}

fn question() -> SimToolCall {
    SimToolCall::new("ask_user", json!({"questions": [{"header": "Colour", "question": "Which?", "kind": "text"}]}))
}

/// A turn that waits for an approval, an answer and a client.
async fn asking(clock: Arc<dyn Clock>) -> Rig {
    let calls = vec![call("order"), question(), SimToolCall::new("beep", json!({}))];
    let mut rig = Rig::new(LlmSimConfig::scripted([SimTurn::ToolCalls(calls), SimTurn::Assistant("done".to_owned())])).await;
    rig.platform.clock = clock;
    let gate = json!({"mode": "off", "ask": ["order"]});
    rig.equip([(Arc::new(AskUserCapability) as Arc<dyn Capability>, json!({})), (Arc::new(ToolApprovalCapability), gate)]).await;
    let harness = rig.platform.backends.harness_store.find_harness(rig.org, "base").await.unwrap().unwrap();
    let beep = ClientTool::new("beep", "Beeps.", json!({"type": "object"}));
    rig.session = rig.add_session(harness.id, |session| session.tools = vec![beep]).await;
    rig
}

/// A capability that can do nothing before its user connects an account.
struct Issues([ToolDefinition; 1]);

#[async_trait]
impl Capability for Issues {
    fn id(&self) -> &str {
        "issues"
    }

    fn name(&self) -> &str {
        "Issues"
    }

    fn description(&self) -> &str {
        "The user's issues"
    }

    fn tools(&self) -> &[ToolDefinition] {
        &self.0
    }

    async fn call_tool(&self, _call: &ToolCallContext, _tool: &str, _arguments: Value) -> ToolOutcome {
        ToolOutcome::native(Err(CallError::ConnectionRequired { provider: "tracker".to_owned() }))
    }
}

async fn ids(rig: &Rig) -> Vec<String> {
    let events = rig.events().await;
    let asked = events.iter().find_map(|event| match &event.data {
        EventData::ToolCallRequested { tool_calls, expires_at, .. } => Some((tool_calls, expires_at)),
        _ => None,
    });
    let (calls, expires_at) = asked.expect("somebody is asked");
    assert_eq!(*expires_at, Some(Timestamp::UNIX_EPOCH + WAIT_LIMIT), "it is told how long there is time");
    calls.iter().map(|asked| asked.tool_call.id.clone()).collect()
}

#[tokio::test]
async fn what_nobody_settles_in_time_is_settled_as_timed_out() {
    let clock = Arc::new(SetClock::default());
    let rig = asking(clock.clone()).await;
    let engine = rig.engine();
    rig.go(&engine, "go").await;
    let ids = ids(&rig).await;
    clock.set(WAIT_LIMIT.as_secs() - 1);
    assert_eq!(engine.end_overdue_waits(), 0, "there is time left");
    assert_eq!(rig.names().await.last(), Some(&"tool.call_requested"));
    clock.set(WAIT_LIMIT.as_secs());
    assert_eq!(engine.end_overdue_waits(), 1);
    engine.settled(rig.org, rig.session).await;

    let results = rig.results().await;
    let told = ["nobody has allowed or refused the call", "the user has not answered", "no client has sent a result"];
    for ((result, id), told) in results.iter().zip(&ids).zip(told) {
        assert_eq!((&result.tool_call_id, result.status, result.error_kind.as_deref()), (id, ToolStatus::Timeout, Some("timed_out")));
        let error = result.error.as_deref().unwrap();
        assert!(error.starts_with("timed out: ") && error.contains(told) && error.contains("1970-01-01T01:00:00Z"), "{error}");
        assert_eq!(error.contains("uncertain"), result.tool_name == "beep", "only the client may have done something: {error}");
    }
    assert_eq!(results.len(), 3);
    assert_eq!(rig.last_text().await, "done", "the turn goes on");
    assert!(rig.desk.executed("order").is_empty());
    let late = ToolApproval { tool_call_id: ids[0].clone(), verdict: ApprovalVerdict::Allow, reason: None };
    let late = rig.platform.outside_desk().decide(rig.org, rig.session, &[late]).await;
    assert!(matches!(late, Err(OutsideError::NotWaiting { .. })), "{late:?}");
    assert_eq!(engine.end_overdue_waits(), 0);
}

#[tokio::test]
async fn what_was_settled_stays_and_only_the_rest_times_out() {
    let clock = Arc::new(SetClock::default());
    let rig = asking(clock.clone()).await;
    let engine = rig.engine();
    rig.go(&engine, "go").await;
    let ids = ids(&rig).await;
    let beeped = ClientToolResult { tool_call_id: ids[2].clone(), outcome: Ok(json!("beep")) };
    assert!(!rig.platform.outside_desk().settle(rig.org, rig.session, &[beeped]).await.unwrap().wakes_turn);
    clock.set(2 * WAIT_LIMIT.as_secs());
    assert_eq!(engine.end_overdue_waits(), 1);
    engine.settled(rig.org, rig.session).await;
    let statuses: Vec<(String, ToolStatus)> = rig.results().await.into_iter().map(|result| (result.tool_name, result.status)).collect();
    let expected = [("beep", ToolStatus::Success), ("order", ToolStatus::Timeout), ("ask_user", ToolStatus::Timeout)];
    assert_eq!(statuses, expected.map(|(name, status)| (name.to_owned(), status)));
}

/// A turn whose one tool call asks for a connection, however often it is made.
async fn connecting(clock: Arc<dyn Clock>) -> Rig {
    let calls = SimTurn::ToolCalls(vec![SimToolCall::new("list_issues", json!({}))]);
    let mut rig = Rig::new(LlmSimConfig::scripted([calls, SimTurn::Assistant("done".to_owned())])).await;
    rig.platform.clock = clock;
    let list = ToolDefinition::new("list_issues", "Lists the user's issues.", json!({"type": "object"})).read_only();
    rig.equip([(Arc::new(Issues([list])) as Arc<dyn Capability>, json!({}))]).await;
    rig
}

/// Has a credential, whatever it is asked for.
struct Connected;

#[async_trait]
impl UserConnectionResolver for Connected {
    async fn connection(&self, _org: OrgId, _session: SessionId, _provider: &str) -> Result<Option<ConnectionCredential>, Error> {
        Ok(Some(SecretString::from("token").into()))
    }

    async fn hosts(&self, _org: OrgId, _provider: &str) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn a_call_that_asks_for_a_connection_again_and_again_is_not_believed() {
    let mut rig = connecting(Arc::new(SetClock::default())).await;
    rig.platform.backends.connection_resolver = Some(Arc::new(Connected));
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Completed));
    let asked = rig.names().await.into_iter().filter(|name| *name == "tool.call_requested").count();
    assert_eq!(asked, MAX_CONNECTION_REQUESTS as usize);
    let results = rig.results().await;
    assert_eq!((results.len(), results[0].status), (1, ToolStatus::Error), "{results:?}");
    assert_eq!(rig.last_text().await, "done", "the turn goes on");
}

#[tokio::test]
async fn a_connection_that_nobody_makes_is_waited_for_no_longer_than_was_told() {
    let clock = Arc::new(SetClock::default());
    let rig = connecting(clock.clone()).await;
    let engine = rig.engine();
    rig.go(&engine, "go").await;
    let asked = ids(&rig).await;
    clock.set(WAIT_LIMIT.as_secs());
    assert_eq!(engine.end_overdue_waits(), 1);
    engine.settled(rig.org, rig.session).await;
    let results = rig.results().await;
    let [result] = results.as_slice() else { panic!("{results:?}") };
    assert_eq!((&result.tool_call_id, result.status, result.error_kind.as_deref()), (&asked[0], ToolStatus::Timeout, Some("timed_out")));
    assert!(result.error.as_deref().unwrap().contains("the user has not connected the account"), "{result:?}");
    assert_eq!(rig.last_text().await, "done", "the turn goes on");
}

#[tokio::test(start_paused = true)]
async fn the_engine_ends_a_wait_by_itself() {
    let rig = asking(Arc::new(TimerClock(tokio::time::Instant::now()))).await;
    let engine = rig.engine();
    let mut listener = rig.listen();
    engine.submit(rig.submit("go").await).unwrap();
    heard(&mut listener, "tool.call_requested").await;
    let ended = heard(&mut listener, "turn.completed").await;
    assert!(ended.ts >= Timestamp::UNIX_EPOCH + WAIT_LIMIT, "{ended:?}");
    assert_eq!(rig.results().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_wait_survives_its_process_and_ends_in_the_next_one() {
    let rig = asking(Arc::new(TimerClock(tokio::time::Instant::now()))).await;
    let first = rig.engine();
    rig.go(&first, "go").await;
    first.drain().await;
    drop(first);
    let mut listener = rig.listen();
    let second = rig.engine();
    assert_eq!(second.recover().await.unwrap(), 1);
    let ended = heard(&mut listener, "turn.completed").await;
    assert!(ended.ts >= Timestamp::UNIX_EPOCH + WAIT_LIMIT, "not before its time: {ended:?}");
    assert_eq!(rig.last_text().await, "done");
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_refused_and_nothing_is_stored() {
    let rig = asking(Arc::new(SetClock::default())).await;
    rig.ask("go").await;
    let ids = ids(&rig).await;
    let before = rig.events().await.len();
    let answer = |answer: serde_json::Value| ClientToolResult { tool_call_id: ids[1].clone(), outcome: Ok(answer) };
    let beeped = ClientToolResult { tool_call_id: ids[2].clone(), outcome: Ok(json!("anything")) };
    let wrong = json!({"status": "answered", "answers": [{"id": "size", "text": "L"}]});
    let refused = rig.platform.outside_desk().settle(rig.org, rig.session, &[beeped.clone(), answer(wrong)]).await.unwrap_err();
    let OutsideError::Unacceptable { problems } = refused else { panic!("{refused}") };
    let places: Vec<(&str, &str)> = problems.iter().map(|(id, problem)| (id.as_str(), problem.place.as_str())).collect();
    assert_eq!(places, [(ids[1].as_str(), "/answers/0/id"), (ids[1].as_str(), "/answers")]);
    assert_eq!(rig.events().await.len(), before);
    let right = json!({"status": "answered", "answers": [{"id": "question_1", "text": "Blue"}]});
    rig.platform.outside_desk().settle(rig.org, rig.session, &[beeped, answer(right)]).await.unwrap();
    assert_eq!(rig.results().await.len(), 2);
}
