//! The options of Temporal, for programs with the command line of Everwit.

use std::time::Duration;

use clap::Args;
use everwit_runtime::engine::EngineConnector;
use everwit_server::EngineArgs;
use everwit_temporal::TemporalOptions;
use url::Url;

/// Shortest and longest lease, in seconds.
const LEASE_SECONDS: std::ops::RangeInclusive<u64> = 1..=300;
/// Longest name of an installation, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Options of `everwit serve` and `everwit worker` that tell where Temporal is.
#[derive(Debug, Clone, Args)]
pub struct TemporalArgs {
    /// Temporal's frontend, for example http://127.0.0.1:7233: turns run on all workers that name the same one. Without it,
    /// they run in this process.
    #[arg(long, env = "EVERWIT_TEMPORAL", value_name = "URL")]
    temporal: Option<String>,
    /// Namespace in Temporal; it must exist.
    #[arg(long, env = "EVERWIT_TEMPORAL_NAMESPACE", default_value = "default", value_name = "NAME")]
    temporal_namespace: String,
    /// What tells this installation from others in the namespace; the same for all its servers and workers.
    #[arg(long, env = "EVERWIT_INSTALLATION", default_value = "everwit", value_name = "NAME")]
    installation: String,
    /// How long a worker may be silent before another one takes its turns over.
    #[arg(long, env = "EVERWIT_LEASE_SECONDS", default_value = "10", value_name = "SECONDS")]
    lease_seconds: String,
}

impl TemporalArgs {
    /// What they say; none without a frontend.
    ///
    /// # Errors
    /// All that is wrong, each with the name of its flag.
    pub fn options(&self) -> Result<Option<TemporalOptions>, Vec<String>> {
        let Some(temporal) = &self.temporal else { return Ok(None) };
        let mut problems = Vec::new();
        let target = Url::parse(temporal).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if target.is_none() {
            problems.push(format!("--temporal is {temporal:?}; it must be a URL such as http://127.0.0.1:7233"));
        }
        for (flag, name) in [("--temporal-namespace", &self.temporal_namespace), ("--installation", &self.installation)] {
            let usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(usual) {
                problems.push(format!("{flag} is {name:?}; it must be 1 to {MAX_NAME_BYTES} letters, digits, dots, - and _"));
            }
        }
        let lease = self.lease_seconds.parse().ok().filter(|seconds| LEASE_SECONDS.contains(seconds));
        if lease.is_none() {
            let (least, most) = LEASE_SECONDS.into_inner();
            problems.push(format!("--lease-seconds is {:?}; it must be a whole number between {least} and {most}", self.lease_seconds));
        }
        match (target, lease) {
            (Some(target), Some(lease)) if problems.is_empty() => Ok(Some(TemporalOptions {
                target,
                namespace: self.temporal_namespace.clone(),
                installation: self.installation.clone(),
                lease: Duration::from_secs(lease),
            })),
            _ => Err(problems),
        }
    }
}

impl EngineArgs for TemporalArgs {
    const ADVICE: &'static str = "name the Temporal server with --temporal URL";

    fn engine(&self) -> Result<Option<Box<dyn EngineConnector>>, Vec<String>> {
        Ok(self.options()?.map(|options| Box::new(options) as Box<dyn EngineConnector>))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        temporal: TemporalArgs,
    }

    fn options(args: &[&str]) -> Result<Option<TemporalOptions>, Vec<String>> {
        Cli::parse_from([&["everwit"], args].concat()).temporal.options()
    }

    #[test]
    fn without_a_frontend_there_is_no_engine() {
        assert!(options(&["--lease-seconds", "5"]).expect("no problem").is_none());
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let wrong = ["--temporal", "here", "--temporal-namespace", "", "--installation", "a/b", "--lease-seconds", "0"];
        assert_eq!(options(&wrong).expect_err("all of it").len(), 4);
        let right = options(&["--temporal", "http://[::1]:7233"]).expect("no problem").expect("an engine");
        assert_eq!((right.lease, right.installation.as_str()), (Duration::from_secs(10), "everwit"));
    }
}
