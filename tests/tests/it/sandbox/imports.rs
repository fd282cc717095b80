//! Limits of what the host does for a guest.

use std::sync::Mutex;

use everwit_runtime::capability::{Failure, ToolSink};
use everwit_runtime::limits::{MAX_JSON_BYTES, MAX_JSON_DEPTH};
use everwit_runtime::message::ContentPart;

use super::*;
use crate::egress::support::{Pipe, public};

/// A component that may fetch from `a.test`, where this answer waits.
pub(super) async fn fetcher(answer: impl Into<Vec<u8>>, budget: Budget) -> (ComponentCapability, Arc<Pipe>) {
    let pipe = Pipe::answering(answer);
    let permission = HttpPermission { host: "a.test:80".to_owned(), methods: Vec::new(), path_prefix: None, reason: String::new() };
    let grant = Grant { http: vec![permission], ..Grant::default() };
    let terms = Terms { version: Some(1), grant, budget };
    let capability = guests::sandbox_behind(public(pipe.clone())).open(guest("fetcher"), terms).await;
    (capability.expect("admitted"), pipe)
}

pub(super) fn answer_of(bytes: usize) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n").into_bytes(), vec![b'x'; bytes]].concat()
}

fn failure(outcome: ToolOutcome) -> Failure {
    match outcome.result {
        Err(CallError::Failed(failure)) => failure,
        other => panic!("expected the tool's failure, got {other:?}"),
    }
}

#[tokio::test]
async fn a_call_sends_so_many_requests() {
    let (fetcher, pipe) = fetcher(answer_of(10), Budget { http_requests: 3, ..SMALL }).await;
    let within = call(&fetcher, "fetch", json!({ "url": "http://a.test/", "times": 3 })).await;
    assert_eq!(within.receipt.expect("a receipt").usage.http_requests, 3);
    assert_eq!(within.result.expect("within the limit").structured.expect("structured")["bytes"], 10);
    let beyond = failure(call(&fetcher, "fetch", json!({ "url": "http://a.test/", "times": 4 })).await);
    assert!(beyond.code.contains("limit") && beyond.message.contains('3'), "{beyond:?}");
    assert_eq!(pipe.dialled().len(), 6, "the request too many is not sent");
}

#[tokio::test]
async fn a_call_exchanges_so_many_bytes_over_http() {
    let (fetcher, _) = fetcher(answer_of(10_000), Budget { http_bytes: 25_000, ..SMALL }).await;
    let fetch = async |times: u32| call(&fetcher, "fetch", json!({ "url": "http://a.test/", "times": times })).await;
    fetch(2).await.result.expect("within the limit");
    let beyond = failure(fetch(3).await);
    assert!(beyond.code.contains("limit") && beyond.message.contains("25000"), "{beyond:?}");
}

/// A body is read in pieces as large as one host call may copy.
#[tokio::test]
async fn a_body_is_larger_than_what_one_host_call_copies() {
    let (fetcher, _) = fetcher(answer_of(200_000), Budget { host_call_bytes: 10_000, ..SMALL }).await;
    let read = call(&fetcher, "fetch", json!({ "url": "http://a.test/" })).await.result.expect("it is read");
    assert_eq!(read.structured.expect("structured")["bytes"], 200_000);
}

#[tokio::test]
async fn the_wait_that_a_server_asks_for_reaches_the_guest_whether_in_seconds_or_as_a_time() {
    for (fields, expected) in [
        ("retry-after: 7", json!(7_000)),
        ("date: Wed, 21 Oct 2026 07:28:00 GMT\r\nretry-after: Wed, 21 Oct 2026 07:29:30 GMT", json!(90_000)),
        ("x: y", Value::Null),
    ] {
        let (fetcher, _) = fetcher(format!("HTTP/1.1 429 Slow\r\n{fields}\r\ncontent-length: 0\r\n\r\n"), SMALL).await;
        let told = call(&fetcher, "fetch", json!({ "url": "http://a.test/" })).await.result.expect("a report");
        assert_eq!(told.structured.expect("structured")["retry_after_ms"], expected, "{fields}");
    }
}

#[tokio::test]
async fn greedy_gets_random_bytes_and_keys_up_to_a_limit() {
    let grant = Grant { kv: vec!["greedy".to_owned()], ..Grant::default() };
    let greedy = open_with("greedy", SMALL, grant).await;
    let drawn = call(&greedy, "draw", json!({ "count": 65_536 })).await;
    assert_eq!(drawn.result.expect("within the limit").structured, Some(json!(65_536)));
    stops("greedy", "draw", json!({ "count": 65_537 }), SMALL, StopKind::HostBytes, "65536 is the most").await;
    for (limit, refused) in [(0, true), (1, false), (1_000, false), (1_001, true)] {
        let listed = call(&greedy, "list", json!({ "limit": limit })).await;
        assert_eq!(format!("{:?}", listed.result).contains("must be between 1 and 1000"), refused, "{limit}: {:?}", listed.result);
    }
}

