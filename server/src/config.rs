//! Configuration of servers and workers. A flag wins over the environment, the environment over the
//! default; this file is the only one that reads the environment. Everything that is wrong is
//! reported at once.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, FromArgMatches as _};
use everwit_runtime::connection::GenericConnectionProvider;
use everwit_runtime::driver::DriverSettings;
use everwit_runtime::driver::llmsim::LlmSimConfig;
use everwit_runtime::egress::PrivateTarget;
use everwit_runtime::limits::DEFAULT_WAIT_SECONDS;
use serde::de::DeserializeOwned;
use url::Url;

use crate::components::CompilerCommand;
use crate::database::{DatabaseArgs, DatabaseConfig};
use crate::encryption::EncryptionArgs;
use crate::model_args::ModelArgs;
use crate::quota::OrgLimits;
use crate::telemetry::LogFormat;

/// Options of `everwit serve`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, env = "EVERWIT_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: String,
    /// Directory for the SQLite file, the master key and the compiled components; created if missing.
    #[arg(long, env = "EVERWIT_DATA_DIR", default_value = "./everwit-data", value_name = "DIR")]
    data_dir: PathBuf,
    /// What the simulated model says, as a JSON file; without it the user's message tells it.
    #[arg(long, env = "EVERWIT_LLMSIM_SCRIPT", value_name = "FILE")]
    llmsim_script: Option<PathBuf>,
    /// Private address or name that requests may go to although it is private. Repeatable.
    #[arg(long = "allow-private-target", env = "EVERWIT_ALLOW_PRIVATE_TARGETS", value_delimiter = ',', value_name = "HOST:PORT")]
    allow_private_targets: Vec<String>,
    /// Turns that run at once; others wait.
    #[arg(long, env = "EVERWIT_MAX_TURNS", default_value = "64", value_name = "COUNT")]
    max_turns: String,
    /// Component calls that run at once; others wait.
    #[arg(long, env = "EVERWIT_MAX_CALLS", default_value = "16", value_name = "COUNT")]
    max_calls: String,
    /// Turns of one org that begin in a minute; more are refused.
    #[arg(long, env = "EVERWIT_ORG_TURNS_PER_MINUTE", default_value = "600", value_name = "COUNT")]
    org_turns_per_minute: String,
    /// Sessions of one org with a turn that has not ended; more turns are refused.
    #[arg(long, env = "EVERWIT_ORG_OPEN_TURNS", default_value = "10000", value_name = "COUNT")]
    org_open_turns: String,
    /// Bytes of all components of one org; more are refused.
    #[arg(long, env = "EVERWIT_ORG_COMPONENT_BYTES", default_value = "2147483648", value_name = "BYTES")]
    org_component_bytes: String,
    /// Connections that are open at once; others wait to be accepted.
    #[arg(long, env = "EVERWIT_MAX_CONNECTIONS", default_value = "1024", value_name = "COUNT")]
    max_connections: String,
    /// How long the end waits for running steps.
    #[arg(long, env = "EVERWIT_DRAIN_SECONDS", default_value = "25", value_name = "SECONDS")]
    drain_seconds: String,
    /// How long a turn waits for an answer, an approval, a client's tool or a connection before it goes
    /// on without.
    #[arg(long, env = "EVERWIT_MAX_WAIT_HOURS", default_value = "168", value_name = "HOURS")]
    max_wait_hours: String,
    /// URL at which browsers reach this server, for third parties to send them back to. Default: the
    /// address, if it is a loopback one.
    #[arg(long, env = "EVERWIT_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// Connection providers beside the platform's, as a JSON list in a file.
    #[arg(long, env = "EVERWIT_CONNECTION_PROVIDERS", value_name = "FILE")]
    connection_providers: Option<PathBuf>,
    #[command(flatten)]
    models: ModelArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Connections to a PostgreSQL database; calls wait for a free one.
    #[arg(long, env = "EVERWIT_DATABASE_CONNECTIONS", default_value = "20", value_name = "COUNT")]
    database_connections: String,
    #[command(flatten)]
    encryption: EncryptionArgs,
    /// What to log, as a tracing filter.
    #[arg(long, env = "EVERWIT_LOG", default_value = "info", value_name = "FILTER")]
    pub(crate) log: String,
    /// Form of the log on stderr.
    #[arg(long, env = "EVERWIT_LOG_FORMAT", value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// Print where the server listens as one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a server does beside answering requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServerRole {
    /// It runs turns, beside the workers on the same data directory if there are any.
    #[default]
    All,
    /// It runs no turns: they wait for a worker on the same data directory.
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
    /// Connection providers beside the platform definition's.
    pub connection_providers: Vec<GenericConnectionProvider>,
    /// How models are called.
    pub driver_settings: DriverSettings,
    /// Directory for recordings of all exchanges with models.
    pub record_exchanges: Option<PathBuf>,
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
    pub(crate) connection_providers: Vec<GenericConnectionProvider>,
    pub(crate) driver_settings: DriverSettings,
    pub(crate) record_exchanges: Option<PathBuf>,
    pub(crate) compiler: CompilerCommand,
}

