//! Credentials of a model are nowhere but in the hands of its driver, and what a capability's schema
//! marks as a secret nowhere but in the hands of its tools.

use std::io;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use everwit_runtime::BuiltInCapabilityDefinition;
use everwit_runtime::capability::{Capability, CapabilityRegistry, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use everwit_runtime::driver::{
    ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverConfig, DriverContext, DriverError, DriverErrorKind, DriverId, ProviderMetadata,
    ResolvedModel,
};
use everwit_runtime::driver_registry::DriverRegistry;
use everwit_runtime::error::Error;
use everwit_runtime::harness::CapabilityConfig;
use everwit_runtime::message::{Role, ToolCall};
use everwit_runtime::sandbox::{CompilerCommand, SandboxConfig};
use everwit_runtime::turn::{TurnPlatform, assemble_turn_context, context_report, inspect_turn_context};
use futures::{StreamExt, stream};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use super::rig::Rig;
use crate::support::planted::{hexadecimal, spellings};

/// One for each place where a provider's configuration may hold a credential.
pub(crate) const PLANTED: [&str; 8] = [
    "planted-api-key-0001",
    "planted-refresh-token-0002",
    "planted-account-0003",
    "planted-extra-0004",
    "planted-nested-0005",
    "planted-user-0006",
    "planted-password-0007",
    "planted-query-0008",
];

/// A secret of a capability's configuration.
pub(crate) const PLANTED_CONFIG: &str = "planted-config-0009";

fn planted() -> ResolvedModel {
    let [api_key, refresh, account, extra, nested, user, password, query] = PLANTED;
    ResolvedModel {
        model: "gossip-1".to_owned(),
        provider_type: DriverId::External("gossip".to_owned()),
        api_key: Some(api_key.into()),
        base_url: Some(format!("https://{user}:{password}@vendor.example/v1?key={query}")),
        provider_metadata: Some(ProviderMetadata {
            refresh_token: Some(refresh.into()),
            account_id: Some(account.to_owned()),
            extra: Some(json!({"token": extra, "more": [{"token": nested}]})),
        }),
    }
}

/// How a driver fails.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failure {
    /// Before the first event, so that the call is tried again.
    Refusal,
    /// In the middle of its answer.
    BreakOff,
    /// Not at all.
    None,
}

/// A driver that repeats everything that it was given, as vendors do that quote a wrong key.
pub(crate) struct Gossip {
    pub(crate) config: DriverConfig,
    pub(crate) failure: Failure,
    /// What it must have been given.
    pub(crate) expected: &'static [&'static str],
}

impl Gossip {
    fn error(&self) -> DriverError {
        let config = &self.config;
        let metadata = config.metadata.as_ref().expect("it was given");
        let told = [
            config.api_key.as_ref().map(|key| key.expose_secret().to_owned()),
            config.base_url.clone(),
            metadata.refresh_token.as_ref().map(|token| token.expose_secret().to_owned()),
            metadata.account_id.clone(),
            metadata.extra.as_ref().map(|extra| extra.to_string()),
        ];
        let told: Vec<String> = told.into_iter().flatten().collect();
        for secret in self.expected {
            assert!(told.iter().any(|text| text.contains(secret)), "the driver gets {secret}");
        }
        DriverError::new(DriverErrorKind::Unavailable, format!("the vendor refuses {}", told.join(" ")))
    }
}

#[async_trait]
impl ChatDriver for Gossip {
    async fn complete(&self, request: ChatRequest, _context: DriverContext) -> Result<ChatStream, DriverError> {
        let called = request.tools.is_empty() || request.messages.iter().any(|message| message.role == Role::ToolResult);
        let half = ChatEvent::Text("half".to_owned());
        let events = match self.failure {
            Failure::Refusal => return Err(self.error()),
            Failure::BreakOff => vec![Ok(half), Err(self.error())],
            Failure::None if called => vec![Ok(half), Ok(ChatEvent::finish("stop"))],
            Failure::None => {
                let call = ToolCall::new("call_1", "open_vault", json!({}));
                vec![Ok(half), Ok(ChatEvent::ToolCall(call)), Ok(ChatEvent::finish("tool-calls"))]
            }
        };
        Ok(stream::iter(events).boxed())
    }
}

