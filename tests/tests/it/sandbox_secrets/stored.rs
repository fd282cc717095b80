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
        let accounts = Accounts { token: PLANTED, connected: false, hosts: Vec::new() };
        let world = Self::bound("sleeper", accounts, ["secret:tracker", "secret:tracker", "tracker"]).await;
        let org = world.call.org_id;
        // The default org is made by somebody; the guest's org is only a number so far.
        world.call.services.backends.org_store.add_org(org, "tests", Timestamp::UNIX_EPOCH).await.expect("an org");
        world
    }

    async fn store(&self, org: OrgId) {
        let backends = &self.call.services.backends;
        let secret = OrgSecret::seal(&backends.cipher, org, "tracker", &PLANTED.into(), Timestamp::UNIX_EPOCH).expect("randomness");
        backends.secret_store.add_secret(org, secret).await.expect("a secret");
    }

    async fn refusal(&self, secret: &str) -> String {
        let outcome = self.get(at("http://upstream.test/", secret, json!({ "authorization": "$secret" }))).await;
        let Err(CallError::Failed(failure)) = outcome.result else { panic!("expected a failure, got {:?}", outcome.result) };
        failure.message
    }
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
