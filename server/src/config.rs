//! Configuration of `everwit serve`. A flag wins over the environment, the environment over the
//! default; this file is the only one that reads the environment. Everything that is wrong is
//! reported at once.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use everwit_runtime::driver::llmsim::LlmSimConfig;
use everwit_runtime::egress::PrivateTarget;

use crate::telemetry::LogFormat;

/// Options of `everwit serve`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, env = "EVERWIT_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    listen: String,
    /// Directory for the database and the compiled components; created if missing.
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
    /// Connections that are open at once; others wait to be accepted.
    #[arg(long, env = "EVERWIT_MAX_CONNECTIONS", default_value = "1024", value_name = "COUNT")]
    max_connections: String,
    /// How long the end waits for running steps.
    #[arg(long, env = "EVERWIT_DRAIN_SECONDS", default_value = "25", value_name = "SECONDS")]
    drain_seconds: String,
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

/// A configuration that can be used.
#[derive(Debug)]
pub(crate) struct ServeConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) llmsim: LlmSimConfig,
    /// Whether a script was given.
    pub(crate) llmsim_scripted: bool,
    pub(crate) private_targets: Vec<PrivateTarget>,
    pub(crate) max_turns: usize,
    pub(crate) max_calls: usize,
    pub(crate) max_connections: usize,
    pub(crate) drain: Duration,
}

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub(crate) struct ConfigError(Vec<String>);

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
    pub(crate) fn validate(&self) -> Result<ServeConfig, ConfigError> {
        let mut problems = Vec::new();
        let listen = parse(&mut problems, "--listen", &self.listen, "an address and a port, such as 127.0.0.1:8080 or [::]:8080");
        let max_turns = number(&mut problems, "--max-turns", &self.max_turns, 1, 10_000);
        let max_calls = number(&mut problems, "--max-calls", &self.max_calls, 1, 1_000);
        let max_connections = number(&mut problems, "--max-connections", &self.max_connections, 1, 100_000);
        let drain = number(&mut problems, "--drain-seconds", &self.drain_seconds, 0, 3_600);
        let llmsim = self.llmsim(&mut problems);
        let mut private_targets = Vec::new();
        for target in &self.allow_private_targets {
            match target.parse() {
                Ok(target) => private_targets.push(target),
                Err(error) => problems.push(format!("--allow-private-target: {error}")),
            }
        }
        let (Some(listen), Some(llmsim), true) = (listen, llmsim, problems.is_empty()) else { return Err(ConfigError(problems)) };
        Ok(ServeConfig {
            listen,
            data_dir: self.data_dir.clone(),
            llmsim,
            llmsim_scripted: self.llmsim_script.is_some(),
            private_targets,
            max_turns,
            max_calls,
            max_connections,
            drain: Duration::from_secs(drain as u64),
        })
    }

    fn llmsim(&self, problems: &mut Vec<String>) -> Option<LlmSimConfig> {
        let Some(path) = &self.llmsim_script else { return Some(LlmSimConfig::interactive()) };
        let read = std::fs::read(path).map_err(|error| error.to_string());
        let parsed = read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
        parsed.map_err(|error| problems.push(format!("--llmsim-script: {}: {error}", path.display()))).ok()
    }
}

fn parse<T: FromStr>(problems: &mut Vec<String>, flag: &str, text: &str, expected: &str) -> Option<T> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        problems.push(format!("{flag} is {text:?}; it must be {expected}"));
    }
    parsed
}

fn number(problems: &mut Vec<String>, flag: &str, text: &str, least: usize, most: usize) -> usize {
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn validate(args: &[&str]) -> Result<ServeConfig, ConfigError> {
        Cli::parse_from([&["everwit"], args].concat()).serve.validate()
    }

    #[test]
    fn the_defaults_are_a_loopback_server() {
        let config = validate(&[]).unwrap();
        assert!(config.listen.ip().is_loopback());
        assert_eq!((config.max_turns, config.drain), (64, Duration::from_secs(25)));
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let args = ["--listen", "here", "--max-turns", "0", "--max-calls", "many", "--llmsim-script", "/nonexistent/script"];
        let ConfigError(problems) = validate(&[&args[..], &["--allow-private-target", "x"]].concat()).unwrap_err();
        assert_eq!(problems.len(), 5, "{problems:#?}");
    }
}
