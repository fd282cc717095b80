//! The shipped component in Go, against a server in this process.

use everwit_runtime::capability::{CallError, Capability as _, ToolOutcome};
use everwit_runtime::component::{Grant, HttpPermission};
use everwit_runtime::limits::Budget;
use everwit_runtime::sandbox::{ComponentCapability, Terms};
use serde_json::{Value, json};

use crate::egress::support::{Pipe, public};
use crate::support::guests::{call_context, guest, sandbox_over};

const PAGE: &str = r#"{"info":{"version":"2.1","a.b":"dotted"},"releases":[{"name":"old"},{"name":"größer"}],"none":null}"#;

/// The component with a server that answers so, as the only one that is there.
async fn before(answer: &str) -> ComponentCapability {
    let host = HttpPermission { host: "example.com:80".into(), methods: Vec::new(), path_prefix: None, reason: String::new() };
    let terms = Terms { version: None, grant: Grant { http: vec![host], ..Grant::default() }, budget: Budget::TOOL_CALL };
    sandbox_over(public(Pipe::answering(answer))).open(guest("http-probe"), terms).await.expect("it is admitted")
}

async fn probe(component: &ComponentCapability, arguments: Value) -> ToolOutcome {
    component.call_tool(&call_context(), "probe", arguments).await
}

fn ok() -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-long: {}\r\ncontent-length: {}\r\n\r\n{PAGE}",
        "ä".repeat(150),
        PAGE.len()
    )
}

#[tokio::test]
async fn it_tells_status_headers_and_a_value() {
    let component = before(&ok()).await;
    for (path, value) in [
        ("info.version", json!("2.1")),
        ("releases[1].name", json!("größer")),
        ("releases[0]", json!({ "name": "old" })),
        (r"info.a\.b", json!("dotted")),
        ("none", Value::Null),
    ] {
        let outcome = probe(&component, json!({ "url": "http://example.com/", "path": path })).await;
        let found = outcome.result.expect("it answers").structured.expect("a structured result");
        assert_eq!((&found["status"], &found["ok"], &found["bytes"]), (&json!(200), &json!(true), &json!(PAGE.len())), "{found}");
        assert_eq!((&found["value"], found.get("excerpt")), (&value, None), "{path}");
        let long = found["headers"]["x-long"].as_str().expect("the header is told");
        assert!(long.ends_with('…') && long.len() <= 203, "values are cut in whole characters: {long}");
    }
}

#[tokio::test]
async fn it_follows_no_redirect_and_shows_the_beginning_of_a_text() {
    let moved = "HTTP/1.1 301 Moved\r\nlocation: https://elsewhere.test/\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nmoved";
    let outcome = probe(&before(moved).await, json!({ "url": "http://example.com/" })).await;
    let found = outcome.result.expect("it answers").structured.expect("a structured result");
    assert_eq!(
        (&found["status"], &found["ok"], &found["location"], &found["excerpt"]),
        (&json!(301), &json!(false), &json!("https://elsewhere.test/"), &json!("moved"))
    );
}

#[tokio::test]
async fn it_says_what_is_wrong() {
    let component = before(&ok()).await;
    for (url, path, code, says) in [
        ("http://example.com/", "info.absent", "no_value", "no value at \"absent\""),
        ("http://example.com/", "releases[2]", "no_value", "no value at \"2\""),
        ("http://example.com/", "releases[01]", "path", "no whole number in brackets"),
        ("http://example.com/", "info..version", "path", "an empty name"),
        ("https://pypi.org/", "info", "denied", "pypi.org"),
    ] {
        let outcome = probe(&component, json!({ "url": url, "path": path })).await;
        let Err(CallError::Failed(failure)) = &outcome.result else { panic!("{path}: {:?}", outcome.result) };
        assert!(failure.code == code && failure.message.contains(says), "{path}: {failure:?}");
    }
    let prose = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nprose";
    let outcome = probe(&before(prose).await, json!({ "url": "http://example.com/", "path": "a" })).await;
    assert!(outcome.result.is_err_and(|error| error.to_string().contains("no JSON")));
}
