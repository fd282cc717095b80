//! Rules of capabilities for the course of turns: compaction, and models that go in circles.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use everwit_runtime::capability::Capability;
use everwit_runtime::driver::llmsim::{LlmSimConfig, SimToolCall, SimTurn};
use everwit_runtime::driver::{ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverContext, DriverError, DriverErrorKind};
use everwit_runtime::event::{CompactionReason, CompactionStrategy, EventData};
use everwit_runtime::message::{ContentPart, Message, Role, ToolCall};
use everwit_runtime::store::TurnEnd;
use everwit_runtime::turn::{TurnRun, inspect_turn_context, session_messages};
use everwit_runtime::{CompactionCapability, LoopDetectionCapability, messages_from_events};
use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::faults::{Fault, dies};
use super::rig::{Rig, call};

async fn watched(script: LlmSimConfig, config: Value) -> Rig {
    let mut rig = Rig::new(script).await;
    rig.equip([(Arc::new(LoopDetectionCapability) as Arc<dyn Capability>, config)]).await;
    rig
}

fn circling() -> LlmSimConfig {
    LlmSimConfig::scripted([SimTurn::ToolCalls(vec![call("look"), call("look")])])
}

#[tokio::test]
async fn a_model_that_goes_in_circles_is_told_and_then_stopped() {
    let rig = watched(circling(), json!({"threshold": 2, "stop_threshold": 4})).await;
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Sealed));
    let EventData::TurnSealed { reason, detail, .. } = rig.end().await else { panic!("not sealed") };
    assert_eq!(reason, "loop");
    assert!(detail.contains("4 times"), "{detail}");
    assert_eq!(rig.desk.executed("look").len(), 8);
    let roles: Vec<Role> = rig.conversation().await.iter().map(|(role, _)| *role).collect();
    let step = [Role::Agent, Role::ToolResult, Role::ToolResult];
    let expected = [&[Role::User][..], &step, &step, &[Role::System], &step, &step].concat();
    assert_eq!(roles, expected, "the model is told once, behind the second step");
}

#[tokio::test]
async fn other_arguments_or_results_are_no_circle() {
    let look = |n: u32| SimTurn::ToolCalls(vec![SimToolCall::new("look", json!({ "n": n }))]);
    let script = [look(1), look(2), look(1), look(2), look(2), SimTurn::Assistant("done".to_owned())];
    let rig = watched(LlmSimConfig::scripted(script), json!({"threshold": 3})).await;
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Completed));
    assert!(!rig.names().await.contains(&"loop.detected"));
    // Each turn begins anew.
    let rig = watched(LlmSimConfig::scripted([look(1), SimTurn::Assistant("a".to_owned())]), json!({"threshold": 2})).await;
    rig.ask("one").await;
    rig.ask("two").await;
    assert!(!rig.names().await.contains(&"loop.detected"));
}

#[tokio::test(start_paused = true)]
async fn a_death_after_any_event_counts_the_circles_as_before() {
    let config = json!({"threshold": 2, "stop_threshold": 3});
    let whole = watched(circling(), config.clone()).await;
    whole.ask("go").await;
    let events = whole.events().await.len();
    for fault in (0..events - 2).map(Fault::DeadAfter) {
        let rig = watched(circling(), config.clone()).await;
        rig.submit("go").await;
        dies(&rig, fault).await.unwrap_err();
        rig.recover().await;
        assert_eq!(rig.conversation().await, whole.conversation().await, "{fault:?}");
        assert!(matches!(rig.end().await, EventData::TurnSealed { reason, .. } if reason == "loop"), "{fault:?}");
    }
}

/// A model that looks so often per turn, with a context of so many bytes, and can write summaries.
#[derive(Clone)]
struct Reader {
    looks: usize,
    context_bytes: usize,
    writes: bool,
    requests: Arc<Mutex<Vec<ChatRequest>>>,
}

impl Reader {
    fn new(looks: usize, context_bytes: usize) -> Self {
        Self { looks, context_bytes, writes: true, requests: Arc::default() }
    }

    fn requests(&self, summaries: bool) -> Vec<ChatRequest> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| is_summary(request) == summaries).cloned().collect()
    }
}

