//! What a guest call may use, and what becomes of one that wants more. Every limit has a guest
//! that runs into it, and that guest alone ends.

mod files;
mod imports;
mod nested;
mod places;
mod quotas;

use std::sync::Arc;
use std::time::{Duration, Instant};

use everwit_runtime::capability::{CallError, Capability, StopKind, ToolOutcome};
use everwit_runtime::component::{Grant, HttpPermission};
use everwit_runtime::limits::Budget;
use everwit_runtime::sandbox::{AdmitError, ComponentCapability, Terms};
use serde_json::{Value, json};

use crate::support::guests::{self, call_context, guest, sandbox};

/// Small enough that each limit is reached at once, large enough for a normal call.
const SMALL: Budget = Budget { fuel: 50_000_000, memory_bytes: 16 << 20, wall_ms: 10_000, ..Budget::TOOL_CALL };

async fn open(name: &str, budget: Budget) -> ComponentCapability {
    open_with(name, budget, Grant::default()).await
}

async fn open_with(name: &str, budget: Budget, grant: Grant) -> ComponentCapability {
    let terms = Terms { version: Some(1), grant, budget };
    sandbox().open(guest(name), terms).await.expect("the guest is admitted")
}

async fn call(capability: &ComponentCapability, tool: &str, arguments: Value) -> ToolOutcome {
    capability.call_tool(&call_context(), tool, arguments).await
}

fn stop_kind(outcome: &ToolOutcome) -> StopKind {
    match &outcome.result {
        Err(CallError::Stopped(stopped)) => stopped.kind,
        other => panic!("expected a stop, got {other:?}"),
    }
}

/// Calls `tool` and requires the stop `kind`, named in a message that holds `says`.
async fn stops(name: &str, tool: &str, arguments: Value, budget: Budget, kind: StopKind, says: &str) -> ToolOutcome {
    let outcome = call(&open(name, budget).await, tool, arguments).await;
    assert_eq!(stop_kind(&outcome), kind, "{:?}", outcome.result);
    let Err(CallError::Stopped(stopped)) = &outcome.result else { unreachable!("stop_kind has checked it") };
    assert!(stopped.message.contains(says), "{:?} does not say {says:?}", stopped.message);
    let receipt = outcome.receipt.as_ref().expect("every guest call has a receipt");
    assert_eq!(receipt.usage.fuel, budget.fuel, "a stopped call is billed its whole fuel");
    outcome
}

#[tokio::test]
async fn spin_ends_by_fuel() {
    stops("spin", "spin", json!({}), SMALL, StopKind::Fuel, "50000000").await;
}

#[tokio::test]
async fn spin_ends_by_deadline() {
    let budget = Budget { fuel: Budget::CEILING.fuel, wall_ms: 200, ..SMALL };
    let begun = Instant::now();
    stops("spin", "spin", json!({}), budget, StopKind::Deadline, "200 ms").await;
    assert!(begun.elapsed() < Duration::from_secs(5), "the deadline was not kept: {:?}", begun.elapsed());
}

#[tokio::test]
async fn recurse_ends_by_stack() {
    stops("recurse", "recurse", json!({}), SMALL, StopKind::Stack, "stack").await;
}

#[tokio::test]
async fn the_stack_is_as_deep_as_it_says() {
    let capability = open("recurse", SMALL).await;
    let within = call(&capability, "dive", json!({ "depth": 4_000 })).await;
    assert_eq!(within.result.expect("half of the stack is enough").structured, Some(json!(4_000)));
    stops("recurse", "dive", json!({ "depth": 20_000 }), SMALL, StopKind::Stack, "512 KiB").await;
}

#[tokio::test]
async fn hoarder_ends_by_its_handles() {
    let budget = Budget { handles: 100, ..SMALL };
    let within = call(&open("hoarder", budget).await, "hoard", json!({ "count": 90 })).await;
    assert_eq!(within.result.expect("within the limit").structured, Some(json!(90)));
    stops("hoarder", "hoard", json!({ "count": 110 }), budget, StopKind::Resources, "handle limit exceeded").await;
}

#[tokio::test]
async fn hoarder_ends_by_what_the_host_keeps_for_it() {
    let budget = Budget { handles: Budget::CEILING.handles, ..SMALL };
    stops("hoarder", "hoard", json!({ "count": 2_000 }), budget, StopKind::Resources, "resource table").await;
}

#[tokio::test]
async fn a_component_of_too_many_instances_does_not_start() {
    stops("echo", "echo", json!({ "value": 1 }), Budget { instances: 1, ..SMALL }, StopKind::Resources, "instance count").await;
}

