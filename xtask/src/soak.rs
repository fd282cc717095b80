//! `cargo xtask soak`: the tests of hostile bytes and of load, many times longer than `test` runs them.

use std::process::Command;
use std::time::Instant;

use crate::mutations::test_program;
use crate::process::{Error, Result, not_started};
use crate::project::Project;

/// What can be run for long: its name, its tests, and how many rounds it makes by itself.
const SOAKS: [(&str, &str, &str); 4] = [
    ("uploads", "fuzzing::mutated_", "10000"),
    ("fuzz", "fuzzing::", "1000000"),
    ("calls", "load::mixed_", "100000"),
    ("fairness", "load::a_quiet_", "1000"),
];

pub(crate) fn run_command(name: &str, rounds: Option<&str>) -> Result<()> {
    let Some((_, tests, usual)) = SOAKS.iter().find(|(known, ..)| *known == name) else {
        let names: Vec<&str> = SOAKS.iter().map(|(name, ..)| *name).collect();
        return Err(Error::new(format!("there is no soak {name:?}")).fix(format!("one of: {}", names.join(", "))));
    };
    let rounds = rounds.unwrap_or(usual);
    let program = test_program(&Project::find()?)?;
    let mut command = Command::new(&program);
    command.args([tests, "--nocapture"]).env("EVERWIT_SOAK_ROUNDS", rounds);
    if name == "fuzz" {
        command.args(["--skip", "mutated_components"]);
    }
    let started = Instant::now();
    let status = command.status().map_err(|error| not_started(&command, &error))?;
    eprintln!("{rounds} rounds of {name} took {:.0} s", started.elapsed().as_secs_f64());
    if status.success() { Ok(()) } else { Err(Error::new(format!("{name} failed: {status}"))) }
}
