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
fn a_file_is_no_database_for_many_machines() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let output = everwit(&["worker", "--temporal", "http://127.0.0.1:9", "--data-dir", data.to_str().expect("a path")]);
    let refused = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.code() == Some(1) && refused.contains("--database postgres://"), "{refused}");
}
