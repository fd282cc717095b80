//! Tool calls: what is executed, what is refused, and what the model is told.

use std::time::Duration;

use everwit_runtime::driver::llmsim::{LlmSimConfig, SimToolCall, SimTurn};
use everwit_runtime::event::{EventData, ToolCompleted, ToolStatus};
use everwit_runtime::limits::MAX_TOOL_RESULT_BYTES;
use everwit_runtime::message::ContentPart;
use everwit_runtime::store::TurnEnd;
use everwit_runtime::turn::TurnRun;
use serde_json::json;

use super::rig::{Rig, call, calling, heard};

async fn results_of(calls: Vec<SimToolCall>) -> (Rig, Vec<ToolCompleted>) {
    let config = LlmSimConfig::scripted([SimTurn::ToolCalls(calls), SimTurn::Assistant("done".to_owned())]);
    let rig = Rig::new(config).await;
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Completed));
    let results = rig.results().await;
    (rig, results)
}

fn error(result: &ToolCompleted) -> &str {
    result.error.as_deref().unwrap_or("")
}

#[tokio::test]
async fn the_log_of_a_turn() {
    let rig = Rig::new(calling(&["look", "fail"])).await;
    rig.ask("go").await;
    let told: Vec<String> = rig
        .events()
        .await
        .iter()
        .map(|event| {
            let detail = match &event.data {
                EventData::ToolStarted { tool_call, .. } => format!(" {} {}", tool_call.id, tool_call.name),
                EventData::ToolCompleted(done) if done.success => format!(" {} {:?}", done.tool_call_id, done.status),
                EventData::ToolCompleted(done) => format!(" {} {:?}: {}", done.tool_call_id, done.status, error(done)),
                EventData::LlmGeneration { messages_to_sequence: to, usage, .. } => {
                    format!(" up to {to}, {} tokens in, {} out", usage.input_tokens, usage.output_tokens)
                }
                EventData::TurnCompleted { reason, iterations, tool_call_count, .. } => format!(" {reason} {iterations} {tool_call_count}"),
                _ => String::new(),
            };
            format!("{} {}{detail}", event.sequence.unwrap_or(0), event.data.name())
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    1 session.started
    2 input.message
    3 turn.started
    4 session.activated
    5 reason.started
    6 llm.generation up to 2, 37 tokens in, 4 out
    7 output.message.completed
    8 reason.completed
    9 act.started
    10 tool.started call_1_1 look
    11 tool.started call_1_2 fail
    12 tool.completed call_1_1 Success
    13 tool.completed call_1_2 Error: there is no such row (no_row)
    14 act.completed
    15 reason.started
    16 llm.generation up to 13, 44 tokens in, 1 out
    17 output.message.completed
    18 reason.completed
    19 turn.completed answered 2 2
    20 session.idled
    ");
}

#[tokio::test]
async fn parallel_calls_settle_in_call_order() {
    let rig = Rig::new(calling(&["gate", "look", "look"])).await;
    let mut listener = rig.listen();
    let engine = rig.engine();
    engine.submit(rig.submit("go").await).unwrap();
    heard(&mut listener, "tool.started").await;
    while rig.desk.executed("look").len() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(rig.results().await.is_empty(), "nothing settles before the first call");
    rig.desk.gate.add_permits(1);
    engine.settled(rig.org, rig.session).await;
    let ids: Vec<String> = rig.results().await.into_iter().map(|result| result.tool_call_id).collect();
    assert_eq!(ids, ["call_1_1", "call_1_2", "call_1_3"]);
}

#[tokio::test]
async fn calls_beyond_the_limit_are_refused() {
    let (rig, results) = results_of(vec![call("order"); 20]).await;
    assert_eq!(rig.desk.executed("order").len(), 16);
    assert_eq!(results.iter().filter(|result| result.success).count(), 16);
    for refused in &results[16..] {
        assert_eq!(refused.error_kind.as_deref(), Some("too-many-calls"));
        assert!(error(refused).contains("at most 16"), "{}", error(refused));
    }
}

#[tokio::test]
async fn an_unknown_tool_is_answered_with_the_names_of_the_others() {
    let (_, results) = results_of(vec![SimToolCall::new("nope", json!({})), call("look")]).await;
    assert_eq!((results[0].status, results[0].error_kind.as_deref()), (ToolStatus::Error, Some("unknown-tool")));
    assert!(error(&results[0]).contains("\"nope\"") && error(&results[0]).contains("look"), "{}", error(&results[0]));
    assert_eq!(results[0].capability_id, None);
    assert_eq!(results[1].capability_id.as_deref(), Some("desk"));
}

#[tokio::test]
async fn wrong_arguments_are_refused_with_path_and_rule() {
    let wrong = SimToolCall::new("look", json!({"n": "three"}));
    let extra = SimToolCall::new("look", json!({"m": 1}));
    let malformed = SimToolCall::raw("look", "{\"n\": ");
    let (rig, results) = results_of(vec![wrong, extra, malformed]).await;
    assert!(rig.desk.executed("look").is_empty());
    assert!(error(&results[0]).contains("at /n:") && error(&results[0]).contains("rule \"type\""), "{}", error(&results[0]));
    assert!(error(&results[1]).contains("at /:") && error(&results[1]).contains("rule \"additionalProperties\""), "{}", error(&results[1]));
    assert!(error(&results[2]).contains("not a JSON object"), "{}", error(&results[2]));
}

#[tokio::test]
async fn a_large_result_is_cut_with_a_note() {
    let (_, results) = results_of(vec![call("big")]).await;
    let texts: Vec<&str> = results[0]
        .result
        .iter()
        .filter_map(|part| if let ContentPart::Text { text } = part { Some(text.as_str()) } else { None })
        .collect();
    assert_eq!(texts[0].len(), MAX_TOOL_RESULT_BYTES);
    assert!(texts[1].contains("has 100000 bytes"), "{}", texts[1]);
}

#[tokio::test]
async fn failures_stops_and_panics_are_told_apart() {
    let (rig, results) = results_of(vec![call("fail"), call("stop"), call("boom"), call("look")]).await;
    let told: Vec<(&str, &str)> = results.iter().map(|result| (result.error_kind.as_deref().unwrap_or(""), error(result))).collect();
    assert_eq!(
        told,
        [("not-found", "there is no such row (no_row)"), ("fuel", "tool failed: fuel"), ("internal", "tool failed: internal"), ("", ""),]
    );
    let log = serde_json::to_string(&rig.events().await).unwrap();
    assert!(!log.contains("secret detail") && !log.contains("the tool is broken"));
}

#[tokio::test]
async fn ids_of_calls_are_made_unique_in_the_session() {
    let twice = |id: &str| SimToolCall { id: Some(id.to_owned()), ..call("look") };
    let config = LlmSimConfig::scripted([
        SimTurn::ToolCalls(vec![twice("same"), twice("same"), twice("")]),
        SimTurn::ToolCalls(vec![twice("same")]),
        SimTurn::Assistant("done".to_owned()),
    ]);
    let rig = Rig::new(config).await;
    rig.ask("go").await;
    let mut ids: Vec<String> = rig.results().await.into_iter().map(|result| result.tool_call_id).collect();
    assert_eq!(ids[0], "same");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[tokio::test]
async fn a_cancel_reaches_a_running_tool() {
    let rig = Rig::new(calling(&["look", "polite"])).await;
    let mut listener = rig.listen();
    let engine = rig.engine();
    let key = rig.submit("go").await;
    engine.submit(key).unwrap();
    heard(&mut listener, "tool.progress").await;
    assert!(engine.cancel(key).await.unwrap());
    engine.settled(rig.org, rig.session).await;
    let results = rig.results().await;
    assert_eq!((results[0].status, results[1].status), (ToolStatus::Success, ToolStatus::Cancelled));
    let names = rig.names().await;
    assert_eq!(names[names.len() - 4..], ["tool.completed", "act.completed", "turn.cancelled", "session.idled"]);
    assert!(!engine.cancel(key).await.unwrap(), "it has ended");
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_does_not_listen_is_dropped() {
    let rig = Rig::new(calling(&["deaf"])).await;
    let mut listener = rig.listen();
    let engine = rig.engine();
    let key = rig.submit("go").await;
    engine.submit(key).unwrap();
    heard(&mut listener, "tool.started").await;
    engine.cancel(key).await.unwrap();
    engine.settled(rig.org, rig.session).await;
    let results = rig.results().await;
    assert_eq!(results[0].status, ToolStatus::Cancelled);
    assert!(error(&results[0]).contains("uncertain"), "{}", error(&results[0]));
}

#[tokio::test(start_paused = true)]
async fn a_turn_has_a_wall_clock_limit() {
    let rig = Rig::new(calling(&["deaf"])).await;
    let started = tokio::time::Instant::now();
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Sealed));
    assert!(started.elapsed() < Duration::from_secs(1_802), "{:?}", started.elapsed());
    assert_eq!(rig.results().await[0].status, ToolStatus::Timeout);
    let EventData::TurnSealed { reason, .. } = rig.end().await else { panic!("not sealed") };
    assert_eq!(reason, "budget");
}
