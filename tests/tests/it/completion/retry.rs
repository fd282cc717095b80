//! Trying again: when, how often, and when not.

use std::time::Duration;

use everwit_runtime::driver::DriverErrorKind;
use everwit_runtime::event::Retries;
use serde_json::json;
use tokio::time::Instant;

use super::vendor::*;

fn unavailable() -> Vec<Act> {
    status(503, "", "busy")
}

/// What came of it: text or kind, tries, and the time that it took, in milliseconds.
async fn outcome(replies: impl IntoIterator<Item = Vec<Act>>) -> (Result<String, DriverErrorKind>, usize, u128) {
    let vendor = Vendor::new(replies);
    let started = Instant::now();
    let (events, error) = Rig::new(&vendor).all().await;
    let took = started.elapsed().as_millis();
    assert_eq!(vendor.left(), 0, "every reply was asked for");
    (error.map_or_else(|| Ok(text_of(&events)), |error| Err(error.kind)), vendor.requests().len(), took)
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_with_growing_waits() {
    assert_eq!(outcome([unavailable(), unavailable(), saying("back")]).await, (Ok("back".to_owned()), 3, 1_500));
    assert_eq!(outcome([unavailable(), unavailable(), unavailable()]).await, (Err(DriverErrorKind::Unavailable), 3, 1_500));
    let broken = [vec![Act::Close], vec![head(), Act::Close], saying("back")];
    assert_eq!(outcome(broken).await, (Ok("back".to_owned()), 3, 1_500));
}

#[tokio::test(start_paused = true)]
async fn token_counts_are_no_answer_yet_but_a_word_is() {
    let counted = vec![head(), event(&json!({"usage": 1})), event(&json!({"error": "overloaded"}))];
    assert_eq!(outcome([counted, saying("back")]).await, (Ok("back".to_owned()), 2, 500));
    for begun in [json!({"text": "a"}), json!({"text": "a", "usage": 1})] {
        let reply = vec![head(), event(&begun), event(&json!({"error": "overloaded"}))];
        assert_eq!(outcome([reply]).await, (Err(DriverErrorKind::Unavailable), 1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_vendor_says_when() {
    let limited = |field: &str| status(429, field, "slow down");
    assert_eq!(outcome([limited("retry-after: 7\r\n"), saying("back")]).await, (Ok("back".to_owned()), 2, 7_000));
    let at = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:49:49 GMT\r\n";
    assert_eq!(outcome([limited(at), saying("back")]).await, (Ok("back".to_owned()), 2, 12_000));
    assert_eq!(outcome([limited("retry-after: 61\r\n")]).await, (Err(DriverErrorKind::RateLimited), 1, 0), "nobody waits so long");
    let replies = [limited("retry-after: 60\r\n"), limited("retry-after: 60\r\n"), limited("retry-after: 1\r\n")];
    assert_eq!(outcome(replies).await, (Err(DriverErrorKind::RateLimited), 3, 120_000));
}

#[tokio::test(start_paused = true)]
async fn what_lasts_is_not_tried_again() {
    for (status_code, body, kind) in [
        (400, "temperature: too hot", DriverErrorKind::InvalidRequest),
        (401, "who?", DriverErrorKind::Authentication),
        (402, "pay", DriverErrorKind::QuotaExhausted),
        (404, "no such model", DriverErrorKind::ModelNotAvailable),
        (413, "too long", DriverErrorKind::ContextTooLong),
        (429, "insufficient_quota", DriverErrorKind::QuotaExhausted),
    ] {
        let reply = status(status_code, "retry-after: 1\r\n", body);
        assert_eq!(outcome([reply]).await, (Err(kind), 1, 0), "{status_code} {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_tries_are_told_however_it_ends() {
    for (last, succeeds) in [(saying("back"), true), (status(400, "", ""), false)] {
        let started = Rig::new(&Vendor::new([unavailable(), last])).start().await;
        assert_eq!((started.stream.is_ok(), started.retries), (succeeds, Some(Retries { attempts: 2, total_wait_ms: 500 })));
    }
    assert_eq!(Rig::new(&Vendor::new([saying("at once")])).start().await.retries, None);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_the_wait_between_two_tries() {
    let vendor = Vendor::new([status(429, "retry-after: 60\r\n", "")]);
    let rig = Rig::new(&vendor);
    let context = rig.context();
    let driver = everwit_runtime::driver::CodecDriver::new(rig.protocol.clone(), rig.model.driver_config());
    let cancel = context.cancel.clone();
    let started = Instant::now();
    let completing = everwit_runtime::driver::complete(&driver, &rig.model, Default::default(), &context);
    let (completed, ()) = tokio::join!(completing, async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        cancel.cancel();
    });
    assert_eq!(completed.stream.err().map(|error| error.kind), Some(DriverErrorKind::Cancelled));
    assert_eq!(started.elapsed(), seconds(3));
}
