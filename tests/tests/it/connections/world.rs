//! A server, the third party that its users connect with, a capability that asks it, and who the users are.

use async_trait::async_trait;
use axum::http::request::Parts;
use everwit_runtime::PlatformDefinition;
use everwit_runtime::capability::{CallError, Capability, Failure, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use everwit_runtime::component::{Effects, Grant, HttpPermission};
use everwit_runtime::connection::GenericConnectionProvider;
use everwit_runtime::egress::{EgressQuota, EgressRequest, PrivateTarget};
use everwit_runtime::id::OrgId;
use everwit_server::{AuthError, Authenticator, Caller, Scope, ServerHandle, oss_platform_definition};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};
use uuid::Uuid;

use super::vendor::{PLANTED, Vendor};
use super::{browser, finish};
use crate::support::Api;
use crate::support::embedded::{Home, client};

/// Asks the third party on behalf of the user, once for each call.
struct Issues {
    tools: Vec<ToolDefinition>,
    port: u16,
}

impl Issues {
    fn new(port: u16) -> Self {
        let tool = ToolDefinition {
            name: "whoami".to_owned(),
            title: "Who am I".to_owned(),
            description: "Says who the user is.".to_owned(),
            input_schema: json!({ "type": "object", "properties": { "provider": { "type": "string" } } }),
            // Neither read-only nor idempotent: a call that did something must never be repeated.
            effects: Effects::default(),
        };
        Self { tools: vec![tool], port }
    }

    async fn ask(&self, call: &ToolCallContext, provider: &str) -> Result<ToolOutput, CallError> {
        let credential = call.connection(provider).await?;
        let host = format!("127.0.0.1:{}", self.port);
        let http = vec![HttpPermission { host: host.clone(), methods: Vec::new(), path_prefix: None, reason: String::new() }];
        let request = EgressRequest {
            method: "GET".to_owned(),
            url: format!("http://{host}/user"),
            headers: vec![("authorization".to_owned(), format!("Bearer {}", credential.token.expose_secret()))],
            ..EgressRequest::default()
        };
        let mut quota = EgressQuota::new(1, 1 << 16, Instant::now() + Duration::from_secs(30));
        let sent = call.services.egress.send(&call.org_id.to_string(), &Grant { http, ..Grant::default() }, request, &mut quota).await;
        let response = sent.map_err(|error| CallError::Failed(Failure::new("upstream", "egress", error.to_string())))?;
        Ok(ToolOutput::text(format!("status {}", response.status())))
    }
}

#[async_trait]
impl Capability for Issues {
    fn id(&self) -> &str {
        "issues"
    }

    fn name(&self) -> &str {
        "Issues"
    }

    fn description(&self) -> &str {
        "Asks a third party."
    }

    fn tools(&self) -> &[ToolDefinition] {
        &self.tools
    }

    async fn call_tool(&self, call: &ToolCallContext, _tool: &str, arguments: Value) -> ToolOutcome {
        ToolOutcome::native(self.ask(call, arguments["provider"].as_str().unwrap_or("issues")).await)
    }
}

/// Admits whoever says a name and, behind a slash, the number of an org.
struct ByName;

#[async_trait]
impl Authenticator for ByName {
    async fn authenticate(&self, request: &Parts) -> Result<Caller, AuthError> {
        let text = request.headers.get("authorization").and_then(|value| value.to_str().ok());
        let text = text.ok_or_else(|| AuthError::Unauthorized("say who you are".to_owned()))?;
        let (name, org) = text.split_once('/').unwrap_or((text, "1"));
        let org = org.parse().map_err(|_| AuthError::Forbidden("an org is a number".to_owned()))?;
        Ok(Caller::new(OrgId::from_uuid(Uuid::from_u128(org)), Scope::Admin, name))
    }
}

/// A server whose users connect with one vendor, as `issues` over OAuth and `keys` with a form.
pub(super) struct World {
    pub(super) home: Home,
    pub(super) vendor: Vendor,
    pub(super) platform: PlatformDefinition,
    pub(super) server: ServerHandle,
}

impl World {
    pub(super) async fn start() -> Self {
        let (home, vendor) = (Home::new(), Vendor::start().await);
        let mut platform = oss_platform_definition();
        platform.capability_registry_mut().register(Issues::new(vendor.port));
        let server = Self::serve(&home, &vendor, &platform).await;
        Self { home, vendor, platform, server }
    }

    pub(super) async fn serve(home: &Home, vendor: &Vendor, platform: &PlatformDefinition) -> ServerHandle {
        let mut config = home.config();
        let provider = |value| serde_json::from_value::<GenericConnectionProvider>(value).expect("a provider");
        config.connection_providers = vec![provider(vendor.over_oauth("issues")), provider(vendor.with_form("keys"))];
        config.private_targets = vec![format!("127.0.0.1:{}", vendor.port).parse::<PrivateTarget>().expect("a target")];
        let builder = everwit_server::ServerAppBuilder::new(config).platform_definition(platform.clone());
        builder.auth(ByName).start().await.expect("the server starts")
    }

    pub(super) async fn restart(self) -> Self {
        let Self { home, vendor, platform, server } = self;
        server.shutdown().await.expect("the server ends");
        let server = Self::serve(&home, &vendor, &platform).await;
        Self { home, vendor, platform, server }
    }

    pub(super) fn api(&self, user: &str) -> Api {
        client(&self.server).with_authorization(user)
    }

    /// What the vendor answers to the browser of somebody who begins to connect: the path that it
    /// is sent back to, and the cookie that it keeps.
    pub(super) async fn authorized(&self, user: &str) -> (String, String) {
        self.authorized_with("issues", user).await
    }

    /// As [`Self::authorized`], with any provider.
    pub(super) async fn authorized_with(&self, provider: &str, user: &str) -> (String, String) {
        let begun = self.api(user).get(&format!("/v1/user/connections/{provider}/authorize?return_to=/done")).await;
        let cookie = begun.header("set-cookie").split(';').next().expect("a cookie").to_owned();
        assert!(begun.header("set-cookie").contains("HttpOnly; SameSite=Lax"), "{}", begun.header("set-cookie"));
        let url = begun.expect(200)["authorization_url"].as_str().expect("a URL").to_owned();
        assert!(!url.contains(PLANTED), "{url}");
        let back = browser().get(url).send().await.expect("the vendor answers");
        assert_eq!(back.status().as_u16(), 302, "{}", back.text().await.unwrap_or_default());
        let location = back.headers()["location"].to_str().expect("text").to_owned();
        let own = format!("http://{}", self.server.address);
        (location.strip_prefix(&own).expect("the browser is sent back").to_owned(), cookie)
    }

    /// Connects with `issues`.
    pub(super) async fn connect(&self, user: &str) {
        let (path, _) = self.authorized(user).await;
        assert_eq!(finish(&self.api(user), &path, None).await.status, 303);
    }

    pub(super) async fn session(&self, user: &str) -> String {
        self.api(user).session_with(&json!({ "capabilities": [{ "ref": "issues" }] })).await
    }

    /// Has the tool called; returns the events once the session has come to a rest.
    pub(super) async fn call(&self, user: &str, session: &str, calls: &str, until: &str) -> Vec<Value> {
        let api = self.api(user);
        let mut stream = api.stream(session, "").await;
        api.say(session, calls).await;
        stream.until(until).await;
        api.events(session).await
    }
}
