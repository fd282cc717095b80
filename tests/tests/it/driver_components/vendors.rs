//! A component and a native driver of the same wire, side by side at the same vendor.

use std::sync::Arc;
use std::time::Duration;

use everwit_runtime::DriverId;
use everwit_runtime::driver::{
    self, BoxedChatDriver, CodecDriver, DriverConfig, DriverError, DriverErrorKind, DriverSettings, ResolvedModel, RetryPolicy,
};
use everwit_runtime::message::ContentPart;
use everwit_runtime::{DriverRegistry, drivers};
use everwit_tests::vendor::{Answer, Chunks, Counts, End, Failure, Reply, Stop, StubVendor, Wire};
use futures::StreamExt;
use serde_json::json;

use super::open_with;
use crate::native_drivers::{config, context, gateway, question};

const WIRE: Wire = Wire::OpenAiCompletions;
/// Drivers of that wire: in JavaScript, as it is shipped, and in Python.
const COMPONENTS: [&str; 2] = ["openai-compatible-driver", "driver-python"];
/// Long enough for a closed connection to be noticed on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

async fn component(name: &str, vendor: &StubVendor) -> BoxedChatDriver {
    let driver = open_with(name, everwit_runtime::limits::Budget::COMPLETION).await;
    Box::new(CodecDriver::new(Arc::new(driver), config(vendor)))
}

fn native(vendor: &StubVendor) -> BoxedChatDriver {
    let mut registry = DriverRegistry::new();
    drivers::register_all(&mut registry);
    registry.create(&DriverId::OpenAiCompletions, &config(vendor)).expect("it is registered")
}

async fn complete(driver: BoxedChatDriver, vendor: &StubVendor) -> Result<driver::Answer, DriverError> {
    let mut stream = driver.complete(question(WIRE), context(gateway(vendor))).await?;
    let mut answer = driver::Answer::of(&DriverId::OpenAiCompletions);
    while let Some(event) = stream.next().await {
        answer.push(event?)?;
    }
    Ok(answer)
}

#[tokio::test]
async fn a_component_makes_of_an_answer_what_the_native_driver_makes() {
    let calls = [("call_A1", "weather", json!({ "city": "Oslo" })), ("call_B2", "population", json!({ "city": "Bergen ☂" }))];
    let counts = Counts { input: 120, output: 40, cache_read: 300, cache_write: 0, reasoning: 9 };
    let answers = [
        Answer::text(&["Grüß ", "Gott. 🌍"]).counting(counts),
        Answer::new().then_text(&["Let me look."]).then_calls(&calls).counting(counts),
        Answer::new().then_thinking(&["Hm, ", "so."]).then_text(&["Yes."]).counting(counts),
        Answer::text(&["cut"]).stopping(Stop::Length),
    ];
    for (answer, name) in answers.iter().flat_map(|answer| COMPONENTS.map(|name| (answer, name))) {
        for chunks in [Chunks::Events, Chunks::Bytes(1)] {
            let vendor = StubVendor::start(WIRE).await;
            vendor.play(Reply::answer(answer.clone()).chunks(chunks)).play(Reply::answer(answer.clone()).chunks(chunks));
            let expected = complete(native(&vendor), &vendor).await.expect("the native driver reads it");
            let answer = complete(component(name, &vendor).await, &vendor).await.expect("the component reads it");
            assert_eq!(answer.content(), expected.content(), "{name}");
            assert_eq!(answer.usage(), expected.usage(), "{name}");
            assert_eq!(answer.finish(), expected.finish(), "{name}");
        }
    }
}

#[tokio::test]
async fn refusals_mean_the_same_through_a_component() {
    for (failure, kind) in [
        (Failure::Unauthorized, DriverErrorKind::Authentication),
        (Failure::Forbidden, DriverErrorKind::Authentication),
        (Failure::UnknownModel, DriverErrorKind::ModelNotAvailable),
        (Failure::RateLimited(Some(3)), DriverErrorKind::RateLimited),
        (Failure::QuotaExhausted, DriverErrorKind::QuotaExhausted),
        (Failure::ContextTooLong, DriverErrorKind::ContextTooLong),
        (Failure::Invalid("no such field".to_owned()), DriverErrorKind::InvalidRequest),
        (Failure::ServerError, DriverErrorKind::Unavailable),
        (Failure::Overloaded, DriverErrorKind::Unavailable),
    ] {
        for name in COMPONENTS {
            let vendor = StubVendor::start(WIRE).await;
            vendor.play(Reply::failure(failure.clone()));
            let error = complete(component(name, &vendor).await, &vendor).await.expect_err("it is refused");
            assert_eq!(error.kind, kind, "{name}: {error:?}");
            assert!(!format!("{error:?}").contains(vendor.wire().key()), "{name}: {error:?}");
        }
    }
}

fn calling() -> Answer {
    Answer::text(&["Let me ", "look."]).then_calls(&[("call_1", "weather", json!({ "city": "Oslo" }))])
}

