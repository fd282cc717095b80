//! The command line: starting the server, and working on components without one.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::{Server, everwit, guest, mode};

async fn run(args: &[&str]) -> Output {
    everwit().args(args).stdout(Stdio::piped()).output().await.expect("the command runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("the command ended by itself")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("stdout is UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("stderr is UTF-8")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

#[tokio::test]
async fn the_data_directory_is_private_and_has_one_server() {
    let server = Server::start().await;
    let data = server.data_dir();
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("everwit.db")), 0o600);
    let second = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&data)]).await;
    assert_eq!(code(&second), 1);
    assert!(stderr(&second).contains("another server uses"), "{}", stderr(&second));
    server.api().get("/healthz").await.expect(200);
}

#[tokio::test]
async fn what_a_server_cannot_have_is_told_with_a_way_out() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("an address").to_string();
    let refused = run(&["serve", "--listen", &taken, "--data-dir", text(&home.path().join("data"))]).await;
    let told = stderr(&refused);
    assert!(told.contains(&format!("cannot listen on {taken}")) && told.contains("--listen; port 0 picks a free one"), "{told}");
    let nowhere = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", "/proc/everwit"]).await;
    let told = stderr(&nowhere);
    assert!(told.contains("the data directory /proc/everwit") && told.contains("to fix it: name another one with --data-dir"), "{told}");
    assert_eq!((code(&refused), code(&nowhere)), (1, 1));
}

#[tokio::test]
async fn roles_for_many_machines_say_which_program_has_the_engine() {
    for arguments in [&["serve", "--role", "control-plane"][..], &["worker"]] {
        let refused = run(arguments).await;
        let told = stderr(&refused);
        assert_eq!(code(&refused), 2, "{told}");
        assert!(told.contains("needs an engine for many machines") && told.contains("engines/temporal/Cargo.toml"), "{told}");
    }
}

#[tokio::test]
async fn a_wrong_file_is_named_with_what_to_do() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let (missing, prose, endless) = (home.path().join("missing.wasm"), home.path().join("prose.wasm"), Path::new("/dev/zero"));
    std::fs::write(&prose, "(module)").expect("it is written");
    for (args, exit, says) in [
        (vec!["inspect", text(&missing)], 1, "make one with everwit build"),
        (vec!["inspect", text(home.path())], 1, "is a directory\nto fix it: everwit build"),
        (vec!["inspect", text(&prose)], 1, "1 problem\n  not_wasm"),
        (vec!["inspect", text(endless)], 1, "larger than the 33554432 bytes"),
        (vec!["call", text(&missing), "go"], 1, "make one with everwit build"),
        (vec!["build", text(&missing)], 2, "cannot read"),
        (
            vec!["build", text(home.path())],
            2,
            "neither Cargo.toml nor package.json nor pyproject.toml nor everwit.toml nor go.mod\nto fix it: name the directory",
        ),
        (vec!["build", text(&prose)], 2, "is no directory"),
    ] {
        let refused = run(&args).await;
        assert!(stderr(&refused).contains(says), "{args:?}: {}", stderr(&refused));
        assert_eq!((code(&refused), stdout(&refused)), (exit, String::new()), "{args:?}");
    }
}

#[tokio::test]
async fn an_address_that_others_can_reach_needs_a_key() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let data = home.path().join("data");
    for address in ["0.0.0.0:0", "[::]:0"] {
        let refused = run(&["serve", "--listen", address, "--data-dir", text(&data)]).await;
        assert_eq!(code(&refused), 1);
        assert_eq!(stdout(&refused), "");
        let told = stderr(&refused);
        assert!(told.contains("everwit keys create --scope admin") && told.contains("--listen 127.0.0.1"), "{told}");
    }
    let created = run(&["keys", "create", "--scope", "admin", "--data-dir", text(&data)]).await;
    assert_eq!((code(&created), stdout(&created).trim().len()), (0, 46));
    let args = ["--listen", "0.0.0.0:0", "--data-dir", text(&data)].map(str::to_owned).to_vec();
    let mut command = everwit();
    let mut child = command.arg("serve").args(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stdout.take().expect("stdout is piped")));
    let first = lines.next_line().await.expect("it prints").expect("it does not end");
    assert!(first.starts_with("everwit "), "{first}");
    child.kill().await.expect("it is killed");
}

