//! Refusals, outages, cuts, and what is no answer at all.

use std::time::Duration;

use everwit_runtime::driver::{DriverErrorKind, MAX_ANSWER_BYTES, MAX_FRAME_BYTES};
use everwit_runtime::message::ContentPart;
use everwit_tests::vendor::{Answer, Chunks, End, Failure, Reply, StubVendor, Wire};
use futures::StreamExt;
use serde_json::json;

use super::{begin, complete, question};

/// Long enough for a closed connection to be noticed on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn calling() -> Answer {
    Answer::new().then_thinking(&["Hm"]).then_text(&["Let me ", "look."]).then_calls(&[("call_1", "weather", json!({ "city": "Oslo" }))])
}

#[tokio::test]
async fn each_refusal_has_its_kind() {
    let invalid = Failure::Invalid("temperature: out of range".to_owned());
    let kinds = [
        (Failure::Unauthorized, DriverErrorKind::Authentication),
        (Failure::Forbidden, DriverErrorKind::Authentication),
        (Failure::UnknownModel, DriverErrorKind::ModelNotAvailable),
        (Failure::RateLimited(Some(7)), DriverErrorKind::RateLimited),
        (Failure::RateLimited(None), DriverErrorKind::RateLimited),
        (Failure::QuotaExhausted, DriverErrorKind::QuotaExhausted),
        (Failure::ContextTooLong, DriverErrorKind::ContextTooLong),
        (invalid, DriverErrorKind::InvalidRequest),
        (Failure::ServerError, DriverErrorKind::Unavailable),
        (Failure::Overloaded, DriverErrorKind::Unavailable),
    ];
    for wire in Wire::ALL {
        for (failure, kind) in &kinds {
            let vendor = StubVendor::start(wire).await;
            vendor.play(Reply::failure(failure.clone()));
            let error = complete(&vendor, question(wire)).await.expect_err("the vendor refuses");
            assert_eq!(error.kind, *kind, "{wire:?} {failure:?}: {error}");
            assert!(error.vendor_message.is_some(), "{wire:?} {failure:?}: {error}");
            let wait = if *failure == Failure::RateLimited(Some(7)) { Some(7_000) } else { None };
            assert_eq!(error.retry_after_ms, wait, "{wire:?} {failure:?}");
        }
    }
}

