//! Risk of capabilities: who may assign them, and what an org allows.

use serde_json::{Value, json};

use crate::support::{Api, Server, guest};

/// A component that may send requests which change something: its level is high.
async fn with_sleeper(api: &Api) {
    let uploaded = api.upload("", guest("sleeper")).await.expect(201);
    let path = uploaded["activate"]["path"].as_str().expect("the answer has the call");
    api.post(path, &uploaded["activate"]["body"]).await.expect(200);
}

async fn level(api: &Api, id: &str) -> Value {
    api.get(&format!("/v1/capabilities/{id}")).await.expect(200)["risk_level"].clone()
}

#[tokio::test]
async fn only_admins_assign_what_is_of_high_risk() {
    let server = Server::start().await;
    let [admin, writer] = [server.api_with_key("admin", None).await, server.api_with_key("write", None).await];
    with_sleeper(&admin).await;
    for (id, expected) in [("web_fetch", "high"), ("sleeper", "high"), ("current_time", "low")] {
        assert_eq!(level(&writer, id).await, expected, "{id}");
    }
    let listed = |ids: &[&str]| -> Value { ids.iter().map(|id| json!({ "ref": id })).collect() };
    let risky = listed(&["current_time", "web_fetch", "sleeper"]);
    let (agent, harness) = (json!({ "name": "a", "system_prompt": "x" }), json!({ "name": "h", "system_prompt": "x" }));
    let with = |body: &Value, capabilities: &Value| {
        let mut body = body.clone();
        body["capabilities"] = capabilities.clone();
        body
    };
    for (path, body) in [("/v1/agents", &agent), ("/v1/harnesses", &harness), ("/v1/sessions", &json!({}))] {
        let refused = writer.post(path, &with(body, &risky)).await.expect(403);
        assert_eq!(refused["code"], "high_risk", "{path}: {refused}");
        let detail = refused["detail"].as_str().expect("a sentence");
        assert!(detail.ends_with("\"sleeper\", \"web_fetch\"") && detail.contains("scope admin"), "{path}: {detail}");
        let made = writer.post(path, &with(body, &listed(&["current_time"]))).await.expect(201);
        let own = format!("{path}/{}", made["id"].as_str().expect("an id"));
        assert_eq!(writer.patch(&own, &json!({ "capabilities": risky })).await.expect(403)["code"], "high_risk", "{path}");
        admin.patch(&own, &json!({ "capabilities": risky })).await.expect(200);
        // What an admin has assigned stays for others, and they may take it away.
        writer.patch(&own, &json!({ "capabilities": risky })).await.expect(200);
        let pinned = json!([{ "ref": "sleeper", "version": 1 }]);
        assert_eq!(
            writer.patch(&own, &json!({ "capabilities": pinned })).await.expect(403)["code"],
            "high_risk",
            "{path}: another version"
        );
        writer.patch(&own, &json!({ "capabilities": listed(&["web_fetch"]) })).await.expect(200);
    }
    writer.post("/v1/agents/preview", &json!({ "system_prompt": "x", "capabilities": risky })).await.expect(200);
}

#[tokio::test]
async fn an_org_allows_so_much_risk_from_one_moment_to_the_next() {
    let server = Server::start().await;
    let [admin, writer] = [server.api_with_key("admin", None).await, server.api_with_key("write", None).await];
    with_sleeper(&admin).await;
    let session = admin.session_with(&json!({ "capabilities": [{ "ref": "sleeper" }] })).await;
    let allow = json!({ "max_risk": "medium" });
    assert_eq!(writer.patch("/v1/orgs/default", &allow).await.expect(403)["code"], "insufficient_scope");
    assert_eq!(admin.patch("/v1/orgs/default", &json!({ "max_risk": "some" })).await.status, 422);
    assert_eq!(admin.patch("/v1/orgs/default", &allow).await.expect(200)["max_risk"], "medium");

    let mut stream = admin.stream(&session, "").await;
    admin.say(&session, "go").await;
    let failed = stream.until("turn.failed").await.pop().expect("a frame").data;
    assert_eq!(failed["data"]["error_code"], "risk_too_high", "{failed}");
    let error = failed["data"]["error"].as_str().expect("a sentence");
    assert!(error.contains("\"sleeper\" has risk level high, and this org allows medium at most"), "{error}");
    let call = json!({ "tool": "get", "arguments": { "url": "http://127.0.0.1:9/" } });
    let refused = admin.post("/v1/components/sleeper/call", &call).await.expect(403);
    assert_eq!(refused["code"], "risk_too_high", "{refused}");
    let preview = json!({ "system_prompt": "x", "capabilities": [{ "ref": "sleeper" }] });
    assert_eq!(admin.post("/v1/agents/preview", &preview).await.expect(422)["errors"][0]["code"], "risk_too_high");
    let log = admin.get("/v1/audit").await.expect(200);
    assert_eq!(log["data"][0]["action"], "PATCH /v1/orgs/{org}", "who changed it is written down");

    assert_eq!(admin.patch("/v1/orgs/default", &json!({ "max_risk": null })).await.expect(200)["max_risk"], "high");
    admin.say(&session, "again").await;
    stream.until("turn.completed").await;
}
