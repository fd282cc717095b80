//! `cargo xtask test` and what is close to it: `ci` and `bless`.

use std::process::{Command, Stdio};

use crate::authoring;
use crate::components;
use crate::postgres::{Cluster, VARIABLE};
use crate::process::{Result, run};
use crate::project::{Project, cargo};
use crate::python;
use crate::s3;
use crate::schemathesis;
use crate::steps::Steps;
use crate::temporal;
use crate::tools::has_cargo_command;
use crate::vendor_clients;

const TEST_STEPS: usize = 21 + components::STEPS;

/// Steps of [`of_components`].
const COMPONENT_STEPS: usize = 8 + components::STEPS;
/// Tests of what authors make and use, by their modules.
const AUTHORS_TESTS: [&str; 10] = [
    "author::",
    "build::",
    "conformance::",
    "contracts::",
    "driver_components::",
    "frozen::",
    "http_probe::",
    "mcp::",
    "recordings::",
    "wrap::",
];

/// Examples of the runtime, by their targets.
const RUNTIME_EXAMPLES: [&str; 3] = ["in_process_runtime", "inspect_context", "external_driver"];

/// Builds everything, runs all tests, then the formatter's and the linter's checks.
pub(crate) fn test() -> Result<()> {
    let mut steps = Steps::new(TEST_STEPS);
    all_tests(&mut steps)?;
    steps.finish("all tests passed");
    Ok(())
}

/// [`test`], after it has made sure that cargo-deny is there to check the dependencies.
pub(crate) fn ci() -> Result<()> {
    let mut steps = Steps::new(TEST_STEPS + 1);
    steps.run("installing cargo-deny", || {
        if has_cargo_command("deny") {
            return Ok(());
        }
        run(Command::new("cargo").args(["install", "--locked", "cargo-deny"]))
    })?;
    all_tests(&mut steps)?;
    steps.finish("all checks passed");
    Ok(())
}

/// What [`test`] runs for authors of components, and nothing else: every guest is built from source, and every SDK passes its
/// tests and the conformance suite.
pub(crate) fn of_components() -> Result<()> {
    let mut steps = Steps::new(COMPONENT_STEPS);
    steps.run("checking tools", components::require_tools)?;
    let project = Project::find()?;
    let tests = |command: &str| {
        let mut tests = project.cargo(&command.split(' ').collect::<Vec<_>>());
        tests.args(["--package", "everwit-tests", "--test", "it"]);
        tests
    };
    let runner = if has_cargo_command("nextest") { "nextest run" } else { "test" };
    steps.run("building everwit and the tests", || run(tests(runner).arg("--no-run")))?;
    components::build(&project, &mut steps)?;
    steps.run("installing the clients of model vendors", || vendor_clients::install(&project))?;
    steps.run("running the tests of components", || run(tests(runner).arg("--").args(AUTHORS_TESTS)))?;
    guest_tests(&project, &mut steps)?;
    steps.finish("all tests of components passed");
    Ok(())
}

/// Accepts the contracts and snapshots as they are now, of all tests or those that match `filter`.
pub(crate) fn bless(filter: Option<&str>) -> Result<()> {
    let project = Project::find()?;
    let cluster = Cluster::start(&project)?;
    let mut tests = project.cargo(&["test"]);
    cluster.tell(&mut tests);
    tests.args(["--package", "everwit-tests", "--test", "it"]).args(filter);
    run(tests.env("EVERWIT_BLESS", "1").env("INSTA_UPDATE", "always"))
}

fn all_tests(steps: &mut Steps) -> Result<()> {
    steps.run("checking tools", components::require_tools)?;
    let project = Project::find()?;
    steps.run("checking dependencies", || dependencies(&project))?;
    // With the tests and so with their features, or the next step would compile much of it again.
    steps.run("building everwit and the tests", || {
        run(project.cargo(&["build"]).args(["--workspace", "--bins", "--tests", "--examples", "--benches"]))
    })?;
    components::build(&project, steps)?;
    steps.run("installing the clients of model vendors", || vendor_clients::install(&project))?;
    steps.run("installing the S3 service of the tests", || s3::install(&project))?;
    let cluster = steps.run("starting PostgreSQL", || Cluster::start(&project))?;
    steps.run("running tests", || host_tests(&project, &cluster))?;
    steps.run("trying the API by its document", || schemathesis::check(&project))?;
    steps.run("running the examples", || examples(&project))?;
    steps.run("running each benchmark once", || benchmarks(&project, &cluster.url()))?;
    let temporal = steps.run("starting Temporal", || temporal::install(&project).and_then(temporal::Server::start))?;
    steps.run("testing the engine for many machines", || temporal::tests(&project, &temporal, &cluster.url(), None))?;
    drop((temporal, cluster));
    steps.run("checking a program that embeds the runtime alone", || embedder(&project))?;
    steps.run("running documentation tests", || run(project.cargo(&["test"]).args(["--workspace", "--doc", "--quiet"])))?;
    guest_tests(&project, steps)?;
    steps.run("following the page of each language", || authoring::check(&project, None))?;
    steps.run("checking the format", || everywhere(&project, format))?;
    steps.run("running clippy", || everywhere(&project, clippy))
}

