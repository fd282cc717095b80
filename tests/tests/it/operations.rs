//! What operators ask a server and its commands, and how it ends.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::postgres::new_database;
use crate::support::{Server, everwit};

/// How long the end of an idle server may take, however many streams are open.
const END_LIMIT: Duration = Duration::from_secs(2);
/// Streams that are open when it ends.
const STREAMS: usize = 16;

async fn run(data: &Path, args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = everwit();
    command.args(args).arg("--data-dir").arg(data).envs(environment.iter().copied());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.expect("the command runs")
}

/// What `serve --check` says: whether all is well, and each check by name.
async fn check(data: &Path, args: &[&str]) -> (bool, Value) {
    let output = run(data, &[&["serve", "--check", "--json"], args].concat(), &[]).await;
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!(output.status.code(), Some(if told["ok"] == true { 0 } else { 1 }), "{told}");
    (told["ok"] == true, told)
}

/// What a check says that failed alone.
fn the_failed(told: &Value) -> (&str, &str) {
    let checks = told["checks"].as_array().expect("a list");
    let failed: Vec<&Value> = checks.iter().filter(|check| check["ok"] == false).collect();
    assert_eq!(failed.len(), 1, "{told}");
    (failed[0]["name"].as_str().expect("a name"), failed[0]["detail"].as_str().expect("a sentence"))
}

#[tokio::test]
async fn a_check_tells_what_keeps_a_server_from_starting_and_changes_nothing() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let (ok, told) = check(&data, &[]).await;
    assert!(ok && told.to_string().contains("the server makes it"), "{told}");
    assert!(!data.exists(), "a check makes nothing");

    let mut server = Server::start().await;
    let data = server.data_dir();
    let (ok, told) = check(&data, &[]).await;
    assert!(ok && told.to_string().contains("it can be used"), "beside a server that runs, too: {told}");
    // An address that others reach needs keys, and there is none.
    let (_, told) = check(&data, &["--listen", "0.0.0.0:8080"]).await;
    let (name, detail) = the_failed(&told);
    assert!(name == "API keys" && detail.contains("everwit keys create"), "{told}");
    server.terminate();
    assert!(server.ended().await);

    let key = data.join("master.key");
    std::fs::rename(&key, data.join("elsewhere")).expect("the key is moved");
    let (_, told) = check(&data, &[]).await;
    let (name, detail) = the_failed(&told);
    assert!(name == "master key" && detail.contains("EVERWIT_ENCRYPTION_KEY"), "{told}");
    assert!(!key.exists(), "a check makes no key");
    std::fs::rename(data.join("elsewhere"), &key).expect("the key is moved back");

    std::fs::write(data.join("everwit.db"), "not a database, but long enough to look like one\n".repeat(100)).expect("a file");
    for file in ["everwit.db-wal", "everwit.db-shm"] {
        let _ = std::fs::remove_file(data.join(file));
    }
    let (_, told) = check(&data, &[]).await;
    assert_eq!(the_failed(&told).0, "database", "{told}");

    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).expect("the directory is opened");
    let (ok, told) = check(&data, &[]).await;
    assert!(!ok && told.to_string().contains("chmod 700"), "{told}");

    let wrong = run(&data, &["serve", "--check", "--max-turns", "0"], &[]).await;
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(2) && said.contains("--max-turns"), "{said}");
}

#[tokio::test]
async fn a_check_reaches_the_database() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let database = new_database().await;
    let (ok, told) = check(&data, &["--database", &database]).await;
    assert!(ok && told.to_string().contains("brings it up to date"), "{told}");
    // Nobody answers on the discard port.
    let (_, told) = check(&data, &["--database", "postgres://u:hunter2hunter2@[::1]:9/d"]).await;
    let (name, detail) = the_failed(&told);
    assert!(name == "database" && detail.contains("not available") && !told.to_string().contains("hunter2"), "{told}");
}

#[tokio::test]
async fn the_configuration_is_shown_with_its_origins_and_without_its_secrets() {
    let home = tempfile::tempdir().expect("a directory");
    let key = format!("kek-1:{}=", "A".repeat(43));
    let environment = [
        ("EVERWIT_MAX_TURNS", "7"),
        ("EVERWIT_ENCRYPTION_KEY", key.as_str()),
        ("EVERWIT_DATABASE", "postgres://u:hunter2hunter2@db.test/d"),
    ];
    let args = ["config", "show", "--origins", "--listen", "127.0.0.1:9"];
    let shown = run(home.path(), &args, &environment).await;
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success(), "{shown:?}");
    let line = |option: &str| text.lines().find(|line| line.starts_with(option)).unwrap_or_else(|| panic!("no {option}: {text}"));
    let words = |option: &str| line(option).split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words("--listen"), ["127.0.0.1:9", "flag"]);
    assert_eq!(words("--max-turns"), ["7", "EVERWIT_MAX_TURNS"]);
    assert_eq!(words("--max-calls"), ["16", "default"]);
    assert_eq!(words("--public-url"), ["-", "not", "set"]);
    assert_eq!(words("--encryption-key "), ["(secret)", "EVERWIT_ENCRYPTION_KEY"]);
    assert_eq!(words("--database "), ["postgres://u@db.test:5432/d", "EVERWIT_DATABASE"]);
    assert!(!text.contains("hunter2") && !text.contains("AAAA"), "{text}");

    // Every option that the server has is there, in JSON as well.
    let shown = run(home.path(), &["config", "show", "--json"], &environment).await;
    let settings: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    let help = everwit().args(["serve", "--help"]).output().await.expect("the help is printed");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let variables: Vec<&str> = help.match_indices("[env: ").map(|(at, start)| &help[at + start.len()..]).collect();
    assert!(variables.len() > 20, "{help}");
    for variable in variables.into_iter().filter_map(|rest| rest.split(['=', ']']).next()) {
        let is_shown = settings.as_array().expect("a list").iter().any(|setting| setting["variable"] == variable);
        assert!(is_shown, "{variable} is missing: {settings}");
    }
    assert!(!settings.to_string().contains("hunter2"));
}

#[tokio::test]
async fn a_server_with_open_streams_ends_in_time() {
    let mut server = Server::start().await;
    let api = server.api();
    let session = api.session().await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = api.stream(&session, "").await;
        stream.until("connected").await;
        streams.push(stream);
    }
    server.terminate();
    assert!(tokio::time::timeout(END_LIMIT, server.ended()).await.expect("it ends in time"));
    for mut stream in streams {
        let farewell = stream.until("disconnecting").await.pop().expect("a frame");
        assert!(farewell.data["retry_ms"].as_u64().is_some(), "{farewell:?}");
        assert!(stream.next().await.is_none(), "nothing comes behind it");
    }
}

/// Each check of readiness has a name, and says what is wrong.
#[tokio::test]
async fn readiness_names_each_check() {
    let server = Server::start().await;
    let readiness = server.api().get("/readyz").await.expect(200);
    let names: Vec<&str> = readiness["checks"].as_array().expect("a list").iter().filter_map(|check| check["name"].as_str()).collect();
    assert_eq!(names, ["lifecycle", "store", "turns"]);
}
