//! Who may run a turn when, how turns end, and what listeners see.

use std::sync::Arc;

use async_trait::async_trait;
use everwit_runtime::bus::LISTENER_BUFFER_EVENTS;
use everwit_runtime::capability::{Capability, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use everwit_runtime::component::Effects;
use everwit_runtime::driver::llmsim::{LlmSimConfig, SimError, SimToolCall, SimTurn};
use everwit_runtime::error::ErrorKind;
use everwit_runtime::id::SessionId;
use everwit_runtime::in_process::{ConcurrentTurns, InputMessage};
use everwit_runtime::{InProcessRuntime, InProcessRuntimeBuilder, TurnStopReason};
use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// A tool that returns when it is let go.
struct Gate {
    tools: [ToolDefinition; 1],
    entered: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

#[async_trait]
impl Capability for Gate {
    fn id(&self) -> &str {
        "gate"
    }

    fn name(&self) -> &str {
        "Gate"
    }

    fn description(&self) -> &str {
        "Waits."
    }

    fn tools(&self) -> &[ToolDefinition] {
        &self.tools
    }

    async fn call_tool(&self, _call: &ToolCallContext, _tool: &str, _arguments: Value) -> ToolOutcome {
        self.entered.add_permits(1);
        self.open.acquire().await.unwrap().forget();
        ToolOutcome::native(Ok(ToolOutput::text("through")))
    }
}

struct Site {
    runtime: InProcessRuntime,
    session: SessionId,
    entered: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

/// A session whose model calls the gate once, and then answers for good.
async fn site(concurrent: ConcurrentTurns) -> Site {
    let (entered, open) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let tool = ToolDefinition {
        name: "pass".to_owned(),
        title: "Pass".to_owned(),
        description: "Waits at the gate.".to_owned(),
        input_schema: json!({ "type": "object" }),
        effects: Effects::default(),
    };
    let script = LlmSimConfig::scripted([
        SimTurn::ToolCalls(vec![SimToolCall::new("pass", json!({}))]),
        SimTurn::Assistant("first".to_owned()),
        SimTurn::Assistant("second".to_owned()),
    ]);
    let runtime = InProcessRuntimeBuilder::new()
        .capability(Gate { tools: [tool], entered: entered.clone(), open: open.clone() })
        .llm_sim(script)
        .concurrent_turns(concurrent)
        .single_session(|session| session.with_capability("gate"))
        .build()
        .await
        .unwrap();
    let session = runtime.default_session_id().unwrap();
    Site { runtime, session, entered, open }
}

async fn passed(semaphore: &Semaphore) {
    semaphore.acquire().await.unwrap().forget();
}

#[tokio::test]
async fn a_second_turn_waits_for_the_first() {
    let Site { runtime, session, entered, open } = site(ConcurrentTurns::Wait).await;
    let first = runtime.run_text_turn(session, "one");
    let second = runtime.run_text_turn(session, "two");
    let release = async {
        passed(&entered).await;
        assert_eq!(runtime.messages(session).await.unwrap().len(), 2, "what waits has not been said yet");
        open.add_permits(1);
    };
    let (first, second, ()) = tokio::join!(first, second, release);
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.response.as_str(), first.iterations, first.tool_calls_count), ("first", 2, 1));
    assert_eq!((second.response.as_str(), second.iterations, second.tool_calls_count), ("second", 1, 0));
    let texts: Vec<String> = runtime.messages(session).await.unwrap().iter().map(|message| message.text()).collect();
    assert_eq!(texts, ["one", "", "", "first", "two", "second"]);
}

#[tokio::test]
async fn a_second_turn_is_refused_even_if_nobody_waits_for_the_first() {
    let Site { runtime, session, entered, open } = site(ConcurrentTurns::Refuse).await;
    {
        let mut abandoned = Box::pin(runtime.run_text_turn(session, "one"));
        tokio::select! {
            biased;
            () = passed(&entered) => {}
            result = &mut abandoned => panic!("{result:?}"),
        }
        let refused = runtime.run_text_turn(session, "two").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");
    }
    let refused = runtime.run_text_turn(session, "two").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "the turn goes on although its future was dropped: {refused}");
    let mut events = runtime.subscribe(session).await.unwrap();
    open.add_permits(1);
    while events.next().await.unwrap().unwrap().data.name() != "session.idled" {}
    assert_eq!(runtime.messages(session).await.unwrap().iter().filter(|message| message.text() == "two").count(), 0);
    assert_eq!(runtime.run_text_turn(session, "two").await.unwrap().response, "second");
}

