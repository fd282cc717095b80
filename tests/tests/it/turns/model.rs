//! Model calls: live output, errors and tries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use everwit_runtime::driver::llmsim::{LlmSimConfig, SimError, SimTurn};
use everwit_runtime::driver::{
    ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverContext, DriverError, DriverErrorKind, DriverHost, DriverId, DriverRegistry,
    DriverSettings, ErrorDisclosure,
};
use everwit_runtime::event::{EventData, Retries};
use everwit_runtime::message::{ContentPart, Controls};
use everwit_runtime::store::TurnEnd;
use everwit_runtime::turn::TurnRun;
use futures::{StreamExt, stream};
use tokio::time::Instant;

use super::history::Recording;
use super::rig::{Rig, call, heard, input};

/// Fails so many times, before or after the first event of its answer, then says "back".
#[derive(Clone)]
struct Flaky {
    error: DriverError,
    failures: u32,
    begins: bool,
    tries: Arc<AtomicU32>,
}

impl Flaky {
    fn new(kind: DriverErrorKind, failures: u32) -> Self {
        Self { error: DriverError::new(kind, "not now"), failures, begins: false, tries: Arc::default() }
    }
}

#[async_trait]
impl ChatDriver for Flaky {
    async fn complete(&self, _request: ChatRequest, _context: DriverContext) -> Result<ChatStream, DriverError> {
        let failed = Err(self.error.clone());
        let events = match self.tries.fetch_add(1, Ordering::Relaxed) {
            tried if tried >= self.failures => vec![Ok(ChatEvent::Text("back".to_owned())), Ok(ChatEvent::finish("stop"))],
            _ if self.begins => vec![Ok(ChatEvent::Text("half an".to_owned())), failed],
            // Both ways of failing before the first event.
            tried if tried % 2 == 0 => return Err(self.error.clone()),
            _ => vec![failed],
        };
        Ok(stream::iter(events).boxed())
    }
}

/// How the turn ended, after how many tries and how much time.
async fn outcome(driver: Flaky) -> (EventData, u32, Duration) {
    let tries = driver.tries.clone();
    let rig = Rig::with_driver(driver).await;
    let started = tokio::time::Instant::now();
    rig.ask("go").await;
    (rig.end().await, tries.load(Ordering::Relaxed), started.elapsed())
}

fn code(end: &EventData) -> &str {
    if let EventData::TurnFailed { error_code, .. } = end { error_code } else { "not failed" }
}

#[tokio::test(start_paused = true)]
async fn passing_errors_are_tried_again_with_growing_waits() {
    let (end, tries, took) = outcome(Flaky::new(DriverErrorKind::Unavailable, 2)).await;
    assert!(matches!(end, EventData::TurnCompleted { .. }));
    assert_eq!((tries, took), (3, Duration::from_millis(1_500)));

    let (end, tries, _) = outcome(Flaky::new(DriverErrorKind::Timeout, 3)).await;
    assert_eq!((code(&end), tries), ("timeout", 3));
}

