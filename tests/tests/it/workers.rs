//! Who runs turns: a server by itself is its one worker, and can be told to pause.

use std::process::Stdio;

use everwit_runtime::engine::conformance::until;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Api, Server, everwit, send};

/// `everwit workers` with these arguments.
async fn workers(server: &Server, args: &[&str]) -> Result<Value, String> {
    let mut command = everwit();
    command.arg("workers").args(args).args(["--json", "--server", server.url()]);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.expect("the command runs");
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).expect("it prints JSON")),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

async fn state(api: &Api) -> Value {
    api.get("/v1/workers").await.expect(200)["data"][0]["state"].clone()
}

#[tokio::test]
async fn a_server_by_itself_is_a_worker_that_can_be_drained_and_resumed() {
    let server = Server::start().await;
    let api = server.api();
    let listed = workers(&server, &["list"]).await.expect("a list");
    assert_eq!(listed["total"], 1, "{listed}");
    let worker = &listed["data"][0];
    let shown = [&worker["state"], &worker["slots"], &worker["running"], &worker["version"]];
    assert_eq!(shown, [&json!("active"), &json!(64), &json!(0), &json!(env!("CARGO_PKG_VERSION"))], "{worker}");
    assert!(worker["definition"].as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{worker}");
    let id = worker["id"].as_str().expect("an id");

    let told = workers(&server, &["drain", id]).await.expect("it is told");
    assert_eq!(told["id"], id, "{told}");
    until("it has drained", async || state(&api).await == "drained").await;
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "hello").await;
    assert_eq!(api.get("/v1/turns").await.expect(200)["data"][0]["outcome"], "open");
    let resumed_at = Timestamp::now();
    workers(&server, &["resume", id]).await.expect("it is told");
    let frames = stream.until("session.idled").await;
    let begun = frames.iter().find(|frame| frame.event == "session.activated").expect("the turn runs");
    let begun: Timestamp = begun.data["ts"].as_str().and_then(|ts| ts.parse().ok()).expect("a time");
    assert!(begun >= resumed_at, "who has drained takes up no turn: {begun} is before {resumed_at}");
    until("it works again", async || state(&api).await == "active").await;

    let entries = api.get("/v1/audit").await.expect(200);
    let actions: Vec<&Value> = entries["data"].as_array().expect("a list").iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["POST /v1/workers/{worker_id}/resume", "POST /v1/workers/{worker_id}/drain"]);
    let nobody = workers(&server, &["drain", "worker_01920000000070008000000000000009"]).await.expect_err("there is none");
    assert!(nobody.contains("does not exist"), "{nobody}");
}

#[tokio::test]
async fn only_operators_see_workers_and_a_server_without_a_token_takes_none_in() {
    let server = Server::start().await;
    let operator = server.api_with_key("operator", None).await;
    let id = operator.get("/v1/workers").await.expect(200)["data"][0]["id"].as_str().expect("an id").to_owned();
    for org in [None, Some("tenant")] {
        let admin = server.api_with_key("admin", org).await;
        for (method, path) in [
            (Method::GET, "/v1/workers".to_owned()),
            (Method::POST, format!("/v1/workers/{id}/drain")),
            (Method::POST, format!("/v1/workers/{id}/resume")),
        ] {
            let refused = send(admin.request(method, &path)).await.expect(403);
            assert!(refused["code"] == "insufficient_scope" && !refused.to_string().contains("active"), "{refused}");
        }
    }
    assert_eq!(state(&operator).await, "active", "nobody drained it");
    send(operator.request(Method::POST, "/internal/workers").json(&json!({}))).await.expect(404);
}
