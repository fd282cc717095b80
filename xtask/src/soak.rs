//! `cargo xtask soak`: the tests of hostile bytes, of load, and of turns whose processes are killed, many times longer
//! than `test` runs them.

use std::process::Command;
use std::time::Instant;

use crate::mutations::test_program;
use crate::postgres::Cluster;
use crate::process::{Error, Result, not_started, run};
use crate::project::Project;
use crate::temporal;

/// Where the results of soaks are written down, and that of a soak of turns from how many turns on.
const REPORT: &str = "docs/benchmarks-soak.md";
const REPORTED_TURNS: u64 = 1_000;
/// Where turns can be had.
const SITES: [&str; 3] = ["sqlite", "postgres", "temporal"];
/// The one that has processes on an engine for many machines.
const TEMPORAL: &str = "temporal";

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

/// `soak calls --minutes N`: mixed calls for so long; the result is written down.
pub(crate) fn run_calls(minutes: &str) -> Result<()> {
    let minutes = minutes.parse::<u64>().ok().filter(|minutes| (1..=10_000).contains(minutes));
    let minutes = minutes.ok_or_else(|| Error::new("--minutes must be a whole number of 1 to 10000"))?;
    let project = Project::find()?;
    let mut command = Command::new(test_program(&project)?);
    command.args(["load::mixed_", "--nocapture"]).env("EVERWIT_SOAK_SECONDS", (minutes * 60).to_string());
    run(command.env("EVERWIT_SOAK_REPORT", project.root.join(REPORT)))
}

/// `soak turns`: how many turns, on which sites, and how their processes die.
#[derive(Debug, Default)]
pub(crate) struct Turns<'a> {
    turns: u64,
    /// Mean time between two kills.
    kill_every_ms: u64,
    /// The one site that it runs on; all of them without it.
    site: Option<&'a str>,
    seed: Option<&'a str>,
}

impl<'a> Turns<'a> {
    /// Reads `--turns N --kill-every SECONDS [--site SITE] [--seed N]`.
    pub(crate) fn parse(options: &[&'a str]) -> Result<Self> {
        let mut parsed = Self { turns: 10_000, kill_every_ms: 1_000, ..Self::default() };
        let mut rest = options.iter();
        while let Some(&option) = rest.next() {
            let value = *rest.next().ok_or_else(|| Error::new(format!("{option} has no value")))?;
            let wrong = |expected: &str| Error::new(format!("{option} is {value:?}; it must be {expected}"));
            match option {
                "--turns" => parsed.turns = value.parse().ok().filter(|turns| *turns > 0).ok_or_else(|| wrong("a number of turns"))?,
                "--kill-every" => {
                    let seconds = value.parse::<f64>().ok().filter(|seconds| (0.05..=3_600.0).contains(seconds));
                    parsed.kill_every_ms = (seconds.ok_or_else(|| wrong("a time of 0.05 to 3600 seconds"))? * 1_000.0) as u64;
                }
                "--site" if SITES.contains(&value) => parsed.site = Some(value),
                "--site" => return Err(wrong(&SITES.join(" or "))),
                "--seed" => parsed.seed = Some(value),
                other => {
                    let fix = "--turns N --kill-every SECONDS [--site sqlite|postgres|temporal] [--seed N]";
                    return Err(Error::new(format!("unknown option {other}")).fix(fix));
                }
            }
        }
        Ok(parsed)
    }

    /// Runs the soak beside the servers that it needs, one site after the other: each is to have the machine for itself.
    pub(crate) fn run(&self) -> Result<()> {
        let project = Project::find()?;
        let cluster = Cluster::start(&project)?;
        let embedded: Vec<&str> =
            SITES.into_iter().filter(|site| *site != TEMPORAL && self.site.is_none_or(|only| only == *site)).collect();
        if !embedded.is_empty() {
            let program = test_program(&project)?;
            for site in embedded {
                let mut command = Command::new(&program);
                cluster.tell(&mut command);
                run(self.configure(&project, site, &mut command))?;
            }
        }
        if self.site.is_none_or(|only| only == TEMPORAL) {
            let server = temporal::Server::start(temporal::install(&project)?)?;
            let mut command = temporal::test_command(&project, &server, &cluster.url());
            run(self.configure(&project, TEMPORAL, &mut command))?;
        }
        Ok(())
    }

    /// Has a command, which runs tests by their names, run the one of a site.
    fn configure<'c>(&self, project: &Project, site: &str, command: &'c mut Command) -> &'c mut Command {
        command.args(["--exact", &format!("soak::turns_survive_random_kills_on_{site}"), "--nocapture"]);
        command.env("EVERWIT_SOAK_TURNS", self.turns.to_string()).env("EVERWIT_SOAK_KILL_MILLIS", self.kill_every_ms.to_string());
        command.envs(self.seed.map(|seed| ("EVERWIT_SOAK_SEED", seed)));
        if self.turns >= REPORTED_TURNS {
            command.env("EVERWIT_SOAK_REPORT", project.root.join(REPORT));
        }
        command
    }
}
