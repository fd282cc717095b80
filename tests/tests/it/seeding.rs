//! What the platform puts into each org: created, changed, removed and brought back by key, and
//! never over what an org did itself.

use everwit_runtime::platform::SeedAgent;
use everwit_runtime::{BuiltInCapabilityDefinition, BuiltInHarnessRole, PlatformDefinition};
use everwit_server::{SeedAction, ServerHandle, oss_platform_definition};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::embedded::{Home, client, template, with_harnesses};
use crate::support::{Api, send};

use BuiltInHarnessRole::{Base, Chat, Default};

/// What a start did with a template.
fn done(server: &ServerHandle, key: &str) -> Vec<SeedAction> {
    let entries = server.seeding().iter().flat_map(|report| &report.entries);
    entries.filter(|entry| entry.key == key).map(|entry| entry.action).collect()
}

async fn harness(api: &Api, name: &str) -> Value {
    api.get(&format!("/v1/harnesses/{name}")).await.expect(200)
}

async fn org(api: &Api) -> Value {
    api.get("/v1/orgs/default").await.expect(200)
}

/// A platform of one harness with the roles base and default, and agents on it.
fn with_agents(agents: impl IntoIterator<Item = SeedAgent>) -> PlatformDefinition {
    let mut platform = with_harnesses([template("only", "", &[Base, Default])]);
    platform.seed_agents_mut().extend(agents);
    platform
}

#[tokio::test]
async fn a_new_org_gets_the_templates_and_the_default() {
    let home = Home::new();
    let platform = with_harnesses([
        template("child", "Child.", &[Default]).with_parent_key("trunk"),
        template("trunk", "Trunk.", &[Base])
            .with_tags(["x"])
            .with_capabilities([BuiltInCapabilityDefinition::with_config("current_time", json!({}))]),
    ]);
    let server = home.start(&platform).await;
    let api = client(&server);
    let (trunk, child) = (harness(&api, "trunk").await, harness(&api, "child").await);
    assert_eq!((&trunk["system_prompt"], &trunk["tags"], &trunk["is_built_in"]), (&json!("Trunk."), &json!(["x"]), &json!(true)));
    assert_eq!(trunk["capabilities"], json!([{ "ref": "current_time", "config": {} }]));
    assert_eq!(child["parent_harness_id"], trunk["id"]);
    let org = org(&api).await;
    assert_eq!((org.get("base_harness_id"), &org["default_harness_id"]), (None, &child["id"]));
    assert_eq!(done(&server, "trunk"), [SeedAction::Created]);
    assert_eq!(done(&server, "child"), [SeedAction::Created, SeedAction::DefaultChanged]);
    server.shutdown().await.expect("it ends");

    let again = home.start(&platform).await;
    for key in ["trunk", "child"] {
        assert_eq!(done(&again, key), [SeedAction::Unchanged], "{key}");
    }
    assert_eq!(harness(&client(&again), "trunk").await, trunk);
}

#[tokio::test]
async fn a_session_without_harness_runs_on_the_orgs_base_or_else_on_the_role() {
    let home = Home::new();
    let server = home.start(&with_harnesses([template("plain", "", &[]), template("whatever", "", &[Base])])).await;
    let api = client(&server);
    let on = async |body: Value| api.post("/v1/sessions", &body).await.expect(201)["harness_id"].clone();
    assert_eq!(on(json!({})).await, harness(&api, "whatever").await["id"]);
    let agent = api.post("/v1/agents", &json!({ "name": "a", "system_prompt": "" })).await.expect(201);
    assert_eq!(agent["harness_id"], harness(&api, "whatever").await["id"]);

    let plain = harness(&api, "plain").await["id"].clone();
    let changed = api.patch("/v1/orgs/default", &json!({ "base_harness_id": "plain" })).await.expect(200);
    assert_eq!(changed["base_harness_id"], plain);
    assert_eq!(on(json!({})).await, plain);
    api.patch("/v1/orgs/default", &json!({ "base_harness_id": null })).await.expect(200);
    assert_eq!(on(json!({})).await, harness(&api, "whatever").await["id"]);

    let refused = api.patch("/v1/orgs/default", &json!({ "base_harness_id": "none", "default_harness_id": "none" })).await.expect(422);
    assert_eq!(refused["errors"].as_array().map(Vec::len), Some(2), "{refused}");
    assert_eq!(api.get("/v1/orgs/other").await.status, 404);
}

