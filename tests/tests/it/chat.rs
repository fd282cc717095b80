//! `everwit chat` and `everwit sessions`: a conversation from the command line.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::support::proxy::Proxy;
use crate::support::terminal::at_a_terminal;
use crate::support::{Server, everwit, guest};

/// What a command printed, and its exit code.
struct Told {
    stdout: String,
    stderr: String,
    code: Option<i32>,
}

/// Runs a command that finds this on its standard input.
async fn run(mut command: Command, input: &str) -> Told {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the command runs");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(input.as_bytes()).await.expect("the command reads");
    drop(stdin);
    let output = child.wait_with_output().await.expect("the command ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Told { stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code() }
}

async fn ask(url: &str, args: &[&str], input: &str) -> Told {
    let mut command = everwit();
    command.args(args).args(["--server", url]);
    run(command, input).await
}

/// The session that a conversation names at its end.
fn named(told: &Told) -> &str {
    let (_, session) = told.stderr.rsplit_once("--session ").unwrap_or_else(|| panic!("no session in {}", told.stderr));
    session.split_whitespace().next().expect("an id")
}

#[tokio::test]
async fn an_answer_goes_to_stdout_and_what_tools_did_to_stderr() {
    let server = Server::start().await;
    let api = server.api();
    api.upload("?activate=true", guest("echo")).await.expect(201);
    api.post("/v1/agents", &json!({ "name": "parrot", "system_prompt": "x", "capabilities": [{ "ref": "echo" }] })).await.expect(201);
    let told = ask(server.url(), &["chat", "--agent", "parrot", "/call echo__echo {\"value\": 1}"], "").await;
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(told.stdout.starts_with("I made 1 tool call; all succeeded.") && told.stdout.ends_with('\n'), "{}", told.stdout);
    assert!(told.stderr.contains("echo__echo {\"value\":1}\n  success, ") && told.stderr.contains(" fuel, "), "{}", told.stderr);

    // The session goes on, and what is piped in is one message.
    let session = named(&told);
    let more = ask(server.url(), &["chat", "--session", session], "two\nlines\n").await;
    assert!(more.stdout.starts_with("You said: two\nlines\n"), "{}", more.stdout);
    let events = ask(server.url(), &["chat", "--session", session, "--json", "hello"], "").await.stdout;
    let types: Vec<Value> = events.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["type"].clone()).collect();
    assert_eq!((types.first(), types.last()), (Some(&json!("input.message")), Some(&json!("turn.completed"))), "{types:?}");

    let mut listed = ask(server.url(), &["sessions", "list"], "").await.stdout;
    assert!(listed.starts_with(&format!("{session}  idle ")) && listed.lines().count() == 1, "{listed}");
    let newer = named(&ask(server.url(), &["chat", "hi"], "").await).to_owned();
    listed = ask(server.url(), &["sessions", "list", "--limit", "1"], "").await.stdout;
    assert!(listed.starts_with(&newer), "the latest first: {listed}");
    listed = ask(server.url(), &["sessions", "list", "--agent", "parrot"], "").await.stdout;
    assert!(listed.starts_with(session) && listed.lines().count() == 1, "{listed}");
}

#[tokio::test]
async fn what_cannot_be_said_is_told_and_nothing_is_made_of_it() {
    let server = Server::start().await;
    for (args, input, words) in [
        (vec!["chat"], " \n", "there is nothing to say"),
        (vec!["chat", "--agent", "nobody", "hi"], "", "agent \"nobody\" does not exist"),
        (vec!["chat", "--session", "session_01920000000070008000000000000009", "hi"], "", "does not exist"),
    ] {
        let told = ask(server.url(), &args, input).await;
        assert!(told.code != Some(0) && told.stderr.contains(words) && told.stdout.is_empty(), "{args:?}: {}", told.stderr);
    }
    assert_eq!(server.api().get("/v1/sessions").await.expect(200)["total"], 0);
}

