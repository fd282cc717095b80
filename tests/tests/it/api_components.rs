//! Components over HTTP: upload, refusal, activation, calls, and agents that use them.

mod archive;
mod channels;
mod files;
mod tools;
mod versions;

use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::compile::inputs::working;
use crate::support::{Api, Server, guest, send};

const WASM: &str = "application/wasm";

async fn upload(api: &Api, name: &str) -> Value {
    api.upload("", guest(name)).await.expect(201)
}

/// Activates a version with all that it asks for.
async fn activate(api: &Api, upload: &Value) -> Value {
    let path = upload["activate"]["path"].as_str().expect("the answer has the call");
    api.post(path, &upload["activate"]["body"]).await.expect(200)
}

#[tokio::test]
async fn a_component_that_asks_for_nothing_is_active_at_once_and_agents_use_it() {
    let server = Server::start().await;
    let api = server.api();
    let uploaded = upload(&api, "echo").await;
    assert_eq!((&uploaded["active"], &uploaded["created"]), (&json!(true), &json!(true)), "{uploaded}");
    assert_eq!(uploaded.get("activate"), None);
    let capability = api.component_capabilities().await.remove(0);
    assert_eq!((&capability["id"], &capability["kind"]), (&json!("echo"), &json!("component")));
    let tool = capability["tools"][0]["name"].as_str().expect("it has a tool");

    let session = api.session_with(&json!({ "capabilities": [{ "ref": "echo" }] })).await;
    let mut stream = api.stream(&session, "").await;
    let arguments = example(&capability["tools"][0]["input_schema"]);
    api.say(&session, &format!("/call echo__{tool} {arguments}")).await;
    let frames = stream.until("session.idled").await;
    let completed = frames.iter().find(|frame| frame.event == "tool.completed").expect("the tool was called");
    let data = &completed.data["data"];
    assert_eq!(
        (&data["success"], &data["receipt"]["component"], &data["receipt"]["version"]),
        (&json!(true), &json!("echo"), &json!(1)),
        "{data}"
    );
    assert!(data["receipt"]["fuel"].as_u64().is_some_and(|fuel| fuel > 0));
}

/// Arguments that a schema of the test guests accepts.
fn example(schema: &Value) -> Value {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let value = |name: &Value| {
        let name = name.as_str().expect("names are text").to_owned();
        let kind = schema["properties"][&name]["type"].as_str().unwrap_or("string");
        let value = match kind {
            "integer" | "number" => json!(1),
            "boolean" => json!(true),
            "object" => json!({}),
            "array" => json!([]),
            _ => json!("x"),
        };
        (name, value)
    };
    Value::Object(required.iter().map(value).collect())
}

#[tokio::test]
async fn the_same_bytes_are_the_same_version() {
    let server = Server::start().await;
    let api = server.api();
    let first = upload(&api, "minimal").await;
    let second = api.upload("", guest("minimal")).await.expect(200);
    assert_eq!((&second["created"], &second["active"]), (&json!(false), &json!(true)));
    assert_eq!(first["version"], second["version"]);
    let component = first["component"]["id"].as_str().expect("an id");
    assert_eq!(api.get(&format!("/v1/components/{component}/versions")).await.expect(200)["total"], 1);
    let wasm = api.get(&format!("/v1/components/{component}/versions/1/wasm")).await;
    assert_eq!((wasm.status, wasm.header("content-type")), (200, WASM));
    assert_eq!(wasm.bytes, guest("minimal"));
}