#[tokio::test]
async fn one_host_call_copies_so_many_bytes() {
    let budget = Budget { host_call_bytes: 65_536, ..SMALL };
    let capability = open("chatty", budget).await;
    call(&capability, "chat", json!({ "lines": 1, "bytes": 65_000 })).await.result.expect("within the limit");
    let outcome = stops("chatty", "chat", json!({ "lines": 1, "bytes": 70_000 }), budget, StopKind::HostBytes, "65536 are the most").await;
    assert_eq!(outcome.logs, [], "nothing of it was taken");
    let drain = Budget { host_call_bytes: 65_535, ..SMALL };
    stops("flood", "drain", json!({}), drain, StopKind::HostBytes, "65536 bytes; 65535 are the most").await;
}

/// What is beyond every limit is not even copied, so that it costs the host no memory.
#[tokio::test]
async fn the_host_takes_in_no_more_than_the_larger_of_two_limits() {
    let budget = Budget { host_call_bytes: 65_536, output_bytes: 32_768, ..SMALL };
    stops("chatty", "chat", json!({ "lines": 1, "bytes": 70_000 }), budget, StopKind::HostBytes, "more than 65536 bytes").await;
}

#[tokio::test]
async fn guest_code_and_host_calls_share_one_fuel_limit() {
    let chat = json!({ "lines": 500, "bytes": 200 });
    let whole = call(&open("chatty", SMALL).await, "chat", chat.clone()).await;
    let fuel = whole.receipt.expect("a receipt").usage.fuel;
    let exact = call(&open("chatty", Budget { fuel, ..SMALL }).await, "chat", chat.clone()).await;
    assert!(exact.result.is_ok(), "{:?}", exact.result);
    stops("chatty", "chat", chat, Budget { fuel: fuel - 1, ..SMALL }, StopKind::Fuel, "together").await;
}

#[tokio::test]
async fn hog_ends_by_memory() {
    let budget = Budget { fuel: 1_000_000_000, ..SMALL };
    let outcome = stops("hog", "hog", json!({}), budget, StopKind::Memory, "16777216").await;
    let peak = outcome.receipt.expect("a receipt").usage.peak_memory_bytes;
    assert!((8 << 20..=16 << 20).contains(&peak), "peak {peak}");
}

#[tokio::test]
async fn chatty_keeps_its_log_within_the_limit() {
    let budget = Budget { log_bytes: 4_096, ..SMALL };
    let outcome = call(&open("chatty", budget).await, "chat", json!({})).await;
    let bytes: usize = outcome.logs.iter().map(|line| line.message.len()).sum();
    assert!(bytes <= 4_096 + 200, "{bytes} bytes of log");
    let last = outcome.logs.last().expect("a line that says what was dropped");
    assert!(last.message.contains("dropped"), "{}", last.message);
    assert_eq!(stop_kind(&outcome), StopKind::Fuel, "a flood of logging is paid with fuel");
}

#[tokio::test]
async fn verbose_ends_by_output() {
    let budget = Budget { fuel: 10_000_000_000, memory_bytes: 256 << 20, wall_ms: 30_000, ..Budget::TOOL_CALL };
    stops("verbose", "answer", json!({}), budget, StopKind::Output, "larger than 1048576").await;
    // As much as a host call may copy is taken in, and refused then.
    let late = call(&open("verbose", budget).await, "answer", json!({ "bytes": 2 << 20 })).await;
    assert_eq!(stop_kind(&late), StopKind::Output);
    assert!(late.receipt.expect("a receipt").usage.fuel < budget.fuel, "it had ended, and is billed what it used");
}

#[tokio::test]
async fn panics_says_what_the_panic_said() {
    stops("panics", "panic", json!({ "message": "the \u{1b}[31mreason" }), SMALL, StopKind::Panic, "the \\u{1b}[31mreason").await;
}

#[tokio::test]
async fn flood_pays_for_host_calls_and_lets_others_run() {
    let capability = open("flood", SMALL).await;
    let begun = Instant::now();
    let flood = tokio::spawn(async move { call(&capability, "flood", json!({})).await });
    let mut longest = Duration::ZERO;
    while !flood.is_finished() {
        let before = Instant::now();
        tokio::task::yield_now().await;
        longest = longest.max(before.elapsed());
    }
    let outcome = flood.await.expect("the call does not panic");
    assert_eq!(stop_kind(&outcome), StopKind::Fuel);
    assert!(longest < begun.elapsed() / 2, "one stretch took {longest:?} of {:?}: the guest does not yield", begun.elapsed());
}

