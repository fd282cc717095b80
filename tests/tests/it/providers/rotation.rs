//! Keys of credentials at rest: without them nothing is readable, and they rotate.

use std::process::Stdio;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{PLANTED, created, provider, provider_with_model, turn};
use crate::support::{Api, Server, ServerOptions, everwit, files_with, guest, mode, send};

const KEY_ONE: &str = "kek-v1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const KEY_TWO: &str = "kek-v2:HxwdHhsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

/// Runs `everwit db rotate-keys` with an environment.
async fn rotate(server: &Server, environment: &[(&str, &str)]) -> Result<Value, String> {
    let mut command = everwit();
    command.envs(environment.iter().copied()).args(["db", "rotate-keys", "--json", "--data-dir"]).arg(server.data_dir());
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.expect("the command runs");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(serde_json::from_slice(&output.stdout).expect("the command prints JSON"))
}

async fn works(api: &Api, provider: &str) -> bool {
    let answer = api.post(&format!("/v1/providers/{provider}/test"), &json!({})).await;
    answer.status == 200 && answer.json()["status"] == "ok"
}

#[tokio::test]
async fn credentials_are_nowhere_in_the_clear_and_survive_restarts_and_rotation() {
    let args = vec!["--log".to_owned(), "trace".to_owned()];
    let mut server = Server::start_with(ServerOptions { args, ..ServerOptions::default() }).await;
    let api = server.api();
    let body = json!({
        "name": "Mine", "provider_type": "llmsim", "api_key": format!("sk-{PLANTED}"),
        "provider_metadata": { "refresh_token": PLANTED, "account_id": PLANTED, "extra": { "deep": [PLANTED] } },
    });
    let provider = created(&api, "/v1/providers", &body).await;
    let model = created(&api, &format!("/v1/providers/{provider}/models"), &json!({ "model_id": "m" })).await;
    let session = api.session_with(&json!({ "model_id": model })).await;
    assert_eq!(turn(&api, &session, Value::Null).await.1, "m");
    assert!(works(&api, &provider).await);
    let paths =
        ["/v1/providers", &format!("/v1/providers/{provider}"), "/v1/models", &format!("/v1/sessions/{session}/events")].map(str::to_owned);
    for path in &paths {
        assert!(!api.get(path).await.text().contains(PLANTED), "{path}");
    }
    let key_file = server.data_dir().join("master.key");
    let first_key = std::fs::read_to_string(&key_file).expect("the master key");
    assert_eq!(mode(&key_file), 0o600);
    let refused = rotate(&server, &[]).await.expect_err("a server runs");
    assert!(refused.contains("another server uses"), "{refused}");

    server.terminate();
    assert!(server.ended().await);
    assert_eq!(files_with(&server.data_dir(), PLANTED), Vec::<String>::new());
    // The search itself finds what is in the clear.
    assert_eq!(files_with(&server.data_dir(), "kek-").len(), 2);
    assert_eq!(rotate(&server, &[]).await.expect("a rotation"), json!({ "examined": 1, "encrypted_again": 1 }));
    let second_key = std::fs::read_to_string(&key_file).expect("the master key");
    assert!(second_key.lines().count() == 1 && second_key != first_key);
    let first_id = first_key.split(':').next().expect("an id");
    assert_eq!(mode(&key_file), 0o600);

    let mut server = server.restart().await;
    assert!(works(&server.api(), &provider).await);
    server.terminate();
    assert!(server.ended().await);
    assert_eq!(files_with(&server.data_dir(), PLANTED), Vec::<String>::new());
    assert!(!files_with(&server.data_dir(), &format!("\"key_id\":\"{first_id}\"")).iter().any(|file| file.ends_with("-wal")));
    assert!(!server.log().contains(PLANTED), "the log has a credential");
}

#[tokio::test]
async fn configured_keys_rotate_while_the_server_runs() {
    let key = |key: &str| vec!["--encryption-key".to_owned(), key.to_owned()];
    let both = [key(KEY_TWO), vec!["--encryption-key-previous".to_owned(), KEY_ONE.to_owned()]].concat();
    let old = Server::start_with(ServerOptions { args: key(KEY_ONE), ..ServerOptions::default() }).await;
    let (provider, _) = provider_with_model(&old.api(), "Mine", "m").await;
    assert!(!old.data_dir().join("master.key").exists());
    let server = old.kill_and_restart_with(both).await;
    assert!(works(&server.api(), &provider).await);
    let missing = rotate(&server, &[("EVERWIT_ENCRYPTION_KEY", KEY_TWO)]).await.expect_err("the old key is missing");
    assert!(missing.contains("kek-v1") && missing.contains("previous key"), "{missing}");
    let keys = [("EVERWIT_ENCRYPTION_KEY", KEY_TWO), ("EVERWIT_ENCRYPTION_KEY_PREVIOUS", KEY_ONE)];
    assert_eq!(rotate(&server, &keys).await.expect("a rotation"), json!({ "examined": 1, "encrypted_again": 1 }));
    assert_eq!(rotate(&server, &keys).await.expect("nothing to do"), json!({ "examined": 1, "encrypted_again": 0 }));
    assert!(works(&server.api(), &provider).await);
    let server = server.kill_and_restart_with(key(KEY_TWO)).await;
    assert!(works(&server.api(), &provider).await);
    let server = server.kill_and_restart_with(key(KEY_ONE)).await;
    assert!(!works(&server.api(), &provider).await, "the old key is of no use any more");
    let refused = rotate(&server, &[("EVERWIT_ENCRYPTION_KEY", "kek-v1:c2hvcnQ=")]).await.expect_err("the key is too short");
    assert!(refused.contains("32 bytes") && !refused.contains("c2hvcnQ"), "{refused}");
}