#[tokio::test]
async fn long_keys_and_values_are_a_fault_of_their_own() {
    let grant = Grant { kv: vec!["counter".to_owned()], ..Grant::default() };
    let counter = open_with("counter", SMALL, grant).await;
    let put = async |key: usize, value: usize| call(&counter, "put", json!({ "key": "k".repeat(key), "value": "v".repeat(value) })).await;
    put(512, 256 << 10).await.result.expect("within both limits");
    for (key, value) in [(513, 1), (1, (256 << 10) + 1)] {
        let refused = failure(put(key, value).await);
        assert_eq!(refused.code, "kv_too_large", "{refused:?}");
    }
}

#[tokio::test]
async fn wasi_greedy_is_held_to_the_same_limits() {
    let drawn = call(&open("wasi-greedy", SMALL).await, "draw", json!({ "count": 65_536 })).await;
    assert_eq!(drawn.result.expect("within the limit").structured, Some(json!(65_536)));
    let beyond = call(&open("wasi-greedy", SMALL).await, "draw", json!({ "count": 65_537 })).await;
    assert!(beyond.result.is_err(), "{:?}", beyond.result);
    let looked = call(&open("wasi-greedy", SMALL).await, "look", json!({ "times": 1_000 })).await;
    assert_eq!(looked.result.expect("a time").structured, Some(json!(0)), "the clock is too coarse to measure caches with");
}

#[tokio::test]
async fn output_through_wasi_is_a_log_that_costs_fuel() {
    let print = async |bytes: usize, times: u32, budget: Budget| {
        call(&open("wasi-greedy", budget).await, "print", json!({ "bytes": bytes, "times": times })).await
    };
    let budget = Budget { log_bytes: 4_500, ..SMALL };
    let printed = print(400, 30, budget).await;
    assert_eq!(printed.result.expect("it may write").structured, Some(json!(4_096)), "so much may be written at once");
    assert_eq!(printed.logs.len(), 2, "one line fits, cut where it is too long, and one says what was dropped: {:?}", printed.logs);
    assert_eq!(printed.logs[0].message.len(), 4_096);
    let usage = printed.receipt.expect("a receipt").usage;
    assert!((12_000..12_100).contains(&usage.bytes_out) && usage.host_calls >= 61, "{usage:?}");
    let (short, long) = (print(8, 100, SMALL).await, print(4_096, 100, SMALL).await);
    let fuel = |outcome: ToolOutcome| outcome.receipt.expect("a receipt").usage.fuel;
    assert!(fuel(long) > fuel(short) + 100 * 4_000 / 8, "what is written is paid for");
}

#[tokio::test]
async fn lines_that_are_written_in_pieces_are_lines_of_the_log() {
    let written =
        call(&open("wasi-greedy", SMALL).await, "pieces", json!({ "pieces": ["two", " words", "\nnext ", "line\n", "open"] })).await;
    written.result.expect("it may write");
    let lines: Vec<_> = written.logs.iter().map(|line| (line.level.as_str(), line.message.as_str())).collect();
    assert_eq!(lines, [("info", "two words"), ("info", "next line"), ("info", "open")]);
}

/// Keeps the notes that it is told.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl ToolSink for Notes {
    fn progress(&self, _done: u64, _total: Option<u64>, note: &str) {
        self.0.lock().expect("no panic").push(note.to_owned());
    }

    fn emit(&self, _parts: &[ContentPart]) {}
}

#[tokio::test]
async fn a_note_is_cut_and_escaped() {
    let notes = Arc::new(Notes::default());
    let mut context = call_context();
    context.sink = notes.clone();
    // The SDK cuts notes as well, so this one grows when it is escaped.
    let note = "\u{1b}".repeat(1_000);
    open("echo", SMALL).await.call_tool(&context, "wait", json!({ "steps": 1, "note": note })).await.result.expect("done");
    let told = notes.0.lock().expect("no panic").remove(0);
    assert!(told.starts_with("\\u{1b}\\u{1b}") && told.len() < 1_100, "{} bytes: {told:.40}", told.len());
}

