//! What compiling would cost without the gate, and what the child's limits then hold.
//!
//! Each bomb is below 20 kB and takes more than 1 GiB or 20 s; the lane of the tests is exactly
//! that, so the figures are themselves under test.

use std::fs;

use everwit_runtime::sandbox::{Lane, inspect};

use super::inputs::{child, compiler, doubling, functions_with_locals, rejection, wide_blocks, wide_calls};

/// Largest growth of the parent's peak memory, in KiB.
const MAX_GROWTH_KIB: u64 = 20 << 10;

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

fn reset_peak() {
    /// Resets the peak resident set size.
    const RESET: &str = "5";
    fs::write("/proc/self/clear_refs", RESET).expect("Linux");
}

/// THREAT[U03], THREAT[U04], THREAT[U05]
async fn is_refused_and_without_the_gate_killed(bomb: Vec<u8>, lane: Lane) {
    assert!(bomb.len() < 20_000, "{} bytes", bomb.len());
    assert_ne!(inspect(&bomb).1, [], "the gate refuses it");

    let directory = tempfile::tempdir().expect("a directory");
    let compiler = compiler(child(), directory.path()).without_gate(lane);
    reset_peak();
    let before = peak_kib();
    let rejection = rejection(&compiler, bomb).await;
    let growth = peak_kib() - before;
    assert_eq!(rejection.findings.len(), 1);
    assert_eq!(rejection.findings[0].code, "too_expensive_to_compile", "{:?}", rejection.findings);
    assert!(growth < MAX_GROWTH_KIB, "the server grew by {growth} KiB");
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 0, "nothing is left behind");
}

const GIBIBYTE_OR_20_SECONDS: Lane = Lane { cpu_seconds: 20, address_space: 1 << 30, ..Lane::LARGE };

#[tokio::test]
async fn nested_instantiation_that_doubles_thirty_times() {
    is_refused_and_without_the_gate_killed(doubling(30), GIBIBYTE_OR_20_SECONDS).await;
}

#[tokio::test]
async fn a_thousand_values_through_a_thousand_loops() {
    is_refused_and_without_the_gate_killed(wide_blocks(1_000, 1_000), GIBIBYTE_OR_20_SECONDS).await;
}

#[tokio::test]
async fn a_thousand_values_through_three_thousand_calls() {
    is_refused_and_without_the_gate_killed(wide_calls(1_000, 3_000), GIBIBYTE_OR_20_SECONDS).await;
}

/// Little memory, much time: this one meets the limit of processor time.
#[tokio::test]
async fn functions_with_fifty_thousand_locals() {
    let lane = Lane { cpu_seconds: 1, ..Lane::LARGE };
    is_refused_and_without_the_gate_killed(functions_with_locals(2_000, 50_000), lane).await;
}

/// Neither memory nor processor time, only waiting.
#[tokio::test]
async fn a_compiler_that_hangs_is_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let lane = Lane { wall_seconds: 1, ..Lane::SMALL };
    let compiler = compiler(super::inputs::script("exec sleep 20"), directory.path()).without_gate(lane);
    let rejection = rejection(&compiler, super::inputs::working(1)).await;
    assert_eq!(rejection.findings[0].code, "too_expensive_to_compile");
    assert!(rejection.findings[0].detail.contains("1 s"), "{:?}", rejection.findings);
}

#[tokio::test]
async fn machine_code_that_is_too_large_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let lane = Lane { artifact_bytes: 1_000, ..Lane::SMALL };
    let compiler = compiler(child(), directory.path()).without_gate(lane);
    let rejection = rejection(&compiler, super::inputs::working(1)).await;
    assert_eq!(rejection.findings[0].code, "artifact_too_large", "{:?}", rejection.findings);
    assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 0, "nothing is left behind");
}
