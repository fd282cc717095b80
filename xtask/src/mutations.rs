//! `cargo xtask test mutations`: switches one control of the runtime off after the other, and expects
//! that the tests which are named for it fail. A limit whose absence no test notices is none.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::process::{Error, Result, at, not_started, read_stdout};
use crate::project::Project;

/// Exit code of a test program of which a test has failed.
const RED: i32 = 101;

pub(crate) fn run_command() -> Result<()> {
    let project = Project::find()?;
    let program = test_program(&project)?;
    let path = project.root.join("tests/mutations.txt");
    let list = at(&path, std::fs::read_to_string(&path))?;
    let controls: Vec<(&str, Vec<&str>)> = list.lines().filter_map(control).collect();
    let all: Vec<&str> = controls.iter().flat_map(|(_, tests)| tests.iter().copied()).collect();
    if run_tests(&program, None, &all)? != Some(0) {
        return Err(Error::new("the tests fail although nothing is switched off").fix("cargo xtask test"));
    }
    let mut unnoticed = Vec::new();
    for (control, tests) in &controls {
        let started = Instant::now();
        let code = run_tests(&program, Some(control), tests)?;
        let verdict = if code == Some(RED) { "noticed" } else { "NOT NOTICED" };
        eprintln!("{control:<26} {verdict} in {:.1} s", started.elapsed().as_secs_f64());
        if code != Some(RED) {
            unnoticed.push(*control);
        }
    }
    if unnoticed.is_empty() {
        eprintln!("each of {} controls was missed when it was off", controls.len());
        return Ok(());
    }
    Err(Error::new(format!("no test misses {}", unnoticed.join(", "))).fix("name or write tests that do, in tests/mutations.txt"))
}

fn control(line: &str) -> Option<(&str, Vec<&str>)> {
    let (control, tests) = line.split_once(": ").filter(|_| !line.starts_with('#'))?;
    Some((control, tests.split(", ").collect()))
}

/// The program of the end-to-end tests, built if it is not.
pub(crate) fn test_program(project: &Project) -> Result<PathBuf> {
    let mut build = project.cargo(&["test"]);
    build.args(["--workspace", "--bins", "--tests", "--examples", "--no-run", "--message-format", "json-render-diagnostics"]);
    let messages = read_stdout(&mut build)?;
    let mut messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_it = |message: &Value| message["target"]["name"] == "it" && message["executable"].is_string();
    let program = messages.rfind(is_it).and_then(|message| message["executable"].as_str().map(PathBuf::from));
    program.ok_or_else(|| Error::new("cargo has not named the program of the end-to-end tests"))
}

/// Runs tests by their names, quietly.
fn run_tests(program: &PathBuf, off: Option<&str>, tests: &[&str]) -> Result<Option<i32>> {
    let mut command = Command::new(program);
    command.arg("--exact").args(tests).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(control) = off {
        command.env("EVERWIT_MUTATION", control);
    }
    let status = command.status().map_err(|error| not_started(&command, &error))?;
    Ok(status.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_control_with_its_tests() {
        assert_eq!(control("a.b: c::d, e"), Some(("a.b", vec!["c::d", "e"])));
        assert_eq!(control("# a: b"), None);
    }
}