/// Whether a component gets a secret of the org. Its request is refused, because no host is granted.
async fn opens(api: &Api) -> bool {
    let arguments = json!({ "url": "http://upstream.test/", "secret": "plain-key" });
    let called = api.post("/v1/components/sleeper/call", &json!({ "tool": "get", "arguments": arguments })).await.expect(200);
    match called["error"]["message"].as_str() {
        None => {
            assert_eq!(called["result"]["structured"]["fault"], "denied", "{called}");
            true
        }
        Some(message) => {
            assert!(message.contains("it does not open"), "{called}");
            false
        }
    }
}

#[tokio::test]
async fn a_secret_of_the_org_rotates_with_the_others() {
    let key = |key: &str| vec!["--encryption-key".to_owned(), key.to_owned()];
    let server = Server::start_with(ServerOptions { args: key(KEY_ONE), ..ServerOptions::default() }).await;
    let api = server.api();
    api.post("/v1/secrets", &json!({ "name": "tracker", "value": PLANTED })).await.expect(201);
    api.upload("", guest("sleeper")).await.expect(201);
    let grant = json!({ "grant": { "secrets": { "plain-key": "secret:tracker" } } });
    api.post("/v1/components/sleeper/versions/1/activate", &grant).await.expect(200);
    assert!(opens(&api).await);
    let keys = [("EVERWIT_ENCRYPTION_KEY", KEY_TWO), ("EVERWIT_ENCRYPTION_KEY_PREVIOUS", KEY_ONE)];
    assert_eq!(rotate(&server, &keys).await.expect("a rotation"), json!({ "examined": 1, "encrypted_again": 1 }));
    let server = server.kill_and_restart_with(key(KEY_TWO)).await;
    assert!(opens(&server.api()).await, "the new key alone opens it");
    let server = server.kill_and_restart_with(key(KEY_ONE)).await;
    assert!(!opens(&server.api()).await, "the old key is of no use any more");
}

/// More rows than one step of a rotation has, so that there is something left to do after the first.
const MANY: usize = 250;

#[tokio::test]
async fn a_rotation_that_is_killed_goes_on_where_it_was() {
    let key = |key: &str| vec!["--encryption-key".to_owned(), key.to_owned()];
    let server = Server::start_with(ServerOptions { args: key(KEY_ONE), ..ServerOptions::default() }).await;
    let api = server.api();
    let session = api.session().await;
    let secrets = json!({ "secrets": { "ISSUES_API_KEY": PLANTED } });
    send(api.request(Method::PUT, &format!("/v1/sessions/{session}/storage/secrets")).json(&secrets)).await.expect(200);
    let mut ids = Vec::new();
    for number in 0..MANY {
        ids.push(created(&api, "/v1/providers", &provider(&format!("p{number}"))).await);
    }
    let keys = [("EVERWIT_ENCRYPTION_KEY", KEY_TWO), ("EVERWIT_ENCRYPTION_KEY_PREVIOUS", KEY_ONE)];
    let mut command = everwit();
    command.envs(keys).args(["db", "rotate-keys", "--json", "--data-dir"]).arg(server.data_dir());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the command runs");
    let mut progress = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let line = progress.next_line().await.expect("it tells").expect("a line");
    assert!(line.contains("100 rows examined"), "{line}");
    child.kill().await.expect("it is killed");
    let done = rotate(&server, &keys).await.expect("a rotation");
    assert_eq!(done["examined"], MANY + 1);
    assert!(done["encrypted_again"].as_u64() <= Some(MANY as u64 + 1 - 100), "what was done stays done: {done}");
    assert_eq!(rotate(&server, &keys).await.expect("nothing to do")["encrypted_again"], 0);
    let server = server.kill_and_restart_with(key(KEY_TWO)).await;
    let api = server.api();
    for id in [&ids[0], &ids[MANY - 1]] {
        api.post(&format!("/v1/providers/{id}/models"), &json!({ "model_id": "m" })).await.expect(201);
        assert!(works(&api, id).await, "the new key alone opens {id}");
    }
}
