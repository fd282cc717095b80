//! Credentials that were given over HTTP are in no answer, stream or log: every route that can be
//! read is read, while a model's vendor repeats the credentials in all that it says.

use everwit_runtime::PlatformDefinition;
use everwit_runtime::driver::DriverConfig;
use everwit_server::oss_platform_definition;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::embedded::{Home, client};
use crate::support::planted::spellings;
use crate::support::{Api, send};
use crate::turns::secrets::{Failure, Gossip, Log, PLANTED, assert_clean};

/// What the API takes; URLs with credentials in them are refused.
const BY_API: &[&str] = &[PLANTED[0], PLANTED[1], PLANTED[2], PLANTED[3], PLANTED[4]];

fn platform() -> PlatformDefinition {
    let mut platform = oss_platform_definition();
    for (id, failure) in [("gossip", Failure::BreakOff), ("refusing", Failure::Refusal)] {
        let driver = move |config: &DriverConfig| Gossip { config: config.clone(), failure, expected: BY_API };
        platform.driver_registry_mut().register_external(id, move |config| Box::new(driver(config)));
    }
    platform
}

/// Makes a provider with all credentials and a model; returns their ids.
async fn provider(api: &Api, driver: &str) -> (String, String) {
    let [key, refresh, account, extra, nested] = [0, 1, 2, 3, 4].map(|at| BY_API[at]);
    let body = json!({
        "name": driver, "provider_type": driver, "api_key": key, "base_url": "https://vendor.example/v1",
        "provider_metadata": { "refresh_token": refresh, "account_id": account, "extra": { "token": extra, "more": [nested] } },
    });
    let made = api.post("/v1/providers", &body).await;
    assert_clean("the answer to a provider", &made.text());
    let provider = id(&made.expect(201));
    let model = api.post(&format!("/v1/providers/{provider}/models"), &json!({ "model_id": "g" })).await.expect(201);
    (provider, id(&model))
}

pub(crate) fn id(answer: &Value) -> String {
    answer["id"].as_str().expect("an id").to_owned()
}

/// The document's routes that can be read and whose ids are known. Streams are read elsewhere.
pub(crate) fn readable(document: &Value, ids: &[(&str, String)]) -> Vec<String> {
    let paths = document["paths"].as_object().expect("paths");
    let plain = paths.iter().filter(|(path, item)| item.get("get").is_some() && !path.ends_with("/sse"));
    let filled = plain.map(|(path, _)| ids.iter().fold(path.clone(), |path, (name, id)| path.replace(&format!("{{{name}}}"), id)));
    filled.filter(|path| !path.contains('{')).collect()
}

#[tokio::test]
async fn no_answer_stream_or_log_has_a_credential() {
    let log = Log::default();
    let _guard = log.listen();
    let home = Home::new();
    let server = home.start(&platform()).await;
    let api = client(&server);
    let (gossip, model) = provider(&api, "gossip").await;
    let (refusing, _) = provider(&api, "refusing").await;
    let agent = json!({ "name": "a", "system_prompt": "", "default_model_id": model });
    let agent = id(&api.post("/v1/agents", &agent).await.expect(201));
    let session = api.session_with(&json!({ "agent_id": agent })).await;

    let mut stream = api.stream(&session, "").await;
    api.say(&session, "hello").await;
    let frames = stream.until("session.idled").await;
    assert_clean("the stream", &format!("{frames:?}"));
    let failed = frames.iter().find(|frame| frame.event == "turn.failed").expect("the vendor fails");
    assert!(failed.data.to_string().contains("[redacted]"), "the rest of the error is told: {failed:?}");

    let tested = send(api.request(Method::POST, &format!("/v1/providers/{refusing}/test"))).await;
    assert_eq!(tested.status, 200);
    assert!(tested.text().contains("[redacted]"), "{}", tested.text());
    assert_clean("the test of a provider", &tested.text());
    let wrong = json!({ "base_url": "https://thief.example", "api_key": format!("{}\n", BY_API[0]) });
    let refused = api.patch(&format!("/v1/providers/{gossip}"), &wrong).await;
    assert_eq!(refused.status, 422);
    assert_clean("a refusal", &refused.text());

    // Other ways in: a secret of the org and one of the session, and headers that nobody asked for.
    api.post("/v1/secrets", &json!({ "name": "planted", "value": BY_API[0] })).await.expect(201);
    let secrets = format!("/v1/sessions/{session}/storage/secrets");
    let kept = send(api.request(Method::PUT, &secrets).json(&json!({ "secrets": { "PLANTED": BY_API[1] } }))).await;
    assert!(kept.status < 500, "{}", kept.text());
    assert_clean("the answer to a session's secret", &kept.text());
    for header in ["authorization", "cookie", "if-match", "user-agent", "referer"] {
        let told = send(api.request(Method::GET, "/v1/providers").header(header, BY_API[2])).await;
        assert_clean(header, &told.text());
    }
    let org = "default".to_owned();
    let ids = [("provider", gossip), ("model", model), ("agent", agent), ("session_id", session), ("org", org)];
    let routes = readable(&api.get("/openapi.json").await.expect(200), &ids);
    assert!(routes.len() > 15 && routes.iter().any(|route| route.ends_with("/context-report")), "{routes:?}");
    for route in &routes {
        let answer = api.get(route).await;
        assert!(answer.status < 500, "{route}: {}", answer.text());
        assert_clean(route, &answer.text());
    }
    server.shutdown().await.expect("it ends");
    for secret in BY_API {
        for (spelled, spelling) in spellings(secret) {
            assert_eq!(home.files_with(&spelling), Vec::<String>::new(), "{secret} is kept as {spelled}");
        }
    }
    assert!(!home.files_with("https://vendor.example/v1").is_empty(), "the search finds what is in the clear");
    let log = log.text();
    assert!(log.contains("a model call failed") && log.contains("TRACE"), "the log is complete: {log}");
    assert_clean("the log", &log);
}