#[tokio::test]
async fn fifty_others_proceed_while_one_spins() {
    let spin = open("spin", Budget { fuel: Budget::CEILING.fuel, wall_ms: 60_000, ..SMALL }).await;
    let echo = Arc::new(open("echo", SMALL).await);
    let cancel = tokio_util::sync::CancellationToken::new();
    let mut context = call_context();
    context.cancel = cancel.clone();
    let spinning = tokio::spawn(async move { spin.call_tool(&context, "spin", json!({})).await });
    let others: Vec<_> = (0..50)
        .map(|number| {
            let echo = echo.clone();
            tokio::spawn(async move { call(&echo, "echo", json!({ "value": number })).await })
        })
        .collect();
    for other in others {
        other.await.expect("the call does not panic").result.expect("the other calls succeed");
    }
    assert!(!spinning.is_finished(), "on one thread, the spinning call was still running when the others had ended");
    cancel.cancel();
    assert_eq!(stop_kind(&spinning.await.expect("the call does not panic")), StopKind::Cancelled);
}

#[tokio::test]
async fn a_guest_can_notice_a_cancel_and_answer() {
    let capability = open("echo", Budget { fuel: Budget::CEILING.fuel, ..SMALL }).await;
    let mut context = call_context();
    context.cancel = tokio_util::sync::CancellationToken::new();
    context.cancel.cancel();
    let outcome = capability.call_tool(&context, "wait", json!({})).await;
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
}

#[tokio::test]
async fn a_receipt_is_exact_and_repeatable() {
    let capability = open("minimal", SMALL).await;
    let first = call(&capability, "add", json!({ "a": 2.0, "b": 3.0 })).await;
    let second = call(&capability, "add", json!({ "a": 2.0, "b": 3.0 })).await;
    let (first, second) = (first.receipt.expect("a receipt").usage, second.receipt.expect("a receipt").usage);
    assert_eq!(first.fuel, second.fuel, "the same work costs the same fuel");
    assert!((500..100_000).contains(&first.fuel), "{}", first.fuel);
    assert_eq!(first.peak_memory_bytes, second.peak_memory_bytes);
    assert_eq!(first.fuel_limit, SMALL.fuel);
}

#[tokio::test]
async fn nothing_survives_a_call_in_the_instance() {
    let capability = open("counter-static", SMALL).await;
    for _ in 0..3 {
        let output = call(&capability, "count", json!({})).await.result.expect("a result");
        assert_eq!(output.structured, Some(json!([1, 1, 1])), "a fresh instance counts from the start");
    }
}

#[tokio::test]
async fn a_failure_of_the_tool_is_its_own() {
    let capability = open("echo", SMALL).await;
    let arguments = json!({ "kind": "rate-limited", "code": "slow_down", "message": "later", "retryable": true });
    let outcome = call(&capability, "fail", arguments).await;
    match outcome.result {
        Err(CallError::Failed(failure)) => {
            assert_eq!((failure.kind.as_str(), failure.code.as_str()), ("rate-limited", "slow_down"));
            assert!(failure.retryable);
        }
        other => panic!("expected the tool's failure, got {other:?}"),
    }
    assert!(outcome.receipt.expect("a receipt").usage.fuel < SMALL.fuel, "a failure is billed what it used");
}

#[tokio::test]
async fn the_keys_of_a_bucket_need_its_grant() {
    let denied = call(&open("counter", SMALL).await, "put", json!({ "key": "a", "value": "1" })).await;
    let text = format!("{:?}", denied.result);
    assert!(text.contains("is not granted") && text.contains("kv"), "{text}");

    let granted = Grant { kv: vec!["counter".to_owned()], ..Grant::default() };
    let capability = open_with("counter", SMALL, granted).await;
    call(&capability, "put", json!({ "key": "a", "value": "1" })).await.result.expect("the bucket is granted");
    let read = call(&capability, "get", json!({ "key": "a" })).await.result.expect("the bucket is granted");
    assert!(read.structured.expect("structured").to_string().contains('1'));
}

#[tokio::test]
async fn addresses_within_are_refused_by_the_gateway() {
    let hosts = ["127.0.0.1", "169.254.169.254", "[::ffff:10.0.0.1]", "inside.test"];
    let http = hosts.iter().map(|host| {
        let url = url::Url::parse(&format!("http://{host}/")).expect("a URL");
        let host = format!("{}:80", url.host_str().expect("a host"));
        HttpPermission { host, methods: Vec::new(), path_prefix: None, reason: String::new() }
    });
    let granted = Grant { http: http.collect(), ..Grant::default() };
    let capability = open_with("sleeper", SMALL, granted).await;
    for host in hosts {
        let outcome = call(&capability, "get", json!({ "url": format!("http://{host}/") })).await;
        let text = format!("{:?}", outcome.result);
        assert!(text.contains("denied") && !text.contains("is not granted"), "{host}: {text}");
    }
    assert_eq!(guests::dials(), 0, "no denied address is dialled");
}

