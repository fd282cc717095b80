//! One tool call in the sandbox, side by side in one run with what people use instead. All
//! figures that matter are ratios of medians of this one run; `cargo xtask bench sandbox` writes
//! them to `docs/benchmarks.md`. With `--test` every subject runs once and nothing is written.

mod bare;
mod http;
mod memory;
mod report;
mod rpc;
mod subjects;
mod threads;

use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let subjects = runtime.block_on(subjects::Subjects::new());

    let mut group = criterion.benchmark_group("tool-call");
    group.bench_function("native", |bencher| bencher.to_async(&runtime).iter(|| subjects.native()));
    group.bench_function("sandboxed", |bencher| bencher.to_async(&runtime).iter(|| subjects::add(&subjects.sdk)));
    group.bench_function("minimal-guest", |bencher| bencher.to_async(&runtime).iter(|| subjects::add(&subjects.minimal)));
    group.bench_function("quickjs", |bencher| bencher.to_async(&runtime).iter(|| subjects::slugify(&subjects.quickjs)));
    let bare = bare::Bare::new(&subjects.sdk_wasm);
    group.bench_function("bare", |bencher| bencher.to_async(&runtime).iter(|| bare.fresh()));
    let mut warm = runtime.block_on(bare.warm());
    group.bench_function("warm", |bencher| bencher.iter(|| runtime.block_on(warm.call())));
    group.bench_function("spawn", |bencher| bencher.iter(rpc::spawn_true));
    for (name, mut peer) in rpc::peers() {
        group.bench_function(name, |bencher| bencher.iter(|| peer.round_trip()));
    }
    let server = http::Server::start(subjects.sdk.clone());
    for path in ["echo", "call"] {
        let mut client = server.connect();
        group.bench_function(format!("axum-{path}"), |bencher| bencher.iter(|| client.post(path)));
    }
    let thousand = runtime.block_on(subjects::thousand(&subjects));
    let mut next = 0;
    group.bench_function("one-of-1000", |bencher| {
        bencher.to_async(&runtime).iter(|| {
            // A full-period step, so that neighbours in memory are not neighbours in time.
            next = (next + 619) % thousand.len();
            subjects::add(&thousand[next])
        });
    });
    group.finish();
    drop(thousand);

    let is_test = std::env::args().any(|argument| argument == "--test");
    let calls = if is_test { 10 } else { 200_000 };
    let threads = threads::measure(&subjects.sdk, calls);
    let memory = runtime.block_on(memory::measure(&bare, if is_test { 10 } else { 5_000 }));
    criterion.final_summary();
    if !is_test {
        report::write(&threads, &memory);
    }
}
