//! The list of controls that `cargo xtask test mutations` switches off is whole, and names tests.

use std::collections::BTreeSet;
use std::process::Command;

use everwit_runtime::mutation::CONTROLS;

use crate::tidy::{files_below, root};

/// Limits of `runtime/src/limits.rs` that are handed on to what holds them, and its control.
const HELD_ELSEWHERE: [(&str, &str); 4] = [
    ("MAX_COMPONENT_BYTES", "server.body_bytes"),
    ("MAX_DESCRIPTION_BYTES", "server.text_bytes"),
    ("MAX_SYSTEM_PROMPT_BYTES", "server.text_bytes"),
    ("MAX_TITLE_BYTES", "server.text_bytes"),
];
/// How many lines above and below a limit its control may stand.
const NEAR: usize = 2;

/// Names of all tests of this program.
pub(crate) fn tests() -> BTreeSet<String> {
    let program = std::env::current_exe().expect("this program has a path");
    let listed = Command::new(program).args(["--list", "--format", "terse"]).output().expect("it lists its tests");
    let text = String::from_utf8(listed.stdout).expect("names are text");
    text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

#[test]
fn every_control_has_tests_that_exist() {
    let list = std::fs::read_to_string(root().join("tests/mutations.txt")).expect("the list is there");
    let tests = tests();
    let mut listed = Vec::new();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let (control, names) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is not `control: test, test`"));
        // Tests of the runtime's own are in another program, which the command runs.
        for name in names.split(", ").filter(|name| !name.starts_with("runtime ")) {
            assert!(tests.contains(name), "{control}: there is no test {name}");
        }
        listed.push(control);
    }
    assert_eq!(listed, CONTROLS, "in the same order");
}

/// Whether some line of a source names the limit, and one near it asks whether its control is off.
fn has_control(source: &str, limit: &str) -> bool {
    let lines: Vec<&str> = source.lines().collect();
    let is_near = |at: usize| lines[at.saturating_sub(NEAR)..lines.len().min(at + NEAR + 1)].iter().any(|line| line.contains("off(\""));
    let names = |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == limit);
    (0..lines.len()).any(|at| names(lines[at]) && is_near(at))
}

/// A limit that is added without a control is noticed here.
#[test]
fn every_limit_of_the_runtime_has_a_control() {
    let root = root();
    let limits = std::fs::read_to_string(root.join("runtime/src/limits.rs")).expect("the limits are there");
    let limits =
        limits.lines().filter_map(|line| line.strip_prefix("pub const MAX_")?.split_once(':')).map(|(name, _)| format!("MAX_{name}"));
    let folders = ["runtime/src", "server/src"].map(|folder| files_below(&root.join(folder)));
    let sources = folders.iter().flatten().filter(|path| path.extension().is_some_and(|it| it == "rs") && !path.ends_with("src/limits.rs"));
    let sources: Vec<String> = sources.map(|path| std::fs::read_to_string(path).expect("a source is text")).collect();
    let without = limits.filter(|limit| match HELD_ELSEWHERE.iter().find(|(held, _)| held == limit) {
        Some((_, control)) => !CONTROLS.contains(control),
        None => !sources.iter().any(|source| has_control(source, limit)),
    });
    let without: Vec<String> = without.collect();
    assert!(without.is_empty(), "limits without a control in runtime/src/mutation.rs: {without:?}");
}
