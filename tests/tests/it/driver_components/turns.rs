//! Turns on driver components: in this process and on a server, against a scripted vendor that speaks
//! Ollama's protocol.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use everwit_runtime::component::{Digest, Grant};
use everwit_runtime::driver::ProviderMetadata;
use everwit_runtime::limits::Budget;
use everwit_runtime::{DriverId, InProcessRuntimeBuilder, ResolvedModel};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::patched;
use crate::egress::support::{Pipe, public, read_request};
use crate::support::guests::{compiler, guest};
use crate::support::{Api, Server, ServerOptions};

fn line(message: &Value, done: bool) -> String {
    format!("{}\n", json!({ "model": "m", "message": message, "done": done, "done_reason": done.then_some("stop"), "eval_count": 3 }))
}

/// An answer of Ollama with this text.
fn text(text: &str) -> String {
    line(&json!({ "role": "assistant", "content": text }), false) + &line(&json!({ "role": "assistant", "content": "" }), true)
}

/// An answer that calls a tool.
fn call(tool: &str) -> String {
    let calls = json!([{ "function": { "name": tool, "arguments": {} } }]);
    line(&json!({ "role": "assistant", "content": "", "tool_calls": calls }), false) + &line(&json!({}), true)
}

fn response(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn model(driver: &str, base_url: &str) -> ResolvedModel {
    ResolvedModel {
        model: "m".to_owned(),
        provider_type: DriverId::External(driver.to_owned()),
        api_key: Some("sk-of-the-test".into()),
        base_url: Some(base_url.to_owned()),
        provider_metadata: None,
    }
}

#[tokio::test]
async fn an_embedder_ships_a_driver_as_a_file() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), guest("ollama-driver")).expect("it is written");
    let runtime = InProcessRuntimeBuilder::new()
        .component_compiler(compiler())
        .component_file(file.path(), Grant::default(), Budget::COMPLETION)
        .egress(Arc::new(public(Pipe::answering(response(&text("Grüße."))))))
        .default_model(model("ollama", "http://ollama.example"))
        .single_session(|single| single.harness("helper", "You help."))
        .build()
        .await
        .expect("it is built");
    let session = runtime.default_session_id().expect("a session");
    let answer = runtime.run_text_turn(session, "Hi").await.expect("the turn runs");
    assert_eq!((answer.response.as_str(), answer.error), ("Grüße.", None));
    let events = serde_json::to_value(runtime.events()).expect("JSON");
    let of =
        |kind: &str| events.as_array().expect("events").iter().find(|event| event["type"] == kind).expect("it is there")["data"].clone();
    assert_eq!(of("turn.started").get("driver"), None, "what a platform ships has no versions");
    let generation = of("llm.generation");
    assert_eq!((&generation["receipt"]["component"], &generation["provider"]), (&json!("ollama"), &json!("ollama")), "{generation}");
    assert!(generation["receipt"]["fuel"].as_u64().is_some_and(|fuel| fuel > 0), "{generation}");
    assert_eq!(generation["receipt"]["digest"], json!(Digest::of(&guest("ollama-driver"))));
}

/// What each of its tries used is paid for, so that all of it is in the log.
#[tokio::test]
async fn the_receipt_of_a_model_call_has_all_of_its_tries() {
    let refused = "HTTP/1.1 503 Busy\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    let mut receipts = Vec::new();
    for answers in [vec![response(&text("Hi."))], vec![refused.to_owned(), response(&text("Hi."))]] {
        let (pipe, asked) = gateway_answering(answers.clone());
        let runtime = InProcessRuntimeBuilder::new()
            .component_compiler(compiler())
            .component_bytes(guest("ollama-driver"), Grant::default(), Budget::COMPLETION)
            .egress(Arc::new(public(pipe)))
            .default_model(model("ollama", "http://ollama.example"))
            .single_session(|single| single.harness("helper", "You help."))
            .build()
            .await
            .expect("it is built");
        let session = runtime.default_session_id().expect("a session");
        // The wait before another try passes at once.
        tokio::time::pause();
        let answer = runtime.run_text_turn(session, "Hi").await.expect("the turn runs");
        tokio::time::resume();
        assert_eq!((answer.response.as_str(), asked.lock().expect("nothing panics while it holds the lock").len()), ("Hi.", answers.len()));
        let events = serde_json::to_value(runtime.events()).expect("JSON");
        let generation = events.as_array().expect("events").iter().find(|event| event["type"] == "llm.generation").expect("it is there");
        receipts.push(generation["data"]["receipt"].clone());
    }
    let of = |receipt: &Value, name: &str| receipt[name].as_u64().expect("a count");
    assert_eq!([of(&receipts[0], "fuel_limit"), of(&receipts[1], "fuel_limit")], [1, 2].map(|tries| tries * Budget::COMPLETION.fuel));
    assert!(of(&receipts[1], "fuel") > of(&receipts[0], "fuel"), "{receipts:?}");
}

