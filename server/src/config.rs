//! Configuration of servers and workers. A flag wins over the environment, the environment over the
//! default; this module is the only one that reads the environment. Everything that is wrong is
//! reported at once.

mod args;
mod environment;
mod origins;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use everwit_runtime::connection::GenericConnectionProvider;
use everwit_runtime::driver::DriverSettings;
use everwit_runtime::driver::llmsim::LlmSimConfig;
use everwit_runtime::egress::PrivateTarget;
use everwit_runtime::limits::DEFAULT_WAIT_SECONDS;
use everwit_runtime::store::S3Config;
use everwit_runtime::usage::OrgAllowance;
use url::Url;

use self::args::of_environment;
pub(crate) use self::args::{RunArgs, ServeArgs, WorkerArgs, number};
pub(crate) use self::environment::{RustEnvironment, author_cache, python_path, virtual_environment, wants_no_colour};
pub(crate) use self::origins::{Origin, Setting, settings};

use crate::components::CompilerCommand;
use crate::control_plane::{ControlPlane, WorkerToken};
use crate::database::DatabaseConfig;
use crate::encryption::EncryptionArgs;
use crate::quota::OrgLimits;

/// What a server does beside answering requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ServerRole {
    /// It runs turns, beside the workers if there are any.
    #[default]
    All,
    /// It runs no turns: they wait for a worker, on the same data directory or of the same distributed engine.
    ControlPlane,
}

/// Configuration of a server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Master keys of the credentials.
    pub(crate) encryption: EncryptionArgs,
    /// Address to listen on; port 0 picks a free one. Default: `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Directory for the SQLite file, the master key and the compiled components; created if
    /// missing. Default: `./everwit-data`.
    pub data_dir: PathBuf,
    /// Where the data is. Default: in a SQLite file of the data directory.
    pub database: DatabaseConfig,
    /// Connections to a PostgreSQL database, 2 to 1,000; calls wait for a free one. Default: 20.
    pub database_connections: u32,
    /// Bucket for the bytes of components; those that are in the database already stay there. Default: none, and they are in
    /// the database.
    pub component_bucket: Option<S3Config>,
    /// What the simulated model says, in place of what the platform definition lets it say.
    /// Default: none.
    pub llmsim: Option<LlmSimConfig>,
    /// Private targets that requests may go to. Default: none.
    pub private_targets: Vec<PrivateTarget>,
    /// Turns that run at once, 1 to 10,000; others wait. Default: 64.
    pub max_turns: usize,
    /// Component calls that run at once, 1 to 1,000; others wait. Default: 16.
    pub max_calls: usize,
    /// What one org may use.
    pub org_limits: OrgLimits,
    /// Connections that are open at once, 1 to 100,000; others wait to be accepted. Default: 1,024.
    pub max_connections: usize,
    /// How long the end waits for running steps, at most an hour. Default: 25 seconds.
    pub drain: Duration,
    /// How long a turn waits for somebody outside before it goes on without, an hour to a year. Default: a
    /// week.
    pub max_wait: Duration,
    /// URL at which browsers reach it, for third parties to send them back to. Default: the address,
    /// if it is a loopback one; without it, nobody can connect over OAuth.
    pub public_url: Option<Url>,
    /// Connection providers beside the platform definition's, in place of those with the same id.
    /// Default: none.
    pub connection_providers: Vec<GenericConnectionProvider>,
    /// How long models are waited for, how often they are tried, and what users are told of their
    /// failures. Default: those of [`DriverSettings`].
    pub driver_settings: DriverSettings,
    /// Directory for recordings of all exchanges with models, in the form of `everwit:exchanges`;
    /// created if missing. Default: none, and nothing is recorded.
    pub record_exchanges: Option<PathBuf>,
    /// What it does beside answering requests. Default: everything.
    pub role: ServerRole,
    /// What workers without master keys know themselves by when they ask for a data key. Default: none, and nobody is
    /// given any.
    pub worker_token: Option<WorkerToken>,
    /// How often what nobody needs any more is deleted: bytes of archived versions, and compiled code. Default: an hour.
    pub collect_every: Duration,
    /// How to start the process that compiles components. Default: this program, whose `main`
    /// begins with [`run_as_compile_child`](crate::run_as_compile_child) then.
    pub compiler: CompilerCommand,
    problems: Vec<String>,
}