fn is_summary(request: &ChatRequest) -> bool {
    request.system_prompt.starts_with("You write the summary")
}

fn bytes(request: &ChatRequest) -> usize {
    request.messages.iter().map(|message| serde_json::to_string(&message.content).unwrap().len()).sum()
}

#[async_trait]
impl ChatDriver for Reader {
    async fn complete(&self, request: ChatRequest, _context: DriverContext) -> Result<ChatStream, DriverError> {
        self.requests.lock().unwrap().push(request.clone());
        if bytes(&request) > self.context_bytes {
            return Err(DriverError::new(DriverErrorKind::ContextTooLong, "too long"));
        }
        let since = request.messages.iter().rev().take_while(|message| message.role != Role::User);
        let latest = since.flat_map(|message| message.tool_calls()).filter_map(|call| call.arguments["n"].as_u64()).max();
        let looked = latest.map_or(0, |n| n as usize / 2 + 1);
        let said = if is_summary(&request) {
            if !self.writes {
                return Err(DriverError::new(DriverErrorKind::InvalidRequest, "no"));
            }
            vec![ChatEvent::Text("They looked around.".to_owned())]
        } else if looked < self.looks {
            let call = |n: usize| ChatEvent::ToolCall(ToolCall::new(format!("call_{n}"), "look", json!({"n": looked * 2 + n})));
            vec![ChatEvent::Text("x".repeat(300)), call(0), call(1)]
        } else {
            vec![ChatEvent::Text("done".to_owned())]
        };
        Ok(stream::iter(said.into_iter().chain([ChatEvent::finish("stop")]).map(Ok)).boxed())
    }
}

async fn compacting(driver: &Reader, config: Value) -> Rig {
    let mut rig = Rig::with_driver(driver.clone()).await;
    rig.equip([(Arc::new(CompactionCapability) as Arc<dyn Capability>, config)]).await;
    rig
}

/// Every result stands behind its call, and every call has its result.
fn assert_paired(messages: &[Arc<Message>]) {
    let (mut open, mut settled) = (HashSet::new(), 0);
    for part in messages.iter().flat_map(|message| &message.content) {
        match part {
            ContentPart::ToolCall(call) => assert!(open.insert(call.id.clone())),
            ContentPart::ToolResult { tool_call_id, .. } => {
                assert!(open.remove(tool_call_id), "{tool_call_id} has no call");
                settled += 1;
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?} have no results, {settled} have");
}

async fn compactions(rig: &Rig) -> Vec<(CompactionReason, CompactionStrategy)> {
    let events = rig.events().await;
    let compacted = events.iter().filter_map(|event| match &event.data {
        EventData::ContextCompacted { reason, strategy_used, .. } => Some((*reason, *strategy_used)),
        _ => None,
    });
    compacted.collect()
}

const SMALL: usize = 1_000;

#[tokio::test]
async fn a_long_conversation_is_summarised_before_it_is_too_long_and_the_record_keeps_all() {
    let driver = Reader::new(6, usize::MAX);
    let rig = compacting(&driver, json!({"context_window_tokens": SMALL})).await;
    for text in ["first question", "second question", "third question"] {
        assert_eq!(rig.ask(text).await, TurnRun::Ended(TurnEnd::Completed));
    }
    let done = compactions(&rig).await;
    assert!(done.len() > 2, "{done:?}");
    assert!(done.iter().all(|one| *one == (CompactionReason::ProactiveBudget, CompactionStrategy::Summarization)), "{done:?}");
    let requests = driver.requests(false);
    requests.iter().for_each(|request| assert_paired(&request.messages));
    let most = requests.iter().map(bytes).max().unwrap();
    assert!(most < SMALL * 4 * 13 / 10, "{most} bytes were sent to a model of {SMALL} tokens");
    let last = &requests.last().unwrap().messages;
    assert!(last[0].role == Role::User && last[0].text().contains("They looked around."), "{last:?}");
    assert!(last.iter().any(|message| message.text() == "third question"), "the input of the turn is never left out");
    let summaries = driver.requests(true);
    assert!(summaries[0].messages[0].text().contains("first question") && summaries[0].tools.is_empty());
    assert!(summaries[1].messages[0].text().contains("They looked around."), "a summary goes into the next one");
    let all: Vec<Message> =
        session_messages(&rig.platform.backends, rig.org, rig.session).await.unwrap().into_iter().map(Arc::unwrap_or_clone).collect();
    assert_eq!(all, messages_from_events(&rig.events().await));
    assert_eq!(all.iter().filter(|message| message.role == Role::ToolResult).count(), 3 * 6 * 2);
    // Another process sees the same as this one, which goes on from what it has folded.
    let here = inspect_turn_context(rig.platform.sources(), rig.org, rig.session).await.unwrap().messages;
    rig.platform.backends.history_cache.forget(rig.org, rig.session);
    let there = inspect_turn_context(rig.platform.sources(), rig.org, rig.session).await.unwrap().messages;
    assert_eq!(here, there);
    assert!(here.len() < all.len() / 2, "{} of {}", here.len(), all.len());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_as_too_long_compacts_once() {
    let driver = Reader::new(6, 3_000);
    let rig = compacting(&driver, json!({"proactive": false})).await;
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Completed));
    let done = compactions(&rig).await;
    assert!(!done.is_empty() && done.iter().all(|one| one.0 == CompactionReason::RequestTooLarge), "{done:?}");
    driver.requests(false).iter().for_each(|request| assert_paired(&request.messages));

    let driver = Reader::new(6, 700);
    let rig = compacting(&driver, json!({"proactive": false})).await;
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Failed));
    assert!(compactions(&rig).await.len() <= 1, "there is no second try");
    let EventData::TurnFailed { error_code, .. } = rig.end().await else { panic!("not failed") };
    assert_eq!(error_code, "context_too_long");
}

