//! The program as operators start it.

use std::process::{Command, Output};

const EVERWIT: &str = env!("CARGO_BIN_EXE_everwit");

fn everwit(arguments: &[&str]) -> Output {
    Command::new(EVERWIT).env_clear().args(arguments).output().expect("it runs")
}

fn refusal(arguments: &[&str]) -> String {
    let output = everwit(arguments);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn roles_that_need_an_engine_for_many_machines_ask_for_one() {
    for arguments in [&["serve", "--role", "control-plane"][..], &["worker"]] {
        let refused = refusal(arguments);
        assert!(refused.contains("needs an engine for many machines") && refused.contains("--temporal URL"), "{refused}");
    }
}

#[test]
fn options_of_temporal_are_told_by_their_names() {
    let refused = refusal(&["worker", "--temporal", "nowhere", "--lease-seconds", "none"]);
    assert!(refused.contains("--temporal is \"nowhere\"") && refused.contains("--lease-seconds is \"none\""), "{refused}");
}

#[test]
fn what_a_worker_lacks_is_told() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let worker = ["worker", "--temporal", "http://127.0.0.1:9", "--data-dir", data.to_str().expect("a path")];
    let failure = |arguments: &[&str]| {
        let output = everwit(&[&worker[..], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let alone = failure(&[]);
    assert!(alone.contains("--control-plane URL"), "{alone}");
    let on_a_file = failure(&["--control-plane", "http://127.0.0.1:9", "--worker-token", "0123456789abcdef0123456789abcdef"]);
    assert!(on_a_file.contains("--database postgres://"), "{on_a_file}");
}