/// Everything that is logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Collects at every level what this thread logs from now on, until the guard is dropped.
    pub(crate) fn listen(&self) -> DefaultGuard {
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(self.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// A capability that is configured with a key, and whose tool tells whether that is the planted one.
pub(crate) struct Vault {
    schema: Value,
    tools: [ToolDefinition; 1],
}

impl Vault {
    pub(crate) fn new() -> Self {
        let schema = json!({ "properties": { "key": { "type": "string", "writeOnly": true }, "size": { "type": "integer" } } });
        Self { schema, tools: [ToolDefinition::new("open_vault", "Opens the vault.", json!({ "type": "object" }))] }
    }
}

#[async_trait]
impl Capability for Vault {
    fn id(&self) -> &str {
        "vault"
    }

    fn name(&self) -> &str {
        "Vault"
    }

    fn description(&self) -> &str {
        "Has a key."
    }

    fn config_schema(&self) -> Option<&Value> {
        Some(&self.schema)
    }

    fn tools(&self) -> &[ToolDefinition] {
        &self.tools
    }

    async fn call_tool(&self, call: &ToolCallContext, _tool: &str, _arguments: Value) -> ToolOutcome {
        let fits = call.config["key"] == PLANTED_CONFIG;
        ToolOutput::text(if fits { "opened" } else { "the key does not fit" }).into()
    }
}

async fn rig(failure: Failure) -> Rig {
    let mut rig = Rig::with_driver(super::history::Recording::default()).await;
    let mut drivers = DriverRegistry::new();
    drivers.register_external("gossip", move |config| Box::new(Gossip { config: config.clone(), failure, expected: &PLANTED }));
    let mut capabilities = CapabilityRegistry::new();
    capabilities.register(Vault::new());
    let (drivers, capabilities) = (Arc::new(drivers), Arc::new(capabilities));
    rig.platform = TurnPlatform { drivers, capabilities, default_model: planted(), ..rig.platform };
    let store = &rig.platform.backends.harness_store;
    let mut harness = store.find_harness(rig.org, "base").await.unwrap().unwrap();
    harness.capabilities = vec![CapabilityConfig::with_config("vault", json!({ "key": PLANTED_CONFIG, "size": 7 }))];
    harness.version += 1;
    store.update_harness(rig.org, harness).await.unwrap();
    rig
}

/// Everything that the runtime says of a turn: events, live ones included, contexts, reports.
async fn said(failure: Failure) -> Vec<String> {
    let rig = rig(failure).await;
    let mut listener = rig.listen();
    let mut said = vec![format!("{:?}", rig.ask("go").await)];
    while let Ok(event) = listener.try_recv() {
        said.push(serde_json::to_string(&*event).unwrap());
        said.push(format!("{event:?}"));
    }
    said.push(serde_json::to_string(&rig.events().await).unwrap());
    let sources = rig.platform.sources();
    let context = inspect_turn_context(sources, rig.org, rig.session).await.unwrap();
    said.extend([format!("{context:?}"), format!("{context:#?}"), format!("{:?}", context.model_with_provider.driver_config())]);
    let report = context_report(sources, rig.org, rig.session).await.unwrap();
    let size = report.settings.iter().find(|setting| setting.name == "config:vault").map(|setting| setting.value["size"].clone());
    assert_eq!(size, Some(json!(7)), "what is no secret is told");
    said.extend([format!("{report:?}"), serde_json::to_string(&report).unwrap()]);
    let error = assemble_turn_context(sources, rig.org, rig.session, Vec::new(), None).await.unwrap_err();
    said.extend([format!("{error:?}"), error.to_string(), Error::from(error).to_string()]);
    let unknown = DriverRegistry::new().create(&planted().provider_type, &planted().driver_config()).err().unwrap();
    said.extend([format!("{unknown:?}"), unknown.to_string()]);
    said
}

/// Nothing planted is in a text, in any spelling, whatever the case of its hexadecimal digits.
pub(crate) fn assert_clean(what: &str, text: &str) {
    let lower = text.to_ascii_lowercase();
    for secret in PLANTED.into_iter().chain([PLANTED_CONFIG]) {
        for (spelled, spelling) in spellings(secret) {
            assert!(!text.contains(&spelling), "{what} shows {secret} as {spelled}: {text}");
        }
        assert!(!lower.contains(&hexadecimal(secret)), "{what} shows {secret} in hexadecimal: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_credential_is_in_anything_that_the_runtime_says() {
    for failure in [Failure::Refusal, Failure::BreakOff, Failure::None] {
        let log = Log::default();
        let guard = log.listen();
        let said = said(failure).await;
        drop(guard);
        let logged = log.text();
        assert_clean("the log", &logged);
        for text in &said {
            assert_clean(&format!("{failure:?}"), text);
        }
        let failed = !matches!(failure, Failure::None);
        assert_eq!(said.iter().any(|text| text.contains("opened")), !failed, "the tool gets its key");
        assert_eq!(logged.contains("a model call failed"), failed, "{logged}");
        assert_eq!(said.iter().any(|text| text.contains("the vendor refuses [redacted]")), failed, "the rest of an error is told");
    }
}

#[test]
fn no_debug_of_a_configuration_shows_a_secret() {
    let sandbox = SandboxConfig {
        cache_dir: "cache".into(),
        cache_key: [171; 32],
        id_salt: [172; 32],
        compiler: CompilerCommand::default(),
        keep_functions: false,
        max_concurrent_calls: 1,
    };
    let text = format!("{sandbox:?}");
    assert!(!text.contains("171") && !text.contains("172"), "{text}");
    let listed = CapabilityConfig::with_config("vault", json!({ "key": PLANTED_CONFIG }));
    assert_clean("a list of capabilities", &format!("{listed:?}"));
    let template = BuiltInCapabilityDefinition::with_config("vault", json!({ "key": PLANTED_CONFIG }));
    assert_clean("a template", &format!("{template:?}"));
}
