//! Secrets of components: the guest holds a placeholder, the host puts the value where the grant
//! says, and nowhere else.

mod leaks;
mod reveal;
mod stored;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use everwit_runtime::Error;
use everwit_runtime::capability::{CallError, Capability, ToolCallContext, ToolOutcome, ToolServices};
use everwit_runtime::component::{FileAccess, Grant, HttpPermission};
use everwit_runtime::connection::{ConnectionCredential, UserConnectionResolver};
use everwit_runtime::id::{OrgId, SessionId};
use everwit_runtime::limits::Budget;
use everwit_runtime::sandbox::{ComponentCapability, Terms};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::egress::support::{Pipe, public, read_request};
use crate::support::guests::{call_context, guest, sandbox_over, tool_services};

const PLANTED: &str = "planted-77aa";
/// Where the guest's secrets may go; plain HTTP, so that the test can look at what arrives.
const HOST: &str = "upstream.test:80";

/// The user's accounts: `issues`, if it is connected.
struct Accounts {
    token: &'static str,
    connected: bool,
    hosts: Vec<String>,
}

#[async_trait]
impl UserConnectionResolver for Accounts {
    async fn connection(&self, _org: OrgId, _session: SessionId, provider: &str) -> Result<Option<ConnectionCredential>, Error> {
        assert_eq!(provider, "issues");
        Ok(self.connected.then(|| SecretString::from(self.token).into()))
    }

    async fn hosts(&self, _org: OrgId, _provider: &str) -> Result<Vec<String>, Error> {
        Ok(self.hosts.clone())
    }
}

struct World {
    capability: ComponentCapability,
    call: ToolCallContext,
    /// What arrived at the third party.
    arrived: Arc<Mutex<Vec<String>>>,
}

impl World {
    async fn new(connected: bool, hosts: &[&str]) -> Self {
        let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
        Self::of("sleeper", Accounts { token: PLANTED, connected, hosts }).await
    }

    /// A guest in it.
    async fn of(name: &str, accounts: Accounts) -> Self {
        Self::bound(name, accounts, ["connection:issues", "connection:issues", "org-secret"]).await
    }

    /// A guest in it, with what its three secrets are bound to.
    async fn bound(name: &str, accounts: Accounts, bindings: [&str; 3]) -> Self {
        Self::granted(name, accounts, bindings, &[]).await
    }