/// A gateway in this process: it gives these answers in order, and keeps what it was asked.
fn gateway_answering(answers: Vec<String>) -> (Arc<Pipe>, Arc<Mutex<Vec<String>>>) {
    let (answers, asked) = (Arc::new(Mutex::new(VecDeque::from(answers))), Arc::new(Mutex::new(Vec::new())));
    let kept = asked.clone();
    let pipe = Pipe::new(move |mut stream| {
        let (answers, asked) = (answers.clone(), kept.clone());
        async move {
            let request = read_request(&mut stream).await;
            let answer = {
                asked.lock().expect("nothing panics while it holds the lock").push(request);
                answers.lock().expect("nothing panics while it holds the lock").pop_front().expect("an answer is left")
            };
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (pipe, asked)
}

/// The model of the page that everything here is modelled after: no API key, but what a sign-in left.
#[tokio::test]
async fn a_stored_sign_in_is_exchanged_for_a_token_that_the_completions_use() {
    let answer = |media_type: &str, body: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    };
    let said = |text: &str| {
        let delta = json!({ "type": "response.output_text.delta", "output_index": 0, "delta": text });
        let end = json!({ "type": "response.completed", "response": { "id": "resp_1", "status": "completed" } });
        answer("text/event-stream", &format!("data: {delta}\n\ndata: {end}\n\n"))
    };
    let tokens = json!({ "access_token": "access-of-the-test", "expires_in": 3600, "token_type": "Bearer" });
    let (pipe, asked) = gateway_answering(vec![answer("application/json", &tokens.to_string()), said("Hello."), said("Again.")]);
    let oauth = ProviderMetadata {
        refresh_token: Some("refresh-of-the-test".into()),
        account_id: Some("account-of-the-test".to_owned()),
        extra: None,
    };
    let model = ResolvedModel {
        model: "gpt-5-codex".to_owned(),
        provider_type: DriverId::External("openai-codex".to_owned()),
        api_key: None,
        base_url: Some("http://gateway.example/codex".to_owned()),
        provider_metadata: Some(oauth),
    };
    let runtime = InProcessRuntimeBuilder::new()
        .component_compiler(compiler())
        .component_bytes(guest("codex-gateway-driver"), Grant::default(), Budget::COMPLETION)
        .egress(Arc::new(public(pipe)))
        .default_model(model)
        .single_session(|single| single.harness("helper", "You help."))
        .build()
        .await
        .expect("it is built");
    let session = runtime.default_session_id().expect("a session");
    for expected in ["Hello.", "Again."] {
        let answer = runtime.run_text_turn(session, "Hi").await.expect("the turn runs");
        assert_eq!((answer.response.as_str(), answer.error), (expected, None));
    }
    let asked = asked.lock().expect("nothing panics while it holds the lock").clone();
    let [exchange, first, second] = &asked[..] else { panic!("one exchange and two completions: {asked:#?}") };
    assert!(
        exchange.starts_with("POST /codex/oauth/token ") && exchange.contains("\"refresh_token\":\"refresh-of-the-test\""),
        "{exchange}"
    );
    for completion in [first, second] {
        assert!(completion.starts_with("POST /codex/responses "), "{completion}");
        assert!(completion.contains("authorization: Bearer access-of-the-test"), "{completion}");
        assert!(completion.contains("chatgpt-account-id: account-of-the-test"), "{completion}");
        assert!(!completion.contains("refresh-of-the-test"), "{completion}");
    }
    let events = serde_json::to_string(&runtime.events()).expect("JSON");
    assert!(!events.contains("-of-the-test"), "{events}");
}

/// A vendor on the loopback. The first answer waits until it is let go.
struct Vendor {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    asked: Arc<Notify>,
    go: Arc<Notify>,
}

impl Vendor {
    async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (requests, asked, go) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let vendor = Self { port, requests: requests.clone(), asked: asked.clone(), go: go.clone() };
        tokio::spawn(async move {
            let mut answers = VecDeque::from(answers);
            while let Some(answer) = answers.pop_front() {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let request = read_request(&mut stream).await;
                let first = {
                    let mut requests = requests.lock().expect("nothing panics while it holds the lock");
                    requests.push(request);
                    requests.len() == 1
                };
                if first {
                    asked.notify_one();
                    go.notified().await;
                }
                stream.write_all(response(&answer).as_bytes()).await.expect("the answer is taken");
                let _ = stream.shutdown().await;
            }
        });
        vendor
    }
}

async fn server_with_access_to(port: u16) -> Server {
    let args = vec!["--allow-private-target".to_owned(), format!("127.0.0.1:{port}")];
    Server::start_with(ServerOptions { args, ..ServerOptions::default() }).await
}

async fn model_at(api: &Api, driver: &str, port: u16) -> String {
    let provider =
        json!({ "name": "Mine", "provider_type": driver, "base_url": format!("http://127.0.0.1:{port}"), "api_key": "sk-of-the-test" });
    let provider = api.post("/v1/providers", &provider).await.expect(201);
    assert_eq!(provider["driver_registered"], true, "{provider}");
    let provider = provider["id"].as_str().expect("an id");
    let model = api.post(&format!("/v1/providers/{provider}/models"), &json!({ "model_id": "m" })).await.expect(201);
    model["id"].as_str().expect("an id").to_owned()
}

fn generations(events: &[Value]) -> Vec<&Value> {
    events.iter().filter(|event| event["type"] == "llm.generation").map(|event| &event["data"]).collect()
}

/// A turn of two model calls; a new version is activated between them.
#[tokio::test]
async fn a_turn_runs_to_its_end_on_the_version_it_began_with() {
    let vendor = Vendor::start(vec![call("current_time"), text("It is late."), text("Again.")]).await;
    let server = server_with_access_to(vendor.port).await;
    let api = server.api();
    let uploaded = api.upload("", guest("ollama-driver")).await.expect(201);
    assert_eq!((&uploaded["active"], &uploaded["component"]["kind"]), (&json!(true), &json!("driver")), "{uploaded}");
    assert_eq!(uploaded["inspection"]["exchanges"].as_array().map(Vec::len), Some(5), "{uploaded}");
    assert!(api.component_capabilities().await.is_empty(), "a driver is no capability");
    let model = model_at(&api, "ollama", vendor.port).await;
    let session = api.session_with(&json!({ "model_id": model, "capabilities": [{ "ref": "current_time" }] })).await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "What time is it?").await;
    vendor.asked.notified().await;
    // Another version by the name of a recorded exchange, which nobody reads: there is nothing to decide.
    let second = patched(guest("ollama-driver"), "thinking, then text, in lines", "thinking, then text, by lines");
    let second = api.upload("", second).await.expect(201);
    assert_eq!((&second["active"], &second["version"]["version"]), (&json!(true), &json!(2)), "{second}");
    vendor.go.notify_one();
    stream.until("session.idled").await;
    api.say(&session, "And now?").await;
    stream.until("session.idled").await;

    let events = api.events(&session).await;
    let versions: Vec<&Value> = generations(&events).iter().map(|generation| &generation["receipt"]["version"]).collect();
    assert_eq!(versions, [&json!(1), &json!(1), &json!(2)], "{events:#?}");
    let started: Vec<&Value> =
        events.iter().filter(|event| event["type"] == "turn.started").map(|event| &event["data"]["driver"]).collect();
    assert_eq!((&started[0]["version"], &started[1]["version"]), (&json!(1), &json!(2)));
    let requests = vendor.requests.lock().expect("nothing panics while it holds the lock");
    assert!(requests.iter().all(|request| request.contains("authorization: Bearer sk-of-the-test")), "{requests:?}");
    let requests = requests.join("");
    assert!(requests.contains("\"tool_name\":\"current_time\"") && requests.contains("What time is it?"), "{requests}");
    assert!(!serde_json::to_string(&events).expect("JSON").contains("sk-of-the-test"));
}

#[tokio::test]
async fn ids_of_built_in_drivers_and_of_the_other_kind_are_refused() {
    let server = Server::start().await;
    let api = server.api();
    let claimed = api.upload("", patched(guest("ollama-driver"), "ollama", "gemini")).await;
    assert_eq!(claimed.status, 409, "{}", claimed.text());
    assert!(claimed.text().contains("built-in driver"), "{}", claimed.text());
    api.upload("", guest("ollama-driver")).await.expect(201);
    let versions = api.get("/v1/components/ollama/versions").await.expect(200);
    assert_eq!(versions["data"][0]["limits"]["fuel"], json!(Budget::COMPLETION.fuel), "{versions}");
    let provider = json!({ "name": "Mine", "provider_type": "ollama" });
    api.post("/v1/providers", &provider).await.expect(201);
    let refused = api.delete("/v1/components/ollama").await;
    assert!(refused.status == 409 && refused.text().contains("provider Mine"), "{}", refused.text());
    api.post("/v1/components/ollama/call", &json!({ "tool": "x" })).await.expect(409);
}
