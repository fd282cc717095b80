//! Options of commands that call models: how long to wait, how often to try, what to tell.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use everwit_runtime::driver::{CompletionTimeouts, DriverSettings, ErrorDisclosure, RetryPolicy};

use crate::config::number;

const SECONDS: (usize, usize) = (1, 3_600);
const WAIT_SECONDS: (usize, usize) = (0, 3_600);
const ATTEMPTS: (usize, usize) = (1, 10);

/// See the module. A provider can have timeouts of its own.
#[derive(Debug, Clone, Args)]
pub(crate) struct ModelArgs {
    /// What users are told when a model fails: generic (the class of error), standard (what happened)
    /// or detailed (also what the vendor says). A message can ask for less.
    #[arg(long, env = "EVERWIT_ERROR_DISCLOSURE", default_value = "standard", value_name = "LEVEL")]
    error_disclosure: String,
    /// Time to connect to a model's vendor.
    #[arg(long, env = "EVERWIT_MODEL_CONNECT_SECONDS", default_value = "5", value_name = "SECONDS")]
    model_connect_seconds: String,
    /// Time from there to the head of the answer.
    #[arg(long, env = "EVERWIT_MODEL_FIRST_BYTE_SECONDS", default_value = "120", value_name = "SECONDS")]
    model_first_byte_seconds: String,
    /// Time between two pieces of the answer.
    #[arg(long, env = "EVERWIT_MODEL_IDLE_SECONDS", default_value = "120", value_name = "SECONDS")]
    model_idle_seconds: String,
    /// Time for one try as a whole.
    #[arg(long, env = "EVERWIT_MODEL_TOTAL_SECONDS", default_value = "1200", value_name = "SECONDS")]
    model_total_seconds: String,
    /// Tries of one model call, as long as nothing of an answer has arrived.
    #[arg(long, env = "EVERWIT_MODEL_ATTEMPTS", default_value = "3", value_name = "COUNT")]
    model_attempts: String,
    /// Longest wait for the next try that a vendor may ask for; the call fails instead of a longer one.
    #[arg(long, env = "EVERWIT_MODEL_WAIT_SECONDS", default_value = "60", value_name = "SECONDS")]
    model_wait_seconds: String,
    /// How long after the first try another one may begin.
    #[arg(long, env = "EVERWIT_MODEL_RETRY_SECONDS", default_value = "120", value_name = "SECONDS")]
    model_retry_seconds: String,
    /// Directory for recordings of all exchanges with models: without credentials, but with everything
    /// that is said. For authors of drivers.
    #[arg(long, env = "EVERWIT_RECORD_EXCHANGES", value_name = "DIR")]
    pub(crate) record_exchanges: Option<PathBuf>,
}

impl ModelArgs {
    /// The settings; what is wrong goes to `problems`.
    pub(crate) fn validate(&self, problems: &mut Vec<String>) -> DriverSettings {
        let error_disclosure = self.error_disclosure.parse().unwrap_or_else(|error| {
            problems.push(format!("--error-disclosure is {:?}; {error}", self.error_disclosure));
            ErrorDisclosure::default()
        });
        let mut seconds = |flag, text, range| Duration::from_secs(number(problems, flag, text, range) as u64);
        let timeouts = CompletionTimeouts {
            connect: seconds("--model-connect-seconds", &self.model_connect_seconds, SECONDS),
            first_byte: seconds("--model-first-byte-seconds", &self.model_first_byte_seconds, SECONDS),
            idle: seconds("--model-idle-seconds", &self.model_idle_seconds, SECONDS),
            total: seconds("--model-total-seconds", &self.model_total_seconds, SECONDS),
        };
        let longest_wait = seconds("--model-wait-seconds", &self.model_wait_seconds, WAIT_SECONDS);
        let window = seconds("--model-retry-seconds", &self.model_retry_seconds, WAIT_SECONDS);
        let attempts = number(problems, "--model-attempts", &self.model_attempts, ATTEMPTS);
        let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
        DriverSettings { timeouts, retry: RetryPolicy { attempts, longest_wait, window, ..RetryPolicy::default() }, error_disclosure }
    }
}