/// What users copy runs to its end, as built with everything else.
fn examples(project: &Project) -> Result<()> {
    let built = project.target.join("debug");
    for example in RUNTIME_EXAMPLES {
        run(Command::new(built.join("examples").join(example)).stdout(Stdio::null()))?;
    }
    let component = project.target.join("components/data-lens.wasm");
    run(Command::new(built.join("weekend-concierge")).arg(component).stdout(Stdio::null()))
}

/// That they still work; they measure nothing in this form.
fn benchmarks(project: &Project, postgres: &str) -> Result<()> {
    let mut benches = project.cargo(&["test"]);
    run(benches.env(VARIABLE, postgres).args(["--workspace", "--bench", "*", "--", "--test"]).stdout(Stdio::null()))
}

/// A crate outside the workspace, with nothing but the runtime and none of its features.
fn embedder(project: &Project) -> Result<()> {
    let mut check = cargo(&project.root.join("tests/fixtures/embedder"), &["check"]);
    run(check.arg("--quiet").arg("--target-dir").arg(&project.target))
}

/// Bans, licences and sources of all dependencies: what needs nothing but the crate registry. Known
/// vulnerabilities would need the advisory database, which is a git repository.
fn dependencies(project: &Project) -> Result<()> {
    if !has_cargo_command("deny") {
        eprintln!("skipped: cargo-deny is not installed; `cargo xtask ci` installs it");
        return Ok(());
    }
    for folder in [project.root.clone(), project.guests(), temporal::folder(project), project.root.join("fuzz")] {
        let mut deny = Command::new("cargo");
        deny.current_dir(folder).args(["deny", "--config"]).arg(project.root.join(".deny.toml"));
        run(deny.args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;
    }
    Ok(())
}

/// nextest where it is installed: it runs each test in a process of its own, with time limits.
fn host_tests(project: &Project, postgres: &Cluster) -> Result<()> {
    if has_cargo_command("nextest") {
        return run(postgres.tell(project.cargo(&["nextest", "run"]).args(["--workspace"])));
    }
    eprintln!("cargo-nextest is not installed, so cargo's own runner is used");
    run(postgres.tell(project.cargo(&["test"]).args(["--workspace", "--lib", "--bins", "--tests"])))
}

/// The SDKs' and components' tests in their own languages.
fn guest_tests(project: &Project, steps: &mut Steps) -> Result<()> {
    steps.run("testing the Rust guest SDK", || rust_guest_tests(project, &["--lib", "--bins", "--tests"]))?;
    steps.run("running its documentation tests", || rust_guest_tests(project, &["--doc"]))?;
    steps.run("testing the JavaScript guest SDK and guests", || javascript_tests(project))?;
    steps.run("testing the Python guest SDK and guests", || python::tests(project))
}

/// On this machine's own target, where the SDK has doubles for the host.
fn rust_guest_tests(project: &Project, targets: &[&str]) -> Result<()> {
    run(cargo(&project.guests(), &["test"]).args(["--workspace", "--target-dir"]).arg(project.guest_target()).args(targets))
}

fn javascript_tests(project: &Project) -> Result<()> {
    let sdk = project.root.join("guest-sdk/js");
    for folder in std::iter::once(sdk).chain(components::javascript_folders(&project.guests())?) {
        run(Command::new("npm").arg("test").current_dir(folder))?;
    }
    Ok(())
}

/// In each workspace.
fn everywhere(project: &Project, check: fn(&Project, &std::path::Path) -> Result<()>) -> Result<()> {
    check(project, &project.root)?;
    check(project, &project.guests())?;
    check(project, &temporal::folder(project))
}

fn format(_: &Project, folder: &std::path::Path) -> Result<()> {
    let mut format = Command::new("cargo");
    run(format.current_dir(folder).args(["fmt", "--all", "--check"])).map_err(|error| error.fix("`cargo fmt --all` there"))
}

fn clippy(project: &Project, folder: &std::path::Path) -> Result<()> {
    let mut clippy = cargo(folder, &["clippy"]);
    clippy.args(["--workspace", "--all-targets", "--quiet"]);
    if folder == project.guests() {
        clippy.arg("--target-dir").arg(project.guest_target());
    } else if folder == temporal::folder(project) {
        clippy.arg("--target-dir").arg(temporal::target(project));
    }
    run(clippy.args(["--", "-D", "warnings"]))
}
