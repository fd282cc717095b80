//! `cargo xtask fuzz`: a fuzz target under a fuzzer that is guided by what it covers, for a while.
//! `test` runs the same targets over their corpora and seeded mutations, without a build of their own.

use std::process::Command;

use crate::process::{Error, Result, at, read, run};
use crate::project::{Project, cargo};

/// Names of the targets; each has a program in `fuzz/targets` and a folder in `tests/corpus`.
const TARGETS: [&str; 5] = ["upload", "description", "event", "codec", "sse"];
/// Makes the compiler count which branches are taken, and say what is compared with what. All of it is stable, so
/// that no nightly compiler is needed; there is no address sanitizer, for what is fuzzed is safe Rust.
const FLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// How long one target runs by itself, in seconds.
const USUAL_SECONDS: &str = "300";
/// Largest input, in bytes; that of the mutations in `test`.
const MAX_INPUT: u32 = 1 << 20;
/// An input that takes longer is a finding, in seconds.
const MAX_SECONDS: u32 = 10;

pub(crate) fn run_command(target: &str, seconds: Option<&str>) -> Result<()> {
    if !TARGETS.contains(&target) {
        return Err(Error::new(format!("there is no fuzz target {target:?}")).fix(format!("one of: {}", TARGETS.join(", "))));
    }
    let seconds = seconds.unwrap_or(USUAL_SECONDS);
    if seconds.parse::<u32>().is_err() {
        return Err(Error::new(format!("--seconds is {seconds:?}; it must be a whole number")));
    }
    let project = Project::find()?;
    let host = host()?;
    let folder = project.target.join("fuzz");
    let mut build = cargo(&project.root.join("fuzz"), &["build", "--release", "--bin", target, "--target", &host, "--target-dir"]);
    build.arg(&folder).env("RUSTFLAGS", FLAGS.join(" "));
    run(&mut build)?;
    // What it finds worth keeping goes into the first folder; the checked-in corpus is only read.
    let (found, failures) = (folder.join("corpus").join(target), folder.join("failures"));
    for made in [&found, &failures] {
        at(made, std::fs::create_dir_all(made))?;
    }
    let mut fuzz = Command::new(folder.join(&host).join("release").join(target));
    fuzz.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={MAX_INPUT}")).arg(format!("-timeout={MAX_SECONDS}"));
    fuzz.arg(format!("-artifact_prefix={}/{target}-", failures.display())).arg("-print_final_stats=1");
    fuzz.arg(found).arg(project.root.join("tests/corpus").join(target));
    run(&mut fuzz)
}

/// The machine that the compiler runs on, as it names it. Named as the target, too, so that build scripts are not instrumented.
fn host() -> Result<String> {
    let version = read(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Error::new("`rustc -vV` names no host"))
}
