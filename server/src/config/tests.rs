use clap::Parser;
use everwit_runtime::driver::ErrorDisclosure;

use super::args::of_environment;
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
