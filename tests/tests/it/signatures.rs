//! Signed components: an org that requires signatures stores and activates nothing else.

use everwit_runtime::component::{Digest, Judgement, SignaturePolicy, SignatureSettings, SigningKey, TrustedKey, Unsigned};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Server, everwit, guest, mode, send};

fn key() -> SigningKey {
    SigningKey::generate().expect("randomness")
}

fn trusting(policy: SignaturePolicy, key: &SigningKey) -> SignatureSettings {
    SignatureSettings { policy, keys: vec![TrustedKey { name: "ci".to_owned(), public_key: key.public_key() }] }
}

/// Has the org decide about signatures, and trust a key.
async fn decide(api: &Api, policy: &str, key: &SigningKey) {
    let keys = json!([{ "name": "ci", "public_key": key.public_key() }]);
    let settings = json!({ "component_signatures": { "policy": policy, "keys": keys } });
    let org = api.patch("/v1/orgs/default", &settings).await.expect(200);
    assert_eq!(org["component_signatures"], settings["component_signatures"]);
}

async fn upload(api: &Api, name: &str, signature: Option<String>) -> Answer {
    let mut request = api.request(Method::POST, "/v1/components").header(CONTENT_TYPE, "application/wasm").body(guest(name));
    if let Some(signature) = signature {
        request = request.header("component-signature", signature);
    }
    send(request).await
}

/// What the report says of the signature: outcome, and the code of its finding.
fn judged(report: &Value) -> (&str, Option<&str>) {
    let check = report["checks"].as_array().expect("checks").iter().find(|check| check["check"] == "signature").expect("it is checked");
    (check["outcome"].as_str().expect("an outcome"), check["findings"][0]["code"].as_str())
}

#[test]
fn a_signature_of_other_bytes_is_none() {
    crate::support::mutation::apply();
    let (own, other) = (key(), key());
    let settings = trusting(SignaturePolicy::Require, &own);
    let digest = Digest::of(b"component");
    assert_eq!(settings.judge(digest, Some(&own.sign(digest))), Judgement::Signed("ci"));
    for signature in [own.sign(Digest::of(b"another")), other.sign(digest)] {
        assert_eq!(settings.signer(digest, Some(&signature)), Err(Unsigned::Untrusted));
    }
}

#[test]
fn what_is_not_signed_is_refused_as_the_policy_says() {
    crate::support::mutation::apply();
    let digest = Digest::of(b"component");
    for (policy, judgement) in [
        (SignaturePolicy::Off, Judgement::NotAsked),
        (SignaturePolicy::Warn, Judgement::Warned(Unsigned::Absent)),
        (SignaturePolicy::Require, Judgement::Refused(Unsigned::Absent)),
    ] {
        assert_eq!(trusting(policy, &key()).judge(digest, None), judgement);
    }
}

#[tokio::test]
async fn an_org_that_requires_signatures_stores_nothing_else() {
    let server = Server::start().await;
    let api = server.api();
    let (own, other) = (key(), key());
    decide(&api, "require", &own).await;
    let digest = Digest::of(&guest("echo"));
    for (signature, code) in [
        (None, "unsigned"),
        (Some(other.sign(digest)), "signature_untrusted"),
        (Some(own.sign(Digest::of(&guest("minimal")))), "signature_untrusted"),
    ] {
        let refused = upload(&api, "echo", signature).await.expect(422);
        assert_eq!((&refused["code"], judged(&refused)), (&json!("component_rejected"), ("failed", Some(code))), "{refused}");
        assert!(refused["errors"][0]["fix"].as_str().is_some_and(|fix| fix.contains("everwit push --sign")), "{refused}");
    }
    for malformed in ["AAAA".to_owned(), "A".repeat(10_000), own.sign(digest).repeat(2)] {
        assert_eq!(upload(&api, "echo", Some(malformed)).await.expect(400)["code"], "invalid_header");
    }
    assert_eq!(api.get("/v1/components").await.expect(200)["total"], 0);
    let stored = upload(&api, "echo", Some(own.sign(digest))).await.expect(201);
    assert_eq!((judged(&stored["inspection"]), &stored["active"]), (("passed", None), &json!(true)), "{stored}");
}