#[tokio::test(start_paused = true)]
async fn the_wait_of_the_vendor_is_kept_within_bounds() {
    let mut driver = Flaky::new(DriverErrorKind::RateLimited, 1);
    driver.error.retry_after_ms = Some(7_000);
    let (end, tries, took) = outcome(driver.clone()).await;
    assert!(matches!(end, EventData::TurnCompleted { .. }));
    assert_eq!((tries, took), (2, Duration::from_secs(7)));

    let mut driver = Flaky::new(DriverErrorKind::RateLimited, 1);
    driver.error.retry_after_ms = Some(3_600_000);
    let (end, tries, took) = outcome(driver).await;
    assert_eq!((code(&end), tries, took), ("rate_limited", 1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_begun_is_not_tried_again() {
    let driver = Flaky { begins: true, ..Flaky::new(DriverErrorKind::InvalidResponse, 1) };
    let (end, tries, _) = outcome(driver).await;
    assert_eq!((code(&end), tries), ("invalid_response", 1));
}

#[tokio::test(start_paused = true)]
async fn lasting_errors_are_not_tried_again() {
    for kind in [
        DriverErrorKind::Configuration,
        DriverErrorKind::Authentication,
        DriverErrorKind::ModelNotAvailable,
        DriverErrorKind::ContextTooLong,
        DriverErrorKind::InvalidRequest,
    ] {
        let (end, tries, _) = outcome(Flaky::new(kind, 1)).await;
        assert_eq!((code(&end), tries), (kind.as_str(), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_turn_closes_its_model_call_and_the_next_turn_goes_on() {
    let script = [SimTurn::CutOff("one two three four".to_owned()), SimTurn::Assistant("better".to_owned())];
    let rig = Rig::new(LlmSimConfig::scripted(script)).await;
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Failed));
    let names = rig.names().await;
    assert_eq!(names[4..], ["reason.started", "llm.generation", "reason.completed", "turn.failed", "session.idled"]);
    assert_eq!(rig.ask("again").await, TurnRun::Ended(TurnEnd::Completed));
    assert_eq!(rig.last_text().await, "better");
}

#[tokio::test]
async fn a_missing_driver_fails_the_turn() {
    let mut rig = Rig::new(LlmSimConfig::echo()).await;
    rig.platform.default_model.provider_type = "nobody".parse().unwrap();
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Failed));
    assert_eq!(code(&rig.end().await), "configuration");
}

#[tokio::test(start_paused = true)]
async fn text_is_shown_live_in_batches_with_offsets() {
    let rig = Rig::new(LlmSimConfig::lorem(50).with_latency(Duration::from_millis(30))).await;
    let mut listener = rig.listen();
    rig.ask("go").await;
    let (mut text, mut deltas, mut started) = (String::new(), 0, 0);
    while let Ok(event) = listener.try_recv() {
        match &event.data {
            EventData::OutputMessageStarted { .. } => started += 1,
            EventData::OutputMessageDelta { delta, offset, .. } => {
                assert_eq!((*offset, event.sequence), (text.len() as u64, None));
                text.push_str(delta);
                deltas += 1;
            }
            _ => {}
        }
    }
    assert_eq!((text, started), (rig.last_text().await, 1));
    assert!((10..25).contains(&deltas), "{deltas} deltas in 1.5 seconds");
}

#[tokio::test(start_paused = true)]
async fn thinking_is_shown_live_apart_from_the_text_and_kept_with_the_answer() {
    let thinking = "one two three four five six seven eight nine ten";
    let config = LlmSimConfig::fixed("so it is").with_thinking(thinking).with_latency(Duration::from_millis(30));
    let rig = Rig::new(config).await;
    let mut listener = rig.listen();
    rig.ask("go").await;
    let (mut thought, mut said, mut order) = (String::new(), String::new(), Vec::new());
    while let Ok(event) = listener.try_recv() {
        match &event.data {
            EventData::ReasonThinkingDelta { delta, offset, .. } => {
                assert_eq!((*offset, event.sequence), (thought.len() as u64, None));
                thought.push_str(delta);
            }
            EventData::ReasonThinkingCompleted { length, .. } => assert_eq!(*length, thinking.len() as u64),
            EventData::OutputMessageDelta { delta, .. } => said.push_str(delta),
            EventData::ReasonThinkingStarted { .. } | EventData::OutputMessageStarted { .. } => {}
            _ => continue,
        }
        order.push(event.data.name());
    }
    order.dedup();
    assert_eq!((thought.as_str(), said.as_str()), (thinking, "so it is"));
    let expected = ["output.message.started", "reason.thinking.started", "reason.thinking.delta", "reason.thinking.completed"];
    assert_eq!(order, [&expected[..], &["output.message.delta"]].concat());
    let answer = rig.conversation().await.pop().expect("there is an answer").1;
    let [ContentPart::Reasoning { text, opaque: Some(opaque) }, ContentPart::Text { .. }] = &answer[..] else { panic!("{answer:?}") };
    assert_eq!((text.as_str(), opaque.driver.as_str()), (thinking, "llmsim"));
}

/// What a driver left in the conversation goes back to it, and to no other.
#[tokio::test]
async fn opaque_values_go_back_to_the_driver_that_made_them() {
    let mut rig = Rig::new(LlmSimConfig::fixed("so it is").with_thinking("hm")).await;
    rig.ask("go").await;
    for (id, comes_back) in [(DriverId::LlmSim, true), (DriverId::External("other".to_owned()), false)] {
        let recording = Recording::default();
        let mut drivers = DriverRegistry::new();
        let driver = recording.clone();
        drivers.register(id.clone(), move |_| Box::new(driver.clone()));
        rig.platform.drivers = Arc::new(drivers);
        rig.platform.default_model.provider_type = id;
        rig.ask("again").await;
        let asked = recording.requests();
        let reasoning = asked[0].messages.iter().flat_map(|message| &message.content).find_map(|part| match part {
            ContentPart::Reasoning { text, opaque } => Some((text.as_str(), opaque.is_some())),
            _ => None,
        });
        assert_eq!(reasoning, Some(("hm", comes_back)));
    }
}

#[tokio::test(start_paused = true)]
async fn the_tries_of_a_call_are_recorded() {
    let rig = Rig::with_driver(Flaky::new(DriverErrorKind::Unavailable, 2)).await;
    rig.ask("go").await;
    let retries = rig.events().await.into_iter().find_map(|event| match event.data {
        EventData::LlmGeneration { retry, .. } => Some(retry),
        _ => None,
    });
    assert_eq!(retries, Some(Some(Retries { attempts: 3, total_wait_ms: 1_500 })));
}

#[tokio::test(start_paused = true)]
async fn users_are_told_as_much_as_the_platform_discloses() {
    let error = DriverError::from_status(400, "no such field at org-7");
    for (error_disclosure, told) in [
        (ErrorDisclosure::Generic, "the model provider refuses the request"),
        (ErrorDisclosure::Standard, "the vendor answered with status 400"),
        (ErrorDisclosure::Detailed, "the vendor answered with status 400; the vendor says: no such field at org-7"),
    ] {
        let mut rig = Rig::with_driver(Flaky { error: error.clone(), ..Flaky::new(DriverErrorKind::InvalidRequest, 1) }).await;
        let (egress, clock, ids) = (rig.platform.egress.clone(), rig.platform.clock.clone(), rig.platform.ids.clone());
        let settings = DriverSettings { error_disclosure, ..DriverSettings::default() };
        rig.platform.driver_host = Arc::new(DriverHost::new(egress, clock, ids).with_settings(settings));
        rig.ask("go").await;
        let texts: Vec<String> = rig
            .events()
            .await
            .into_iter()
            .filter_map(|event| match event.data {
                EventData::LlmGeneration { error, .. } | EventData::ReasonCompleted { error, .. } => error,
                EventData::TurnFailed { error, error_code, .. } => {
                    assert_eq!(error_code, "invalid_request");
                    Some(error)
                }
                _ => None,
            })
            .collect();
        assert_eq!(texts, [told; 3], "{error_disclosure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_can_ask_to_be_told_less_and_never_more() {
    let error = DriverError::from_status(400, "no such field at org-7");
    for (wanted, told) in [
        (ErrorDisclosure::Generic, "the model provider refuses the request"),
        (ErrorDisclosure::Standard, "the vendor answered with status 400"),
        (ErrorDisclosure::Detailed, "the vendor answered with status 400"),
    ] {
        let rig = Rig::with_driver(Flaky { error: error.clone(), ..Flaky::new(DriverErrorKind::InvalidRequest, 1) }).await;
        let (turn, mut input) = input(&*rig.platform.ids, "go");
        let EventData::InputMessage { message } = &mut input.data else { panic!("it is a message") };
        message.controls = Some(Controls { error_disclosure: Some(wanted), ..Controls::default() });
        rig.log().submit_turn(rig.org, rig.session, turn, input).await.unwrap();
        rig.run().await;
        let EventData::TurnFailed { error, .. } = rig.end().await else { panic!("not failed") };
        assert_eq!(error, told, "{wanted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_cut_off_is_not_made_and_the_model_is_told() {
    #[derive(Clone)]
    struct Cut;
    #[async_trait]
    impl ChatDriver for Cut {
        async fn complete(&self, request: ChatRequest, _context: DriverContext) -> Result<ChatStream, DriverError> {
            let is_first = request.messages.len() == 1;
            let start = ChatEvent::ToolCallStart { index: 0, id: "c".to_owned(), name: "look".to_owned() };
            let part = ChatEvent::ToolCallDelta { index: 0, arguments: "{\"n\": 1}".to_owned() };
            let cut = vec![start, part, ChatEvent::finish("length")];
            let events = if is_first { cut } else { vec![ChatEvent::Text("sorry".to_owned()), ChatEvent::finish("stop")] };
            Ok(stream::iter(events.into_iter().map(Ok)).boxed())
        }
    }
    let rig = Rig::with_driver(Cut).await;
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Completed));
    let results = rig.results().await;
    assert_eq!(results[0].error.as_deref(), Some("the arguments are not a JSON object: they were cut off; the tool was not called"));
    assert!(rig.desk.calls.lock().unwrap().is_empty());
    assert_eq!(rig.last_text().await, "sorry");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_reaches_a_model_call() {
    let rig = Rig::new(LlmSimConfig::lorem(1_000).with_latency(Duration::from_secs(1))).await;
    let mut listener = rig.listen();
    let engine = rig.engine();
    let key = rig.submit("go").await;
    engine.submit(key).unwrap();
    heard(&mut listener, "output.message.delta").await;
    let cancelled = Instant::now();
    engine.cancel(key).await.unwrap();
    engine.settled(rig.org, rig.session).await;
    assert_eq!(cancelled.elapsed(), Duration::ZERO, "the turn ends without waiting for the model");
    let names = rig.names().await;
    assert_eq!(names[4..], ["reason.started", "reason.completed", "turn.cancelled", "session.idled"]);
}

#[tokio::test]
async fn iterations_are_limited_by_session_then_agent() {
    let again = || SimTurn::ToolCalls(vec![call("look")]);
    // One more than the limit, and then an end, so that a turn without the limit ends as well.
    let script = [again(), again(), again(), again(), SimTurn::Assistant("done".to_owned())];
    let rig = Rig::new(LlmSimConfig::scripted(script)).await;
    let mut session = rig.platform.backends.session_store.get_session(rig.org, rig.session).await.unwrap().unwrap();
    session.max_iterations = Some(3);
    session.version += 1;
    rig.platform.backends.session_store.update_session(rig.org, session).await.unwrap();
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Completed));
    let EventData::TurnCompleted { reason, iterations, tool_call_count, .. } = rig.end().await else { panic!("not completed") };
    assert_eq!((reason.as_str(), iterations, tool_call_count), ("max_iterations", 3, 3));
}

#[tokio::test]
async fn an_interactive_turn_calls_what_the_user_names() {
    let rig = Rig::new(LlmSimConfig::interactive()).await;
    rig.ask("/call look {\"n\": 1}\n/call fail\n/then\n/call order {}").await;
    let names: Vec<String> = rig.results().await.into_iter().map(|result| result.tool_name).collect();
    assert_eq!(names, ["look", "fail", "order"]);
    let summary = rig.last_text().await;
    assert!(summary.contains("`look` ok:") && summary.contains("`fail` failed: there is no such row"), "{summary}");
}

#[tokio::test(start_paused = true)]
async fn simulated_errors_end_turns_with_their_codes() {
    for (error, expected) in [
        (SimError::RateLimit { retry_after_ms: None }, "rate_limited"),
        (SimError::Timeout, "timeout"),
        (SimError::Authentication, "authentication"),
        (SimError::QuotaExhausted, "quota_exhausted"),
        (SimError::ContextTooLong, "context_too_long"),
        (SimError::InvalidRequest, "invalid_request"),
        (SimError::InvalidResponse, "invalid_response"),
        (SimError::Other("down".to_owned()), "unavailable"),
    ] {
        let rig = Rig::new(LlmSimConfig::scripted([SimTurn::Error(error)])).await;
        rig.ask("go").await;
        assert_eq!(code(&rig.end().await), expected);
    }
}
