//! Workers have no master key: a control plane gives them the keys of single values, for the turns that they run.

use std::process::Command;

use everwit_runtime::engine::conformance::until;
use everwit_runtime::store::postgres::testing::query;
use reqwest::Method;
use serde_json::{Value, json};

use crate::site::{LEASE, Site, WORKER_TOKEN, shared_temporal};
use crate::support::Api;

/// The key of a new org, or of the default one.
fn api_key(site: &Site, org: Option<&str>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everwit"));
    command.args(["keys", "create", "--scope", "admin", "--json"]).env_clear();
    command.args(org.iter().flat_map(|name| ["--new-org", name]));
    command.env("EVERWIT_DATABASE", &site.database).env("EVERWIT_DATA_DIR", site.file("data-keys"));
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let made: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    made["key"].as_str().expect("a key").to_owned()
}

/// A session whose model is at a provider with a credential; the id of the provider, too.
async fn session(api: &Api) -> (String, String) {
    let body = json!({ "name": "mine", "provider_type": "llmsim", "api_key": "sk-planted-4711" });
    let provider = api.post("/v1/providers", &body).await.expect(201)["id"].as_str().expect("an id").to_owned();
    let model = api.post(&format!("/v1/providers/{provider}/models"), &json!({ "model_id": "m" })).await.expect(201);
    let session = api.session_with(&json!({ "model_id": model["id"], "capabilities": [{ "ref": "trouble" }] })).await;
    (session, provider)
}

fn napping() -> Value {
    let call = json!({ "tool_calls": [{ "name": "nap", "arguments": {} }] });
    json!({ "response": { "scripted": { "turns": [call, { "assistant": "Done." }] } } })
}

/// The data key of a provider's credential, as the database has it.
async fn wrapped(site: &Site, provider: &str) -> Value {
    let id = provider.trim_start_matches("provider_");
    let sealed = query(&site.database, &format!("SELECT api_key::text FROM providers WHERE replace(id::text, '-', '') LIKE '%{id}'")).await;
    let sealed: Value = serde_json::from_str(&sealed[0]).expect("JSON");
    json!({ "key_id": sealed["key_id"], "wrapped": sealed["dek_wrapped"] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_given_the_keys_of_its_own_turns_and_no_others() {
    let site = Site::new(&napping(), LEASE).await;
    let temporal = shared_temporal();
    let _server = site.start("server", "server", &temporal).await;
    let _worker = site.start("worker", "worker", &temporal).await;
    let [ours, theirs] = [None, Some("theirs")].map(|org| site.api().with_authorization(&api_key(&site, org)));
    let ((session, provider), (_, foreign)) = (session(&ours).await, session(&theirs).await);
    ours.say(&session, "go").await;
    until("the turn runs", async || site.effects().len() == 1).await;
    assert!(site.log("server").contains("a worker was given a data key"), "its model's credential was opened");
    assert!(site.file("data-server/master.key").exists() && !site.file("data-worker/master.key").exists());

    let turn = ours.events(&session).await.iter().find(|event| event["type"] == "turn.started").expect("a turn")["data"]["turn_id"].clone();
    let fence: u64 = query(&site.database, "SELECT fence::text FROM turns WHERE outcome IS NULL").await[0].parse().expect("a number");
    let org_of = async |api: &Api| api.get("/v1/sessions").await.expect(200)["data"][0]["organization_id"].clone();
    let (own_org, other_org) = (org_of(&ours).await, org_of(&theirs).await);
    let ask = async |token: Option<&str>, body: &Value| {
        let request = site.api().request(Method::POST, "/internal/data-keys").json(body);
        let response = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        response.send().await.expect("it answers").status().as_u16()
    };
    let question = json!({
        "organization_id": own_org, "turn": { "session_id": session, "turn_id": turn, "fence": fence },
        "field": "provider.api_key", "row": provider.trim_start_matches("provider_"), "wrapped": wrapped(&site, &provider).await,
    });
    let with = |name: &str, value: Value| {
        let mut changed = question.clone();
        changed[name] = value;
        changed
    };
    assert_eq!(ask(Some(WORKER_TOKEN), &question).await, 200);
    assert_eq!(ask(None, &question).await, 401);
    assert_eq!(ask(Some("another-token-of-32-characters-0"), &question).await, 401);
    assert_eq!(ask(Some(WORKER_TOKEN), &with("organization_id", other_org)).await, 403, "the turn is of another org");
    let mut of_another_org = with("wrapped", wrapped(&site, &foreign).await);
    of_another_org["row"] = foreign.trim_start_matches("provider_").into();
    assert_eq!(ask(Some(WORKER_TOKEN), &of_another_org).await, 403, "the value is of another org");
    assert_eq!(ask(Some(WORKER_TOKEN), &with("field", "provider.metadata".into())).await, 403, "it belongs elsewhere");
    let late = json!({ "session_id": session, "turn_id": turn, "fence": fence - 1 });
    assert_eq!(ask(Some(WORKER_TOKEN), &with("turn", late)).await, 403, "another worker has it by now");
    ours.post(&format!("/v1/sessions/{session}/cancel"), &json!({})).await.expect(200);
    ours.stream(&session, "?after_sequence=0").await.until("turn.cancelled").await;
    assert_eq!(ask(Some(WORKER_TOKEN), &question).await, 403, "the turn has ended");
}
