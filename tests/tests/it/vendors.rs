//! The stub vendors against the vendors' own published clients: what the stubs say, the clients
//! understand, and what the clients send, the stubs accept.

use std::path::PathBuf;
use std::process::Stdio;

use everwit_tests::vendor::{Answer, Chunks, Counts, End, Failure, Reply, StubVendor, Wire};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::guests::{root, target};

/// Where `cargo xtask vendor-clients` puts the clients.
fn site() -> PathBuf {
    let site = target().join("vendor-clients/site");
    assert!(site.join("openai").is_dir(), "the vendors' clients are not installed; run `cargo xtask vendor-clients`");
    site
}

/// A program of `tests/vendor-clients`, with the clients and without anything of the environment.
fn python(program: &str) -> Command {
    let mut python = Command::new("python3");
    python.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("PYTHONPATH", site());
    // Nothing but this machine's own addresses, whatever a client thinks of trying.
    python.env("AWS_EC2_METADATA_DISABLED", "true");
    python.arg(root().join("tests/vendor-clients").join(program)).kill_on_drop(true);
    python
}

/// What is wrong with the body of a request by the types that the vendor publishes; empty if
/// nothing is.
pub(crate) async fn problems_of(wire: Wire, body: &Value) -> String {
    let mut python = python("judge.py");
    python.arg(wire.driver_id()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = python.spawn().expect("python3 runs");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(body.to_string().as_bytes()).await.expect("it reads");
    drop(input);
    let output = child.wait_with_output().await.expect("it ends");
    assert!(output.status.success(), "{wire:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text")
}

/// Runs so many turns with a vendor's client, and returns what it made of each reply.
async fn turns(vendor: &StubVendor, count: usize) -> Vec<Value> {
    let wire = vendor.wire();
    run("turn.py", &[wire.driver_id(), &vendor.base_url(), wire.key(), wire.model(), &count.to_string()]).await
}

/// What a program of `tests/vendor-clients` prints.
async fn run(program: &str, args: &[&str]) -> Vec<Value> {
    let output = python(program).args(args).stdin(Stdio::null()).output().await.expect("python3 runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("it prints JSON");
    lines.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

fn asking() -> Answer {
    let calls = [("call_A1", "weather", json!({ "city": "Oslo" })), ("call_B2", "population", json!({ "city": "Bergen ☂" }))];
    let counts = Counts { input: 120, output: 40, cache_read: 300, cache_write: 17, reasoning: 9 };
    Answer::new().then_thinking(&["Two places, ", "zwei Fragen."]).then_calls(&calls).counting(counts)
}

/// What a client must make of [`asking`] and of the answer to its results.
fn expected(wire: Wire, stops: [&str; 2]) -> [Value; 2] {
    let thinking = if wire.shows_thinking() { "Two places, zwei Fragen." } else { "" };
    let calls = json!([{ "id": "call_A1", "name": "weather", "arguments": { "city": "Oslo" } },
        { "id": "call_B2", "name": "population", "arguments": { "city": "Bergen ☂" } }]);
    let (first, second) = match wire {
        // Two vendors count the buckets apart, the others everything together.
        Wire::Anthropic | Wire::Bedrock => (
            json!({ "input": 120, "output": 40, "cache_read": 300, "cache_write": 17 }),
            json!({ "input": 11, "output": 7, "cache_read": 0, "cache_write": 0 }),
        ),
        // This one does not tell what it wrote.
        Wire::Gemini => (
            json!({ "input": 420, "output": 40, "cache_read": 300, "reasoning": 9 }),
            json!({ "input": 11, "output": 7, "cache_read": 0, "reasoning": 0 }),
        ),
        _ => (
            json!({ "input": 437, "output": 40, "cache_read": 300, "cache_write": 17, "reasoning": 9 }),
            json!({ "input": 11, "output": 7, "cache_read": 0, "cache_write": 0, "reasoning": 0 }),
        ),
    };
    [
        json!({ "text": "", "thinking": thinking, "calls": calls, "usage": first, "stop": stops[0] }),
        json!({ "text": "Wet, as ever. 🌧", "thinking": "", "calls": [], "usage": second, "stop": stops[1] }),
    ]
}

async fn check(wire: Wire, stops: [&str; 2], limited: &str) {
    let vendor = StubVendor::start(wire).await;
    let closing = Answer::text(&["Wet, ", "as ever. 🌧"]);
    vendor.play(Reply::answer(asking())).play(Reply::answer(closing.clone()));
    // The same, cut into single bytes.
    vendor.play(Reply::answer(asking()).chunks(Chunks::Bytes(1))).play(Reply::answer(closing.clone()).chunks(Chunks::One));
    vendor.play(Reply::failure(Failure::RateLimited(Some(7))));
    vendor.play(Reply::failing(closing.clone(), 3, Failure::Overloaded));
    vendor.play(Reply::answer(closing).cut(2, End::Broken));
    let replies = turns(&vendor, 5).await;
    let expected = expected(wire, stops);
    assert_eq!(replies[..2], expected, "{wire:?}");
    assert_eq!(replies[2..4], expected, "{wire:?} in single bytes");
    let errors: Vec<_> = replies[4..].iter().map(|reply| reply["error"].as_str().unwrap_or("no error")).collect();
    assert_eq!(errors[0], limited, "{wire:?}: {replies:#?}");
    assert_eq!(replies[4]["status"], 429, "{wire:?}: {replies:#?}");
    assert_eq!(errors.len(), 3, "{wire:?}: a failure inside a stream and a cut are errors too: {replies:#?}");
    assert!(!errors.contains(&"no error"), "{wire:?}: {replies:#?}");
    assert_eq!(vendor.unplayed(), 0);
}

#[tokio::test]
async fn openai_understands_its_stub() {
    check(Wire::OpenAi, ["completed", "completed"], "RateLimitError").await;
}

#[tokio::test]
async fn openai_completions_understands_its_stub() {
    check(Wire::OpenAiCompletions, ["tool_calls", "stop"], "RateLimitError").await;
}

#[tokio::test]
async fn openrouter_understands_its_stub() {
    check(Wire::OpenRouter, ["tool_calls", "stop"], "RateLimitError").await;
}

#[tokio::test]
async fn azure_openai_understands_its_stub() {
    check(Wire::AzureOpenAi, ["tool_calls", "stop"], "RateLimitError").await;
}

#[tokio::test]
async fn anthropic_understands_its_stub() {
    check(Wire::Anthropic, ["tool_use", "end_turn"], "RateLimitError").await;
}

#[tokio::test]
async fn gemini_understands_its_stub() {
    check(Wire::Gemini, ["STOP", "STOP"], "ClientError").await;
}

#[tokio::test]
async fn bedrock_understands_its_stub() {
    check(Wire::Bedrock, ["tool_use", "end_turn"], "ThrottlingException").await;
}

/// The lists that the drivers read are lists as the vendors' clients know them; see `native_drivers::models`.
#[tokio::test]
async fn clients_understand_the_lists_of_models() {
    let model =
        |name: &str, title: Value, input: Value, output: Value| json!({ "name": name, "title": title, "input": input, "output": output });
    for wire in Wire::ALL {
        let vendor = StubVendor::start(wire).await;
        let named = |name: &str| model(name, Value::Null, Value::Null, Value::Null);
        let (expected, unauthorized) = match wire {
            Wire::OpenAi | Wire::OpenAiCompletions | Wire::OpenRouter => (vec![named(wire.model())], "AuthenticationError"),
            Wire::Anthropic => (vec![model(wire.model(), json!("Stub"), json!(200_000), json!(64_000))], "AuthenticationError"),
            Wire::Gemini => {
                let chats = model(&format!("models/{}", wire.model()), json!("Stub"), json!(1_048_576), json!(65_536));
                (vec![chats, model("models/embedding", json!("Embedding"), Value::Null, Value::Null)], "ClientError")
            }
            Wire::AzureOpenAi | Wire::Bedrock => continue,
        };
        assert_eq!(run("models.py", &[wire.driver_id(), &vendor.base_url(), wire.key()]).await, expected, "{wire:?}");
        let refused = run("models.py", &[wire.driver_id(), &vendor.base_url(), "another-key"]).await;
        assert_eq!(refused[0]["error"], unauthorized, "{wire:?}: {refused:?}");
    }
}

/// A stub that accepts everything would prove nothing.
#[tokio::test]
async fn stubs_refuse_what_vendors_refuse() {
    for wire in Wire::ALL {
        let vendor = StubVendor::start(wire).await;
        vendor.play(Reply::answer(Answer::text(&["never"])));
        let response = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = response.post(format!("{}/nonsense", vendor.base_url())).json(&json!({})).send().await.unwrap();
        assert!(response.status().is_client_error(), "{wire:?}");
        assert_eq!(vendor.unplayed(), 1, "{wire:?}");
    }
}
