//! `cargo xtask test mutations`: switches one control of the runtime off after the other, and expects
//! that the tests which are named for it fail. A limit whose absence no test notices is none.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::{Error, Result, at, not_started, read_stdout};
use crate::project::Project;

/// Exit code of a test program of which a test has failed.
const RED: i32 = 101;
/// A test that runs for so long without its control does not end: as good as one that fails.
const PATIENCE: Duration = Duration::from_secs(180);
/// Pause between two looks at a test program.
const LOOK: Duration = Duration::from_millis(50);
/// In front of a test of the runtime's own.
const OF_RUNTIME: &str = "runtime ";

/// The programs that have the tests.
struct Programs {
    /// Of the end-to-end tests.
    it: PathBuf,
    /// Of the runtime's own.
    runtime: PathBuf,
}

pub(crate) fn run_command() -> Result<()> {
    let project = Project::find()?;
    let programs = programs(&project)?;
    let path = project.root.join("tests/mutations.txt");
    let list = at(&path, std::fs::read_to_string(&path))?;
    let controls: Vec<(&str, Vec<&str>)> = list.lines().filter_map(control).collect();
    let all: Vec<&str> = controls.iter().flat_map(|(_, tests)| tests.iter().copied()).collect();
    if !programs.pass(None, &all)? {
        return Err(Error::new("the tests fail although nothing is switched off").fix("cargo xtask test"));
    }
    let begun = Instant::now();
    let mut unnoticed = Vec::new();
    for (control, tests) in &controls {
        let started = Instant::now();
        let is_noticed = !programs.pass(Some(control), tests)?;
        let verdict = if is_noticed { "noticed" } else { "NOT NOTICED" };
        eprintln!("{control:<26} {verdict} in {:.1} s", started.elapsed().as_secs_f64());
        if !is_noticed {
            unnoticed.push(*control);
        }
    }
    if unnoticed.is_empty() {
        eprintln!("each of {} controls was missed when it was off, in {:.0} s", controls.len(), begun.elapsed().as_secs_f64());
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
    programs(project).map(|programs| programs.it)
}

fn programs(project: &Project) -> Result<Programs> {
    let mut build = project.cargo(&["test"]);
    build.args(["--workspace", "--lib", "--bins", "--tests", "--examples", "--no-run", "--message-format", "json-render-diagnostics"]);
    let messages = read_stdout(&mut build)?;
    let messages: Vec<Value> = messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let program = |name: &str| {
        let is_it =
            |message: &&Value| message["target"]["name"] == name && message["profile"]["test"] == true && message["executable"].is_string();
        let program = messages.iter().rfind(is_it).and_then(|message| message["executable"].as_str()).map(PathBuf::from);
        program.ok_or_else(|| Error::new(format!("cargo has not named the program of the tests of {name}")))
    };
    Ok(Programs { it: program("it")?, runtime: program("everwit_runtime")? })
}

impl Programs {
    /// Runs tests by their names, quietly; tells whether all of them passed.
    fn pass(&self, off: Option<&str>, tests: &[&str]) -> Result<bool> {
        let (own, end_to_end): (Vec<&str>, Vec<&str>) = tests.iter().partition(|test| test.starts_with(OF_RUNTIME));
        let own: Vec<&str> = own.iter().map(|test| &test[OF_RUNTIME.len()..]).collect();
        for (program, tests) in [(&self.it, end_to_end), (&self.runtime, own)] {
            if !tests.is_empty() && !pass(program, off, &tests)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[expect(clippy::disallowed_methods, reason = "there is no executor here to block, and a process tells nobody that it ended")]
fn pass(program: &Path, off: Option<&str>, tests: &[&str]) -> Result<bool> {
    let mut command = Command::new(program);
    command.arg("--exact").args(tests).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(control) = off {
        command.env("EVERWIT_MUTATION", control);
    }
    let mut child = command.spawn().map_err(|error| not_started(&command, &error))?;
    let started = Instant::now();
    loop {
        match at(program, child.try_wait())?.map(|status| status.code()) {
            Some(Some(0)) => return Ok(true),
            Some(Some(RED)) => return Ok(false),
            Some(code) => return Err(Error::new(format!("{} ended with {code:?} in place of failing", tests.join(", ")))),
            None if off.is_some() && started.elapsed() > PATIENCE => {
                at(program, child.kill())?;
                at(program, child.wait())?;
                return Ok(false);
            }
            None => std::thread::sleep(LOOK),
        }
    }
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
