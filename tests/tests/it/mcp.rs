//! `everwit mcp`, driven by the protocol's published client.

use std::path::Path;
use std::process::Stdio;

use everwit_runtime::capability::Capability as _;
use everwit_runtime::component::Grant;
use everwit_runtime::limits::Budget;
use everwit_runtime::sandbox::Terms;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::guests::{call_context, root, sandbox, target};
use crate::support::{EVERWIT, Server, everwit, guest};

/// What the client prints: the server's introduction, its tools, and the answer of each call.
async fn talk(component: &str, flags: &[&str], calls: Value) -> Vec<Value> {
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = home.path().join("it.wasm");
    std::fs::write(&file, guest(component)).expect("it is written");
    talk_to(&file, flags, calls).await
}

/// The same with the component of a file.
pub(crate) async fn talk_to(file: &Path, flags: &[&str], calls: Value) -> Vec<Value> {
    let site = target().join("vendor-clients/site");
    assert!(site.join("mcp").is_dir(), "the clients are not installed; run `cargo xtask vendor-clients`");
    let mut python = Command::new("python3");
    python.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("PYTHONPATH", site);
    python.arg(root().join("tests/vendor-clients/mcp_client.py")).arg(calls.to_string());
    python.args([Path::new(EVERWIT), Path::new("mcp"), file]).args(flags);
    let output = python.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("it prints JSON");
    lines.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

#[tokio::test]
async fn a_component_is_a_server_of_tools() {
    let calls = json!([
        ["echo", { "value": { "größe": [1, null] } }],
        ["fail", { "kind": "not-found", "code": "no_city", "message": "there is no such city", "retryable": false }],
    ]);
    let said = talk("echo", &["--config", r#"{"unit": "m"}"#], calls).await;
    assert_eq!(said[0]["serverInfo"]["name"], "echo", "{said:#?}");
    let tools = said[1]["tools"].as_array().expect("a list of tools");
    let echo = tools.iter().find(|tool| tool["name"] == "echo").expect("it has the tool");
    assert_eq!(echo["description"], "Returns its argument and the context.");
    assert_eq!(echo["inputSchema"]["required"], json!(["value"]));
    assert_eq!(echo["annotations"]["readOnlyHint"], true);
    let answer = &said[2]["structuredContent"];
    assert_eq!((&answer["value"], &answer["context"]["config"]), (&json!({ "größe": [1, null] }), &json!({ "unit": "m" })));
    assert_eq!((&said[3]["isError"], &said[3]["content"][0]["text"]), (&json!(true), &json!("there is no such city (no_city)")));
}

#[tokio::test]
async fn what_it_stores_lasts_as_long_as_the_client() {
    let put = json!(["put", { "key": "a", "value": "7" }]);
    let calls = json!([put, ["get", { "key": "a" }]]);
    let said = talk("counter", &["--allow-kv", "counter"], calls.clone()).await;
    assert_eq!(said[3]["structuredContent"], json!({ "value": "7", "version": 1 }), "{said:#?}");
    let denied = talk("counter", &[], calls).await;
    assert_eq!(denied[2]["isError"], true, "nothing is granted by itself: {denied:#?}");
}

#[tokio::test]
async fn wrong_arguments_are_told_to_the_model_and_progress_to_the_client() {
    let said = talk("echo", &[], json!([["echo", {}], ["wait", { "steps": 2, "note": "half" }]])).await;
    let told = said[2]["content"][0]["text"].as_str().unwrap_or_default();
    assert!(said[2]["isError"] == true && told.contains("value") && told.contains("required"), "{said:#?}");
    assert_eq!(said[3]["content"][0]["text"], "done");
    assert_eq!(said[3]["noted"], json!([[0.0, 2.0, "half"], [1.0, 2.0, "half"]]), "{said:#?}");
}

/// What a line of the client is answered with, and how the server ends; without the client's own care.
#[tokio::test]
async fn a_line_that_is_no_request_is_refused_and_the_rest_is_answered() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = home.path().join("it.wasm");
    std::fs::write(&file, guest("echo")).expect("it is written");
    let talk = |input: String| {
        let mut command = everwit();
        command.arg("mcp").arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        async move {
            let mut child = command.spawn().expect("it starts");
            let mut stdin = child.stdin.take().expect("stdin is piped");
            let writing = tokio::spawn(async move { stdin.write_all(input.as_bytes()).await });
            let output = child.wait_with_output().await.expect("it ends");
            // What is not read to its end breaks the pipe.
            let _ = writing.await.expect("it does not panic");
            let lines = String::from_utf8(output.stdout).expect("text");
            let answers: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
            (output.status.code(), answers, String::from_utf8_lossy(&output.stderr).into_owned())
        }
    };
    let lines = [
        "no json",
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/list"}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"absent"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        "",
        r#"{"jsonrpc":"2.0","id":"last","method":"tools/call","params":{"name":"echo","arguments":{"value":1}}}"#,
    ];
    let (code, answers, stderr) = talk(lines.join("\n")).await;
    let codes: Vec<&Value> = answers.iter().map(|answer| &answer["error"]["code"]).collect();
    assert_eq!(codes, [&json!(-32_700), &json!(-32_601), &json!(-32_602), &Value::Null], "{answers:#?}");
    assert_eq!(
        (code, &answers[3]["id"], &answers[3]["result"]["structuredContent"]["value"]),
        (Some(0), &json!("last"), &json!(1)),
        "{stderr}"
    );
    let (code, answers, stderr) = talk("x".repeat(2 << 20)).await;
    assert!(code == Some(1) && answers.is_empty() && stderr.contains("a message of more than"), "{stderr}");
}

/// The same bytes give the same answer, whatever asks.
#[tokio::test]
async fn the_four_places_agree() {
    let server = Server::start().await;
    let home = tempfile::tempdir().expect("a temporary directory");
    for (component, tool, arguments) in [
        ("data-lens", "describe", json!({ "data": "city,people\nBern,134\nGraz,\n", "format": "csv" })),
        ("text-kit", "stats", json!({ "text": "Größe zählt. So it goes." })),
        ("compress", "checksum", json!({ "text": "Größe zählt." })),
    ] {
        let wasm = guest(component);
        let file = home.path().join(component).with_extension("wasm");
        std::fs::write(&file, &wasm).expect("it is written");
        let called = everwit().arg("call").arg(&file).args(["--json", tool, &arguments.to_string()]).output().await.expect("it runs");
        assert!(called.status.success(), "{}", String::from_utf8_lossy(&called.stderr));
        let called: Value = serde_json::from_slice(&called.stdout).expect("it prints JSON");
        let terms = Terms { version: None, grant: Grant::default(), budget: Budget::TOOL_CALL };
        let capability = sandbox().open(wasm.clone(), terms).await.expect("it is admitted");
        let outcome = capability.call_tool(&call_context(), tool, arguments.clone()).await;
        let in_process = json!(outcome.result.expect("it returns"));
        server.api().upload("", wasm).await.expect(201);
        let path = format!("/v1/components/{component}/call");
        let served = server.api().post(&path, &json!({ "tool": tool, "arguments": arguments })).await.expect(200);
        let offered = talk(component, &[], json!([[tool, arguments]])).await.remove(2);
        assert_eq!(called["result"], in_process, "{component}");
        assert_eq!(served["result"], in_process, "{component}");
        assert_eq!(offered["structuredContent"], in_process["structured"], "{component}");
        assert!(in_process["structured"].is_object(), "{in_process}");
    }
}