#[tokio::test]
async fn without_a_base_harness_a_session_must_name_one() {
    let home = Home::new();
    let server = home.start(&with_harnesses([template("plain", "", &[])])).await;
    let api = client(&server);
    assert_eq!(api.post("/v1/sessions", &json!({})).await.expect(409)["code"], "no_base_harness");
    assert_eq!(api.post("/v1/sessions/chat", &json!({})).await.expect(409)["code"], "no_chat_harness");
    api.post("/v1/sessions", &json!({ "harness_name": "plain" })).await.expect(201);
}

#[tokio::test]
async fn the_chat_session_is_the_callers_own_and_stays() {
    let home = Home::new();
    let platform = with_harnesses([template("base", "", &[Base]), template("talk", "", &[Chat])]);
    let server = home.start(&platform).await;
    let api = client(&server);
    let chat = async |api: &Api| send(api.request(Method::POST, "/v1/sessions/chat")).await;
    let first = chat(&api).await.expect(201);
    assert_eq!(first["harness_id"], harness(&api, "talk").await["id"]);
    assert_eq!(chat(&api).await.expect(200)["id"], first["id"]);
    let ids = futures::future::join_all((0..8).map(|_| chat(&api))).await;
    assert!(ids.into_iter().all(|answer| answer.json()["id"] == first["id"]));
    server.shutdown().await.expect("it ends");

    let again = home.start(&platform).await;
    assert_eq!(chat(&client(&again)).await.expect(200)["id"], first["id"]);
}

#[tokio::test]
async fn a_changed_template_changes_the_harness_and_keeps_its_id() {
    let home = Home::new();
    let server = home.start(&with_harnesses([template("h", "One.", &[Base, Default])])).await;
    let before = harness(&client(&server), "h").await;
    server.shutdown().await.expect("it ends");

    let mut changed = template("h", "Two.", &[Base, Default]).with_tags(["new"]);
    changed.name = "Renamed".to_owned();
    let server = home.start(&with_harnesses([changed])).await;
    let after = harness(&client(&server), "h").await;
    assert_eq!(done(&server, "h"), [SeedAction::Updated]);
    assert_eq!((&after["id"], &after["created_at"]), (&before["id"], &before["created_at"]));
    assert_eq!((&after["display_name"], &after["system_prompt"], &after["tags"]), (&json!("Renamed"), &json!("Two."), &json!(["new"])));
}

#[tokio::test]
async fn a_removed_template_is_archived_if_nobody_needs_it_and_comes_back() {
    let home = Home::new();
    let both = with_harnesses([
        template("base", "", &[Base]),
        template("parent", "", &[]),
        template("old", "Old.", &[Default]).with_parent_key("parent"),
        template("used", "", &[]),
    ]);
    let server = home.start(&both).await;
    let api = client(&server);
    let old = harness(&api, "old").await;
    assert_eq!(org(&api).await["default_harness_id"], old["id"]);
    api.session_with(&json!({ "harness_name": "used" })).await;
    server.shutdown().await.expect("it ends");

    let server = home.start(&with_harnesses([template("base", "", &[Base, Default])])).await;
    let api = client(&server);
    assert_eq!((done(&server, "old"), done(&server, "parent")), (vec![SeedAction::Archived], vec![SeedAction::Archived]));
    assert_eq!(done(&server, "used"), [SeedAction::LeftBehind]);
    let status = async |name: &str| harness(&api, name).await["status"].clone();
    assert_eq!((status("old").await, status("used").await), (json!("archived"), json!("active")));
    assert_eq!(org(&api).await["default_harness_id"], harness(&api, "base").await["id"], "the platform's choice moves along");
    server.shutdown().await.expect("it ends");

    let server = home.start(&both).await;
    let back = harness(&client(&server), "old").await;
    assert_eq!((&back["id"], &back["status"]), (&old["id"], &json!("active")));
    assert!(done(&server, "old").contains(&SeedAction::Updated));
}