#[tokio::test]
async fn a_turn_that_fails_or_waits_for_somebody_is_no_success() {
    let failing = Server::scripted(json!({ "response": { "scripted": { "turns": [{ "error": "authentication" }] } } })).await;
    let told = ask(failing.url(), &["chat", "hi"], "").await;
    assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""), "{}", told.stderr);
    assert!(told.stderr.contains("the turn failed: "), "{}", told.stderr);

    let server = Server::start().await;
    let (api, asking) = (server.api(), json!({ "ref": "tool_approval", "config": { "mode": "off", "ask": ["add"] } }));
    let agent = json!({ "name": "adder", "system_prompt": "x", "capabilities": [{ "ref": "test_math" }, { "ref": "ask_user" }, asking] });
    api.post("/v1/agents", &agent).await.expect(201);
    let told = ask(server.url(), &["chat", "--agent", "adder", "/call add {\"a\": 2, \"b\": 40}"], "").await;
    assert_eq!(told.code, Some(1), "{}", told.stderr);
    assert!(told.stderr.contains("waits until add is allowed or refused"), "{}", told.stderr);

    // Somebody at a terminal decides it, says the next thing, and answers a question.
    let question = json!({ "header": "Colour", "question": "Which?", "options": [
        { "label": "Red", "description": "warm" }, { "label": "Blue", "description": "cold" }] });
    let session = named(&told);
    let call = format!("/call ask_user {}\n", json!({ "questions": [question] }));
    let dialogue = [("always/never] ", "y\n"), ("\n> ", &call), ("(nothing declines): ", "2\n"), ("\n> ", "\u{4}")];
    let output = at_a_terminal(&["chat", "--session", session, "--server", server.url()], &dialogue).await;
    let screen = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{screen}");
    assert!(screen.contains("add wants to be called with {\"a\":2,\"b\":40}") && screen.contains("2  Blue: cold"), "{screen}");
    let events = api.events(session).await;
    let results: Vec<&Value> = events.iter().filter(|event| event["type"] == "tool.completed").map(|event| &event["data"]).collect();
    assert_eq!((&results[0]["tool_name"], &results[0]["success"]), (&json!("add"), &json!(true)), "{results:#?}");
    assert!(results[1]["result"].to_string().contains("Blue"), "{results:#?}");
}

#[tokio::test]
async fn a_connection_that_is_lost_in_an_answer_loses_and_repeats_no_word() {
    let answer: String = (0..60).map(|number| format!("word{number} ")).collect();
    let server = Server::scripted(json!({ "response": { "fixed": answer.trim_end() }, "latency_per_token_ms": 20 })).await;
    let proxy = Proxy::before(server.url()).await;
    let mut command = everwit();
    command.args(["chat", "--server", proxy.url(), "hi"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command runs");
    let mut stdout = child.stdout.take().expect("stdout is piped");
    let mut shown = vec![0; "word0 word1".len()];
    stdout.read_exact(&mut shown).await.expect("the answer begins");
    proxy.cut();
    proxy.refused(1).await;
    proxy.mend();
    stdout.read_to_end(&mut shown).await.expect("the answer goes on");
    assert_eq!(String::from_utf8_lossy(&shown), format!("{}\n", answer.trim_end()));
    let told = child.wait_with_output().await.expect("it ends");
    assert!(told.status.success() && String::from_utf8_lossy(&told.stderr).contains("trying again"));
}

#[tokio::test]
async fn an_interrupted_conversation_ends_the_turn() {
    let server = Server::scripted(json!({ "response": "echo", "response_delay_ms": 600_000 })).await;
    let api = server.api();
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    let mut command = everwit();
    command.args(["chat", "--session", &session, "--server", server.url(), "hi"]).stderr(Stdio::piped());
    let child = command.spawn().expect("the command runs");
    stream.until("reason.started").await;
    let id = child.id().expect("it runs").to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().is_ok_and(|status| status.success()));
    stream.until("turn.cancelled").await;
    let told = child.wait_with_output().await.expect("it ends");
    assert_eq!(told.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&told.stderr).contains("the turn was cancelled"));
}

#[tokio::test]
async fn whoever_watches_a_session_sees_every_event_in_a_line() {
    let server = Server::start().await;
    let api = server.api();
    let session = api.session().await;
    assert_eq!(ask(server.url(), &["chat", "--session", &session, "hello"], "").await.code, Some(0));
    let mut command = everwit();
    command.args(["sessions", "watch", &session, "--stored", "--json", "--server", server.url()]).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the command runs");
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stdout.take().expect("stdout is piped")));
    for event in api.events(&session).await {
        let line = lines.next_line().await.expect("a line").expect("it goes on");
        assert_eq!(serde_json::from_str::<Value>(&line).expect("JSON"), event);
    }
    child.kill().await.expect("it runs until it is ended");
    let nothing = ask(server.url(), &["sessions", "cancel", &session], "").await;
    assert_eq!((nothing.code, nothing.stdout.as_str()), (Some(0), "no_op\n"), "{}", nothing.stderr);
}

#[tokio::test]
async fn a_conversation_says_that_it_is_paused_and_how_it_goes_on() {
    let server = Server::start().await;
    let made = json!({ "subject_type": "org", "currency": "tokens", "limit": 100_000, "soft_limit": 1 });
    let budget = server.api().post("/v1/budgets", &made).await.expect(201);
    let first = ask(server.url(), &["chat", "hello"], "").await;
    let session = named(&first);
    let paused = ask(server.url(), &["chat", "--session", session, "and now?"], "").await;
    assert_eq!((paused.code, paused.stdout.as_str()), (Some(1), ""));
    let resume = format!("everwit sessions resume {session}");
    assert!(paused.stderr.contains(&resume) && paused.stderr.contains(budget["id"].as_str().expect("an id")), "{}", paused.stderr);
    assert_eq!(ask(server.url(), &["sessions", "resume", session], "").await.stdout, "active\n");
    assert!(ask(server.url(), &["sessions", "resume", session], "").await.stderr.contains("is not paused"));
}