#[tokio::test]
async fn a_failure_inside_an_answer_has_its_kind() {
    for wire in Wire::ALL {
        for (failure, kind) in [
            (Failure::Overloaded, DriverErrorKind::Unavailable),
            (Failure::RateLimited(None), DriverErrorKind::RateLimited),
            (Failure::ContextTooLong, DriverErrorKind::ContextTooLong),
        ] {
            let vendor = StubVendor::start(wire).await;
            vendor.play(Reply::failing(calling(), 3, failure));
            let error = complete(&vendor, question(wire)).await.expect_err("the answer breaks off");
            assert_eq!(error.kind, kind, "{wire:?}: {error}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_anywhere_is_no_answer() {
    for wire in Wire::ALL {
        for answer in [calling(), Answer::text(&["Two ", "words."])] {
            for end in [End::Orderly, End::Broken] {
                for events in 0..wire.event_count(&answer) {
                    let vendor = StubVendor::start(wire).await;
                    vendor.play(Reply::answer(answer.clone()).cut(events, end));
                    let error = complete(&vendor, question(wire)).await.expect_err("the end is missing");
                    assert_eq!(error.kind, DriverErrorKind::InvalidResponse, "{wire:?} {end:?} after {events} events: {error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_answer_is_an_error() {
    let sse = "text/event-stream";
    for wire in Wire::ALL {
        let stream = if wire == Wire::Bedrock { "application/vnd.amazon.eventstream" } else { sse };
        for (reply, kind) in [
            // What a wrong base URL leads to: a page, a file, another protocol.
            (Reply::raw(200, "text/html", "<html>Welcome</html>"), DriverErrorKind::Configuration),
            (Reply::raw(200, "application/json", "{}"), DriverErrorKind::Configuration),
            (Reply::raw(404, "text/html", "<html>Not found</html>"), DriverErrorKind::Configuration),
            (Reply::raw(404, "application/json", "{\"detail\":\"Not Found\"}"), DriverErrorKind::Configuration),
            (Reply::raw(302, "text/html", ""), DriverErrorKind::InvalidResponse),
            (Reply::raw(502, "text/html", "<html>Bad gateway</html>"), DriverErrorKind::Unavailable),
            (Reply::raw(200, stream, ""), DriverErrorKind::InvalidResponse),
            (Reply::raw(200, stream, "data: {\"broken\n\n"), DriverErrorKind::InvalidResponse),
            (Reply::raw(200, stream, "data: {\"foreign\":1}\n\n"), DriverErrorKind::InvalidResponse),
            (Reply::raw(200, stream, "data: [DONE]\n\n"), DriverErrorKind::InvalidResponse),
        ] {
            let vendor = StubVendor::start(wire).await;
            vendor.play(reply.clone());
            let error = complete(&vendor, question(wire)).await.expect_err("it is no answer");
            assert_eq!(error.kind, kind, "{wire:?} {reply:?}: {error}");
        }
    }
}

#[tokio::test]
async fn an_empty_success_is_an_error() {
    let nothing = everwit_tests::vendor::Counts { input: 0, output: 0, cache_read: 0, cache_write: 0, reasoning: 0 };
    for wire in Wire::ALL {
        let vendor = StubVendor::start(wire).await;
        vendor.play(Reply::answer(Answer::new().counting(nothing)));
        let error = complete(&vendor, question(wire)).await.expect_err("there is nothing in it");
        assert_eq!(error.kind, DriverErrorKind::InvalidResponse, "{wire:?}: {error}");
        // A model that has nothing to add is another matter.
        vendor.play(Reply::answer(Answer::new()));
        assert!(complete(&vendor, question(wire)).await.is_ok(), "{wire:?}");
    }
}

/// Also where the vendor repeats the whole answer in its last events.
#[tokio::test]
async fn an_answer_of_ten_mebibytes_arrives_and_a_larger_one_than_is_allowed_does_not() {
    let piece = "x".repeat(64 << 10);
    let pieces: Vec<&str> = std::iter::repeat_n(piece.as_str(), MAX_ANSWER_BYTES / piece.len() + 1).collect();
    for wire in Wire::ALL {
        let vendor = StubVendor::start(wire).await;
        vendor.play(Reply::answer(Answer::text(&pieces[..160])).chunks(Chunks::Bytes(100_000)));
        let answer = complete(&vendor, question(wire)).await.unwrap_or_else(|error| panic!("{wire:?}: {error}"));
        assert!(matches!(answer.content(), [ContentPart::Text { text }] if text.len() == 10 << 20), "{wire:?}");
        vendor.play(Reply::answer(Answer::text(&pieces)).chunks(Chunks::Bytes(100_000)));
        let error = complete(&vendor, question(wire)).await.expect_err("it is too large");
        assert_eq!(error.kind, DriverErrorKind::AnswerTooLarge, "{wire:?}: {error}");
        assert!(error.message.contains("answer of the model is larger"), "{wire:?}: {error}");
    }
}

#[tokio::test]
async fn a_single_event_without_end_is_refused() {
    let endless = "x".repeat(MAX_FRAME_BYTES + 1);
    for wire in Wire::ALL {
        let vendor = StubVendor::start(wire).await;
        vendor.play(match wire {
            Wire::Bedrock => Reply::answer(Answer::text(&[&endless])).chunks(Chunks::Bytes(1 << 20)),
            _ => Reply::raw(200, "text/event-stream", format!("data: {endless}")),
        });
        let error = complete(&vendor, question(wire)).await.expect_err("it is too large");
        assert_eq!(error.kind, DriverErrorKind::AnswerTooLarge, "{wire:?}: {error}");
        assert!(error.message.contains(&MAX_FRAME_BYTES.to_string()), "{wire:?}: {error}");
    }
}

#[tokio::test]
async fn silence_in_an_answer_ends_it() {
    for wire in Wire::ALL {
        let vendor = StubVendor::start(wire).await;
        let events = wire.event_count(&calling()) - 1;
        vendor.play(Reply::answer(calling()).cut(events, End::Silent));
        let mut stream = begin(&vendor, question(wire)).await.expect("the answer begins");
        let first = stream.next().await.expect("there is an event").expect("it is one");
        // From here on nothing happens but time, which passes at once.
        tokio::time::pause();
        let mut last = Ok(first);
        while let Some(event) = stream.next().await {
            last = event;
        }
        tokio::time::resume();
        let error = last.expect_err("the vendor is silent");
        assert_eq!(error.kind, DriverErrorKind::Timeout, "{wire:?}: {error}");
    }
}

#[tokio::test]
async fn whoever_drops_a_stream_hangs_up() {
    for wire in Wire::ALL {
        let vendor = StubVendor::start(wire).await;
        vendor.play(Reply::answer(calling()).cut(wire.event_count(&calling()) - 1, End::Silent));
        let mut stream = begin(&vendor, question(wire)).await.expect("the answer begins");
        stream.next().await.expect("there is an event").expect("it is one");
        drop(stream);
        tokio::time::timeout(PATIENCE, vendor.hung_up()).await.unwrap_or_else(|_| panic!("{wire:?}: the connection stays open"));
    }
}