/// Configuration of a worker; as that of a server, without what concerns requests.
#[derive(Debug, Clone)]
pub struct DurableWorkerConfig {
    /// Master keys of the credentials.
    pub(crate) encryption: EncryptionArgs,
    /// Data directory of the server that it works for.
    pub data_dir: PathBuf,
    /// Where the data is: as for the server.
    pub database: DatabaseConfig,
    /// Connections to a PostgreSQL database: as for the server.
    pub database_connections: u32,
    /// Bucket for the bytes of components: as for the server.
    pub component_bucket: Option<S3Config>,
    /// What the simulated model says, in place of what the platform definition lets it say.
    pub llmsim: Option<LlmSimConfig>,
    /// Private targets that requests may go to.
    pub private_targets: Vec<PrivateTarget>,
    /// Turns that run at once, 1 to 10,000; others wait.
    pub max_turns: usize,
    /// Component calls that run at once, 1 to 1,000; others wait.
    pub max_calls: usize,
    /// How long the end waits for running steps, at most an hour.
    pub drain: Duration,
    /// How long a turn waits for somebody outside before it goes on without, an hour to a year.
    pub max_wait: Duration,
    /// What turns of one org may use: as for the server.
    pub allowance: OrgAllowance,
    /// Connection providers beside the platform definition's.
    pub connection_providers: Vec<GenericConnectionProvider>,
    /// How models are called.
    pub driver_settings: DriverSettings,
    /// Directory for recordings of all exchanges with models.
    pub record_exchanges: Option<PathBuf>,
    /// Who opens credentials for it: needed with a distributed engine, because workers have no master keys. Default:
    /// none, and the keys are those of the server on the same data directory.
    pub control_plane: Option<ControlPlane>,
    /// How often compiled code that nobody needs any more is deleted.
    pub collect_every: Duration,
    /// How to start the process that compiles components.
    pub compiler: CompilerCommand,
    problems: Vec<String>,
}

/// What running turns needs, in servers and workers alike.
#[derive(Debug, Clone)]
pub(crate) struct EngineConfig {
    pub(crate) llmsim: Option<LlmSimConfig>,
    pub(crate) private_targets: Vec<PrivateTarget>,
    pub(crate) max_turns: usize,
    pub(crate) max_calls: usize,
    pub(crate) drain: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) allowance: OrgAllowance,
    pub(crate) connection_providers: Vec<GenericConnectionProvider>,
    pub(crate) driver_settings: DriverSettings,
    pub(crate) record_exchanges: Option<PathBuf>,
    pub(crate) compiler: CompilerCommand,
}

const TURNS: (usize, usize) = (1, 10_000);
const CALLS: (usize, usize) = (1, 700);
const CONNECTIONS: (usize, usize) = (1, 100_000);
const ORG_TURNS: (usize, usize) = (1, 1_000_000);
const ORG_AMOUNT: (usize, usize) = (1, 1 << 50);
const DATABASE_CONNECTIONS: (usize, usize) = (2, 1_000);
const DRAIN_SECONDS: (usize, usize) = (0, 3_600);
const WAIT_HOURS: (usize, usize) = (1, 366 * 24);

impl Default for ServerConfig {
    /// The defaults, whatever the environment says.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data_dir: PathBuf::from("./everwit-data"),
            database: DatabaseConfig::Sqlite,
            database_connections: 20,
            component_bucket: None,
            llmsim: None,
            private_targets: Vec::new(),
            max_turns: 64,
            max_calls: 16,
            org_limits: OrgLimits::default(),
            max_connections: 1_024,
            drain: Duration::from_secs(25),
            max_wait: Duration::from_secs(DEFAULT_WAIT_SECONDS),
            public_url: None,
            connection_providers: Vec::new(),
            driver_settings: DriverSettings::default(),
            record_exchanges: None,
            role: ServerRole::All,
            collect_every: crate::garbage::EVERY,
            worker_token: None,
            compiler: CompilerCommand::default(),
            encryption: EncryptionArgs::default(),
            problems: Vec::new(),
        }
    }
}

impl ServerConfig {
    /// The configuration that the `EVERWIT_*` variables describe; they are those of
    /// `everwit serve`, see its `--help`. What is wrong with them is told when the server starts.
    pub fn from_env() -> Self {
        let told = |problems| Self { problems, ..Self::default() };
        match of_variables::<ServeArgs>() {
            Ok(args) => args.validate().unwrap_or_else(|ConfigError(problems)| told(named(problems))),
            Err(problem) => told(vec![problem]),
        }
    }

    /// All that is wrong.
    ///
    /// # Errors
    /// The list.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mut problems = self.problems.clone();
        within(&mut problems, "max_connections", self.max_connections, CONNECTIONS);
        let OrgLimits { turns_per_minute, open_turns, component_bytes, components, allowance } = self.org_limits;
        within(&mut problems, "org_limits.turns_per_minute", turns_per_minute as usize, ORG_TURNS);
        within(&mut problems, "org_limits.open_turns", open_turns as usize, ORG_TURNS);
        within(&mut problems, "org_limits.component_bytes", usize::try_from(component_bytes).unwrap_or(usize::MAX), ORG_AMOUNT);
        within(&mut problems, "org_limits.components", components as usize, ORG_TURNS);
        let OrgAllowance { tokens_per_day, fuel_per_minute, fuel_per_day, http_bytes_per_day, event_bytes } = allowance;
        for (name, amount) in [
            ("org_limits.allowance.tokens_per_day", tokens_per_day),
            ("org_limits.allowance.fuel_per_minute", fuel_per_minute),
            ("org_limits.allowance.fuel_per_day", fuel_per_day),
            ("org_limits.allowance.http_bytes_per_day", http_bytes_per_day),
            ("org_limits.allowance.event_bytes", event_bytes),
        ] {
            within(&mut problems, name, usize::try_from(amount.unwrap_or(1)).unwrap_or(usize::MAX), ORG_AMOUNT);
        }
        within(&mut problems, "database_connections", self.database_connections as usize, DATABASE_CONNECTIONS);
        self.engine().check(problems)
    }

    /// What running turns needs.
    pub(crate) fn engine(&self) -> EngineConfig {
        EngineConfig {
            llmsim: self.llmsim.clone(),
            private_targets: self.private_targets.clone(),
            max_turns: self.max_turns,
            max_calls: self.max_calls,
            drain: self.drain,
            max_wait: self.max_wait,
            allowance: self.org_limits.allowance,
            connection_providers: self.connection_providers.clone(),
            driver_settings: self.driver_settings,
            record_exchanges: self.record_exchanges.clone(),
            compiler: self.compiler.clone(),
        }
    }
}

