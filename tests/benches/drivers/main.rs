//! What a streamed chunk costs through a driver component, beside the same translation as native
//! code, in one run; and the memory that many completions leave behind.
//!
//! `cargo xtask bench drivers` writes `docs/benchmarks-drivers.md`. With `--test` everything runs
//! once and nothing is written.

mod native;
mod report;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use everwit_runtime::clock::SystemClock;
use everwit_runtime::driver::{ChatRequest, Codec, DriverConfig, Frame, Protocol, ResponseHead};
use everwit_runtime::egress::{Gateway, GatewayConfig, SseEvent};
use everwit_runtime::limits::Budget;
use everwit_runtime::message::{ContentPart, Message, Role};
use everwit_runtime::sandbox::{CompilerCommand, ComponentDriver, Sandbox, SandboxConfig, Terms};
use everwit_runtime::store::memory::MemoryStore;
use uuid::Uuid;

use native::Native;
use report::Figures;

/// How much is measured.
#[derive(Clone, Copy)]
struct Counts {
    /// Completions whose chunks are timed.
    timed: usize,
    /// Chunks of each.
    chunks: usize,
    /// Completions between the two looks at the memory.
    completions: usize,
}

const FULL: Counts = Counts { timed: 200, chunks: 500, completions: 10_000 };
const SMOKE: Counts = Counts { timed: 2, chunks: 10, completions: 20 };
/// Chunks of the completions whose memory is looked at.
const SHORT: usize = 20;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let counts = if is_test { SMOKE } else { FULL };
    let sandbox = sandbox();
    let rust = open(&sandbox, "ollama-driver").await;
    let script = open(&sandbox, "openai-compatible-driver").await;
    let line = Frame::Bytes(
        r#"{"model":"m","created_at":"2025-08-05T10:00:00.100000Z","message":{"role":"assistant","content":" token"},"done":false}"#.into(),
    );
    let event = Frame::Sse(SseEvent {
        event: "message".to_owned(),
        data: r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}"#.to_owned(),
        id: String::new(),
    });
    let mut samples = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..counts.timed {
        // Neighbours, because other work on the machine comes and goes.
        samples[0].push(per_chunk(&mut Native, &line, counts.chunks).await);
        samples[1].push(per_chunk(begun(&rust).await.as_mut(), &line, counts.chunks).await);
        samples[2].push(per_chunk(begun(&script).await.as_mut(), &event, counts.chunks).await);
    }
    let [native, component, quickjs] = samples.map(median);
    let started = Instant::now();
    for _ in 0..counts.completions.min(1_000) {
        per_chunk(begun(&rust).await.as_mut(), &line, SHORT).await;
    }
    let warm_up = started.elapsed();
    let before = resident_kib();
    for _ in 0..counts.completions {
        per_chunk(begun(&rust).await.as_mut(), &line, SHORT).await;
    }
    let growth_kib = resident_kib().saturating_sub(before);
    let figures = Figures {
        native,
        component,
        quickjs,
        completion: warm_up / u32::try_from(counts.completions.min(1_000)).unwrap_or(1),
        growth_kib,
        completions: counts.completions,
        chunks: counts.chunks,
    };
    report::tell(&figures);
    if !is_test {
        report::write(&figures);
    }
}

/// A completion whose head has arrived.
async fn begun(driver: &ComponentDriver) -> Box<dyn Codec> {
    let mut codec = driver.codec().await.expect("it starts");
    let config = DriverConfig { api_key: Some("key".into()), base_url: Some("https://vendor.example".to_owned()), metadata: None };
    let message = Message {
        id: everwit_runtime::id::MessageId::from_uuid(Uuid::nil()),
        role: Role::User,
        content: vec![ContentPart::text("Hi")],
        metadata: serde_json::Map::new(),
        controls: None,
        created_at: jiff::Timestamp::UNIX_EPOCH,
    };
    let request = ChatRequest { model: "m".to_owned(), messages: vec![Arc::new(message)], ..ChatRequest::default() };
    codec.begin(&config, &request).await.expect("a request");
    let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
    codec.on_head(&ResponseHead { status: 200, headers }).await.expect("a framing");
    codec
}

/// Time of one chunk, of many.
async fn per_chunk(codec: &mut dyn Codec, frame: &Frame, chunks: usize) -> Duration {
    let started = Instant::now();
    for _ in 0..chunks {
        let events = codec.on_frame(frame.clone()).await.expect("events");
        assert_eq!(events.len(), 1, "one token is one event");
        std::hint::black_box(events);
    }
    started.elapsed() / u32::try_from(chunks).unwrap_or(u32::MAX)
}

fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort_unstable();
    samples[samples.len() / 2]
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a VmRSS line");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

fn sandbox() -> Sandbox {
    let config = SandboxConfig {
        cache_dir: report::target().join("bench-artifacts"),
        cache_key: [1; 32],
        id_salt: [2; 32],
        compiler: CompilerCommand { program: env!("CARGO_BIN_EXE_compile-child").into(), args: vec!["__compile".into()] },
        keep_functions: false,
        max_concurrent_calls: 64,
    };
    let gateway = Gateway::new(GatewayConfig::default()).expect("a gateway");
    Sandbox::new(config, Arc::new(gateway), Arc::new(MemoryStore::default()), Arc::new(SystemClock)).expect("a sandbox")
}

async fn open(sandbox: &Sandbox, name: &str) -> ComponentDriver {
    let path = report::target().join("components").join(name).with_extension("wasm");
    let wasm = read(&path);
    sandbox.open_driver(wasm, Terms { budget: Budget::COMPLETION, ..Terms::default() }).await.expect("the driver is admitted")
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask components`", path.display()))
}
