//! Turns that wait for results of client-side tools.

use everwit_runtime::client_tool::ClientTool;
use everwit_runtime::driver::llmsim::{LlmSimConfig, SimToolCall, SimTurn};
use everwit_runtime::error::ErrorKind;
use everwit_runtime::id::SessionId;
use everwit_runtime::in_process::ConcurrentTurns;
use everwit_runtime::session::Session;
use everwit_runtime::turn::ClientToolResult;
use everwit_runtime::{InProcessRuntime, InProcessRuntimeBuilder, TurnStopReason};
use serde_json::json;

async fn site() -> InProcessRuntime {
    let call = |n: u32| SimToolCall::new("ask", json!({ "n": n }));
    let script = LlmSimConfig::scripted([
        SimTurn::ToolCalls(vec![call(1), call(2)]),
        SimTurn::Assistant("first".to_owned()),
        SimTurn::Assistant("second".to_owned()),
    ]);
    let builder = InProcessRuntimeBuilder::new().llm_sim(script).concurrent_turns(ConcurrentTurns::Refuse);
    builder.single_session(|session| session).build().await.unwrap()
}

/// A session whose clients have a tool.
async fn session(runtime: &InProcessRuntime) -> SessionId {
    let (org, template) = (runtime.org_id(), runtime.default_session_id().unwrap());
    let harness = runtime.backends().session_store.get_session(org, template).await.unwrap().unwrap().harness_id;
    let tool = ClientTool::new("ask", "Asks the client.", json!({ "type": "object" }));
    runtime.add_session(Session::new(harness).with_tool(tool)).await.unwrap()
}

#[tokio::test]
async fn a_turn_that_waits_is_a_result_and_goes_on_with_what_it_waits_for() {
    let runtime = site().await;
    let session = session(&runtime).await;
    let turn = runtime.run_text_turn(session, "go").await.unwrap();
    assert_eq!((turn.success, &turn.stop_reason, turn.iterations), (false, &TurnStopReason::WaitingForToolResults, 1));
    assert_eq!(turn.waiting_for.iter().map(|call| call.tool_call.arguments["n"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(2)]);
    let result =
        |at: usize, text: &str| ClientToolResult { tool_call_id: turn.waiting_for[at].tool_call.id.clone(), outcome: Ok(json!(text)) };
    let part = runtime.submit_tool_results(session, &[result(1, "b")]).await.unwrap();
    assert_eq!(part.waiting_for, turn.waiting_for[..1]);
    let again = runtime.submit_tool_results(session, &[result(1, "b")]).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Invalid, "{again}");
    let whole = runtime.submit_tool_results(session, &[result(0, "a")]).await.unwrap();
    assert_eq!((whole.turn_id, whole.response.as_str(), whole.tool_calls_count), (turn.turn_id, "first", 2));
    assert_eq!((whole.success, whole.stop_reason, whole.waiting_for), (true, TurnStopReason::EndTurn, Vec::new()));
    let late = runtime.submit_tool_results(session, &[result(0, "a")]).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict, "{late}");
}

#[tokio::test]
async fn a_message_is_not_refused_because_a_turn_waits() {
    let runtime = site().await;
    let session = session(&runtime).await;
    assert_eq!(runtime.run_text_turn(session, "go").await.unwrap().stop_reason, TurnStopReason::WaitingForToolResults);
    let next = runtime.run_text_turn(session, "never mind").await.unwrap();
    // The simulator takes the turn without an answer for a step of its script.
    assert_eq!((next.stop_reason, next.response.as_str(), next.iterations), (TurnStopReason::EndTurn, "second", 1));
}
