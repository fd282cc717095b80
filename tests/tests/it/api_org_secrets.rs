//! Secrets of the org over HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Server, send};

const PLANTED: &str = "planted-0f9d3c";

#[tokio::test]
async fn secrets_of_the_org_come_in_and_never_go_out() {
    let server = Server::start().await;
    let api = server.api_with_key("admin", None).await;
    let mut told = Vec::new();
    let new = json!({ "name": "tracker-token", "value": PLANTED });
    let made = api.post("/v1/secrets", &new).await.expect(201);
    assert_eq!(made["name"], "tracker-token");
    told.push(made.clone());
    told.push(api.post("/v1/secrets", &new).await.expect(409));
    let list = api.get("/v1/secrets").await.expect(200);
    assert_eq!((&list["total"], &list["data"][0]), (&json!(1), &made));
    told.push(list);
    let put = async |name: &str, value: &Value| {
        send(api.request(Method::PUT, &format!("/v1/secrets/{name}")).json(&json!({ "value": value }))).await
    };
    let replaced = put("tracker-token", &json!(format!("{PLANTED}-2"))).await.expect(200);
    assert_eq!(replaced["created_at"], made["created_at"]);
    told.push(replaced);
    told.push(put("nobody", &json!(PLANTED)).await.expect(404));
    told.push(put("tracker-token", &json!(format!("{PLANTED}\n"))).await.expect(422));
    told.push(put("tracker-token", &json!(PLANTED.repeat(2_000))).await.expect(422));
    for name in ["", "Upper", "1st", "a/b", &"x".repeat(65)] {
        told.push(api.post("/v1/secrets", &json!({ "name": name, "value": PLANTED })).await.expect(422));
    }
    let writer = server.api_with_key("write", None).await;
    told.push(writer.post("/v1/secrets", &new).await.expect(403));
    told.push(api.get("/v1/audit?limit=100").await.expect(200));
    assert_eq!(told.last().expect("the audit log")["total"], 11, "every try of an admin is written down");
    api.delete("/v1/secrets/tracker-token").await.expect(204);
    told.push(api.delete("/v1/secrets/tracker-token").await.expect(404));
    let shown = format!("{told:?}{}", server.log());
    assert!(!shown.contains(PLANTED), "{shown}");
}
