//! The options of `everwit serve`, and how they become a configuration.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use everwit_runtime::usage::OrgAllowance;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use url::Url;

use super::{
    CALLS, CONNECTIONS, ConfigError, DATABASE_CONNECTIONS, DRAIN_SECONDS, DurableWorkerConfig, ORG_AMOUNT, ORG_TURNS, ServerConfig,
    ServerRole, TURNS, WAIT_HOURS, hours,
};
use crate::bucket::BucketArgs;
use crate::control_plane::{ControlPlane, WorkerToken};
use crate::database::{DatabaseArgs, DatabaseConfig};
use crate::encryption::EncryptionArgs;
use crate::model_args::ModelArgs;
use crate::quota::OrgLimits;
use crate::telemetry::LogFormat;

/// Options of whoever runs turns.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
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
    #[command(flatten)]
    allowance: AllowanceArgs,
    /// How long the end waits for running steps.
    #[arg(long, env = "EVERWIT_DRAIN_SECONDS", default_value = "25", value_name = "SECONDS")]
    drain_seconds: String,
    /// How long a turn waits for an answer, an approval, a client's tool or a connection before it goes
    /// on without.
    #[arg(long, env = "EVERWIT_MAX_WAIT_HOURS", default_value = "168", value_name = "HOURS")]
    max_wait_hours: String,
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
    bucket: BucketArgs,
    /// What to log, as a tracing filter.
    #[arg(long, env = "EVERWIT_LOG", default_value = "info", value_name = "FILTER")]
    pub(crate) log: String,
    /// Form of the log on stderr.
    #[arg(long, env = "EVERWIT_LOG_FORMAT", value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// Print what was started, or checked, as one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl RunArgs {
    /// Fills in what they say.
    fn apply(&self, problems: &mut Vec<String>, config: &mut ServerConfig) {
        config.data_dir.clone_from(&self.data_dir);
        config.max_turns = number(problems, "--max-turns", &self.max_turns, TURNS);
        config.max_calls = number(problems, "--max-calls", &self.max_calls, CALLS);
        let connections = number(problems, "--database-connections", &self.database_connections, DATABASE_CONNECTIONS);
        config.database_connections = u32::try_from(connections).expect("it is within limits that fit");
        match self.database.parse() {
            Ok(database) => config.database = database,
            Err(problem) => problems.push(problem),
        }
        config.drain = Duration::from_secs(number(problems, "--drain-seconds", &self.drain_seconds, DRAIN_SECONDS) as u64);
        config.max_wait = hours(number(problems, "--max-wait-hours", &self.max_wait_hours, WAIT_HOURS));
        config.llmsim = read_json(problems, "--llmsim-script", self.llmsim_script.as_deref());
        let providers = read_json(problems, "--connection-providers", self.connection_providers.as_deref());
        config.connection_providers = providers.unwrap_or_default();
        config.driver_settings = self.models.validate(problems);
        config.record_exchanges.clone_from(&self.models.record_exchanges);
        config.org_limits.allowance = self.allowance.validate(problems);
        for target in &self.allow_private_targets {
            match target.parse() {
                Ok(target) => config.private_targets.push(target),
                Err(error) => problems.push(format!("--allow-private-target: {error}")),
            }
        }
        config.component_bucket = self.bucket.validate(problems, &config.private_targets);
    }
}

/// What workers and control planes know each other by.
#[derive(Debug, Clone, Args)]
struct TokenArgs {
    /// What workers show to be given the keys of credentials, 32 to 256 characters; the same for all servers and workers.
    /// Better given by the environment than by the flag.
    #[arg(long, env = "EVERWIT_WORKER_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    worker_token: Option<SecretString>,
}

impl TokenArgs {
    fn validate(&self, problems: &mut Vec<String>) -> Option<WorkerToken> {
        let token = WorkerToken::new(self.worker_token.clone()?);
        token.map_err(|problem| problems.push(format!("--worker-token: {problem}"))).ok()
    }
}

