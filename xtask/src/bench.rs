//! `cargo xtask bench`

use crate::process::{Result, run};
use crate::project::Project;
use crate::steps::Steps;
use crate::{components, process::Error};

/// Runs all benchmarks, or the one called `name`, on freshly built components.
pub(crate) fn run_command(name: Option<&str>) -> Result<()> {
    if name.is_some_and(|name| name.starts_with('-')) {
        return Err(Error::new("bench takes the name of a benchmark").fix("they are the files in tests/benches"));
    }
    let mut steps = Steps::new(components::STEPS + 3);
    steps.run("checking tools", components::require_tools)?;
    let project = Project::find()?;
    steps.run("building everwit", || project.build_everwit())?;
    components::build(&project, &mut steps)?;
    steps.run("running benchmarks", || {
        run(project.cargo(&["bench"]).args(["--package", "everwit-tests", "--bench", name.unwrap_or("*")]))
    })?;
    steps.finish("benchmarks done");
    Ok(())
}
