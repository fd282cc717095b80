//! The API as its OpenAPI document says it is: generated requests against a real server.

use std::fs;
use std::process::Command;

use crate::demo::server::Server;
use crate::process::{Result, at, run};
use crate::project::Project;
use crate::python::virtual_environment;

/// Generated requests of each operation, beside those that go through all forms of each parameter.
const EXAMPLES: &str = "10";
/// Streams have no end, and these have the server ask third parties.
const LEFT_OUT: &str = r"(/sse|/test|/sync-models)$|/user/connections";
/// Documents cannot say which combinations of valid values are valid, so a refusal of one is no finding.
const NO_FINDING: &str = "positive_data_acceptance";

/// `cargo xtask schemathesis`
pub(crate) fn run_command() -> Result<()> {
    let project = Project::find()?;
    project.build_everwit()?;
    check(&project)
}

/// Every answer has a status, a content type and a form of the document, and none is a failure of the
/// server; what the document forbids is refused, and so is a request without a key.
pub(crate) fn check(project: &Project) -> Result<()> {
    let folder = project.target.join("schemathesis");
    let pins = project.root.join("tests/schemathesis");
    let environment = virtual_environment(&[pins.join("requirements.txt")], &folder)?;
    let data_dir = folder.join("data");
    if data_dir.exists() {
        at(&data_dir, fs::remove_dir_all(&data_dir))?;
    }
    let mut server = Server::start(&project.everwit(), &data_dir)?;
    let mut generate = Command::new(environment.join("bin/schemathesis"));
    generate.current_dir(&folder).arg("--config-file").arg(pins.join("schemathesis.toml"));
    generate.arg("run").arg(format!("{}/openapi.json", server.url()));
    generate.args(["--checks", "all", "--exclude-checks", NO_FINDING, "--exclude-path-regex", LEFT_OUT]);
    generate.args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", "1", "--request-timeout", "30"]);
    generate.args(["--continue-on-failure", "--no-shrink", "--generation-database", "none"]).env("EVERWIT_KEY", server.key());
    // Requests stay on this machine whatever proxies it has.
    generate.env("NO_PROXY", "*").env_remove("PYTHONPATH");
    run(&mut generate)?;
    server.stop()
}