#[tokio::test]
async fn a_wrong_configuration_is_told_completely() {
    let output = run(&["serve", "--listen", "nowhere", "--max-turns", "0", "--allow-private-target", "x"]).await;
    assert_eq!(code(&output), 2);
    for flag in ["--listen", "--max-turns", "--allow-private-target"] {
        assert!(stderr(&output).contains(flag), "{}", stderr(&output));
    }
    let by_environment = everwit().arg("serve").env("EVERWIT_LISTEN", "nowhere").output().await.expect("it runs");
    assert_eq!(code(&by_environment), 2);
    let unknown = run(&["serve", "--nonsense"]).await;
    assert_eq!(code(&unknown), 2);
}

#[tokio::test]
async fn a_flag_wins_over_the_environment() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let (flag, environment) = (home.path().join("flag"), home.path().join("environment"));
    let mut command = everwit();
    command.args(["keys", "list", "--data-dir", text(&flag)]).env("EVERWIT_DATA_DIR", &environment);
    assert!(command.output().await.expect("it runs").status.success());
    assert_eq!((flag.exists(), environment.exists()), (true, false));
}

#[tokio::test]
async fn a_component_is_inspected_without_a_server() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = home.path().join("counter.wasm");
    std::fs::write(&file, guest("counter")).expect("it is written");
    let sheet = run(&["inspect", text(&file)]).await;
    assert_eq!(code(&sheet), 0);
    assert!(stdout(&sheet).contains("key-value bucket counter"), "{}", stdout(&sheet));
    let json = run(&["inspect", "--json", text(&file)]).await;
    let json: Value = serde_json::from_str(&stdout(&json)).expect("it prints JSON");
    assert_eq!((&json["accepted"], &json["id"]), (&Value::Bool(true), &Value::from("counter")));

    std::fs::write(&file, b"nonsense").expect("it is written");
    let rejected = run(&["inspect", "--json", text(&file)]).await;
    assert_eq!(code(&rejected), 1);
    let json: Value = serde_json::from_str(&stdout(&rejected)).expect("it prints JSON");
    assert!(json["errors"][0]["fix"].is_string(), "{json}");
    let told = run(&["inspect", text(&file)]).await;
    assert_eq!((code(&told), stdout(&told).as_str()), (1, ""));
    assert!(stderr(&told).contains("fix:"), "{}", stderr(&told));
}