#[tokio::test]
async fn without_the_capability_a_refusal_ends_the_turn() {
    let rig = Rig::with_driver(Reader::new(6, 3_000)).await;
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Failed));
    assert!(!rig.names().await.contains(&"context.compacted"));
}

#[tokio::test]
async fn what_cannot_be_summarised_is_left_out_with_a_note() {
    for (driver, config) in [
        (Reader { writes: false, ..Reader::new(8, usize::MAX) }, json!({"context_window_tokens": SMALL})),
        (Reader::new(8, usize::MAX), json!({"context_window_tokens": SMALL, "strategy": "trim"})),
    ] {
        let rig = compacting(&driver, config).await;
        assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Completed));
        let done = compactions(&rig).await;
        assert!(!done.is_empty() && done.iter().all(|one| one.1 == CompactionStrategy::Trim), "{done:?}");
        let requests = driver.requests(false);
        requests.iter().for_each(|request| assert_paired(&request.messages));
        assert!(requests.last().unwrap().messages[0].text().contains("left out here without a summary"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_death_after_any_event_changes_nothing_of_what_models_see() {
    let config = json!({"context_window_tokens": SMALL});
    let whole = compacting(&Reader::new(8, usize::MAX), config.clone()).await;
    whole.ask("go").await;
    let events = whole.events().await.len();
    let seen = async |rig: &Rig| {
        let messages = inspect_turn_context(rig.platform.sources(), rig.org, rig.session).await.unwrap().messages;
        let calls = |message: &Message| message.tool_calls().map(|call| (call.name.clone(), call.arguments.clone())).collect::<Vec<_>>();
        messages.iter().map(|message| (message.role, message.text(), calls(message))).collect::<Vec<_>>()
    };
    let expected = seen(&whole).await;
    assert!(!compactions(&whole).await.is_empty());
    for fault in (0..events - 2).flat_map(|k| [Fault::DeadAfter(k), Fault::SilentAfter(k)]) {
        let rig = compacting(&Reader::new(8, usize::MAX), config.clone()).await;
        rig.submit("go").await;
        dies(&rig, fault).await.unwrap_err();
        rig.recover().await;
        assert_eq!(seen(&rig).await, expected, "{fault:?}");
        assert_eq!(compactions(&rig).await, compactions(&whole).await, "{fault:?}");
    }
}
