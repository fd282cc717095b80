//! The figures as a table.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

const METHOD: &str = "\
# Turns beside those of Everruns

Written by `cargo xtask bench everruns`; do not edit.

The embedding API of Everwit follows that of Everruns, and so its crates `everruns-runtime` and `everruns-core` 0.17.26 run here
in the same program as ours: release builds, the multi-threaded async runtime of `#[tokio::main]`, stores in memory, the
simulated model of each, a harness with a prompt and the capability `test_math`, one short question. A *text turn* is one model
call; a *tool turn* is a model call that asks for `multiply`, the tool call, and a model call that answers. Each sample is the
first turn of a fresh session in a fresh runtime that has run two turns in another session; ours and theirs take turns. For the
*100th turn* a session has a hundred text turns, and its first is compared with its last. What is stated is the median, and
between which times nine of ten samples are.
";

/// Times of one of the two.
#[derive(Default)]
pub struct Times {
    pub text: Vec<Duration>,
    pub tool: Vec<Duration>,
    /// First and last turn of each.
    pub conversations: Vec<(Duration, Duration)>,
}

/// Everything that was measured.
#[derive(Default)]
pub struct Measured {
    pub ours: Times,
    pub theirs: Times,
}

/// Prints the figures, and writes them if asked to.
pub fn tell(measured: &Measured, writes: bool) -> Result<(), Box<dyn Error>> {
    let text = table(measured)?;
    print!("{text}");
    if writes {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks-everruns.md");
        std::fs::write(path, format!("{METHOD}\nMachine: {}\n\n{text}", machine()))?;
    }
    Ok(())
}

fn table(Measured { ours, theirs }: &Measured) -> Result<String, std::fmt::Error> {
    let mut text = String::from("| turn | Everwit | Everruns | rate | goal | |\n| --- | --- | --- | --- | --- | --- |\n");
    for (name, ours, theirs) in [("text", &ours.text, &theirs.text), ("one tool call", &ours.tool, &theirs.tool)] {
        let ratio = median(theirs) / median(ours);
        writeln!(text, "| {name} | {} | {} | {ratio:.1} × | ≥ 10 × | {} |", spread(ours), spread(theirs), verdict(ratio >= 10.0))?;
    }
    let [ours, theirs] = [ours, theirs].map(|times| times.conversations.iter().copied().unzip::<_, _, Vec<_>, Vec<_>>());
    writeln!(text, "| 1st of 100 | {} | {} | | | |", spread(&ours.0), spread(&theirs.0))?;
    writeln!(text, "| 100th | {} | {} | {:.1} × | | |", spread(&ours.1), spread(&theirs.1), median(&theirs.1) / median(&ours.1))?;
    let [ours, theirs] = [ours, theirs].map(|(first, last)| median(&last) / median(&first));
    writeln!(text, "| 100th : 1st | {ours:.2} | {theirs:.2} | | ours ≤ 1.3 | {} |", verdict(ours <= 1.3))?;
    Ok(text)
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}

/// In microseconds.
fn quantile(times: &[Duration], of_hundred: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() - 1) * of_hundred / 100].as_secs_f64() * 1e6
}

fn median(times: &[Duration]) -> f64 {
    quantile(times, 50)
}

fn spread(times: &[Duration]) -> String {
    format!("{:.0} µs ({:.0} to {:.0})", median(times), quantile(times, 5), quantile(times, 95))
}

fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map_or("unknown", |(_, name)| name.trim());
    let system = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!("{name}, {cores} cores, {} {}, load average {load} (1 of it is this program's)", std::env::consts::OS, system.trim())
}