const TURNS: (usize, usize) = (1, 10_000);
const CALLS: (usize, usize) = (1, 1_000);
const CONNECTIONS: (usize, usize) = (1, 100_000);
const ORG_TURNS: (usize, usize) = (1, 1_000_000);
const ORG_BYTES: (usize, usize) = (1, 1 << 50);
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
        let command = ServeArgs::augment_args(clap::Command::new("everwit"));
        let matches = command.try_get_matches_from(["everwit"]);
        match matches.and_then(|matches| ServeArgs::from_arg_matches(&matches)) {
            Ok(args) => args.validate().unwrap_or_else(|ConfigError(problems)| Self {
                problems: problems.into_iter().map(|problem| of_environment(&problem)).collect(),
                ..Self::default()
            }),
            Err(error) => Self { problems: vec![error.to_string()], ..Self::default() },
        }
    }

    /// All that is wrong.
    ///
    /// # Errors
    /// The list.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mut problems = self.problems.clone();
        within(&mut problems, "max_connections", self.max_connections, CONNECTIONS);
        let OrgLimits { turns_per_minute, open_turns, component_bytes } = self.org_limits;
        within(&mut problems, "org_limits.turns_per_minute", turns_per_minute as usize, ORG_TURNS);
        within(&mut problems, "org_limits.open_turns", open_turns as usize, ORG_TURNS);
        within(&mut problems, "org_limits.component_bytes", usize::try_from(component_bytes).unwrap_or(usize::MAX), ORG_BYTES);
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
    /// As [`ServerConfig::from_env`], from the same variables.
    pub fn from_env() -> Self {
        ServerConfig::from_env().into()
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
            llmsim: server.llmsim,
            private_targets: server.private_targets,
            max_turns: server.max_turns,
            max_calls: server.max_calls,
            drain: server.drain,
            max_wait: server.max_wait,
            connection_providers: server.connection_providers,
            driver_settings: server.driver_settings,
            record_exchanges: server.record_exchanges,
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

fn hours(count: usize) -> Duration {
    Duration::from_secs(count as u64 * 3_600)
}

fn within(problems: &mut Vec<String>, what: &str, value: usize, (least, most): (usize, usize)) {
    if !(least..=most).contains(&value) {
        problems.push(format!("{what} is {value}; it must be between {least} and {most}"));
    }
}

/// A finding about a flag, as one about its variable.
fn of_environment(problem: &str) -> String {
    let end = problem.find([' ', ':']).unwrap_or(problem.len());
    let (flag, rest) = problem.split_at(end);
    let variable = match flag {
        "--allow-private-target" => "EVERWIT_ALLOW_PRIVATE_TARGETS".to_owned(),
        flag => format!("EVERWIT_{}", flag.trim_start_matches("--").replace('-', "_").to_uppercase()),
    };
    format!("{variable}{rest}")
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

impl ServeArgs {
    /// Checks everything.
    ///
    /// # Errors
    /// All that is wrong.
    pub(crate) fn validate(&self) -> Result<ServerConfig, ConfigError> {
        let mut problems = Vec::new();
        let listen = parse(&mut problems, "--listen", &self.listen, "an address and a port, such as 127.0.0.1:8080 or [::]:8080");
        let max_turns = number(&mut problems, "--max-turns", &self.max_turns, TURNS);
        let max_calls = number(&mut problems, "--max-calls", &self.max_calls, CALLS);
        let max_connections = number(&mut problems, "--max-connections", &self.max_connections, CONNECTIONS);
        let org_limits = self.org_limits(&mut problems);
        let connections = number(&mut problems, "--database-connections", &self.database_connections, DATABASE_CONNECTIONS);
        let database = self.database.parse().unwrap_or_else(|problem| {
            problems.push(problem);
            DatabaseConfig::default()
        });
        let drain = number(&mut problems, "--drain-seconds", &self.drain_seconds, DRAIN_SECONDS);
        let wait = number(&mut problems, "--max-wait-hours", &self.max_wait_hours, WAIT_HOURS);
        let llmsim = read_json(&mut problems, "--llmsim-script", self.llmsim_script.as_deref());
        let connection_providers = read_json(&mut problems, "--connection-providers", self.connection_providers.as_deref());
        let driver_settings = self.models.validate(&mut problems);
        let public_url = self.public_url.as_ref().and_then(|url| public_url(&mut problems, url));
        let mut private_targets = Vec::new();
        for target in &self.allow_private_targets {
            match target.parse() {
                Ok(target) => private_targets.push(target),
                Err(error) => problems.push(format!("--allow-private-target: {error}")),
            }
        }
        let (Some(listen), true) = (listen, problems.is_empty()) else { return Err(ConfigError(problems)) };
        Ok(ServerConfig {
            listen,
            data_dir: self.data_dir.clone(),
            database,
            database_connections: u32::try_from(connections).expect("it is within limits that fit"),
            llmsim,
            private_targets,
            max_turns,
            max_calls,
            org_limits,
            max_connections,
            drain: Duration::from_secs(drain as u64),
            max_wait: hours(wait),
            public_url,
            connection_providers: connection_providers.unwrap_or_default(),
            driver_settings,
            record_exchanges: self.models.record_exchanges.clone(),
            encryption: self.encryption.clone(),
            role: ServerRole::All,
            compiler: CompilerCommand::default(),
            problems: Vec::new(),
        })
    }
}

impl ServeArgs {
    fn org_limits(&self, problems: &mut Vec<String>) -> OrgLimits {
        let turns_per_minute = number(problems, "--org-turns-per-minute", &self.org_turns_per_minute, ORG_TURNS);
        let open_turns = number(problems, "--org-open-turns", &self.org_open_turns, ORG_TURNS);
        let component_bytes = number(problems, "--org-component-bytes", &self.org_component_bytes, ORG_BYTES);
        let turns = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        OrgLimits { turns_per_minute: turns(turns_per_minute), open_turns: turns(open_turns), component_bytes: component_bytes as u64 }
    }
}

/// A JSON file that a flag names.
fn read_json<T: DeserializeOwned>(problems: &mut Vec<String>, flag: &str, path: Option<&Path>) -> Option<T> {
    let path = path?;
    let read = std::fs::read(path).map_err(|error| error.to_string());
    let parsed = read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
    parsed.map_err(|error| problems.push(format!("{flag}: {}: {error}", path.display()))).ok()
}

fn public_url(problems: &mut Vec<String>, text: &str) -> Option<Url> {
    let plain = |url: &Url| {
        let bare = url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && bare
    };
    let url = Url::parse(text).ok().filter(plain);
    if url.is_none() {
        problems.push(format!("--public-url is {text:?}; it must be an http or https URL without query, fragment and user information"));
    }
    url
}

fn parse<T: FromStr>(problems: &mut Vec<String>, flag: &str, text: &str, expected: &str) -> Option<T> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        problems.push(format!("{flag} is {text:?}; it must be {expected}"));
    }
    parsed
}

