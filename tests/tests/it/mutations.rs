//! The list of controls that `cargo xtask test mutations` switches off is whole, and names tests.

use std::collections::BTreeSet;
use std::process::Command;

use everwit_runtime::mutation::CONTROLS;

use crate::tidy::root;

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