#[tokio::test]
async fn what_a_guest_says_of_its_end_is_cut() {
    let message = "é".repeat(20_000);
    let outcome = stops("panics", "panic", json!({ "message": message }), SMALL, StopKind::Panic, "éé").await;
    let Err(CallError::Stopped(stopped)) = outcome.result else { unreachable!("stops has checked it") };
    assert!(stopped.message.len() < 4_200, "{} bytes of panic", stopped.message.len());
    let failed =
        call(&open("echo", SMALL).await, "fail", json!({ "kind": message, "code": message, "message": message, "retryable": false })).await;
    let failed = failure(failed);
    assert_eq!(failed.kind.len(), 64);
    assert!(failed.code.len() <= 64 && failed.message.len() <= 4_096, "{failed:?}");
    let deep = stops("recurse", "dive", json!({ "depth": 20_000 }), SMALL, StopKind::Stack, "stack").await;
    let Err(CallError::Stopped(stopped)) = deep.result else { unreachable!("stops has checked it") };
    assert_eq!(stopped.backtrace.len(), 16, "the innermost frames: {:?}", stopped.backtrace);
}

#[tokio::test]
async fn empty_lines_fill_the_log_as_well() {
    let chatty = open("chatty", Budget { log_bytes: 3_200, ..SMALL }).await;
    let chatted = call(&chatty, "chat", json!({ "lines": 1_000, "bytes": 0 })).await;
    assert_eq!(chatted.logs.len(), 101, "a line costs 32 bytes beside its text, and the last one says what was dropped");
}

#[tokio::test]
async fn a_result_that_is_too_large_or_too_deep_for_json_is_refused() {
    let budget = Budget { output_bytes: 8 << 20, host_call_bytes: 8 << 20, fuel: 1_000_000_000, memory_bytes: 64 << 20, ..SMALL };
    stops_after("echo", "echo", json!({ "value": "x".repeat(MAX_JSON_BYTES) }), budget, &MAX_JSON_BYTES.to_string()).await;
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    // The guest wraps the value in two objects of its own.
    let echo = open("echo", SMALL).await;
    call(&echo, "echo", json!({ "value": nested(MAX_JSON_DEPTH - 3) })).await.result.expect("within the limit");
    stops_after("echo", "echo", json!({ "value": nested(MAX_JSON_DEPTH) }), SMALL, "64 levels").await;
}

/// The guest had ended, and what it returned cannot be used.
async fn stops_after(name: &str, tool: &str, arguments: Value, budget: Budget, says: &str) {
    let outcome = call(&open(name, budget).await, tool, arguments).await;
    assert_eq!(stop_kind(&outcome), StopKind::Protocol);
    assert!(format!("{:?}", outcome.result).contains(says), "{:?} does not say {says:?}", outcome.result);
}

/// Told in time, a guest ends by itself: each of these would be dropped at once otherwise.
#[tokio::test]
async fn a_cancel_gives_running_guests_time_to_answer() {
    let echo = Arc::new(open("echo", Budget { fuel: Budget::CEILING.fuel, wall_ms: 60_000, ..SMALL }).await);
    let cancel = tokio_util::sync::CancellationToken::new();
    let running: Vec<_> = (0..20)
        .map(|_| {
            let (echo, mut context) = (echo.clone(), call_context());
            context.cancel = cancel.clone();
            tokio::spawn(async move { echo.call_tool(&context, "wait", json!({})).await })
        })
        .collect();
    tokio::task::yield_now().await;
    cancel.cancel();
    for call in running {
        let output = call.await.expect("no panic").result.expect("the guest's own answer");
        assert!(format!("{output:?}").contains("cancel"), "{output:?}");
    }
}

#[tokio::test]
async fn a_guest_learns_that_its_time_runs_out_before_it_does() {
    let echo = open("echo", Budget { fuel: Budget::CEILING.fuel, wall_ms: 400, ..SMALL }).await;
    let output = call(&echo, "wait", json!({})).await.result.expect("the guest's own answer");
    assert!(format!("{output:?}").contains("time"), "{output:?}");
}

#[tokio::test]
async fn dawdle_ends_before_the_component_is_admitted() {
    let refused = tokio::time::timeout(Duration::from_secs(20), sandbox().admit(guest("dawdle"))).await;
    let AdmitError::Rejected(rejection) = refused.expect("describe has a deadline").expect_err("it never starts") else {
        panic!("expected a rejection")
    };
    assert_eq!(rejection.findings[0].code, "describe_failed");
    assert!(rejection.findings[0].detail.contains("2000 ms"), "{}", rejection.findings[0].detail);
}