#[tokio::test]
async fn a_tool_is_called_without_a_server() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = home.path().join("counter.wasm");
    std::fs::write(&file, guest("counter")).expect("it is written");
    let file = text(&file);
    let put = ["call", file, "put", r#"{"key":"a","value":"7"}"#];
    let allowed = run(&[&put[..], &["--allow-kv", "counter", "--json"]].concat()).await;
    let outcome: Value = serde_json::from_str(&stdout(&allowed)).expect("it prints JSON");
    assert_eq!((code(&allowed), outcome.get("error")), (0, None), "{outcome}");
    assert!(outcome["receipt"]["fuel"].is_u64(), "{outcome}");

    let denied = run(&put).await;
    assert_eq!((code(&denied), stdout(&denied).as_str()), (1, ""));
    assert!(stderr(&denied).contains("fuel"), "the receipt is told: {}", stderr(&denied));
    for wrong in [
        &["call", file, "none"][..],
        &["call", file, "put", "{}"],
        &["call", file, "put", "not json"],
        &["call", file, "get", r#"{"key":"a"}"#, "--allow-kv", "other"],
        &["call", file, "get", r#"{"key":"a"}"#, "--allow-http", "example.test"],
    ] {
        let output = run(wrong).await;
        assert_eq!(code(&output), 2, "{wrong:?}: {}", stderr(&output));
    }
    let absent = run(&["call", "/nonexistent.wasm", "x"]).await;
    assert_eq!(code(&absent), 1);
}

#[tokio::test]
async fn a_tool_is_given_files_without_a_server() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let (file, table) = (home.path().join("filer.wasm"), home.path().join("table.csv"));
    std::fs::write(&file, guest("filer")).expect("it is written");
    std::fs::write(&table, "a,b").expect("it is written");
    let (file, table) = (text(&file), text(&table));
    let sheet = run(&["inspect", file]).await;
    assert!(stdout(&sheet).contains("files of the session, reading and writing"), "{}", stdout(&sheet));
    let read = ["call", file, "read", r#"{"path":"/table.csv"}"#, "--file", table];
    let allowed = run(&[&read[..], &["--allow-files", "read"]].concat()).await;
    assert!(stdout(&allowed).contains("a,b"), "{} {}", stdout(&allowed), stderr(&allowed));
    let denied = run(&read).await;
    assert!(code(&denied) == 1 && stderr(&denied).contains(r#"{"files":"read"}"#), "{}", stderr(&denied));
    let write = ["call", file, "write", r#"{"path":"/table.csv","text":""}"#, "--allow-files", "read", "--file", table];
    assert!(stderr(&run(&write).await).contains(r#"{"files":"write"}"#));
    for wrong in [&[&read[..], &["--allow-files", "some"]].concat()[..], &[&read[..], &["--file", "/nonexistent"]].concat()] {
        assert_eq!(code(&run(wrong).await), 2, "{wrong:?}");
    }
}

#[tokio::test]
async fn a_tool_is_given_other_tools_without_a_server() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let (file, echo) = (home.path().join("caller.wasm"), home.path().join("echo.wasm"));
    std::fs::write(&file, guest("caller")).expect("it is written");
    std::fs::write(&echo, guest("echo")).expect("it is written");
    let (file, echo) = (text(&file), text(&echo));
    let look = ["call", file, "look", r#"{"name":"echo/echo","arguments":{"value":7}}"#, "--json"];
    let called = run(&[&look[..], &["--with", echo, "--allow-tool", "echo/echo"]].concat()).await;
    let outcome: Value = serde_json::from_str(&stdout(&called)).expect("it prints JSON");
    assert_eq!(outcome["result"]["structured"]["structured"]["value"], 7, "{outcome}");
    assert_eq!(outcome["receipt"]["calls"][0]["tool"], "echo/echo", "{outcome}");
    let denied = run(&[&look[..], &["--with", echo]].concat()).await;
    assert!(code(&denied) == 1 && stdout(&denied).contains("is not granted"), "{}", stdout(&denied));
    let wrong = run(&[&look[..], &["--allow-tool", "echo/fail"]].concat()).await;
    assert!(code(&wrong) == 2 && stderr(&wrong).contains("does not ask for it"), "{}", stderr(&wrong));
}

#[tokio::test]
async fn componentizing_writes_the_description_once() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let (first, second) = (home.path().join("first.wasm"), home.path().join("second.wasm"));
    std::fs::write(home.path().join("in.wasm"), guest("minimal")).expect("it is written");
    let input = home.path().join("in.wasm");
    let output = run(&["componentize", text(&input), "-o", text(&first)]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(stdout(&output).trim(), text(&first));
    assert_eq!(code(&run(&["componentize", text(&first), "-o", text(&second)]).await), 0);
    let (first, second) = (std::fs::read(first).expect("it is there"), std::fs::read(second).expect("it is there"));
    assert_eq!(first, second, "the description replaces the earlier one");
    let sections = wasmparser::Parser::new(0).parse_all(&first).filter_map(Result::ok);
    let described = sections
        .filter(|payload| matches!(payload, wasmparser::Payload::CustomSection(section) if section.name() == "everwit:description"));
    assert!(described.count() >= 1);
}

#[tokio::test]
async fn help_and_errors_go_where_they_belong() {
    let help = run(&["--help"]).await;
    assert_eq!((code(&help), stderr(&help).as_str()), (0, ""));
    assert!(stdout(&help).contains("Exit codes"));
    let nothing = run(&[]).await;
    assert_eq!((code(&nothing), stdout(&nothing).as_str()), (2, ""));
    let empty = tempfile::tempdir().expect("a temporary directory");
    assert_eq!(code(&run(&["build", text(empty.path())]).await), 2);
}

#[tokio::test]
async fn a_draining_server_is_not_ready_and_a_second_signal_ends_it_at_once() {
    let mut server = Server::scripted(json!({ "response": { "lorem": 100_000 }, "latency_per_token_ms": 50 })).await;
    let api = server.api();
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "go").await;
    stream.until("output.message.delta").await;
    server.terminate();
    stream.until("disconnecting").await;
    let readiness = api.get("/readyz").await;
    assert_eq!((readiness.status, &readiness.json()["checks"][0]["ok"]), (503, &Value::Bool(false)));
    server.terminate();
    assert!(!server.ended().await, "it says that it did not end in order");
}
