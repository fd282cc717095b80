//! The table: ratios of medians of this run against their goals.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::ROUNDS;
use crate::memory::Memory;
use crate::subjects::target;
use crate::threads;

/// Criterion's name for all of it.
pub(crate) const GROUP: &str = "tool-call";
/// Cores that two threads must have had; with fewer they take turns, and do not disturb each other.
const MIN_CORES: f64 = 1.6;

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
    /// Worth knowing, and nothing that we promise.
    None,
}

const GOALS: [Goal; 11] = [
    Goal { what: "sandboxed call : bare instantiate and call", of: "sandboxed", to: "bare", bound: Bound::AtMost(1.3) },
    Goal { what: "sandboxed call : call of a warm instance", of: "sandboxed", to: "warm", bound: Bound::AtMost(20.0) },
    Goal { what: "spawn of /bin/true : sandboxed call", of: "spawn", to: "sandboxed", bound: Bound::AtLeast(50.0) },
    Goal { what: "JSON-RPC to warm Node : sandboxed call", of: "node-json-rpc", to: "sandboxed", bound: Bound::AtLeast(1.5) },
    Goal { what: "JSON-RPC to warm Python : sandboxed call", of: "python-json-rpc", to: "sandboxed", bound: Bound::AtLeast(1.5) },
    Goal { what: "the same to Node on the same core", of: "node-json-rpc-one-core", to: "sandboxed", bound: Bound::None },
    Goal { what: "the same to Python on the same core", of: "python-json-rpc-one-core", to: "sandboxed", bound: Bound::None },
    Goal { what: "axum with a sandboxed call : raw axum echo", of: "axum-call", to: "axum-echo", bound: Bound::AtMost(2.5) },
    Goal { what: "Rust SDK guest : minimal guest", of: "sandboxed", to: "minimal-guest", bound: Bound::AtMost(4.0) },
    Goal { what: "random of 1,000 components : one hot", of: "one-of-1000", to: "sandboxed", bound: Bound::AtMost(8.0) },
    Goal { what: "QuickJS guest : spawn of /bin/true", of: "quickjs", to: "spawn", bound: Bound::AtMost(0.5) },
];

const SUBJECTS: [&str; 14] = [
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
    "node-json-rpc-one-core",
    "python-json-rpc",
    "python-json-rpc-one-core",
    "spawn",
];

/// Where criterion keeps what it measured.
pub(crate) fn criterion_directory() -> PathBuf {
    target().join("criterion")
}

/// Writes `docs/benchmarks.md` and prints it.
pub(crate) fn write(criterion: &Path, threads: &[threads::Round], memory: &Memory) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository");
    let text = table(criterion, threads, memory);
    std::fs::create_dir_all(root.join("docs")).expect("a directory");
    std::fs::write(root.join("docs/benchmarks.md"), &text).expect("written");
    eprintln!("{text}");
}

fn table(criterion: &Path, threads: &[threads::Round], memory: &Memory) -> String {
    let mut text = String::from(include_str!("method.md"));
    writeln!(text, "\nMachine: {}\n", machine()).expect("a string takes all");
    text.push_str("| ratio | measured | least to most of a round | goal | |\n| --- | --- | --- | --- | --- |\n");
    let rounds = |of: &str, to: &str| Rounds::new((1..=ROUNDS).map(|round| median(criterion, of, round) / median(criterion, to, round)));
    for goal in &GOALS {
        row(&mut text, goal.what, &rounds(goal.of, goal.to), &goal.bound);
    }
    row_of_threads(&mut text, threads);
    #[expect(clippy::cast_precision_loss, reason = "kibibytes are far below 2^52")]
    let ratio = memory.after as f64 / memory.live as f64;
    let what = format!("memory after {} instances were dropped : with {} live", memory.counts.dropped, memory.counts.live);
    row(&mut text, &what, &Rounds::new([ratio]), &Bound::AtMost(1.2));

    text.push_str("\n| one tool call | median, in microseconds | as a multiple of the sandboxed call |\n| --- | --- | --- |\n");
    for subject in SUBJECTS {
        let micros = Rounds::new((1..=ROUNDS).map(|round| median(criterion, subject, round) / 1e3));
        let multiple = rounds(subject, "sandboxed");
        writeln!(text, "| {subject} | {:.2} | {:.3} |", micros.median(), multiple.median()).expect("a string takes all");
    }
    text
}

/// Two threads are compared with one only in rounds in which they had cores of their own.
fn row_of_threads(text: &mut String, threads: &[threads::Round]) {
    let what = "CPU time per call on two threads : on one";
    let comparable: Vec<f64> = threads.iter().filter(|round| round.cores >= MIN_CORES).map(|round| round.ratio).collect();
    if comparable.is_empty() {
        let most = threads.iter().map(|round| round.cores).fold(0.0, f64::max);
        writeln!(text, "| {what} | not comparable: at most {most:.1} cores were free | | ≤ 2 | |").expect("a string takes all");
    } else {
        row(text, what, &Rounds::new(comparable), &Bound::AtMost(2.0));
    }
}

fn row(text: &mut String, what: &str, rounds: &Rounds, bound: &Bound) {
    let ratio = rounds.median();
    let verdict = |met| if met { "met" } else { "**missed**" };
    let (goal, verdict) = match bound {
        Bound::AtMost(most) => (format!("≤ {most}"), verdict(ratio <= *most)),
        Bound::AtLeast(least) => (format!("≥ {least}"), verdict(ratio >= *least)),
        Bound::None => (String::new(), ""),
    };
    let range = rounds.range();
    writeln!(text, "| {what} | {ratio:.2} | {range} | {goal} | {verdict} |").expect("a string takes all");
}

/// The same figure from each round, sorted.
struct Rounds(Vec<f64>);

impl Rounds {
    fn new(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        Self(figures)
    }

    fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    fn range(&self) -> String {
        match self.0.as_slice() {
            [least, .., most] => format!("{least:.2} to {most:.2}"),
            _ => String::new(),
        }
    }
}

/// Median of a subject in a round in nanoseconds, as the run has just measured it.
fn median(criterion: &Path, subject: &str, round: usize) -> f64 {
    let path = criterion.join(GROUP).join(subject).join(round.to_string()).join("new/estimates.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
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
