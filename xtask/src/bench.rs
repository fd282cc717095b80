//! `cargo xtask bench`

use crate::postgres::{self, Cluster};
use crate::process::{Result, run};
use crate::project::{Project, cargo};
use crate::steps::Steps;
use crate::{components, process::Error};

/// The benchmark that is a crate of its own outside the workspace, because of what it depends on.
const EVERRUNS: &str = "everruns";

/// Runs all benchmarks of the workspace, or the one called `name`, on freshly built components.
pub(crate) fn run_command(name: Option<&str>) -> Result<()> {
    if name == Some(EVERRUNS) {
        return everruns();
    }
    if name.is_some_and(|name| name.starts_with('-')) {
        return Err(Error::new("bench takes the name of a benchmark").fix("they are the files in tests/benches"));
    }
    let mut steps = Steps::new(components::STEPS + 4);
    steps.run("checking tools", components::require_tools)?;
    let project = Project::find()?;
    steps.run("building everwit", || project.build_everwit())?;
    components::build(&project, &mut steps)?;
    let cluster = steps.run("starting PostgreSQL", || Cluster::start(&project))?;
    steps.run("running benchmarks", || {
        let mut bench = project.cargo(&["bench"]);
        run(bench.env(postgres::VARIABLE, cluster.url()).args(["--package", "everwit-tests", "--bench", name.unwrap_or("*")]))
    })?;
    steps.finish("benchmarks done");
    Ok(())
}

/// Turns side by side with those of Everruns. Needs no components.
fn everruns() -> Result<()> {
    let project = Project::find()?;
    let mut steps = Steps::new(1);
    steps.run("building and running the benchmark", || {
        let mut bench = cargo(&project.root.join("benches").join(EVERRUNS), &["run"]);
        run(bench.args(["--release", "--target-dir"]).arg(project.target.join("bench-everruns")))
    })?;
    steps.finish("benchmark done; docs/benchmarks-everruns.md has the figures");
    Ok(())
}