#[tokio::test]
async fn a_host_needs_its_grant() {
    let outcome = call(&open("sleeper", SMALL).await, "get", json!({ "url": "https://api.example.com/v1?key=s3cret" })).await;
    let text = format!("{:?}", outcome.result);
    assert!(text.contains("denied") && text.contains("is not granted") && text.contains("api.example.com"), "{text}");
    assert!(!text.contains("s3cret"), "a denial shows no query: {text}");
}

#[tokio::test]
async fn a_guest_that_waits_in_http_ends_at_its_deadline() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let granted = Grant {
        http: vec![HttpPermission { host: format!("127.0.0.1:{port}"), methods: Vec::new(), path_prefix: None, reason: String::new() }],
        ..Grant::default()
    };
    let sandbox = guests::sandbox_that_may_dial(port);
    let terms = Terms { version: None, grant: granted, budget: Budget { wall_ms: 300, ..SMALL } };
    let capability = sandbox.open(guest("sleeper"), terms).await.expect("admitted");
    let outcome = call(&capability, "get", json!({ "url": format!("http://127.0.0.1:{port}/") })).await;
    assert_eq!(stop_kind(&outcome), StopKind::Deadline, "{:?}", outcome.result);
    assert_eq!(outcome.receipt.expect("a receipt").usage.http_requests, 1);
}

#[tokio::test]
async fn snoop_finds_no_environment_no_files_no_network() {
    let outcome = call(&open("snoop", SMALL).await, "snoop", json!({})).await;
    let found = outcome.result.expect("a report").structured.expect("structured");
    let found = found.as_object().expect("an object");
    assert!(found.len() >= 15, "it looks for many things: {found:?}");
    for (what, seen) in found {
        assert_eq!(seen, "refused", "{what}");
    }
}

#[tokio::test]
async fn startup_ends_before_the_component_is_admitted() {
    let refused = sandbox().admit(guest("startup")).await.expect_err("it never starts");
    let AdmitError::Rejected(rejection) = refused else { panic!("expected a rejection, got {refused:?}") };
    assert_eq!(rejection.findings.len(), 1);
    assert_eq!(rejection.findings[0].code, "describe_failed");
    assert!(rejection.findings[0].detail.contains("fuel"), "{}", rejection.findings[0].detail);
}

#[tokio::test]
async fn residue_of_one_call_is_never_found_by_another() {
    let capability = open("residue", Budget { fuel: 2_000_000_000, ..SMALL }).await;
    for _ in 0..100 {
        call(&capability, "leave", json!({})).await.result.expect("it leaves its marks");
        let found = call(&capability, "find", json!({})).await.result.expect("it looks for them");
        assert_eq!(found.structured, Some(json!(0)), "a slot of the pool was not cleaned");
    }
}

#[tokio::test]
async fn a_description_is_read_and_ids_are_salted() {
    let capability = open("echo", SMALL).await;
    let shown = call(&capability, "echo", json!({ "value": [1, "é"] })).await.result.expect("a result");
    let shown = shown.structured.expect("structured");
    assert_eq!(shown["value"], json!([1, "é"]));
    assert_eq!(shown["context"]["idempotency_key"], "call_1");
    let session = shown["context"]["session"].as_str().expect("an id");
    assert!(session.len() == 32 && !call_context().session_id.to_string().contains(session), "{session}");
}

#[tokio::test]
async fn partial_output_counts_against_the_same_limit() {
    let capability = open("verbose", Budget { output_bytes: 10_000, ..SMALL }).await;
    let within = call(&capability, "emit", json!({ "bytes": 1_000, "times": 5 })).await;
    assert_eq!(within.result.expect("within the limit").parts.len(), 6, "five emitted parts and the result");
    let beyond = call(&capability, "emit", json!({ "bytes": 1_000, "times": 50 })).await;
    assert_eq!(stop_kind(&beyond), StopKind::Output);
    let whole = open("verbose", Budget { output_bytes: 10, ..SMALL }).await;
    let (alone, after) = (json!({ "bytes": 9, "times": 0 }), json!({ "bytes": 9, "times": 1 }));
    call(&whole, "emit", alone).await.result.expect("a result alone");
    assert_eq!(stop_kind(&call(&whole, "emit", after).await), StopKind::Output, "nothing is left for the result");
}
