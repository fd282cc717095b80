//! The audit log: every change that needs the scope admin is in it, with who made it.

use serde_json::{Value, json};

use crate::support::{Api, Server, guest};

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
            ("POST /v1/components", &json!(201)),
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

#[tokio::test]
async fn the_audit_log_is_for_admins() {
    let server = Server::start().await;
    server.api_with_key("write", None).await.get("/v1/audit").await.expect(403);
}