pub(crate) fn number(problems: &mut Vec<String>, flag: &str, text: &str, (least, most): (usize, usize)) -> usize {
    match text.parse() {
        Ok(value) if (least..=most).contains(&value) => value,
        _ => {
            problems.push(format!("{flag} is {text:?}; it must be a whole number between {least} and {most}"));
            least
        }
    }
}

/// Whether the caller of a command wants no colours.
pub(crate) fn wants_no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// What the environment says about the author's Rust installation.
pub(crate) struct RustEnvironment {
    /// Where cargo keeps the sources of dependencies.
    pub(crate) cargo_home: Option<PathBuf>,
    /// Where rustup keeps toolchains.
    pub(crate) rustup_home: Option<PathBuf>,
    /// Compiler flags, which take the place of those in cargo's configuration.
    pub(crate) flags: Option<Vec<OsString>>,
}

impl RustEnvironment {
    pub(crate) fn read() -> Self {
        let home = |variable: &str, default: &str| {
            let set = std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
            set.or_else(|| std::env::home_dir().map(|home| home.join(default)))
        };
        let split = |variable: &str, separator: char| {
            let flags = std::env::var_os(variable)?;
            let flags = flags.to_string_lossy();
            Some(flags.split(separator).filter(|flag| !flag.is_empty()).map(OsString::from).collect::<Vec<_>>())
        };
        let flags = split("CARGO_ENCODED_RUSTFLAGS", '\u{1f}').or_else(|| split("RUSTFLAGS", ' '));
        Self { cargo_home: home("CARGO_HOME", ".cargo"), rustup_home: home("RUSTUP_HOME", ".rustup"), flags }
    }
}

