//! The OpenAPI document: checked in, complete, and the same that the server serves.

use serde_json::Value;

use crate::support::{Server, everwit};
use crate::tidy::root;

#[tokio::test]
async fn the_checked_in_document_is_the_current_one() {
    let printed = everwit().arg("openapi").output().await.expect("the command runs");
    let printed = String::from_utf8(printed.stdout).expect("the document is UTF-8");
    let path = root().join("docs/openapi.json");
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == printed,
        "the API has changed: cargo run -p everwit-server --bin everwit -- openapi > docs/openapi.json, and review the change"
    );
    let server = Server::start().await;
    let served = server.api().get("/openapi.json").await.expect(200);
    assert_eq!(served, serde_json::from_str::<Value>(&printed).expect("the document is JSON"));
}

#[tokio::test]
async fn every_operation_is_described() {
    let printed = everwit().arg("openapi").output().await.expect("the command runs");
    let document: Value = serde_json::from_slice(&printed.stdout).expect("the document is JSON");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    assert!(document["components"]["securitySchemes"]["bearer"].is_object());
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            let place = format!("{method} {path}");
            ids.push(operation["operationId"].as_str().unwrap_or_else(|| panic!("{place} has an id")).to_owned());
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{place} has a summary");
            let responses = operation["responses"].as_object().expect("responses");
            for (status, response) in responses.iter().filter(|(status, _)| status.starts_with(['4', '5'])) {
                let response =
                    response["$ref"].as_str().map_or(response, |reference| &document["components"]["responses"][name(reference)]);
                let is_problem = response["content"]["application/problem+json"]["schema"]["$ref"] == "#/components/schemas/Problem";
                assert!(is_problem || path == "/readyz", "{place} {status} is a problem");
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["description"].is_string(), "{place}: {parameter} has a description");
            }
            assert!(path.starts_with("/v1/") == operation["security"].is_array(), "{place} states its security");
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "ids are unique");
    assert_no_dangling_references(&document, &document);
}

/// The last part of a reference.
fn name(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or_default()
}

fn assert_no_dangling_references(document: &Value, value: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').expect("references are local");
                assert!(document.pointer(pointer).is_some(), "{reference} refers to nothing");
            }
            members.values().for_each(|member| assert_no_dangling_references(document, member));
        }
        Value::Array(items) => items.iter().for_each(|item| assert_no_dangling_references(document, item)),
        _ => {}
    }
}

#[tokio::test]
async fn the_reference_page_needs_no_other_host() {
    let server = Server::start().await;
    let api = server.api();
    let page = api.get("/docs").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    for asset in ["/docs/page.js", "/docs/page.css"] {
        let asset = api.get(asset).await;
        assert!(asset.status == 200 && !asset.text().contains("https://"), "nothing is loaded from elsewhere");
    }
}
