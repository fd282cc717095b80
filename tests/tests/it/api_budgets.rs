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

/// Makes a budget; returns its path.
async fn budget(api: &Api, body: &Value) -> String {
    format!("/v1/budgets/{}", api.post("/v1/budgets", body).await.expect(201)["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn a_session_at_a_soft_limit_is_paused_until_it_is_resumed() {
    let server = Server::start().await;
    let api = server.api();
    let session = api.session().await;
    let path = |rest: &str| format!("/v1/sessions/{session}{rest}");
    let made = json!({ "subject_type": "session", "subject_id": session, "currency": "tokens", "limit": 100_000, "soft_limit": 1 });
    let budget = budget(&api, &made).await;
    assert_eq!(api.get(&path("/budget-check")).await.expect(200), json!({ "allowed": true }));
    assert_eq!(api.post(&path("/resume"), &json!({})).await.expect(409)["code"], "not_paused");
    talk(&api, &session).await;
    let check = api.get(&path("/budget-check")).await.expect(200);
    assert_eq!((&check["allowed"], &check["code"]), (&json!(false), &json!("budget_paused")), "{check}");
    assert!(budget.ends_with(check["budget_id"].as_str().expect("an id")), "{check}");

    let mut stream = api.stream(&session, "").await;
    api.say(&session, "and now?").await;
    let paused = stream.until("budget.paused").await.pop().expect("an event").data;
    assert_eq!((&paused["data"]["soft_limit"], &paused["data"]["currency"]), (&json!(1.0), &json!("tokens")), "{paused}");
    assert_eq!(api.get(&path("")).await.expect(200)["status"], "paused");
    let refused = api.post(&path("/messages"), &message()).await.expect(409);
    let detail = refused["detail"].as_str().expect("a detail");
    assert_eq!(refused["code"], "budget_paused", "{refused}");
    assert!(detail.contains(check["budget_id"].as_str().expect("an id")) && detail.contains("/resume"), "{detail}");
    assert_eq!(api.get(&path("/messages")).await.expect(200)["total"], 3, "nothing is stored of it");

    assert_eq!(api.post(&path("/resume"), &json!({})).await.expect(200), json!({ "status": "active" }));
    stream.until("session.idled").await;
    let read = api.get(&budget).await.expect(200);
    assert_eq!((&read["soft_limit"], &read["soft_limit_reached"]), (&json!(1.0), &json!(true)), "{read}");
    assert_eq!(api.get(&path("/budget-check")).await.expect(200), json!({ "allowed": true }), "this session was resumed");
    let others = api.session().await;
    talk(&api, &others).await;
    let events = api.events(&session).await;
    let of_budgets = events.iter().filter_map(|event| event["type"].as_str()).filter(|name| name.starts_with("budget."));
    assert_eq!(of_budgets.collect::<Vec<_>>(), ["budget.paused", "budget.resumed"]);
}

#[tokio::test]
async fn a_message_to_a_paused_session_is_taken_once_the_soft_limit_is_gone() {
    let server = Server::start().await;
    let api = server.api();
    let session = api.session().await;
    let budget = budget(&api, &json!({ "subject_type": "org", "currency": "tokens", "limit": 100_000, "soft_limit": 1 })).await;
    talk(&api, &session).await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "and now?").await;
    stream.until("budget.paused").await;
    for (soft, code) in [(json!(100_000), 422), (json!(0), 422), (json!("many"), 422)] {
        api.patch(&budget, &json!({ "soft_limit": soft })).await.expect(code);
    }
    assert_eq!(api.patch(&budget, &json!({ "limit": 1 })).await.expect(422)["errors"][0]["pointer"], "/soft_limit");
    assert!(api.patch(&budget, &json!({ "soft_limit": null })).await.expect(200).get("soft_limit").is_none());
    api.say(&session, "still there?").await;
    let ends = [stream.until("session.idled").await, stream.until("session.idled").await].concat();
    let reasons: Vec<&Value> =
        ends.iter().filter(|frame| frame.event == "turn.completed").map(|frame| &frame.data["data"]["reason"]).collect();
    assert_eq!(reasons, ["superseded", "answered"]);
}

#[tokio::test]
async fn a_budget_that_is_topped_up_lets_its_session_go_on() {
    let server = Server::start().await;
    let api = server.api();
    let session = api.session().await;
    let messages = format!("/v1/sessions/{session}/messages");
    let made = json!({ "subject_type": "session", "subject_id": session, "currency": "tokens", "limit": 255 });
    let budget = budget(&api, &made).await;
    let refused = api.post(&messages, &message()).await.expect(429);
    assert!(refused["detail"].as_str().expect("a detail").contains("top it up"), "{refused}");
    let top_up = format!("{budget}/top-up");
    for (amount, code) in
        [(json!(0), "invalid_amount"), (json!(-1), "invalid_amount"), (json!(1.5), "invalid_amount"), (json!(1e16), "invalid_amount")]
    {
        assert_eq!(api.post(&top_up, &json!({ "amount": amount })).await.expect(422)["errors"][0]["code"], code);
    }
    api.post("/v1/budgets/budget_00000000000000000000000000000000/top-up", &json!({ "amount": 1 })).await.expect(404);
    let once = || send(api.request(Method::POST, &top_up).header("idempotency-key", "a").json(&json!({ "amount": 100_000 })));
    let topped = once().await.expect(200);
    assert_eq!((&topped["limit"], &topped["topped_up"], &topped["balance"]), (&json!(255.0), &json!(100_000.0), &json!(100_255.0)));
    let again = once().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.expect(200)["topped_up"], 100_000.0, "once");
    let ledger = api.get(&format!("{budget}/ledger")).await.expect(200);
    let kinds = |ledger: &Value| ledger["data"].as_array().expect("a list").iter().map(|one| one["kind"].clone()).collect::<Vec<_>>();
    assert_eq!((&ledger["data"][0]["amount"], kinds(&ledger)), (&json!(100_000.0), vec![json!("top_up")]), "{ledger}");
    talk(&api, &session).await;
    assert_eq!(kinds(&api.get(&format!("{budget}/ledger")).await.expect(200)), ["use", "top_up"], "newest first");
    let audit = api.get("/v1/audit").await.expect(200);
    let done = audit["data"].as_array().expect("a list").iter().filter(|one| one["target"] == top_up.as_str() && one["status"] == 200);
    assert!(done.count() >= 1, "{audit}");
    let member = server.api_with_key("write", None).await;
    member.post(&top_up, &json!({ "amount": 1 })).await.expect(403);
}