#[tokio::test]
async fn what_was_stored_unsigned_is_not_activated_once_signatures_are_required() {
    let server = Server::start().await;
    let api = server.api();
    let (own, other) = (key(), key());
    let unsigned = upload(&api, "echo", None).await.expect(201);
    assert_eq!(judged(&unsigned["inspection"]), ("not_applicable", None));
    decide(&api, "warn", &own).await;
    let warned = upload(&api, "minimal", Some(other.sign(Digest::of(&guest("minimal"))))).await.expect(201);
    assert_eq!((judged(&warned["inspection"]), &warned["active"]), (("passed", Some("signature_untrusted")), &json!(true)));
    assert!(warned["inspection"]["warnings"].to_string().contains("signature_untrusted"), "{warned}");

    decide(&api, "require", &own).await;
    for name in ["echo", "minimal"] {
        let path = format!("/v1/components/{name}/versions/1/activate");
        let refused = api.post(&path, &json!({})).await.expect(409);
        assert_eq!(refused["code"], "unsigned", "{refused}");
        let signed = upload(&api, name, Some(own.sign(Digest::of(&guest(name))))).await.expect(200);
        assert_eq!(signed["created"], false, "the same bytes are the same version");
        api.post(&path, &json!({})).await.expect(200);
    }
    // Who is not trusted any more has signed nothing.
    decide(&api, "require", &other).await;
    assert_eq!(api.post("/v1/components/echo/versions/1/activate", &json!({})).await.expect(409)["code"], "unsigned");
}

#[tokio::test]
async fn settings_that_would_lock_everybody_out_are_refused() {
    let server = Server::start().await;
    let api = server.api();
    let public = key().public_key();
    let named = |name: &str, key: &str| json!({ "name": name, "public_key": key });
    for (policy, keys, pointer) in [
        ("require", json!([]), "/component_signatures/keys"),
        ("warn", json!([named("", &public)]), "/component_signatures/keys/0/name"),
        ("warn", json!([named("a", &public), named("a", &public)]), "/component_signatures/keys/1/name"),
        ("off", json!([named("a", "AAAA")]), "/component_signatures/keys/0/public_key"),
        ("off", json!(vec![named("a", &public); 17]), "/component_signatures/keys"),
    ] {
        let refused =
            api.patch("/v1/orgs/default", &json!({ "component_signatures": { "policy": policy, "keys": keys } })).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    assert_eq!(api.get("/v1/orgs/default").await.expect(200)["component_signatures"], json!({ "policy": "off", "keys": [] }));
}

#[tokio::test]
async fn push_signs_with_a_key_of_a_file() {
    let (server, home) = (Server::start().await, tempfile::tempdir().expect("a temporary directory"));
    let (file, own) = (home.path().join("echo.wasm"), home.path().join("key.pem"));
    std::fs::write(&file, guest("echo")).expect("it is written");
    let run = async |args: &[&str]| {
        let output = everwit().args(args).stdin(std::process::Stdio::null()).output().await.expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let path = |path: &std::path::Path| path.to_str().expect("a path of text").to_owned();
    let (own, file) = (path(&own), path(&file));
    let (code, public, told) = run(&["signing-key", &own]).await;
    assert!(code == Some(0) && told.contains("a new private key"), "{told}");
    assert_eq!(mode(std::path::Path::new(&own)), 0o600);
    assert_eq!(run(&["signing-key", &own]).await.1, public, "it is read, and not made again");
    decide(&server.api(), "require", &SigningKey::from_pem(&std::fs::read_to_string(&own).expect("the key")).expect("a key")).await;

    let push = async |more: &[&str]| run(&[&["push", &file, "--server", server.url()], more].concat()).await;
    let (code, _, told) = push(&[]).await;
    assert!(code == Some(1) && told.contains("fix: sign it with a key"), "{told}");
    let (code, _, told) = push(&["--sign", &file]).await;
    assert!(code == Some(2) && told.contains("no key"), "{told}");
    let (code, stored, told) = push(&["--sign", &own, "--activate"]).await;
    assert_eq!((code, stored.as_str()), (Some(0), "echo 1"), "{told}");
}