#[tokio::test]
async fn a_default_that_the_org_chose_stays() {
    let home = Home::new();
    let server = home.start(&with_harnesses([template("a", "", &[Base, Default]), template("b", "", &[])])).await;
    let api = client(&server);
    let chosen = api.patch("/v1/orgs/default", &json!({ "default_harness_id": "b" })).await.expect(200);
    server.shutdown().await.expect("it ends");
    let server = home.start(&with_harnesses([template("a", "", &[Base]), template("c", "", &[Default])])).await;
    assert_eq!(org(&client(&server)).await["default_harness_id"], chosen["default_harness_id"]);
    assert_eq!(done(&server, "b"), [SeedAction::LeftBehind], "the org needs it");
}

#[tokio::test]
async fn what_an_org_changed_or_archived_is_never_overwritten() {
    let home = Home::new();
    let agents = |prompt: &str| ["changed", "archived", "untouched"].map(|key| SeedAgent::new(key, "only", prompt));
    let server = home.start(&with_agents(agents("One."))).await;
    let api = client(&server);
    api.patch("/v1/agents/changed", &json!({ "description": "ours" })).await.expect(200);
    assert_eq!(api.delete("/v1/agents/archived").await.status, 204);
    server.shutdown().await.expect("it ends");

    let server = home.start(&with_agents(agents("Two."))).await;
    let api = client(&server);
    let agent = async |name: &str| api.get(&format!("/v1/agents/{name}")).await.expect(200);
    for (key, action, prompt, status) in [
        ("changed", SeedAction::Kept, "One.", "active"),
        ("archived", SeedAction::Kept, "One.", "archived"),
        ("untouched", SeedAction::Updated, "Two.", "active"),
    ] {
        let found = agent(key).await;
        assert_eq!(done(&server, key), [action], "{key}");
        assert_eq!((&found["system_prompt"], &found["status"]), (&json!(prompt), &json!(status)), "{key}");
    }
    server.shutdown().await.expect("it ends");

    let server = home.start(&with_agents([])).await;
    let api = client(&server);
    assert_eq!((done(&server, "changed"), done(&server, "untouched")), (vec![SeedAction::LeftBehind], vec![SeedAction::Archived]));
    assert_eq!(api.get("/v1/agents/changed").await.expect(200)["status"], "active");
}

#[tokio::test]
async fn what_an_org_deleted_does_not_come_back() {
    let home = Home::new();
    let server = home.start(&with_agents([SeedAgent::new("gone", "only", "One.")])).await;
    let api = client(&server);
    assert_eq!(api.delete("/v1/agents/gone").await.status, 204);
    assert_eq!(send(api.request(Method::POST, "/v1/agents/gone/delete")).await.status, 204);
    let model = api.get("/v1/models?limit=1").await.expect(200)["data"][0].clone();
    let id = model["id"].as_str().expect("a stock model");
    assert_eq!(api.delete(&format!("/v1/models/{id}")).await.status, 204);
    for refused in [api.patch("/v1/harnesses/only", &json!({ "description": "ours" })).await, api.delete("/v1/harnesses/only").await] {
        assert_eq!(refused.expect(409)["code"], "built_in", "nobody changes a template's harness");
    }
    server.shutdown().await.expect("it ends");

    for prompt in ["One.", "Two."] {
        let server = home.start(&with_agents([SeedAgent::new("gone", "only", prompt)])).await;
        let api = client(&server);
        assert_eq!(done(&server, "gone"), [SeedAction::Kept], "{prompt}");
        assert_eq!(api.get("/v1/agents/gone").await.status, 404, "{prompt}");
        let models = api.get("/v1/models?limit=100").await.expect(200);
        let models = models["data"].as_array().expect("a list");
        assert!(!models.iter().any(|other| other["model_id"] == model["model_id"] && other["provider_id"] == model["provider_id"]));
        server.shutdown().await.expect("it ends");
    }

    let server = home.start(&with_agents([])).await;
    client(&server).post("/v1/agents", &json!({ "name": "gone", "system_prompt": "Ours." })).await.expect(201);
    server.shutdown().await.expect("it ends");
    let server = home.start(&with_agents([SeedAgent::new("gone", "only", "Two.")])).await;
    assert_eq!(client(&server).get("/v1/agents/gone").await.expect(200)["system_prompt"], "Ours.");
}