/// Options of `everwit serve`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, env = "EVERWIT_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: String,
    /// What it does beside answering requests: with `control-plane`, turns are left to workers.
    #[arg(long, env = "EVERWIT_ROLE", value_enum, default_value = "all")]
    role: ServerRole,
    /// Turns of one org that begin in a minute; more are refused.
    #[arg(long, env = "EVERWIT_ORG_TURNS_PER_MINUTE", default_value = "600", value_name = "COUNT")]
    org_turns_per_minute: String,
    /// Sessions of one org with a turn that has not ended; more turns are refused.
    #[arg(long, env = "EVERWIT_ORG_OPEN_TURNS", default_value = "10000", value_name = "COUNT")]
    org_open_turns: String,
    /// Bytes of all components of one org; more are refused.
    #[arg(long, env = "EVERWIT_ORG_COMPONENT_BYTES", default_value = "2147483648", value_name = "BYTES")]
    org_component_bytes: String,
    /// Components of one org, archived ones included while their bytes are stored; more are refused.
    #[arg(long, env = "EVERWIT_ORG_COMPONENTS", default_value = "1000", value_name = "COUNT")]
    org_components: String,
    /// Connections that are open at once; others wait to be accepted.
    #[arg(long, env = "EVERWIT_MAX_CONNECTIONS", default_value = "1024", value_name = "COUNT")]
    max_connections: String,
    /// URL at which browsers reach this server, for third parties to send them back to. Default: the
    /// address, if it is a loopback one.
    #[arg(long, env = "EVERWIT_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    #[command(flatten)]
    encryption: EncryptionArgs,
    /// Check the configuration, the data directory, the database and the keys, change nothing, and end: with exit
    /// code 0 if the server can start.
    #[arg(long)]
    pub(crate) check: bool,
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

impl ServeArgs {
    /// The database that they name.
    ///
    /// # Errors
    /// What is wrong with it, without the password.
    pub(crate) fn database(&self) -> Result<DatabaseConfig, String> {
        self.run.database.parse()
    }

    /// Checks everything.
    ///
    /// # Errors
    /// All that is wrong.
    pub(crate) fn validate(&self) -> Result<ServerConfig, ConfigError> {
        let mut problems = Vec::new();
        let mut config = ServerConfig { role: self.role, encryption: self.encryption.clone(), ..ServerConfig::default() };
        if let Some(listen) = parse(&mut problems, "--listen", &self.listen, "an address and a port, such as 127.0.0.1:8080 or [::]:8080") {
            config.listen = listen;
        }
        self.org_limits(&mut problems, &mut config.org_limits);
        config.worker_token = self.token.validate(&mut problems);
        config.max_connections = number(&mut problems, "--max-connections", &self.max_connections, CONNECTIONS);
        config.public_url = self.public_url.as_ref().and_then(|url| public_url(&mut problems, url));
        self.run.apply(&mut problems, &mut config);
        if problems.is_empty() { Ok(config) } else { Err(ConfigError(problems)) }
    }

    fn org_limits(&self, problems: &mut Vec<String>, limits: &mut OrgLimits) {
        let turns = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        limits.turns_per_minute = turns(number(problems, "--org-turns-per-minute", &self.org_turns_per_minute, ORG_TURNS));
        limits.open_turns = turns(number(problems, "--org-open-turns", &self.org_open_turns, ORG_TURNS));
        limits.component_bytes = number(problems, "--org-component-bytes", &self.org_component_bytes, ORG_AMOUNT) as u64;
        limits.components = turns(number(problems, "--org-components", &self.org_components, ORG_TURNS));
    }
}

/// Options of `everwit worker`.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorkerArgs {
    /// Server that opens credentials for this worker, which has no master key. Plain http is for this machine, and for
    /// targets of --allow-private-target.
    #[arg(long, env = "EVERWIT_CONTROL_PLANE", value_name = "URL")]
    control_plane: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

