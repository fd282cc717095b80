//! A component and a native driver of the same wire, side by side at the same vendor.

use everwit_runtime::DriverId;
use everwit_runtime::driver::{self, BoxedChatDriver, CodecDriver, DriverError, DriverErrorKind};
use everwit_runtime::{DriverRegistry, drivers};
use everwit_tests::vendor::{Answer, Chunks, Counts, Failure, Reply, Stop, StubVendor, Wire};
use futures::StreamExt;
use serde_json::json;

use super::open_with;
use crate::native_drivers::{config, context, gateway, question};

const WIRE: Wire = Wire::OpenAiCompletions;

async fn component(vendor: &StubVendor) -> BoxedChatDriver {
    let driver = open_with("openai-compatible-driver", everwit_runtime::limits::Budget::COMPLETION).await;
    Box::new(CodecDriver::new(std::sync::Arc::new(driver), config(vendor)))
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
        Answer::text(&["cut"]).stopping(Stop::Length),
    ];
    for answer in answers {
        for chunks in [Chunks::Events, Chunks::Bytes(1)] {
            let vendor = StubVendor::start(WIRE).await;
            vendor.play(Reply::answer(answer.clone()).chunks(chunks)).play(Reply::answer(answer.clone()).chunks(chunks));
            let expected = complete(native(&vendor), &vendor).await.expect("the native driver reads it");
            let answer = complete(component(&vendor).await, &vendor).await.expect("the component reads it");
            assert_eq!(answer.content(), expected.content());
            assert_eq!(answer.usage(), expected.usage());
            assert_eq!(answer.finish(), expected.finish());
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
        let vendor = StubVendor::start(WIRE).await;
        vendor.play(Reply::failure(failure));
        let error = complete(component(&vendor).await, &vendor).await.expect_err("it is refused");
        assert_eq!(error.kind, kind, "{error:?}");
        assert!(!format!("{error:?}").contains(vendor.wire().key()), "{error:?}");
    }
}
