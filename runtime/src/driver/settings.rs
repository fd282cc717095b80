//! How completions are run: how long they wait, how often they are tried, and what users are told
//! when they fail.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DriverConfig, DriverError, DriverErrorKind};

/// Longest time that a provider can be given for anything: an hour.
const MAX_TIMEOUT: Duration = Duration::from_secs(3_600);
/// The member of [`ProviderMetadata::extra`](super::ProviderMetadata::extra) that changes timeouts.
const TIMEOUTS: &str = "timeouts_ms";

/// What all completions of a platform have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DriverSettings {
    /// How long to wait, for providers that do not say otherwise.
    pub timeouts: CompletionTimeouts,
    /// How often to try.
    pub retry: RetryPolicy,
    /// What users are told of errors.
    pub error_disclosure: ErrorDisclosure,
}

/// Most tries of one completion.
const MAX_ATTEMPTS: u32 = 10;

impl DriverSettings {
    /// What is wrong with them, as sentences; empty if they can be used.
    pub fn problems(&self) -> Vec<String> {
        let CompletionTimeouts { connect, first_byte, idle, total } = self.timeouts;
        let RetryPolicy { attempts, first_wait, longest_wait, window } = self.retry;
        let waits = [("connect", connect), ("first_byte", first_byte), ("idle", idle), ("total", total)];
        let waits = waits.into_iter().filter(|(_, time)| time.is_zero() || *time > MAX_TIMEOUT);
        let mut problems: Vec<String> = waits.map(|(name, time)| out_of_range(&format!("timeouts.{name}"), time)).collect();
        let retries = [("first_wait", first_wait), ("longest_wait", longest_wait), ("window", window)];
        problems.extend(
            retries.iter().filter(|(_, time)| *time > MAX_TIMEOUT).map(|(name, time)| out_of_range(&format!("retry.{name}"), *time)),
        );
        if !(1..=MAX_ATTEMPTS).contains(&attempts) {
            problems.push(format!("retry.attempts is {attempts}; it must be between 1 and {MAX_ATTEMPTS}"));
        }
        problems
    }
}

fn out_of_range(name: &str, time: Duration) -> String {
    format!("{name} is {time:?}; it must be at most {MAX_TIMEOUT:?}, and a timeout at least 1 ms")
}

/// How long a completion waits for what. A provider changes them with the member `timeouts_ms` of
/// its metadata's `extra`, in milliseconds: `{"timeouts_ms": {"first_byte": 300000}}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompletionTimeouts {
    /// Resolving the name, connecting and the TLS handshake: each. Default: 5 s.
    pub connect: Duration,
    /// From the connection to the head of the response. Default: 2 min, because some vendors
    /// think before they answer at all.
    pub first_byte: Duration,
    /// Between two pieces of the response. Default: 2 min; models that think in silence do so for
    /// about a minute.
    pub idle: Duration,
    /// One try as a whole. Default: 20 min, less than a turn.
    pub total: Duration,
}

impl Default for CompletionTimeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(5), first_byte: seconds(120), idle: seconds(120), total: seconds(1_200) }
    }
}

/// What a provider says about its timeouts.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeoutsMs {
    connect: Option<u64>,
    first_byte: Option<u64>,
    idle: Option<u64>,
    total: Option<u64>,
}

impl DriverConfig {
    /// The timeouts of this provider.
    ///
    /// # Errors
    /// `Configuration` for an unknown name, or a time that is not between 1 ms and an hour.
    pub(crate) fn timeouts(&self, default: CompletionTimeouts) -> Result<CompletionTimeouts, DriverError> {
        let Some(given) = self.extra(TIMEOUTS) else { return Ok(default) };
        let wrong = |problem: String| DriverError::new(DriverErrorKind::Configuration, format!("{TIMEOUTS} of the provider: {problem}"));
        let given: TimeoutsMs = serde_json::from_value(given.clone()).map_err(|error| wrong(error.to_string()))?;
        let choose = |name: &str, given: Option<u64>, default: Duration| match given.map(Duration::from_millis) {
            None => Ok(default),
            Some(time) if !time.is_zero() && time <= MAX_TIMEOUT => Ok(time),
            Some(time) => {
                Err(wrong(format!("{name} is {} ms; at most {} are allowed, and at least 1", time.as_millis(), MAX_TIMEOUT.as_millis())))
            }
        };
        Ok(CompletionTimeouts {
            connect: choose("connect", given.connect, default.connect)?,
            first_byte: choose("first_byte", given.first_byte, default.first_byte)?,
            idle: choose("idle", given.idle, default.idle)?,
            total: choose("total", given.total, default.total)?,
        })
    }