impl WorkerArgs {
    /// Checks everything.
    ///
    /// # Errors
    /// All that is wrong.
    pub(crate) fn validate(&self) -> Result<DurableWorkerConfig, ConfigError> {
        let (mut problems, mut config) = (Vec::new(), ServerConfig::default());
        self.run.apply(&mut problems, &mut config);
        let token = self.token.validate(&mut problems);
        let control_plane = match (&self.control_plane, token) {
            (None, _) => None,
            (Some(_), None) => {
                problems.push("--control-plane needs the token of its workers: EVERWIT_WORKER_TOKEN".to_owned());
                None
            }
            (Some(url), Some(token)) => {
                let parsed = Url::parse(url).map_err(|error| format!("{url:?}: {error}"));
                let parsed = parsed.and_then(|url| ControlPlane::new(url, token, &config.private_targets));
                parsed.map_err(|problem| problems.push(format!("--control-plane: {problem}"))).ok()
            }
        };
        if problems.is_empty() { Ok(DurableWorkerConfig { control_plane, ..config.into() }) } else { Err(ConfigError(problems)) }
    }
}

/// What the ledger holds every org to. Nothing is counted for a limit that is not set.
#[derive(Debug, Clone, Default, Args)]
struct AllowanceArgs {
    /// Tokens of model calls of one org in a day of UTC; without it, its budgets alone limit them.
    #[arg(long, env = "EVERWIT_ORG_TOKENS_PER_DAY", value_name = "COUNT")]
    org_tokens_per_day: Option<String>,
    /// Fuel of tool calls of one org's components in a minute; a call that could need more than is left is refused.
    #[arg(long, env = "EVERWIT_ORG_FUEL_PER_MINUTE", value_name = "FUEL")]
    org_fuel_per_minute: Option<String>,
    /// Fuel of tool calls of one org's components in a day of UTC.
    #[arg(long, env = "EVERWIT_ORG_FUEL_PER_DAY", value_name = "FUEL")]
    org_fuel_per_day: Option<String>,
    /// Bytes of HTTP bodies, in and out, of tool calls of one org's components in a day of UTC.
    #[arg(long, env = "EVERWIT_ORG_HTTP_BYTES_PER_DAY", value_name = "BYTES")]
    org_http_bytes_per_day: Option<String>,
    /// Bytes of all stored events of one org; more turns and sessions are refused until sessions are deleted.
    #[arg(long, env = "EVERWIT_ORG_EVENT_BYTES", default_value = "10737418240", value_name = "BYTES")]
    org_event_bytes: Option<String>,
}

impl AllowanceArgs {
    fn validate(&self, problems: &mut Vec<String>) -> OrgAllowance {
        let mut amount = |flag: &str, text: &Option<String>| Some(number(problems, flag, text.as_ref()?, ORG_AMOUNT) as u64);
        OrgAllowance {
            tokens_per_day: amount("--org-tokens-per-day", &self.org_tokens_per_day),
            fuel_per_minute: amount("--org-fuel-per-minute", &self.org_fuel_per_minute),
            fuel_per_day: amount("--org-fuel-per-day", &self.org_fuel_per_day),
            http_bytes_per_day: amount("--org-http-bytes-per-day", &self.org_http_bytes_per_day),
            event_bytes: amount("--org-event-bytes", &self.org_event_bytes),
        }
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

/// A finding about a flag, as one about its variable.
pub(super) fn of_environment(problem: &str) -> String {
    let end = problem.find([' ', ':']).unwrap_or(problem.len());
    let (flag, rest) = problem.split_at(end);
    let variable = match flag {
        "--allow-private-target" => "EVERWIT_ALLOW_PRIVATE_TARGETS".to_owned(),
        flag => format!("EVERWIT_{}", flag.trim_start_matches("--").replace('-', "_").to_uppercase()),
    };
    format!("{variable}{rest}")
}