#[tokio::test]
async fn a_name_that_the_org_uses_is_left_to_it() {
    let home = Home::new();
    let server = home.start(&with_harnesses([template("base", "", &[Base])])).await;
    client(&server).post("/v1/harnesses", &json!({ "name": "mine", "system_prompt": "Ours." })).await.expect(201);
    server.shutdown().await.expect("it ends");
    let platform = with_harnesses([
        template("base", "", &[Base]),
        template("mine", "Theirs.", &[]),
        template("child", "", &[]).with_parent_key("mine"),
    ]);
    let server = home.start(&platform).await;
    assert_eq!((done(&server, "mine"), done(&server, "child")), (vec![SeedAction::NameTaken], vec![SeedAction::Skipped]));
    assert_eq!(harness(&client(&server), "mine").await["system_prompt"], "Ours.");
}

#[tokio::test]
async fn agents_that_need_what_the_platform_lacks_are_skipped() {
    let home = Home::new();
    let agents = || {
        let time = [BuiltInCapabilityDefinition::new("current_time")];
        [
            SeedAgent::new("clock", "only", "").with_capabilities(time),
            SeedAgent::new("plain", "only", ""),
            SeedAgent::new("lost", "gone", ""),
        ]
    };
    let mut without = with_agents(agents());
    without.capability_registry_mut().unregister("current_time");
    let server = home.start(&without).await;
    let api = client(&server);
    assert_eq!((done(&server, "clock"), done(&server, "lost")), (vec![SeedAction::Skipped], vec![SeedAction::Skipped]));
    assert_eq!((api.get("/v1/agents/clock").await.status, api.get("/v1/agents/plain").await.status), (404, 200));
    server.shutdown().await.expect("it ends");

    let server = home.start(&with_agents(agents())).await;
    client(&server).get("/v1/agents/clock").await.expect(200);
    server.shutdown().await.expect("it ends");

    let server = home.start(&without).await;
    assert_eq!(done(&server, "clock"), [SeedAction::Skipped, SeedAction::Archived], "it would be broken");
}

#[tokio::test]
async fn a_new_org_is_seeded_when_it_is_first_seen() {
    let server = crate::support::Server::start().await;
    let api = server.api_with_key("admin", Some("later")).await;
    let session = api.post("/v1/sessions", &json!({})).await.expect(201);
    assert_eq!(session["harness_id"], harness(&api, "base").await["id"]);
    let settings = api.get("/v1/orgs/later").await.expect(200);
    assert_eq!(settings["default_harness_id"], harness(&api, "generic").await["id"]);
    let stale = api.request(Method::PATCH, "/v1/orgs/later").header("if-match", "\"1\"").json(&json!({ "default_harness_id": null }));
    assert_eq!(send(stale).await.status, 412);
    assert_eq!(api.get("/v1/orgs/default").await.status, 404, "another org does not exist");
    assert_eq!(oss_platform_definition().built_in_harnesses().len(), 3);
}
