//! One tool call in the sandbox, side by side in one run with what people use instead. What is
//! claimed are ratios of medians. Other work on the machine comes and goes, so each subject is
//! measured once in each of several rounds, and a ratio is that of two neighbours in a round.
//!
//! `cargo xtask bench sandbox` writes the ratios to `docs/benchmarks.md`. With `--test` every
//! subject runs once; then, and with a filter, nothing is written.

mod bare;
mod http;
mod memory;
mod report;
mod rpc;
mod subjects;
mod threads;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Bencher, BenchmarkId, Criterion};
use tokio::runtime::Runtime;

use bare::{Bare, Warm};
use http::Client;
use rpc::{OneCore, Peer};
use subjects::{Subjects, Tenants};

/// How often each subject is measured, at intervals of a whole round.
const ROUNDS: usize = 5;
/// Samples of one measurement.
const SAMPLES: usize = 30;
/// Time of one measurement.
const MEASUREMENT: Duration = Duration::from_secs(1);
/// Time before a measurement in which caches fill.
const WARM_UP: Duration = Duration::from_millis(300);
/// Resamples from which criterion estimates the error of a median; its default of 100,000 takes
/// longer than the measurement.
const RESAMPLES: usize = 2_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_test = arguments.iter().any(|argument| argument == "--test");
    let is_whole = arguments.iter().all(|argument| argument == "--bench");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let subjects = runtime.block_on(Subjects::new());
    let counts = if is_test { memory::Counts::SMOKE } else { memory::Counts::FULL };
    let memory = runtime.block_on(memory::measure(&subjects, counts));
    let bare = Bare::new(&subjects.sdk_wasm);

    let output = report::criterion_directory();
    let mut criterion = Criterion::default()
        .sample_size(SAMPLES)
        .measurement_time(MEASUREMENT)
        .warm_up_time(WARM_UP)
        .nresamples(RESAMPLES)
        .configure_from_args()
        .without_plots()
        .output_directory(&output);
    let server = http::Server::start(subjects.sdk.clone(), subjects.context.clone());
    let mut rivals = Rivals {
        warm: runtime.block_on(bare.warm()),
        peers: runtime.block_on(rpc::peers()),
        clients: ["echo", "call"].map(|path| (path, server.connect())),
        tenants: runtime.block_on(Tenants::new(&subjects, if is_whole { subjects::TENANTS } else { 3 })),
    };
    for round in 1..=if is_test { 1 } else { ROUNDS } {
        measure(&mut criterion, round, (&runtime, &subjects, &bare), &mut rivals);
    }
    drop(rivals);

    let threads = threads::measure(&subjects, if is_test { 10 } else { 50_000 });
    criterion.final_summary();
    if is_whole {
        report::write(&output, &threads, &memory);
    }
}

/// What changes while it is measured.
struct Rivals {
    warm: Warm,
    peers: Vec<(&'static str, Peer)>,
    clients: [(&'static str, Client); 2],
    tenants: Tenants,
}

/// Measures every subject once. Those that a goal compares are neighbours.
fn measure(criterion: &mut Criterion, round: usize, (runtime, subjects, bare): (&Runtime, &Subjects, &Bare), rivals: &mut Rivals) {
    let id = |subject: &str| BenchmarkId::new(subject, round);
    let mut group = criterion.benchmark_group(report::GROUP);
    group.bench_function(id("native"), |bencher| bencher.to_async(runtime).iter(|| subjects.native()));
    group.bench_function(id("warm"), |bencher| {
        bencher.iter_custom(|calls| {
            runtime.block_on(async {
                let started = Instant::now();
                for _ in 0..calls {
                    rivals.warm.call().await;
                }
                started.elapsed()
            })
        });
    });
    group.bench_function(id("bare"), |bencher| bencher.to_async(runtime).iter(|| bare.fresh()));
    group.bench_function(id("sandboxed"), |bencher| bencher.to_async(runtime).iter(|| subjects.add(&subjects.sdk)));
    group.bench_function(id("minimal-guest"), |bencher| bencher.to_async(runtime).iter(|| subjects.add(&subjects.minimal)));
    group.bench_function(id("one-of-1000"), |bencher| {
        bencher.to_async(runtime).iter(|| {
            let tenant = rivals.tenants.another();
            async move { subjects.add(&tenant).await }
        });
    });
    group.bench_function(id("quickjs"), |bencher| bencher.to_async(runtime).iter(|| subjects.slugify(&subjects.quickjs)));
    group.bench_function(id("spawn"), |bencher| bencher.iter(rpc::spawn_true));
    for (name, peer) in &mut rivals.peers {
        group.bench_function(id(name), |bencher| measure_peer(bencher, runtime, peer));
        let _pinned = OneCore::with(peer);
        group.bench_function(id(&format!("{name}-one-core")), |bencher| measure_peer(bencher, runtime, peer));
    }
    for (path, client) in &mut rivals.clients {
        group.bench_function(id(&format!("axum-{path}")), |bencher| bencher.iter(|| client.post(path)));
    }
    group.finish();
}

fn measure_peer(bencher: &mut Bencher, runtime: &Runtime, peer: &mut Peer) {
    bencher.iter_custom(|calls| {
        runtime.block_on(async {
            let started = Instant::now();
            for _ in 0..calls {
                black_box(peer.round_trip().await);
            }
            started.elapsed()
        })
    });
}
