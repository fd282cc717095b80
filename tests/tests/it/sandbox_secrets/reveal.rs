//! Reading the value of a secret, which needs a grant of its own.

use everwit_runtime::capability::{CallError, Capability as _};
use everwit_runtime::store::{AuditEntry, Page};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Accounts, HOST, PLANTED, World};

/// A guest whose secret is bound to the user's account, in an org that is only a number so far.
async fn world(reveal: &[&str]) -> World {
    bound("connection:issues", reveal).await
}

async fn bound(binding: &str, reveal: &[&str]) -> World {
    let accounts = Accounts { token: PLANTED, connected: true, hosts: vec![HOST.to_owned()] };
    World::granted("revealer", accounts, [binding; 3], reveal).await
}

impl World {
    async fn read(&self) -> Result<Value, String> {
        self.ask("read", json!({})).await
    }

    async fn ask(&self, tool: &str, arguments: Value) -> Result<Value, String> {
        let outcome = self.capability.call_tool(&self.call, tool, arguments).await;
        assert!(!format!("{outcome:?}").contains(PLANTED), "what leaves the call does not have the value: {outcome:?}");
        match outcome.result {
            Ok(output) => Ok(output.structured.expect("it is structured")),
            Err(CallError::Failed(failure)) => Err(format!("{}: {}", failure.kind, failure.message)),
            Err(other) => panic!("expected a result or a failure, got {other:?}"),
        }
    }

    async fn audit_log(&self) -> Vec<AuditEntry> {
        let page = Page { offset: 0, limit: 100 };
        self.call.services.backends.org_store.list_audit_entries(self.call.org_id, page).await.expect("the log").items
    }

    async fn add_org(&self) {
        self.call.services.backends.org_store.add_org(self.call.org_id, "tests", Timestamp::UNIX_EPOCH).await.expect("an org");
    }
}

#[tokio::test]
async fn a_value_is_read_with_a_grant_of_its_own_only() {
    for others in [&[][..], &["query-key"]] {
        let denied = bound("secret:tracker", others).await;
        denied.add_org().await;
        denied.store(denied.call.org_id).await;
        let refused = denied.read().await.expect_err("it may use the secret, and not read it");
        assert!(refused.starts_with("denied: ") && refused.contains("activate the version with {\"reveal\":[\"plain-key\"]}"), "{refused}");
        assert_eq!(denied.audit_log().await, []);
    }
    let granted = bound("secret:tracker", &["plain-key"]).await;
    granted.add_org().await;
    granted.store(granted.call.org_id).await;
    let shifted: String = PLANTED.bytes().map(|byte| char::from(byte + 1)).collect();
    let read = granted.read().await.expect("it is granted");
    assert_eq!((&read["length"], &read["shifted"]), (&json!(PLANTED.len()), &json!(shifted)), "it has the value");
    granted.read().await.expect("again");
    let log = granted.audit_log().await;
    let told: Vec<(&str, &str)> = log.iter().map(|entry| (entry.actor.as_str(), entry.action.as_str())).collect();
    assert_eq!(told, [("component:revealer", "value of a secret revealed"); 2], "each use is noted");
    let target = format!("plain-key in {}, call {}", granted.call.session_id, granted.call.idempotency_key);
    assert_eq!(log[0].target, target);
}

#[tokio::test]
async fn a_value_whose_reading_cannot_be_noted_is_not_told() {
    let world = world(&["plain-key"]).await;
    let refused = world.read().await.expect_err("there is no org whose log it could be in");
    assert!(refused.starts_with("denied: ") && refused.contains("cannot be noted"), "{refused}");
    world.add_org().await;
    world.read().await.expect("now it can be noted");
}

#[tokio::test]
async fn a_call_reads_so_often_and_no_more() {
    let world = world(&["plain-key"]).await;
    world.add_org().await;
    let told = world.ask("read_often", json!({ "times": 40 })).await.expect("it is answered");
    assert_eq!(told["read"], 32, "{told}");
    assert!(told["refused"].as_str().is_some_and(|text| text.contains("at most 32 times")), "{told}");
    assert_eq!(world.audit_log().await.len(), 32, "each is noted");
}