#[tokio::test]
async fn a_component_that_asks_for_something_waits_for_a_grant() {
    let server = Server::start().await;
    let api = server.api();
    let uploaded = upload(&api, "counter").await;
    assert_eq!(uploaded["active"], false);
    assert!(!uploaded["needs_review"].as_array().expect("a list").is_empty());
    assert!(api.component_capabilities().await.is_empty(), "nobody can use it yet");
    let unknown = api.post("/v1/sessions", &json!({ "capabilities": [{ "ref": "counter" }] })).await;
    assert_eq!(unknown.status, 422);
    let call = json!({ "tool": "get", "arguments": { "key": "a" } });
    assert_eq!(api.post("/v1/components/counter/call", &call).await.status, 409);

    let active = activate(&api, &uploaded).await;
    assert_eq!((&active["active"], &active["grant"]["kv"]), (&json!(true), &json!(["counter"])));
    let put = json!({ "tool": "put", "arguments": { "key": "a", "value": "1" } });
    let put = api.post("/v1/components/counter/call", &put).await.expect(200);
    assert_eq!(put.get("error"), None, "{put}");
    assert!(put["receipt"]["host_calls"].as_u64().is_some_and(|calls| calls > 0));
    let got = api.post("/v1/components/counter/call", &call).await.expect(200);
    assert!(got["result"].to_string().contains('1'), "{got}");
}

#[tokio::test]
async fn without_a_grant_the_denial_says_what_to_grant() {
    let server = Server::start().await;
    let api = server.api();
    let uploaded = upload(&api, "counter").await;
    let path = uploaded["activate"]["path"].as_str().expect("the answer has the call");
    api.post(path, &json!({})).await.expect(200);
    let call = json!({ "tool": "get", "arguments": { "key": "a" } });
    let denied = api.post("/v1/components/counter/call", &call).await.expect(200);
    assert_eq!(denied["error"]["stopped"], false, "{denied}");
    assert!(denied["error"]["message"].as_str().is_some_and(|message| message.contains("counter")), "{denied}");
}

#[tokio::test]
async fn a_grant_beyond_what_is_asked_and_limits_beyond_the_ceiling_are_refused() {
    let server = Server::start().await;
    let api = server.api();
    let uploaded = upload(&api, "counter").await;
    let path = uploaded["activate"]["path"].as_str().expect("the answer has the call");
    let body = json!({
        "grant": { "kv": ["counter", "other"], "http": [{ "host": "example.test" }], "files": "write" },
        "limits": { "fuel": 0, "wall_ms": 10_000_000 },
    });
    let refused = api.post(path, &body).await.expect(422);
    let errors = refused["errors"].as_array().expect("a list");
    let pointers: Vec<&str> = errors.iter().filter_map(|error| error["pointer"].as_str()).collect();
    assert_eq!(pointers, ["/grant/http/0", "/grant/files", "/grant/kv/1", "/limits/fuel", "/limits/wall_ms"]);
    assert_eq!(api.get("/v1/components/counter").await.expect(200)["active_version"], Value::Null);
}

#[tokio::test]
async fn a_limit_that_ends_a_call_is_named_and_the_server_goes_on() {
    let server = Server::start().await;
    let api = server.api();
    let uploaded = upload(&api, "spin").await;
    let (component, tool) = (&uploaded["component"]["name"], &uploaded["inspection"]["description"]["tools"][0]);
    let path = format!("/v1/components/{}/versions/1/activate", component.as_str().expect("a name"));
    api.post(&path, &json!({ "limits": { "fuel": 10_000_000 } })).await.expect(200);
    let call = json!({ "tool": tool["name"], "arguments": example(&tool["input_schema"]) });
    let path = format!("/v1/components/{}/call", component.as_str().expect("a name"));
    let stopped = api.post(&path, &call).await.expect(200);
    assert_eq!((&stopped["error"]["stopped"], &stopped["error"]["kind"]), (&json!(true), &json!("fuel")), "{stopped}");
    assert_eq!(stopped["receipt"]["fuel"], 10_000_000);
    api.get("/healthz").await.expect(200);
}