async fn component_error(name: &str, reply: Reply) -> DriverError {
    let vendor = StubVendor::start(WIRE).await;
    vendor.play(reply);
    complete(component(name, &vendor).await, &vendor).await.expect_err("it is no answer")
}

#[tokio::test]
async fn a_component_takes_no_cut_or_empty_answer_for_an_answer() {
    for name in COMPONENTS {
        takes_no_cut_or_empty_answer(name).await;
    }
}

async fn takes_no_cut_or_empty_answer(name: &str) {
    let vendor = StubVendor::start(WIRE).await;
    vendor.play(Reply::answer(calling()));
    let whole = complete(component(name, &vendor).await, &vendor).await.expect("it is an answer");
    for end in [End::Orderly, End::Broken] {
        for events in 0..WIRE.event_count(&calling()) {
            vendor.play(Reply::answer(calling()).cut(events, end));
            match (end, complete(component(name, &vendor).await, &vendor).await) {
                (_, Err(error)) => assert_eq!(error.kind, DriverErrorKind::InvalidResponse, "{end:?} after {events} events: {error}"),
                // Not every server says that nothing comes any more, once it has said why it ends.
                (End::Orderly, Ok(answer)) => assert_eq!(answer.content(), whole.content(), "after {events} events"),
                (_, Ok(answer)) => panic!("{end:?} after {events} events: {answer:?}"),
            }
        }
    }
    let nothing = Counts { input: 0, output: 0, cache_read: 0, cache_write: 0, reasoning: 0 };
    vendor.play(Reply::answer(Answer::new().counting(nothing)));
    let DriverConfig { api_key, base_url, metadata } = config(&vendor);
    let (model, provider_type) = (WIRE.model().to_owned(), DriverId::External("openai-compatible".to_owned()));
    let model = ResolvedModel { model, provider_type, api_key, base_url, provider_metadata: metadata };
    let mut context = context(gateway(&vendor));
    let once = DriverSettings { retry: RetryPolicy { attempts: 1, ..RetryPolicy::default() }, ..DriverSettings::default() };
    context.host = Arc::new(Arc::into_inner(context.host).expect("it is not shared yet").with_settings(once));
    let started = driver::complete(&*component(name, &vendor).await, &model, question(WIRE), &context).await;
    let Err(error) = started.stream else { panic!("there is nothing in it") };
    assert_eq!(error.kind, DriverErrorKind::InvalidResponse, "{error}");
    for (reply, kind) in [
        (Reply::failing(calling(), 3, Failure::Overloaded), DriverErrorKind::Unavailable),
        (Reply::failing(calling(), 3, Failure::RateLimited(None)), DriverErrorKind::RateLimited),
    ] {
        let error = component_error(name, reply.clone()).await;
        assert_eq!(error.kind, kind, "{reply:?}: {error}");
    }
}

#[tokio::test]
async fn an_answer_of_ten_mebibytes_arrives_through_a_component() {
    let piece = "x".repeat(64 << 10);
    let pieces = vec![piece.as_str(); 160];
    for name in COMPONENTS {
        let vendor = StubVendor::start(WIRE).await;
        vendor.play(Reply::answer(Answer::text(&pieces)).chunks(Chunks::Bytes(100_000)));
        let answer = complete(component(name, &vendor).await, &vendor).await.expect("it arrives");
        assert!(matches!(answer.content(), [ContentPart::Text { text }] if text.len() == 10 << 20), "{name}");
    }
}

#[tokio::test]
async fn silence_and_hanging_up_end_a_component_s_answer() {
    silence_and_hanging_up_end_an_answer(COMPONENTS[0]).await;
}

#[tokio::test]
async fn silence_and_hanging_up_end_an_answer_in_python() {
    silence_and_hanging_up_end_an_answer(COMPONENTS[1]).await;
}

async fn silence_and_hanging_up_end_an_answer(name: &str) {
    // Paused time is ahead of the machine's afterwards, so that comes last.
    for hangs_up in [true, false] {
        let vendor = StubVendor::start(WIRE).await;
        vendor.play(Reply::answer(calling()).cut(WIRE.event_count(&calling()) - 1, End::Silent));
        let driver = component(name, &vendor).await;
        let mut stream = driver.complete(question(WIRE), context(gateway(&vendor))).await.expect("the answer begins");
        let first = stream.next().await.expect("there is an event").expect("it is one");
        if hangs_up {
            drop(stream);
            tokio::time::timeout(PATIENCE, vendor.hung_up()).await.expect("the connection is closed");
            continue;
        }
        // From here on nothing happens but time, which passes at once.
        tokio::time::pause();
        let started = tokio::time::Instant::now();
        let mut last = Ok(first);
        while let Some(event) = stream.next().await {
            last = event;
        }
        let waited = started.elapsed();
        tokio::time::resume();
        assert_eq!(last.expect_err("the vendor is silent").kind, DriverErrorKind::Timeout);
        assert!(waited >= driver::CompletionTimeouts::default().idle, "{waited:?}");
    }
}