/// Where authors' compiled components are kept between commands: `$XDG_CACHE_HOME/everwit`, or `.cache/everwit` in the home
/// directory; none without either.
pub(crate) fn author_cache() -> Option<PathBuf> {
    let set = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").filter(|home| !home.is_empty()).map(|home| PathBuf::from(home).join(".cache"));
    set.or_else(home).map(|cache| cache.join("everwit"))
}

/// The virtual environment of Python that is active, if one is.
pub(crate) fn virtual_environment() -> Option<PathBuf> {
    std::env::var_os("VIRTUAL_ENV").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Where else Python looks for modules.
pub(crate) fn python_path() -> Option<OsString> {
    std::env::var_os("PYTHONPATH").filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use everwit_runtime::driver::ErrorDisclosure;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn validate(args: &[&str]) -> Result<ServerConfig, ConfigError> {
        Cli::parse_from([&["everwit"], args].concat()).serve.validate()
    }

    #[test]
    fn the_defaults_are_a_loopback_server() {
        let config = validate(&[]).unwrap();
        assert!(config.listen.ip().is_loopback());
        assert_eq!(format!("{config:?}"), format!("{:?}", ServerConfig::default()));
    }

    #[test]
    fn models_are_called_as_the_flags_say() {
        let args = ["--error-disclosure", "generic", "--model-idle-seconds", "300", "--model-attempts", "1", "--model-wait-seconds", "0"];
        let settings = validate(&args).unwrap().driver_settings;
        assert_eq!((settings.timeouts.idle, settings.retry.attempts), (Duration::from_secs(300), 1));
        assert_eq!((settings.error_disclosure, settings.retry.longest_wait), (ErrorDisclosure::Generic, Duration::ZERO));
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let args = ["--listen", "here", "--max-turns", "0", "--max-calls", "many", "--llmsim-script", "/nonexistent/script"];
        let models = ["--error-disclosure", "all", "--model-idle-seconds", "0", "--model-total-seconds", "3601", "--model-attempts", "11"];
        let ConfigError(problems) = validate(&[&args[..], &models, &["--allow-private-target", "x"]].concat()).unwrap_err();
        assert_eq!(problems.len(), 9, "{problems:#?}");
    }

    #[test]
    fn a_wrong_database_url_is_told_without_its_password() {
        let ConfigError(problems) = validate(&["--database", "postgres://u:hunter2@h"]).unwrap_err();
        assert!(problems[0].starts_with("--database: ") && problems[0].contains("names no database"), "{problems:#?}");
        let config = validate(&["--database", "postgres://u:hunter2@h/d"]).unwrap();
        assert!(!format!("{problems:?} {config:?}").contains("hunter2"));
    }

    #[test]
    fn a_finding_names_the_variable_if_there_was_one() {
        for (flag, variable) in [
            ("--max-turns is \"0\"; it must be", "EVERWIT_MAX_TURNS is \"0\"; it must be"),
            ("--llmsim-script: /x: gone", "EVERWIT_LLMSIM_SCRIPT: /x: gone"),
            ("--allow-private-target: x", "EVERWIT_ALLOW_PRIVATE_TARGETS: x"),
        ] {
            assert_eq!(of_environment(flag), variable);
        }
    }

    #[test]
    fn values_that_were_set_in_code_are_checked_too() {
        let mut driver_settings = DriverSettings::default();
        (driver_settings.timeouts.idle, driver_settings.retry.attempts) = (Duration::ZERO, 0);
        let config = ServerConfig {
            max_turns: 0,
            max_calls: 0,
            max_connections: 0,
            database_connections: 1,
            drain: Duration::MAX,
            max_wait: Duration::ZERO,
            driver_settings,
            ..ServerConfig::default()
        };
        let ConfigError(problems) = config.check().unwrap_err();
        assert_eq!(problems.len(), 8, "{problems:#?}");
    }
}
