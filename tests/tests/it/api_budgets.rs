//! Budgets over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Api, Server, ServerOptions, send};

async fn talk(api: &Api, session: &str) {
    let mut stream = api.stream(session, "").await;
    api.say(session, "hello there").await;
    stream.until("session.idled").await;
}

fn message() -> Value {
    json!({ "message": { "content": [{ "type": "text", "text": "hello" }] } })
}

#[tokio::test]
async fn a_budget_is_made_read_changed_and_deleted() {
    let server = Server::start().await;
    let api = server.api();
    let session = api.session().await;
    let made = json!({ "subject_type": "session", "subject_id": session, "currency": "tokens", "limit": 100_000, "period": "day" });
    let created = api.post("/v1/budgets", &made).await.expect(201);
    let path = format!("/v1/budgets/{}", created["id"].as_str().expect("an id"));
    for (field, expected) in [
        ("subject_id", json!(session)),
        ("limit", json!(100_000.0)),
        ("balance", json!(100_000.0)),
        ("spent", json!(0.0)),
        ("status", json!("active")),
        ("exhausted", json!(false)),
    ] {
        assert_eq!(created[field], expected, "{created}");
    }
    assert!(created["period_ends_at"].is_string(), "{created}");
    assert_eq!(api.get(&path).await.expect(200), created);
    assert_eq!(api.get("/v1/budgets").await.expect(200)["data"], json!([created]));
    let of_session = format!("/v1/sessions/{session}/budgets");
    assert_eq!(api.get(&of_session).await.expect(200)["data"], json!([created]));

    talk(&api, &session).await;
    let used = api.get(&path).await.expect(200);
    let spent = used["spent"].as_f64().expect("a number");
    assert!(spent > 0.0 && used["balance"] == json!(100_000.0 - spent), "{used}");
    let ledger = api.get(&format!("{path}/ledger")).await.expect(200);
    assert_eq!((&ledger["total"], &ledger["data"][0]["amount"]), (&json!(1), &json!(spent)), "{ledger}");
    assert_eq!(ledger["data"][0]["session_id"], session);

    let stale = api.request(Method::PATCH, &path).header("if-match", "\"7\"").json(&json!({ "limit": 7 }));
    send(stale).await.expect(412);
    let changed = api.patch(&path, &json!({ "limit": 200_000, "status": "disabled" })).await.expect(200);
    assert_eq!((&changed["limit"], &changed["spent"], &changed["status"]), (&json!(200_000.0), &json!(spent), &json!("disabled")));
    api.delete(&path).await.expect(204);
    api.get(&path).await.expect(404);
    let actions: Vec<Value> = api.get("/v1/audit").await.expect(200)["data"].as_array().expect("a list").clone();
    assert_eq!(actions.len(), 4, "changes of budgets are written down: {actions:?}");
}

#[tokio::test]
async fn what_is_no_budget_is_refused_with_everything_that_is_wrong() {
    let server = Server::start().await;
    let api = server.api();
    let refused = |body: Value| {
        let api = api.clone();
        async move {
            let problem = api.post("/v1/budgets", &body).await.expect(422);
            let codes: Vec<String> = problem["errors"].as_array().expect("findings").iter().map(|one| one["code"].to_string()).collect();
            codes.join(" ")
        }
    };
    let body = |subject: &str, id: Option<&str>, currency: &str, limit: f64| json!({ "subject_type": subject, "subject_id": id, "currency": currency, "limit": limit });
    assert_eq!(refused(body("session", None, "tokens", 0.0)).await, "\"invalid_limit\" \"missing_subject\"");
    assert_eq!(refused(body("agent", Some("nobody"), "tokens", 1.5)).await, "\"invalid_limit\" \"unknown_subject\"");
    assert_eq!(refused(body("org", Some("org_0"), "usd", 1e10)).await, "\"invalid_limit\" \"invalid_subject\"");
}

#[tokio::test]
async fn a_message_for_which_nothing_is_left_is_refused() {
    let server = Server::start().await;
    let api = server.api();
    let session = api.session().await;
    let path = format!("/v1/sessions/{session}/messages");
    for (period, waits) in [(None, false), (Some("month"), true)] {
        let made = json!({ "subject_type": "org", "currency": "tokens", "limit": 100_000, "period": period });
        let budget = api.post("/v1/budgets", &made).await.expect(201);
        talk(&api, &session).await;
        let budget = format!("/v1/budgets/{}", budget["id"].as_str().expect("an id"));
        api.patch(&budget, &json!({ "limit": 1 })).await.expect(200);
        let answer = api.post(&path, &message()).await;
        assert_eq!(!answer.header("retry-after").is_empty(), waits);
        let refused = answer.expect(429);
        assert_eq!(refused["code"], "budget_exhausted", "{refused}");
        assert_eq!(refused.get("retry_after_seconds").is_some(), waits, "{refused}");
        api.delete(&budget).await.expect(204);
    }
    talk(&api, &session).await;
}

#[tokio::test]
async fn a_message_for_which_a_budget_was_never_large_enough_is_refused_and_not_stored() {
    let server = Server::start().await;
    let api = server.api();
    let session = api.session().await;
    let path = format!("/v1/sessions/{session}/messages");
    let made = json!({ "subject_type": "session", "subject_id": session, "currency": "tokens", "limit": 255 });
    let budget = api.post("/v1/budgets", &made).await.expect(201);
    assert_eq!(budget["exhausted"], true, "no answer is worth its question with so little: {budget}");
    assert_eq!(api.post(&path, &message()).await.expect(429)["code"], "budget_exhausted");
    assert_eq!(api.get(&path).await.expect(200)["total"], 0, "nothing is stored of it");
    let budget = format!("/v1/budgets/{}", budget["id"].as_str().expect("an id"));
    api.patch(&budget, &json!({ "limit": 100_000 })).await.expect(200);
    talk(&api, &session).await;
}

#[tokio::test]
async fn the_server_gives_every_org_so_many_tokens_a_day() {
    let args = ["--org-tokens-per-day", "300"].map(str::to_owned).to_vec();
    let server = Server::start_with(ServerOptions { args, ..ServerOptions::default() }).await;
    let api = server.api();
    let session = api.session_with(&json!({ "system_prompt": "word ".repeat(400) })).await;
    talk(&api, &session).await;
    let events = api.events(&session).await;
    let sealed = events.iter().find(|event| event["type"] == "turn.sealed").expect("the turn ends without a model call");
    assert_eq!(sealed["data"]["reason"], "budget_exhausted", "{sealed}");
    assert!(events.iter().all(|event| event["type"] != "llm.generation"), "{events:?}");
}
