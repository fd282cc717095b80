//! `everwit push`: nothing becomes active that nobody agreed to.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api_components::patched;
use crate::support::terminal::at_a_terminal;
use crate::support::{Server, everwit, guest};

struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

async fn push(server: &str, file: &Path, args: &[&str]) -> Outcome {
    let mut command = everwit();
    command.arg("push").arg(file).args(["--server", server]).args(args).stdin(std::process::Stdio::null());
    let output = command.output().await.expect("the command runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn file_of(home: &TempDir, name: &str, content: &[u8]) -> std::path::PathBuf {
    let file = home.path().join(name);
    std::fs::write(&file, content).expect("it is written");
    file
}

#[tokio::test]
async fn what_asks_for_something_is_active_only_with_consent() {
    let (server, home) = (Server::start().await, tempfile::tempdir().expect("a temporary directory"));
    let file = file_of(&home, "counter.wasm", &guest("counter"));
    let active = || async { server.api().get("/v1/components/counter").await.expect(200)["active_version"].clone() };

    let stored = push(server.url(), &file, &[]).await;
    assert_eq!((stored.code, stored.stdout.trim()), (Some(0), "counter 1"), "{}", stored.stderr);
    assert!(stored.stderr.contains("+ ") && stored.stderr.contains("not active"), "{}", stored.stderr);
    let refused = push(server.url(), &file, &["--activate"]).await;
    assert!(refused.code == Some(1) && refused.stderr.contains("to fix it: add --accept-permissions"), "{}", refused.stderr);
    assert_eq!(active().await, Value::Null, "both left it inactive");

    let agreed = push(server.url(), &file, &["--activate", "--accept-permissions", "--json"]).await;
    let answer: Value = serde_json::from_str(&agreed.stdout).expect("it prints JSON");
    assert_eq!((agreed.code, &answer["activated"]["grant"]["kv"]), (Some(0), &json!(["counter"])), "{answer}");
    assert_eq!(active().await, json!(1));
    let again = push(server.url(), &file, &["--activate"]).await;
    assert!(again.code == Some(0) && again.stderr.contains("known already"), "nothing is new about it: {}", again.stderr);
}

async fn push_at_a_terminal(server: &str, file: &Path, answer: &str) -> Outcome {
    let file = file.to_str().expect("a path of text");
    let output = at_a_terminal(&["push", file, "--server", server, "--activate"], &[("[y/N]", &format!("{answer}\n"))]).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

#[tokio::test]
async fn at_a_terminal_it_asks() {
    let (server, home) = (Server::start().await, tempfile::tempdir().expect("a temporary directory"));
    let file = file_of(&home, "counter.wasm", &guest("counter"));
    let active = || async { server.api().get("/v1/components/counter").await.expect(200)["active_version"].clone() };
    for answer in ["n", "", "perhaps"] {
        let refused = push_at_a_terminal(server.url(), &file, answer).await;
        assert!(refused.stdout.contains("+ ") && refused.stdout.contains("Activate it with all of this? [y/N]"), "{}", refused.stdout);
        assert_eq!((refused.code, active().await), (Some(1), Value::Null), "{answer:?}: {}{}", refused.stdout, refused.stderr);
    }
    let agreed = push_at_a_terminal(server.url(), &file, "Yes").await;
    assert_eq!((agreed.code, active().await), (Some(0), json!(1)), "{}{}", agreed.stdout, agreed.stderr);
    let again = push_at_a_terminal(server.url(), &file, "n").await;
    assert!(again.code == Some(0) && !again.stdout.contains("[y/N]"), "nothing is left to agree to: {}", again.stdout);
}

#[tokio::test]
async fn a_changed_text_needs_consent_of_its_own() {
    let (server, home) = (Server::start().await, tempfile::tempdir().expect("a temporary directory"));
    let first = file_of(&home, "counter.wasm", &guest("counter"));
    let second = file_of(&home, "second.wasm", &patched("counter", "Reads a key.", "Takes a key."));
    let active = || async { server.api().get("/v1/components/counter").await.expect(200)["active_version"].clone() };
    let agreed = push(server.url(), &first, &["--activate", "--accept-permissions"]).await;
    assert_eq!(agreed.code, Some(0), "{}", agreed.stderr);
    // The permissions are those that were agreed to.
    let refused = push(server.url(), &second, &["--activate", "--accept-permissions"]).await;
    assert!(refused.code == Some(1) && refused.stderr.contains("to fix it: add --accept-changed-text"), "{}", refused.stderr);
    assert_eq!(active().await, json!(1));
    let agreed = push(server.url(), &second, &["--activate", "--accept-changed-text"]).await;
    assert_eq!((agreed.code, active().await), (Some(0), json!(2)), "{}", agreed.stderr);
}

#[tokio::test]
async fn what_asks_for_nothing_needs_no_consent() {
    let (server, home) = (Server::start().await, tempfile::tempdir().expect("a temporary directory"));
    let file = file_of(&home, "echo.wasm", &guest("echo"));
    let pushed = push(server.url(), &file, &["--activate"]).await;
    assert_eq!((pushed.code, pushed.stdout.trim()), (Some(0), "echo 1"), "{}", pushed.stderr);
    assert_eq!(server.api().get("/v1/components/echo").await.expect(200)["active_version"], 1);
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    let (server, home) = (Server::start().await, tempfile::tempdir().expect("a temporary directory"));
    let prose = file_of(&home, "prose.wasm", b"prose");
    let rejected = push(server.url(), &prose, &[]).await;
    assert!(rejected.code == Some(1) && rejected.stderr.contains("not_wasm") && rejected.stderr.contains("fix: "), "{}", rejected.stderr);
    for (url, code, says) in [
        ("http://example.com", 2, "use https"),
        ("ftp://127.0.0.1", 2, "no http or https URL"),
        ("http://127.0.0.1:1", 1, "http://127.0.0.1:1/"),
    ] {
        let failed = push(url, &prose, &[]).await;
        assert!(failed.code == Some(code) && failed.stderr.contains(says), "{url}: {}", failed.stderr);
    }
    let consent_to_nothing = push(server.url(), &prose, &["--accept-permissions"]).await;
    assert_eq!(consent_to_nothing.code, Some(2), "{}", consent_to_nothing.stderr);
}

#[tokio::test]
async fn a_key_is_sent_and_never_shown() {
    let (server, home) = (Server::start().await, tempfile::tempdir().expect("a temporary directory"));
    // From now on the server wants one.
    server.api_with_key("admin", None).await;
    let (file, key) = (file_of(&home, "echo.wasm", &guest("echo")), file_of(&home, "key", b"everwit_wrong_key\n"));
    for args in [vec![], vec!["--api-key-file", key.to_str().expect("text")]] {
        let refused = push(server.url(), &file, &args).await;
        assert!(refused.code == Some(1) && refused.stderr.contains("(401)"), "{}", refused.stderr);
        assert!(refused.stderr.contains("to fix it: give a key") && !refused.stderr.contains("wrong_key"), "{}", refused.stderr);
    }
}

#[tokio::test]
async fn a_channel_is_pushed_to_and_versions_are_managed() {
    let (server, home) = (Server::start().await, tempfile::tempdir().expect("a temporary directory"));
    let version = |mark: u8| [guest("echo"), vec![0, 3, 1, b'x', mark]].concat();
    let pushed = push(server.url(), &file_of(&home, "1.wasm", &version(1)), &["--activate"]).await;
    assert_eq!(pushed.code, Some(0), "{}", pushed.stderr);
    let pushed = push(server.url(), &file_of(&home, "2.wasm", &version(2)), &["--channel", "beta"]).await;
    assert!(pushed.code == Some(0) && pushed.stderr.contains("in channel beta"), "{}", pushed.stderr);
    assert_eq!(push(server.url(), &file_of(&home, "3.wasm", &version(3)), &[]).await.code, Some(0));

    let components = async |args: &[&str]| {
        let mut command = everwit();
        let output = command.arg("components").args(args).args(["--server", server.url()]).output().await.expect("the command runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let listed = components(&["list"]).await.1;
    assert!(listed.starts_with("echo ") && listed.ends_with("active=1  latest=3  beta=2"), "{listed}");
    let versions = components(&["versions", "echo"]).await.1;
    let ends: Vec<&str> = versions.lines().map(|line| line.rsplit("  ").next().unwrap_or_default()).collect();
    assert_eq!(ends, ["not agreed to", "beta", "active"], "{versions}");
    let (code, _, told) = components(&["use", "echo", "3"]).await;
    assert!(code == Some(1) && told.contains("to fix it: push its file"), "{told}");
    assert_eq!(components(&["use", "echo", "2"]).await.1, "version 2 is active");
    assert_eq!(components(&["use", "echo", "1", "--channel", "beta"]).await.1, "channel beta points to version 1");
    assert_eq!(components(&["rollback", "echo"]).await.1, "version 1 is active");
    assert_eq!(components(&["remove-channel", "echo", "beta"]).await.1, "channel beta is removed");
    assert_eq!(components(&["archive", "echo", "--version", "2"]).await.1, "version 2 of echo is archived");
    let (code, _, told) = components(&["archive", "echo", "--version", "1"]).await;
    assert!(code == Some(1) && told.contains("as the active version"), "{told}");
    assert_eq!(components(&["archive", "echo", "--json"]).await.1, "null");
    assert!(components(&["list"]).await.1.contains("archived"));
}
