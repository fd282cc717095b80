//! The table: ratios of medians of this run against their goals.

use std::fmt::Write as _;
use std::path::Path;

use crate::memory::Memory;
use crate::threads::Threads;

/// A claim: the ratio of two medians, and what it should be.
struct Goal {
    what: &'static str,
    of: &'static str,
    to: &'static str,
    bound: Bound,
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

const GOALS: [Goal; 9] = [
    Goal { what: "sandboxed call : bare instantiate and call", of: "sandboxed", to: "bare", bound: Bound::AtMost(1.3) },
    Goal { what: "sandboxed call : call of a warm instance", of: "sandboxed", to: "warm", bound: Bound::AtMost(20.0) },
    Goal { what: "spawn of /bin/true : sandboxed call", of: "spawn", to: "sandboxed", bound: Bound::AtLeast(50.0) },
    Goal { what: "JSON-RPC to warm Node : sandboxed call", of: "node-json-rpc", to: "sandboxed", bound: Bound::AtLeast(1.5) },
    Goal { what: "JSON-RPC to warm Python : sandboxed call", of: "python-json-rpc", to: "sandboxed", bound: Bound::AtLeast(1.5) },
    Goal { what: "axum with a sandboxed call : raw axum echo", of: "axum-call", to: "axum-echo", bound: Bound::AtMost(2.5) },
    Goal { what: "Rust SDK guest : minimal guest", of: "sandboxed", to: "minimal-guest", bound: Bound::AtMost(4.0) },
    Goal { what: "random of 1,000 components : one hot", of: "one-of-1000", to: "sandboxed", bound: Bound::AtMost(8.0) },
    Goal { what: "QuickJS guest : spawn of /bin/true", of: "quickjs", to: "spawn", bound: Bound::AtMost(0.5) },
];

const SUBJECTS: [&str; 12] = [
    "native",
    "warm",
    "minimal-guest",
    "bare",
    "sandboxed",
    "one-of-1000",
    "quickjs",
    "axum-echo",
    "axum-call",
    "node-json-rpc",
    "python-json-rpc",
    "spawn",
];

/// Writes `docs/benchmarks.md` and prints it.
pub(crate) fn write(threads: &Threads, memory: &Memory) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository");
    let text = table(threads, memory);
    std::fs::create_dir_all(root.join("docs")).expect("a directory");
    std::fs::write(root.join("docs/benchmarks.md"), &text).expect("written");
    eprintln!("{text}");
}

fn table(threads: &Threads, memory: &Memory) -> String {
    let mut text = String::from(include_str!("method.md"));
    writeln!(text, "\nMachine: {}\n", machine()).expect("a string takes all");
    text.push_str("| ratio of medians in one run | measured | goal | |\n| --- | --- | --- | --- |\n");
    for goal in &GOALS {
        row(&mut text, goal.what, median(goal.of) / median(goal.to), &goal.bound);
    }
    if threads.cores >= 1.6 {
        let ratio = threads.two_cpu_micros / threads.one_cpu_micros;
        row(&mut text, "CPU per call on two threads : on one", ratio, &Bound::AtMost(2.0));
    } else {
        writeln!(text, "| CPU per call on two threads : on one | not comparable: {:.1} cores were free | ≤ 2.0 | |", threads.cores)
            .expect("a string takes all");
    }
    #[expect(clippy::cast_precision_loss, reason = "kibibytes are far below 2^52")]
    let ratio = memory.after as f64 / memory.live as f64;
    let what = format!("memory after {} dropped instances : with 500 live", memory.dropped);
    row(&mut text, &what, ratio, &Bound::AtMost(1.2));

    text.push_str("\n| one tool call | median, as a multiple of the sandboxed call |\n| --- | --- |\n");
    let one = median("sandboxed");
    for subject in SUBJECTS {
        writeln!(text, "| {subject} | {:.3} |", median(subject) / one).expect("a string takes all");
    }
    text
}

fn row(text: &mut String, what: &str, ratio: f64, bound: &Bound) {
    let (goal, met) = match bound {
        Bound::AtMost(most) => (format!("≤ {most}"), ratio <= *most),
        Bound::AtLeast(least) => (format!("≥ {least}"), ratio >= *least),
    };
    let verdict = if met { "met" } else { "**missed**" };
    writeln!(text, "| {what} | {ratio:.2} | {goal} | {verdict} |").expect("a string takes all");
}

/// Median of a subject in nanoseconds, as the run has just measured it.
fn median(subject: &str) -> f64 {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/criterion/tool-call").join(subject).join("new/estimates.json");
    let text = std::fs::read_to_string(&target).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
    let estimates: serde_json::Value = serde_json::from_str(&text).expect("criterion writes JSON");
    estimates["median"]["point_estimate"].as_f64().expect("a number")
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown CPU", |rest| rest.trim_start_matches(['\t', ' ', ':']));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}
