//! The engine for many machines: its tests, beside a PostgreSQL and a Temporal server of their own.
//!
//! The Temporal server is the real one, in its form for development: one process that keeps everything in memory. It
//! comes from Python's package registry, which has it as a program.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::postgres::{self, Cluster, free_port, pause};
use crate::process::{Error, Result, not_started, run};
use crate::project::{Project, cargo};
use crate::python;
use crate::s3;
use crate::tools::has_cargo_command;

/// Where the tests read the URL of the server.
const VARIABLE: &str = "EVERWIT_TEST_TEMPORAL";
/// Where they read what program it is.
const PROGRAM: &str = "EVERWIT_TEST_TEMPORAL_PROGRAM";
/// How long the server may take to answer. It takes a second where nothing else runs.
const START_LIMIT: Duration = Duration::from_secs(60);

/// `cargo xtask temporal [FILTER]`: the tests, or those that match.
pub(crate) fn run_command(filter: Option<&str>) -> Result<()> {
    let project = Project::find()?;
    s3::install(&project)?;
    let (cluster, program) = (Cluster::start(&project)?, install(&project)?);
    tests(&project, &Server::start(program)?, &cluster.url(), filter)
}

/// Where the crate is; a workspace of its own.
pub(crate) fn folder(project: &Project) -> PathBuf {
    project.root.join("engines/temporal")
}

/// Where it is built.
pub(crate) fn target(project: &Project) -> PathBuf {
    project.target.join("temporal")
}

/// Installs the server's program, unless it is there already.
pub(crate) fn install(project: &Project) -> Result<PathBuf> {
    let requirements = [folder(project).join("requirements.txt")];
    Ok(python::virtual_environment(&requirements, &project.target.join("temporal-server"))?.join("bin/temporal"))
}

/// Builds the crate and runs its tests.
pub(crate) fn tests(project: &Project, server: &Server, postgres: &str, filter: Option<&str>) -> Result<()> {
    run(at(project, &["build"]).args(["--workspace", "--bins", "--tests", "--examples"]))?;
    let mut tests = if has_cargo_command("nextest") { at(project, &["nextest", "run"]) } else { at(project, &["test"]) };
    server.tell(&mut tests, postgres);
    run(tests.arg("--workspace").args(filter))
}

/// A command that runs tests of the server with this engine by their names, which are still to be given.
pub(crate) fn test_command(project: &Project, server: &Server, postgres: &str) -> Command {
    let mut tests = at(project, &["test", "--package", "everwit-temporal-server", "--test", "it"]);
    server.tell(&mut tests, postgres);
    tests.arg("--");
    tests
}

/// Cargo, for the crate.
fn at(project: &Project, arguments: &[&str]) -> Command {
    let mut command = cargo(&folder(project), arguments);
    command.arg("--target-dir").arg(target(project));
    command
}

/// A running server; dropping it ends it.
pub(crate) struct Server {
    program: PathBuf,
    port: u16,
    process: Child,
}

impl Server {
    /// Starts a server on a free port of the loopback interface.
    pub(crate) fn start(program: PathBuf) -> Result<Self> {
        let port = free_port()?;
        let process = serve(&program, port)?;
        let mut server = Self { program, port, process };
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Ok(Some(status)) = server.process.try_wait() {
                return Err(Error::new(format!("Temporal ended: {status}")));
            }
            if Instant::now() > deadline {
                return Err(Error::new(format!("Temporal did not answer within {} s", START_LIMIT.as_secs())));
            }
            pause();
        }
        Ok(server)
    }

    /// Tells tests where this server and PostgreSQL are.
    fn tell(&self, tests: &mut Command, postgres: &str) {
        tests.env(VARIABLE, format!("http://127.0.0.1:{}", self.port)).env(PROGRAM, &self.program).env(postgres::VARIABLE, postgres);
    }
}

fn serve(program: &Path, port: u16) -> Result<Child> {
    let mut server = Command::new(program);
    server.args(["server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", &port.to_string(), "--log-level", "error"]);
    // In this form it hands out 20 tasks a second unless it is told otherwise.
    server.args(["--dynamic-config-value", "history.transferProcessorMaxPollRPS=5000"]);
    server.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(|error| not_started(&server, &error))
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, with the terminal that it was started from.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