#[tokio::test]
async fn a_rejected_upload_stores_nothing_and_tells_everything() {
    let server = Server::start().await;
    let api = server.api();
    for (wasm, code) in [
        (b"not wasm at all".to_vec(), None),
        (b"\0asm\x01\0\0\0".to_vec(), None),
        (guest("minimal")[..1000].to_vec(), None),
        (guest("startup"), Some("describe_failed")),
        (working(7), Some("export_incomplete")),
    ] {
        let refused = api.upload("", wasm).await.expect(422);
        assert_eq!(refused["code"], "component_rejected", "{refused}");
        let errors = refused["errors"].as_array().expect("a list");
        assert!(!errors.is_empty() && errors.iter().all(|error| error["fix"].is_string()), "{refused}");
        assert!(code.is_none_or(|code| errors.iter().any(|error| error["code"] == code)), "{refused}");
    }
    assert_eq!(api.get("/v1/components").await.expect(200)["total"], 0);
    upload(&api, "minimal").await;
}

/// Name and outcome of each check.
fn checks(report: &Value) -> Vec<(&str, &str)> {
    let checks = report["checks"].as_array().expect("a report has checks");
    checks.iter().map(|result| (result["check"].as_str().unwrap_or_default(), result["outcome"].as_str().unwrap_or_default())).collect()
}

#[tokio::test]
async fn a_report_has_every_check_in_order_whatever_becomes_of_the_upload() {
    let server = Server::start().await;
    let api = server.api();
    let order = [
        "size",
        "digest",
        "format",
        "structure",
        "contract",
        "imports",
        "powers",
        "describe",
        "schemas",
        "names",
        "text",
        "compile",
        "conformance",
        "signature",
    ];
    let sheet = api.upload("?dry_run=true", guest("minimal")).await.expect(200);
    let passed = order.map(|check| (check, if ["conformance", "signature"].contains(&check) { "not_applicable" } else { "passed" }));
    assert_eq!(checks(&sheet["inspection"]), passed);
    for (wasm, failed, not_run) in [
        (b"not wasm at all".to_vec(), "format", &order[6..]),
        (guest("startup"), "describe", &["powers", "schemas", "names", "text", "conformance", "signature"][..]),
        (patched("counter", "Reads a key.", "Reads\u{200b}key."), "text", &["conformance", "signature"][..]),
    ] {
        let refused = api.upload("?dry_run=true", wasm).await.expect(422);
        for (check, outcome) in checks(&refused) {
            let expected = if check == failed {
                "failed"
            } else if not_run.contains(&check) {
                "not_run"
            } else {
                "passed"
            };
            assert_eq!(outcome, expected, "{check} of {refused}");
        }
        let found = refused["checks"].as_array().expect("a list").iter().find(|result| result["check"] == failed);
        assert!(found.is_some_and(|found| found["findings"][0]["fix"].is_string()), "{refused}");
    }
}

