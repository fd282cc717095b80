//! The figures as people read them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Goal: time that a component may add to a chunk.
const MOST_ADDED: Duration = Duration::from_micros(20);
/// Goal: growth of the resident memory over all completions, in KiB.
const MOST_GROWTH_KIB: u64 = 2 << 10;

/// What was measured.
pub(crate) struct Figures {
    pub(crate) native: Duration,
    pub(crate) component: Duration,
    pub(crate) quickjs: Duration,
    /// A whole short completion, its instance included.
    pub(crate) completion: Duration,
    pub(crate) growth_kib: u64,
    pub(crate) completions: usize,
    pub(crate) chunks: usize,
}

impl Figures {
    fn added(&self) -> Duration {
        self.component.saturating_sub(self.native)
    }
}

/// Where builds lie: the binary of a bench is in `target/<profile>/deps`.
pub(crate) fn target() -> PathBuf {
    let program = std::env::current_exe().expect("the path of this program");
    program.ancestors().nth(3).expect("it lies in the target directory").to_owned()
}

fn micros(duration: Duration) -> String {
    format!("{:.1} µs", duration.as_secs_f64() * 1e6)
}

fn verdict(kept: bool) -> &'static str {
    if kept { "kept" } else { "missed" }
}

fn table(figures: &Figures) -> String {
    let mut text = String::new();
    let (added, growth) = (figures.added(), figures.growth_kib);
    let rows = [
        ("chunk through native code".to_owned(), micros(figures.native), String::new()),
        ("chunk through the same as a Rust component".to_owned(), micros(figures.component), String::new()),
        ("added by the component".to_owned(), micros(added), format!("≤ {}: {}", micros(MOST_ADDED), verdict(added <= MOST_ADDED))),
        ("chunk through a JavaScript component (QuickJS, another protocol)".to_owned(), micros(figures.quickjs), String::new()),
        ("completion of 20 chunks, instance included".to_owned(), micros(figures.completion), String::new()),
        (
            format!("growth of resident memory over {} completions", figures.completions),
            format!("{growth} KiB"),
            format!("≤ {MOST_GROWTH_KIB} KiB: {}", verdict(growth <= MOST_GROWTH_KIB)),
        ),
    ];
    text.push_str("| what | figure | goal |\n| --- | --- | --- |\n");
    for (what, figure, goal) in rows {
        let _ = writeln!(text, "| {what} | {figure} | {goal} |");
    }
    text
}

/// Prints the figures.
pub(crate) fn tell(figures: &Figures) {
    eprintln!("{}", table(figures));
}

/// Writes `docs/benchmarks-drivers.md`.
pub(crate) fn write(figures: &Figures) {
    let chunks = figures.chunks;
    let text = format!(
        "# Benchmarks of driver components\n\nWritten by `cargo xtask bench drivers`.\n\n{}\nMedians over completions of {chunks} chunks of one token \
         each, one thread. All three subjects take turns in one run, so that other work on the machine meets them alike. The native \
         subject reads the same types with the same parser and makes the same events as the Rust component; what the component adds is \
         copying in and out of its memory, its own slower code, the checks of what it returns, and its fuel and clock. Memory is looked \
         at after 1,000 completions have warmed the process up.\n",
        table(figures)
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks-drivers.md");
    std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