    /// A guest in it that may also read some of its secrets.
    async fn granted(name: &str, accounts: Accounts, bindings: [&str; 3], reveal: &[&str]) -> Self {
        let arrived: Arc<Mutex<Vec<String>>> = Arc::default();
        let inbox = arrived.clone();
        // Repeats what it was sent, as a careless server does.
        let pipe = Pipe::new(move |mut stream| {
            let inbox = inbox.clone();
            async move {
                let request = read_request(&mut stream).await;
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{request}", request.len());
                inbox.lock().expect("a lock").push(request);
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let http = [HOST, "other.test:80"].map(|host| HttpPermission {
            host: host.to_owned(),
            methods: vec!["GET".to_owned(), "POST".to_owned()],
            path_prefix: None,
            reason: String::new(),
        });
        let secrets = ["plain-key", "query-key", "unbound-key"].iter().zip(bindings);
        let secrets = secrets.map(|(name, bound)| ((*name).to_owned(), bound.to_owned())).collect();
        let reveal = reveal.iter().map(|&name| name.to_owned()).collect();
        let (kv, files) = (vec![name.to_owned()], FileAccess::Write);
        let grant = Grant { http: http.to_vec(), secrets, reveal, kv, files, ..Grant::default() };
        let terms = Terms { version: Some(1), grant, budget: Budget::TOOL_CALL };
        let capability = sandbox_over(public(pipe)).open(guest(name), terms).await.expect("admitted");
        let services = tool_services();
        let backends = services.backends.clone().with_connection_resolver(Arc::new(accounts));
        let (egress, clock, ids) = (services.egress.clone(), services.clock.clone(), services.ids.clone());
        let services = ToolServices { backends, egress, clock, ids, allowance: services.allowance };
        let call = ToolCallContext { services: Arc::new(services), ..call_context() };
        Self { capability, call, arrived }
    }

    async fn get(&self, arguments: Value) -> ToolOutcome {
        self.capability.call_tool(&self.call, "get", arguments).await
    }

    /// What arrived, if the guest could send it.
    async fn sent(&self, arguments: Value) -> Result<String, String> {
        let outcome = self.get(arguments).await;
        let shown = format!("{outcome:?}");
        assert!(!shown.contains(PLANTED), "the guest, or what it leaves, has the value: {shown}");
        let found = outcome.result.expect("a report").structured.expect("structured");
        match found["fault"].as_str() {
            Some(fault) => {
                assert!(self.arrived.lock().expect("a lock").is_empty(), "a refused request was sent");
                Err(format!("{fault}: {}", found["message"]))
            }
            None => Ok(self.arrived.lock().expect("a lock").remove(0)),
        }
    }
}

fn at(url: &str, secret: &str, headers: Value) -> Value {
    json!({ "url": url, "secret": secret, "headers": headers })
}

#[tokio::test]
async fn the_value_arrives_where_the_grant_says_and_the_guest_never_has_it() {
    let world = World::new(true, &[HOST]).await;
    let sent =
        world.sent(at("http://upstream.test/x", "plain-key", json!({ "authorization": "Bearer $secret" }))).await.expect("it is sent");
    assert!(sent.contains(&format!("authorization: Bearer {PLANTED}\r\n")), "{sent}");
    let sent = world.sent(at("http://upstream.test/x?a=1&key=$secret", "query-key", json!({}))).await.expect("it is sent");
    assert!(sent.starts_with(&format!("GET /x?a=1&key={PLANTED} HTTP/1.1")), "{sent}");
}

#[tokio::test]
async fn a_placeholder_anywhere_else_is_refused_before_anything_is_sent() {
    let world = World::new(true, &[HOST]).await;
    for (what, request) in [
        ("another host", at("http://other.test/x", "plain-key", json!({ "authorization": "$secret" }))),
        ("another field", at("http://upstream.test/x", "plain-key", json!({ "x-other": "$secret" }))),
        ("the query", at("http://upstream.test/x?key=$secret", "plain-key", json!({}))),
        ("the path", at("http://upstream.test/$secret", "plain-key", json!({}))),
        ("another parameter", at("http://upstream.test/x?other=$secret", "query-key", json!({}))),
        ("the name of a parameter", at("http://upstream.test/x?$secret=1", "query-key", json!({}))),
        ("a field instead of the query", at("http://upstream.test/x", "query-key", json!({ "authorization": "$secret" }))),
    ] {
        let refused = world.sent(request).await.expect_err(what);
        assert!(refused.starts_with("denied") && refused.contains("may only be in"), "{what}: {refused}");
    }
}

#[tokio::test]
async fn a_secret_that_is_not_bound_to_a_connection_is_unavailable() {
    let world = World::new(true, &[HOST]).await;
    for secret in ["unbound-key", "upstream-key", "nobody"] {
        let outcome = world.get(at("http://upstream.test/", secret, json!({}))).await;
        let Err(CallError::Failed(failure)) = outcome.result else { panic!("expected a failure, got {:?}", outcome.result) };
        assert!(failure.message.contains("bind one when activating"), "{failure:?}");
    }
}

#[tokio::test]
async fn credentials_go_to_their_providers_hosts_only() {
    let world = World::new(true, &["api.issues.example"]).await;
    let outcome = world.get(at("http://upstream.test/", "plain-key", json!({ "authorization": "$secret" }))).await;
    let Err(CallError::Failed(failure)) = outcome.result else { panic!("expected a failure, got {:?}", outcome.result) };
    assert!(failure.message.contains("api.issues.example"), "{failure:?}");
    assert!(world.arrived.lock().expect("a lock").is_empty());
}

#[tokio::test]
async fn a_call_that_fails_for_want_of_a_connection_asks_for_it() {
    let world = World::new(false, &[HOST]).await;
    let outcome = world.get(at("http://upstream.test/", "plain-key", json!({}))).await;
    assert_eq!(outcome.result, Err(CallError::ConnectionRequired { provider: "issues".to_owned() }));
}