impl Default for DurableWorkerConfig {
    /// The defaults, whatever the environment says.
    fn default() -> Self {
        ServerConfig::default().into()
    }
}

impl DurableWorkerConfig {
    /// The configuration that the `EVERWIT_*` variables describe; they are those of `everwit worker`, see its `--help`.
    /// What is wrong with them is told when the worker starts.
    pub fn from_env() -> Self {
        let told = |problems| Self { problems, ..Self::default() };
        match of_variables::<WorkerArgs>() {
            Ok(args) => args.validate().unwrap_or_else(|ConfigError(problems)| told(named(problems))),
            Err(problem) => told(vec![problem]),
        }
    }

    /// All that is wrong.
    ///
    /// # Errors
    /// The list.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.engine().check(self.problems.clone())
    }

    /// What running turns needs.
    pub(crate) fn engine(&self) -> EngineConfig {
        EngineConfig {
            llmsim: self.llmsim.clone(),
            private_targets: self.private_targets.clone(),
            max_turns: self.max_turns,
            max_calls: self.max_calls,
            drain: self.drain,
            max_wait: self.max_wait,
            allowance: self.allowance,
            connection_providers: self.connection_providers.clone(),
            driver_settings: self.driver_settings,
            record_exchanges: self.record_exchanges.clone(),
            compiler: self.compiler.clone(),
        }
    }
}

impl From<ServerConfig> for DurableWorkerConfig {
    fn from(server: ServerConfig) -> Self {
        Self {
            data_dir: server.data_dir,
            database: server.database,
            database_connections: server.database_connections,
            component_bucket: server.component_bucket,
            llmsim: server.llmsim,
            private_targets: server.private_targets,
            max_turns: server.max_turns,
            max_calls: server.max_calls,
            drain: server.drain,
            max_wait: server.max_wait,
            allowance: server.org_limits.allowance,
            connection_providers: server.connection_providers,
            driver_settings: server.driver_settings,
            record_exchanges: server.record_exchanges,
            control_plane: None,
            collect_every: server.collect_every,
            compiler: server.compiler,
            encryption: server.encryption,
            problems: server.problems,
        }
    }
}

impl EngineConfig {
    fn check(&self, mut problems: Vec<String>) -> Result<(), ConfigError> {
        within(&mut problems, "max_turns", self.max_turns, TURNS);
        within(&mut problems, "max_calls", self.max_calls, CALLS);
        if self.drain > Duration::from_secs(DRAIN_SECONDS.1 as u64) {
            problems.push(format!("drain is {:?}; it must be at most {} seconds", self.drain, DRAIN_SECONDS.1));
        }
        if !(hours(WAIT_HOURS.0)..=hours(WAIT_HOURS.1)).contains(&self.max_wait) {
            problems.push(format!("max_wait is {:?}; it must be between {} and {} hours", self.max_wait, WAIT_HOURS.0, WAIT_HOURS.1));
        }
        for provider in &self.connection_providers {
            problems.extend(provider.problems().into_iter().map(|problem| format!("connection provider {:?}: {problem}", provider.id)));
        }
        problems.extend(self.driver_settings.problems().into_iter().map(|problem| format!("driver_settings: {problem}")));
        if problems.is_empty() { Ok(()) } else { Err(ConfigError(problems)) }
    }
}

/// Options without any flag.
fn of_variables<A: clap::Args>() -> Result<A, String> {
    let matches = A::augment_args(clap::Command::new("everwit")).try_get_matches_from(["everwit"]);
    matches.and_then(|matches| A::from_arg_matches(&matches)).map_err(|error| error.to_string())
}

/// Findings about flags as those about variables.
fn named(problems: Vec<String>) -> Vec<String> {
    problems.iter().map(|problem| of_environment(problem)).collect()
}

fn hours(count: usize) -> Duration {
    Duration::from_secs(count as u64 * 3_600)
}

fn within(problems: &mut Vec<String>, what: &str, value: usize, (least, most): (usize, usize)) {
    if !(least..=most).contains(&value) {
        problems.push(format!("{what} is {value}; it must be between {least} and {most}"));
    }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration cannot be used:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigError {}