    /// A vendor-specific value.
    pub(crate) fn extra(&self, name: &str) -> Option<&Value> {
        self.metadata.as_ref()?.extra.as_ref()?.get(name)
    }
}

/// How often a completion is tried that fails, with an error that passes, before the first event
/// of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, at least 1. Default: 3.
    pub attempts: u32,
    /// Wait before the second try if the vendor names none, doubled for each further one; up to
    /// half of it is added at random. Default: 500 ms.
    pub first_wait: Duration,
    /// Longest wait that a vendor may ask for; the completion fails instead of a longer one.
    /// Default: 60 s.
    pub longest_wait: Duration,
    /// No try begins later than this after the first one. Default: 2 min.
    pub window: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { attempts: 3, first_wait: Duration::from_millis(500), longest_wait: seconds(60), window: seconds(120) }
    }
}

/// How much users are told when a model fails. The log has everything but credentials either way.
/// The narrower of two is the smaller one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorDisclosure {
    /// Only what class of error it is.
    Generic,
    /// What happened, in our words.
    #[default]
    Standard,
    /// That, and what the vendor says.
    Detailed,
}

impl ErrorDisclosure {
    /// All of them, the narrowest first.
    pub const ALL: [Self; 3] = [Self::Generic, Self::Standard, Self::Detailed];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Standard => "standard",
            Self::Detailed => "detailed",
        }
    }

    /// What a user is told of an error.
    pub fn text_of(self, error: &DriverError) -> String {
        match self {
            Self::Generic => error.kind.sentence().to_owned(),
            Self::Standard => error.message.clone(),
            Self::Detailed => error.to_string(),
        }
    }
}

/// A text that is no level of disclosure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be generic, standard or detailed")]
pub struct UnknownDisclosure;

impl FromStr for ErrorDisclosure {
    type Err = UnknownDisclosure;

    fn from_str(text: &str) -> Result<Self, UnknownDisclosure> {
        Self::ALL.into_iter().find(|level| level.as_str() == text).ok_or(UnknownDisclosure)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::driver::ProviderMetadata;

    fn timeouts(extra: Value) -> Result<CompletionTimeouts, DriverError> {
        let metadata = ProviderMetadata { extra: Some(extra), ..ProviderMetadata::default() };
        DriverConfig { metadata: Some(metadata), ..DriverConfig::default() }.timeouts(CompletionTimeouts::default())
    }

    #[test]
    fn a_provider_changes_the_timeouts_that_it_names() {
        let default = CompletionTimeouts::default();
        assert_eq!(timeouts(json!({"region": "eu"})), Ok(default));
        let expected = CompletionTimeouts { idle: Duration::from_millis(1), total: MAX_TIMEOUT, ..default };
        assert_eq!(timeouts(json!({"timeouts_ms": {"idle": 1, "total": 3_600_000}})), Ok(expected));
        for wrong in [json!({"idle": 0}), json!({"total": 3_600_001}), json!({"idel": 1}), json!({"idle": "1"}), json!(7)] {
            let error = timeouts(json!({ "timeouts_ms": wrong })).expect_err("it is wrong");
            assert_eq!(error.kind, DriverErrorKind::Configuration);
            assert!(error.message.starts_with("timeouts_ms of the provider: "), "{error}");
        }
    }

    #[test]
    fn users_are_told_as_much_as_they_may_know() {
        let error = DriverError::from_status(401, "no such key at org-7");
        let told = [ErrorDisclosure::Generic, ErrorDisclosure::Standard, ErrorDisclosure::Detailed].map(|level| level.text_of(&error));
        assert_eq!(
            told,
            [
                "the model provider does not accept the credentials",
                "the vendor answered with status 401",
                "the vendor answered with status 401; the vendor says: no such key at org-7",
            ]
        );
    }
}