/// The same component with another text of the same length in it.
pub(crate) fn patched(name: &str, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut wasm = guest(name);
    let places: Vec<usize> = (0..wasm.len() - from.len()).filter(|&at| wasm[at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "{from:?} is not in the component");
    for at in places {
        wasm[at..at + from.len()].copy_from_slice(to.as_bytes());
    }
    wasm
}

#[tokio::test]
async fn what_models_read_changes_with_consent_only() {
    let server = Server::start().await;
    let api = server.api();
    let first = upload(&api, "counter").await;
    activate(&api, &first).await;
    let second = api.upload("", patched("counter", "Reads a key.", "Takes a key.")).await.expect(201);
    assert_eq!(second["active"], false, "it asks for nothing new, but models read something else");
    assert_eq!(second["needs_review"], json!(["tools/get/description: models read something else than before"]));
    let diff = api.get("/v1/components/counter/versions/1/diff/2").await.expect(200);
    assert_eq!(
        (&diff["text"][0]["from"], &diff["text"][0]["to"], diff["text"].as_array().map(Vec::len)),
        (&json!("Reads a key."), &json!("Takes a key."), Some(1)),
        "{diff}"
    );
    let path = second["activate"]["path"].as_str().expect("the answer has the call");
    let refused = api.post(path, &json!({ "grant": { "kv": ["counter"] } })).await.expect(409);
    assert_eq!((&refused["code"], &refused["errors"][0]["code"]), (&json!("text_changed"), &json!("text_changed")), "{refused}");
    assert_eq!(api.get("/v1/components/counter").await.expect(200)["active_version"], 1);
    assert_eq!(activate(&api, &second).await["active"], true, "the call in the answer says that it is accepted");
    // What was accepted once needs no consent again.
    let path = first["activate"]["path"].as_str().expect("the answer has the call");
    api.post(path, &json!({})).await.expect(200);
}

#[tokio::test]
async fn a_dry_run_examines_and_stores_nothing() {
    let server = Server::start().await;
    let api = server.api();
    let sheet = api.upload("?dry_run=true", guest("counter")).await.expect(200);
    assert_eq!((&sheet["dry_run"], &sheet["created"]), (&json!(true), &json!(true)));
    assert_eq!(sheet["inspection"]["description"]["id"], "counter");
    assert_eq!(api.get("/v1/components").await.expect(200)["total"], 0);
    api.upload("?dry_run=yes", guest("counter")).await.expect(400);
}

#[tokio::test]
async fn only_plain_wasm_of_acceptable_size_is_read() {
    let server = Server::start().await;
    let api = server.api();
    let post = || api.request(Method::POST, "/v1/components");
    let wasm = guest("minimal");
    assert_eq!(send(post().header(CONTENT_TYPE, "application/octet-stream").body(wasm.clone())).await.status, 415);
    let compressed = post().header(CONTENT_TYPE, WASM).header(CONTENT_ENCODING, "gzip").body(wasm.clone());
    assert_eq!(send(compressed).await.status, 415);
    let wrong = post().header(CONTENT_TYPE, WASM).header("content-digest", "sha-256=:AAAA:").body(wasm.clone());
    assert_eq!(send(wrong).await.json()["code"], "digest_mismatch");
    assert_eq!(api.upload("", vec![0; (32 << 20) + 1]).await.status, 413);
    assert_eq!(api.get("/v1/components").await.expect(200)["total"], 0);
}

/// Each of them waits for the bytes of a component: the server asks for them once an upload has its place.
#[tokio::test]
async fn so_many_uploads_are_read_at_once() {
    let server = Server::start().await;
    let api = server.api();
    let head = "POST /v1/components HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/wasm\r\ncontent-length: 9\r\n\
                expect: 100-continue\r\n\r\n";
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let mut socket = TcpStream::connect(server.url().trim_start_matches("http://")).await.expect("it connects");
        socket.write_all(head.as_bytes()).await.expect("it is sent");
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 100");
        waiting.push(socket);
    }
    let refused = api.upload("", guest("minimal")).await.expect(503);
    assert_eq!((&refused["code"], &refused["retry_after_seconds"]), (&json!("busy"), &json!(2)), "{refused}");
    // One that has ended makes room for another.
    let mut done = waiting.remove(0);
    done.write_all(b"no wasm.\n").await.expect("it is sent");
    done.read_exact(&mut [0; 50]).await.expect("an answer");
    api.upload("", guest("minimal")).await.expect(201);
}

/// A form as `curl -F` sends it.
fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, content) in parts {
        let head = format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x.wasm\"\r\n\r\n");
        form.extend([head.as_bytes(), content, b"\r\n"].concat());
    }
    [form, b"--edge--\r\n".to_vec()].concat()
}