#[tokio::test]
async fn a_cancelled_turn_says_so() {
    let Site { runtime, session, entered, .. } = site(ConcurrentTurns::Wait).await;
    assert!(!runtime.cancel(session).await.unwrap(), "there is nothing to cancel");
    let cancel = async {
        passed(&entered).await;
        assert!(runtime.cancel(session).await.unwrap());
    };
    let (turn, ()) = tokio::join!(runtime.run_text_turn(session, "one"), cancel);
    let turn = turn.unwrap();
    assert_eq!((turn.success, turn.stop_reason), (false, TurnStopReason::Cancelled));
    assert!(turn.error.is_some());
}

#[tokio::test]
async fn turns_tell_why_they_ended() {
    let script = LlmSimConfig::scripted([
        SimTurn::Error(SimError::InvalidRequest),
        SimTurn::ToolCalls(vec![SimToolCall::new("get_current_time", json!({}))]),
    ]);
    let builder = InProcessRuntimeBuilder::new().llm_sim(script);
    let runtime = builder.single_session(|session| session.with_capability("current_time").max_iterations(2)).build().await.unwrap();
    let session = runtime.default_session_id().unwrap();
    let failed = runtime.run_text_turn(session, "one").await.unwrap();
    assert!(!failed.success && failed.error.is_some());
    assert_eq!(failed.stop_reason, TurnStopReason::Failure { code: "invalid_request".to_owned() });
    let exhausted = runtime.run_text_turn(session, "two").await.unwrap();
    assert_eq!((exhausted.success, exhausted.stop_reason, exhausted.iterations), (true, TurnStopReason::MaxIterations, 2));
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_and_not_stored() {
    let builder = InProcessRuntimeBuilder::new().llm_sim(LlmSimConfig::echo());
    let runtime = builder.single_session(|session| session).build().await.unwrap();
    let session = runtime.default_session_id().unwrap();
    let empty = runtime.run_turn(session, InputMessage::default()).await.unwrap_err();
    assert_eq!(empty.kind(), ErrorKind::Invalid);
    let long = runtime.run_text_turn(session, "x".repeat((1 << 20) + 1)).await.unwrap_err();
    assert_eq!(long.kind(), ErrorKind::Limit);
    let unknown = runtime.run_text_turn(SessionId::from_uuid(Uuid::from_u128(4)), "x").await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
    assert!(runtime.subscribe(SessionId::from_uuid(Uuid::from_u128(4))).await.is_err());
    assert_eq!(runtime.messages(session).await.unwrap().len(), 0);
    let said = InputMessage::text("look").with_image_url("https://images.test/a.png").with_metadata("source", "test");
    runtime.run_turn(session, said).await.unwrap();
    let messages = runtime.messages(session).await.unwrap();
    assert_eq!((messages[0].content.len(), &messages[0].metadata["source"]), (2, &json!("test")));
}

#[tokio::test]
async fn a_slow_listener_misses_no_stored_event() {
    let builder = InProcessRuntimeBuilder::new().llm_sim(LlmSimConfig::echo());
    let runtime = builder.single_session(|session| session).build().await.unwrap();
    let session = runtime.default_session_id().unwrap();
    let mut events = runtime.subscribe(session).await.unwrap();
    for turn in 0..LISTENER_BUFFER_EVENTS / 4 {
        runtime.run_text_turn(session, format!("turn {turn}")).await.unwrap();
    }
    let last = runtime.backends().log.last_sequence(runtime.org_id(), session).await.unwrap();
    assert!(last > LISTENER_BUFFER_EVENTS as u64, "the listener has fallen behind");
    let mut seen = Vec::new();
    while let Some(Some(event)) = events.next().now_or_never() {
        seen.extend(event.unwrap().sequence);
    }
    assert_eq!(seen, (2..=last).collect::<Vec<_>>(), "from the event behind the subscription to the last, each once");
}
