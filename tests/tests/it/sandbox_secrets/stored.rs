//! Secrets that the org stores for its components.

use everwit_runtime::capability::CallError;
use everwit_runtime::id::OrgId;
use everwit_runtime::secret::OrgSecret;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::{Accounts, PLANTED, World, at};

impl World {
    /// A guest whose secrets are bound to one of the org.
    async fn with_stored() -> Self {
        Self::using("secret:tracker").await
    }

    /// A guest that may use a secret of the org so.
    async fn using(binding: &str) -> Self {
        let accounts = Accounts { token: PLANTED, connected: false, hosts: Vec::new() };
        let world = Self::bound("sleeper", accounts, [binding, binding, "tracker"]).await;
        let org = world.call.org_id;
        // The default org is made by somebody; the guest's org is only a number so far.
        world.call.services.backends.org_store.add_org(org, "tests", Timestamp::UNIX_EPOCH).await.expect("an org");
        world
    }

    pub(super) async fn store(&self, org: OrgId) {
        self.store_value(org, PLANTED).await;
    }

    async fn store_value(&self, org: OrgId, value: &str) {
        let backends = &self.call.services.backends;
        let secret = OrgSecret::seal(&backends.cipher, org, "tracker", &value.into(), Timestamp::UNIX_EPOCH).await.expect("randomness");
        backends.secret_store.add_secret(org, secret).await.expect("a secret");
    }

    async fn refusal(&self, secret: &str) -> String {
        let outcome = self.get(at("http://upstream.test/", secret, json!({ "authorization": "$secret" }))).await;
        let Err(CallError::Failed(failure)) = outcome.result else { panic!("expected a failure, got {:?}", outcome.result) };
        failure.message
    }
}

#[tokio::test]
async fn the_secrets_of_a_call_have_a_size_together() {
    let world = World::with_stored().await;
    world.store_value(world.call.org_id, &"x".repeat((32 << 10) + 1)).await;
    let refused = world.refusal("plain-key").await;
    assert!(refused.contains("at most 32768 bytes together"), "{refused}");
}

#[tokio::test]
async fn a_secret_of_the_org_arrives_in_its_place_and_nowhere_else() {
    let world = World::with_stored().await;
    world.store(world.call.org_id).await;
    let sent =
        world.sent(at("http://upstream.test/x", "plain-key", json!({ "authorization": "Bearer $secret" }))).await.expect("it is sent");
    assert!(sent.contains(&format!("authorization: Bearer {PLANTED}\r\n")), "{sent}");
    let sent = world.sent(at("http://upstream.test/x?key=$secret", "query-key", json!({}))).await.expect("it is sent");
    assert!(sent.starts_with(&format!("GET /x?key={PLANTED} HTTP/1.1")), "{sent}");
    for request in [
        at("http://other.test/x", "plain-key", json!({ "authorization": "$secret" })),
        at("http://upstream.test/x", "plain-key", json!({ "x-other": "$secret" })),
        at("http://upstream.test/$secret", "plain-key", json!({})),
    ] {
        let refused = world.sent(request).await.expect_err("it is not its place");
        assert!(refused.starts_with("denied") && refused.contains("may only be in"), "{refused}");
    }
    assert!(world.refusal("unbound-key").await.contains("bind one when activating"), "a binding says what kind it is");
}

#[tokio::test]
async fn a_secret_of_another_org_does_not_exist_for_a_call() {
    let world = World::with_stored().await;
    let other = OrgId::from_uuid(Uuid::from_u128(0xbeef));
    world.call.services.backends.org_store.add_org(other, "other", Timestamp::UNIX_EPOCH).await.expect("an org");
    world.store(other).await;
    let refused = world.refusal("plain-key").await;
    assert!(refused.contains("the org has no secret \"tracker\"") && refused.contains("/v1/secrets"), "{refused}");
    assert!(world.arrived.lock().expect("a lock").is_empty());
}

#[tokio::test]
async fn a_secret_that_is_bound_for_basic_arrives_encoded() {
    let world = World::using("basic:tracker").await;
    world.store_value(world.call.org_id, &format!("user:{PLANTED}")).await;
    let outcome = world.get(at("http://upstream.test/x", "plain-key", json!({ "authorization": "Basic $secret" }))).await;
    let sent = world.arrived.lock().expect("a lock").remove(0);
    let encoded = "dXNlcjpwbGFudGVkLTc3YWE=";
    assert!(sent.contains(&format!("authorization: Basic {encoded}\r\n")), "{sent}");
    let shown = format!("{outcome:?}");
    assert!(!shown.contains(encoded) && shown.contains("[redacted]"), "the server repeats it, and the guest does not hear it: {shown}");
    let unfit = World::using("basic:tracker").await;
    unfit.store(unfit.call.org_id).await;
    assert!(unfit.refusal("plain-key").await.contains("not user:password"));
}

#[tokio::test]
async fn a_key_that_is_bound_for_signing_never_leaves() {
    let world = World::using("hmac-sha256:tracker").await;
    world.store(world.call.org_id).await;
    let sent =
        world.sent(at("http://upstream.test/x", "plain-key", json!({ "authorization": "sha256=$secret" }))).await.expect("it is sent");
    // The MAC of nothing under this key: the request has no body.
    let mac = "authorization: sha256=dcb074030fe0539db9f5fa4356b6c5c43b8943e41bc657786ca701005778b1c7\r\n";
    assert!(sent.contains(mac) && !sent.contains(PLANTED), "{sent}");
    let aws = World::using("aws-sigv4:eu-central-1/bedrock:tracker").await;
    aws.store_value(aws.call.org_id, &format!("AKIDEXAMPLE:{PLANTED}")).await;
    let sent = aws.sent(at("http://upstream.test/x", "plain-key", json!({ "authorization": "$secret" }))).await.expect("it is sent");
    let signed = "/eu-central-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=";
    assert!(sent.contains("authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") && sent.contains(signed), "{sent}");
    assert!(sent.contains("\r\nx-amz-date: ") && !sent.contains(PLANTED), "{sent}");
    for (headers, url) in
        [(json!({ "authorization": "Bearer $secret" }), "http://upstream.test/x"), (json!({}), "http://upstream.test/x?key=$secret")]
    {
        let secret = if url.contains("key=") { "query-key" } else { "plain-key" };
        let refused = aws.sent(at(url, secret, headers)).await.expect_err("a signature is a whole field");
        assert!(refused.contains("nothing else, in the header field"), "{refused}");
    }
}

#[tokio::test]
async fn a_misplaced_placeholder_is_in_the_audit_log() {
    let world = World::with_stored().await;
    let org = world.call.org_id;
    world.store(org).await;
    let log = async || {
        let page = everwit_runtime::store::Page { offset: 0, limit: 10 };
        world.call.services.backends.org_store.list_audit_entries(org, page).await.expect("the log").items
    };
    world.sent(at("http://upstream.test/x", "plain-key", json!({ "authorization": "$secret" }))).await.expect("it is sent");
    assert_eq!(log().await, [], "what is in its place is no event");
    world.sent(at("http://other.test/x", "plain-key", json!({ "authorization": "$secret" }))).await.expect_err("another host");
    let entries = log().await;
    let [entry] = entries.as_slice() else { panic!("one entry: {entries:?}") };
    let told = (entry.actor.as_str(), entry.action.as_str(), entry.target.as_str(), entry.status);
    assert_eq!(told, ("component:sleeper", "placeholder of a secret misplaced", "plain-key to other.test", 403));
}