#[tokio::test]
async fn a_component_comes_as_the_one_part_of_a_form_as_well() {
    let server = Server::start().await;
    let api = server.api();
    let content_type = "multipart/form-data; boundary=edge";
    let send_form = async |content_type: &str, body: Vec<u8>| {
        send(api.request(Method::POST, "/v1/components").header(CONTENT_TYPE, content_type).body(body)).await
    };
    let wasm = guest("minimal");
    let largest = vec![0; 32 << 20];
    for (content_type, body, status, code, says) in [
        (content_type, form(&[("file", &wasm)]), 400, "invalid_form", "it has a part \"file\""),
        (content_type, form(&[]), 400, "invalid_form", "it has no part"),
        (content_type, form(&[("component", &wasm), ("component", &wasm)]), 400, "invalid_form", "more than one part"),
        (content_type, form(&[("component", &wasm)])[..5_000].to_vec(), 400, "invalid_form", "curl -F component=@FILE.wasm"),
        ("multipart/form-data", form(&[("component", &wasm)]), 400, "invalid_form", "boundary"),
        (content_type, form(&[("component", &[&largest[..], b"x"].concat())]), 413, "body_too_large", "33554432 bytes"),
        (content_type, form(&[("component", &[&largest[..], &largest[..1 << 20]].concat())]), 413, "body_too_large", "bytes"),
        (content_type, form(&[("component", b"not wasm at all")]), 422, "component_rejected", "nothing was stored"),
    ] {
        let refused = send_form(content_type, body).await.expect(status);
        assert_eq!(refused["code"], code, "{refused}");
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains(says)), "{refused} does not say {says:?}");
    }
    assert_eq!(api.get("/v1/components").await.expect(200)["total"], 0);
    let uploaded = send_form(content_type, form(&[("component", &wasm)])).await.expect(201);
    assert_eq!(uploaded["active"], true);
    let raw = api.upload("", wasm).await.expect(200);
    assert_eq!(raw["version"]["digest"], uploaded["version"]["digest"], "the same bytes are the same version, however they come");
}

#[tokio::test]
async fn activation_can_be_left_to_the_caller() {
    let server = Server::start().await;
    let api = server.api();
    let uploaded = api.upload("?activate=false", guest("minimal")).await.expect(201);
    assert_eq!(uploaded["active"], false);
    assert_eq!(activate(&api, &uploaded).await["active"], true);
}

#[tokio::test]
async fn a_component_in_use_is_archived_by_force_only_and_comes_back_by_activation() {
    let server = Server::start().await;
    let api = server.api();
    let uploaded = upload(&api, "minimal").await;
    let name = uploaded["component"]["name"].as_str().expect("a name");
    let agent = json!({ "name": "a", "system_prompt": "", "capabilities": [{ "ref": name }] });
    api.post("/v1/agents", &agent).await.expect(201);
    let path = format!("/v1/components/{name}");
    let refused = api.delete(&path).await;
    assert_eq!((refused.status, refused.text().contains("agent a")), (409, true), "{}", refused.text());
    assert_eq!(api.delete(&format!("{path}?force=true")).await.status, 204);
    assert_eq!(api.delete(&path).await.status, 204, "archiving twice is fine");
    assert!(api.component_capabilities().await.is_empty());
    assert!(api.get(&path).await.expect(200)["archived_at"].is_string());
    let again = api.upload("", guest("minimal")).await.expect(200);
    assert_eq!(again["active"], false, "what was archived on purpose does not come back by itself");
    activate(&api, &again).await;
    assert_eq!(api.component_capabilities().await.len(), 1);
}

#[tokio::test]
async fn a_call_is_checked_before_it_is_made() {
    let server = Server::start().await;
    let api = server.api();
    let uploaded = upload(&api, "counter").await;
    activate(&api, &uploaded).await;
    let check = async |body: Value, pointer: &str| {
        let refused = api.post("/v1/components/counter/call", &body).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    };
    check(json!({ "tool": "none" }), "/tool").await;
    check(json!({ "tool": "get", "arguments": { "key": 1 } }), "/arguments/key").await;
    check(json!({ "tool": "get" }), "/arguments").await;
    let absent = api.post("/v1/components/counter/call", &json!({ "tool": "get", "arguments": { "key": "a" }, "version": 7 })).await;
    assert_eq!(absent.status, 404);
}
