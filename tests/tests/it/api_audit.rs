//! The audit log: every change that needs the scope admin is in it, with who made it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::sqlite::run_sql;
use crate::support::{Answer, Api, Server, guest, send};

async fn entries(api: &Api) -> Vec<Value> {
    let list = api.get("/v1/audit?limit=100").await.expect(200);
    list["data"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn who_changed_what_is_written_down() {
    let server = Server::start().await;
    let admin = server.api_with_key("admin", None).await;
    let other = server.api_with_key("admin", Some("other")).await;
    let first = admin.upload("", guest("counter")).await.expect(201);
    let path = first["activate"]["path"].as_str().expect("the answer has the call");
    admin.post(path, &first["activate"]["body"]).await.expect(200);
    admin.post("/v1/components/counter/rollback", &json!({})).await.expect(409);
    admin.get("/v1/components").await.expect(200);

    let entries = entries(&admin).await;
    let shown: Vec<(&str, &Value)> = entries.iter().map(|entry| (entry["action"].as_str().expect("a text"), &entry["status"])).collect();
    assert_eq!(
        shown,
        [
            ("POST /v1/components/{component}/rollback", &json!(409)),
            ("POST /v1/components/{component}/versions/{version}/activate", &json!(200)),
            ("POST /v1/components", &json!(200)),
        ],
        "newest first, refusals too, and nothing that only reads"
    );
    let (activated, uploaded) = (&entries[1], &entries[2]);
    assert_eq!(activated["target"], path);
    assert_eq!((&activated["after"], activated.get("before")), (&first["version"]["digest"], None), "{activated}");
    assert_eq!(uploaded["after"], first["version"]["digest"]);
    assert!(entries.iter().all(|entry| entry["actor"].as_str().is_some_and(|actor| actor.starts_with("key_"))), "{entries:?}");
    assert_eq!(other.get("/v1/audit").await.expect(200)["total"], 0);
}

/// What an admin may change, by method, path and body.
fn changes(version: &Value) -> Vec<(Method, String, Value)> {
    let path = version["activate"]["path"].as_str().expect("the answer has the call").to_owned();
    vec![
        (Method::POST, path, version["activate"]["body"].clone()),
        (Method::POST, "/v1/secrets".to_owned(), json!({ "name": "token", "value": "of some length" })),
        (Method::POST, "/v1/budgets".to_owned(), json!({ "subject_type": "org", "currency": "tokens", "limit": 5 })),
        (Method::POST, "/v1/providers".to_owned(), json!({ "name": "Sim", "provider_type": "llmsim" })),
        (Method::DELETE, "/v1/components/counter".to_owned(), Value::Null),
    ]
}

async fn change(api: &Api, method: &Method, path: &str, body: &Value) -> Answer {
    if *method == Method::DELETE { api.delete(path).await } else { api.post(path, body).await }
}

#[tokio::test]
async fn a_change_that_cannot_be_noted_is_not_made() {
    let server = Server::start().await;
    let admin = server.api_with_key("admin", None).await;
    let uploaded = admin.upload("", guest("counter")).await.expect(201);
    let noted = entries(&admin).await.len();
    let state = async || {
        let mut state = Vec::new();
        for path in ["/v1/components", "/v1/components/counter/versions", "/v1/secrets", "/v1/budgets", "/v1/providers"] {
            state.push(admin.get(path).await.expect(200));
        }
        state
    };
    let before = state().await;
    run_sql(&server, "CREATE TRIGGER full BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT, 'the log is full'); END").await;
    for (method, path, body) in changes(&uploaded) {
        let answer = change(&admin, &method, &path, &body).await;
        assert_eq!(answer.status, 500, "{method} {path}: {}", answer.text());
    }
    admin.upload("", guest("echo")).await.expect(500);
    assert_eq!(state().await, before, "nothing of it was made");
    assert_eq!(entries(&admin).await.len(), noted);

    run_sql(&server, "DROP TRIGGER full").await;
    for (method, path, body) in changes(&uploaded) {
        let answer = change(&admin, &method, &path, &body).await;
        assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
    }
    assert_eq!(entries(&admin).await.len(), noted + changes(&uploaded).len(), "each has one entry");
}

#[tokio::test]
async fn a_refused_change_is_not_noted_as_done_because_its_key_is_remembered() {
    let server = Server::start().await;
    let admin = server.api_with_key("admin", None).await;
    let provider = json!({ "name": "Sim", "provider_type": "llmsim" });
    admin.post("/v1/providers", &provider).await.expect(201);
    let again = admin.request(Method::POST, "/v1/providers").header("idempotency-key", "one").json(&provider);
    send(again).await.expect(409);
    let statuses: Vec<Value> = entries(&admin).await.into_iter().map(|entry| entry["status"].clone()).collect();
    assert_eq!(statuses, [409, 200], "newest first");
}

#[tokio::test]
async fn the_audit_log_is_for_admins() {
    let server = Server::start().await;
    server.api_with_key("write", None).await.get("/v1/audit").await.expect(403);
}
