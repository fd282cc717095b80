//! What every option of `everwit serve` is set to, and where that comes from.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args};
use serde::Serialize;

use super::ServeArgs;

/// An option with its value.
#[derive(Debug, Serialize)]
pub(crate) struct Setting {
    /// As it is written on the command line.
    pub(crate) option: String,
    /// The variable that sets it, too.
    pub(crate) variable: String,
    /// None if it is not set and has no default.
    pub(crate) value: Option<String>,
    /// Whether the value is secret, and something else stands in its place.
    pub(crate) redacted: bool,
    /// What has set it.
    pub(crate) origin: Origin,
}

/// What has set an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    /// The command line.
    Flag,
    /// A variable of the environment.
    Environment,
    /// Nobody; it has a default.
    Default,
    /// Nobody.
    Unset,
}

/// All options that can be set by flag or variable, in the order of `--help`: those of every server, and those of its
/// engine.
pub(crate) fn settings<E: Args>(matches: &ArgMatches) -> Vec<Setting> {
    let command = E::augment_args(ServeArgs::augment_args(clap::Command::new("serve")));
    command.get_arguments().filter_map(|argument| setting(argument, matches)).collect()
}

/// An option; none for what is no setting of the server.
fn setting(argument: &Arg, matches: &ArgMatches) -> Option<Setting> {
    let variable = argument.get_env()?.to_string_lossy().into_owned();
    let id = argument.get_id().as_str();
    let origin = match matches.value_source(id) {
        Some(ValueSource::CommandLine) => Origin::Flag,
        Some(ValueSource::EnvVariable) => Origin::Environment,
        Some(_) => Origin::Default,
        None => Origin::Unset,
    };
    let redacted = argument.is_hide_env_values_set() && origin != Origin::Unset;
    let value = matches.get_raw(id).map(|values| values.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(","));
    let value = if redacted { Some("(secret)".to_owned()) } else { value };
    Some(Setting { option: format!("--{}", argument.get_long().unwrap_or(id)), variable, value, redacted, origin })
}
