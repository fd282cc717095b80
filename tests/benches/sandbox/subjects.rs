//! The same small piece of work, adding two numbers given as JSON, in each form.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use everwit_runtime::capability::{Capability, NoSink, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput, ToolServices};
use everwit_runtime::clock::{Clock, SystemClock};
use everwit_runtime::component::Effects;
use everwit_runtime::egress::{Gateway, GatewayConfig};
use everwit_runtime::id::{OrgId, RandomIds, SessionId, TurnId};
use everwit_runtime::limits::Budget;
use everwit_runtime::sandbox::{CompilerCommand, ComponentCapability, Sandbox, SandboxConfig, Terms};
use everwit_runtime::store::RuntimeBackends;
use everwit_runtime::store::memory::MemoryStore;
use everwit_runtime::usage::OrgAllowance;
use serde_json::{Value, json};
use uuid::Uuid;

/// How many different components stand for as many tenants.
pub(crate) const TENANTS: usize = 1_000;

/// Everything that is measured by calling it.
pub(crate) struct Subjects {
    pub(crate) sdk: Arc<ComponentCapability>,
    pub(crate) sdk_wasm: Vec<u8>,
    pub(crate) minimal: Arc<ComponentCapability>,
    pub(crate) quickjs: Arc<ComponentCapability>,
    /// What a turn gives to each of its calls.
    pub(crate) context: ToolCallContext,
    native: Native,
    sandbox: Sandbox,
}

impl Subjects {
    pub(crate) async fn new() -> Self {
        let config = SandboxConfig {
            // Kept, because compiling for all tenants takes minutes.
            cache_dir: target().join("bench-artifacts"),
            cache_key: [1; 32],
            id_salt: [2; 32],
            compiler: CompilerCommand { program: env!("CARGO_BIN_EXE_compile-child").into(), args: vec!["__compile".into()] },
            keep_functions: false,
            max_concurrent_calls: 64,
        };
        let gateway = Gateway::new(GatewayConfig::default()).expect("a gateway");
        let sandbox = Sandbox::new(config, Arc::new(gateway), Arc::new(MemoryStore::default()), Arc::new(SystemClock)).expect("a sandbox");
        let sdk_wasm = guest("minimal");
        Self {
            sdk: open(&sandbox, sdk_wasm.clone()).await,
            minimal: open(&sandbox, guest("raw")).await,
            quickjs: open(&sandbox, guest("text-kit")).await,
            native: Native { tools: vec![definition()] },
            sdk_wasm,
            sandbox,
            context: context(),
        }
    }

    pub(crate) async fn native(&self) -> ToolOutcome {
        self.native.call_tool(&self.context, "add", json!({ "a": 2.0, "b": 3.0 })).await
    }

    pub(crate) async fn add(&self, capability: &ComponentCapability) -> ToolOutcome {
        add(capability, &self.context).await
    }

    pub(crate) async fn slugify(&self, capability: &ComponentCapability) -> ToolOutcome {
        checked(capability.call_tool(&self.context, "slugify", json!({ "text": "Two and Three" })).await)
    }
}

/// The target directory: the one that the compiler's process lies in.
pub(crate) fn target() -> &'static Path {
    let target = Path::new(env!("CARGO_BIN_EXE_compile-child")).parent().and_then(Path::parent);
    target.expect("a binary lies in the folder of a profile, and that in the target directory")
}

fn guest(name: &str) -> Vec<u8> {
    let places = ["test-guests", "components"].map(|folder| target().join(folder).join(format!("{name}.wasm")));
    let built = places.iter().find_map(|path| std::fs::read(path).ok());
    built.unwrap_or_else(|| panic!("{name}.wasm is not built; run `cargo xtask components`"))
}

async fn open(sandbox: &Sandbox, wasm: Vec<u8>) -> Arc<ComponentCapability> {
    let terms = Terms { version: Some(1), budget: Budget::TOOL_CALL, ..Terms::default() };
    Arc::new(sandbox.open(wasm, terms).await.expect("the component is admitted"))
}

/// As many different components as tenants: the same code, each with its own bytes and so with
/// its own digest, artifact and mapping.
pub(crate) struct Tenants {
    all: Vec<Arc<ComponentCapability>>,
    last: usize,
}

impl Tenants {
    pub(crate) async fn new(subjects: &Subjects, count: usize) -> Self {
        let mut all = Vec::with_capacity(count);
        for tenant in 0..count {
            all.push(open(&subjects.sandbox, with_mark(&subjects.sdk_wasm, tenant)).await);
        }
        Self { all, last: 0 }
    }

    /// The component of a tenant whose turn was long ago.
    pub(crate) fn another(&mut self) -> Arc<ComponentCapability> {
        // A full-period step, so that neighbours in memory are not neighbours in time.
        self.last = (self.last + 619) % self.all.len();
        self.all[self.last].clone()
    }
}

/// Appends a custom section, which changes the digest and nothing else.
fn with_mark(wasm: &[u8], mark: usize) -> Vec<u8> {
    let content = format!("{mark:08}");
    let mut marked = wasm.to_vec();
    let name = b"mark";
    marked.push(0);
    marked.push(u8::try_from(1 + name.len() + content.len()).expect("a short section"));
    marked.push(u8::try_from(name.len()).expect("a short name"));
    marked.extend(name);
    marked.extend(content.as_bytes());
    marked
}

pub(crate) async fn add(capability: &ComponentCapability, context: &ToolCallContext) -> ToolOutcome {
    checked(capability.call_tool(context, "add", json!({ "a": 2.0, "b": 3.0 })).await)
}

fn checked(outcome: ToolOutcome) -> ToolOutcome {
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    outcome
}

static SERVICES: LazyLock<Arc<ToolServices>> = LazyLock::new(|| {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Arc::new(ToolServices {
        backends: RuntimeBackends::in_memory(),
        egress: Arc::new(Gateway::new(GatewayConfig::default()).expect("a gateway")),
        ids: Arc::new(RandomIds::new(clock.clone())),
        clock,
        allowance: OrgAllowance::default(),
    })
});

fn context() -> ToolCallContext {
    ToolCallContext {
        org_id: OrgId::from_uuid(Uuid::from_u128(1)),
        session_id: SessionId::from_uuid(Uuid::from_u128(2)),
        has_session: false,
        turn_id: TurnId::from_uuid(Uuid::from_u128(3)),
        idempotency_key: "call_1".to_owned(),
        config: json!({}),
        locale: None,
        cancel: tokio_util::sync::CancellationToken::new(),
        sink: Arc::new(NoSink),
        services: SERVICES.clone(),
        nested: None,
    }
}

struct Native {
    tools: Vec<ToolDefinition>,
}

fn definition() -> ToolDefinition {
    ToolDefinition {
        name: "add".to_owned(),
        title: String::new(),
        description: "Adds two numbers.".to_owned(),
        input_schema: json!({ "type": "object" }),
        effects: Effects::default(),
    }
}

#[async_trait]
impl Capability for Native {
    fn id(&self) -> &str {
        "native"
    }

    fn name(&self) -> &str {
        "Native"
    }

    fn description(&self) -> &str {
        "Adds numbers."
    }

    fn tools(&self) -> &[ToolDefinition] {
        &self.tools
    }

    async fn call_tool(&self, _call: &ToolCallContext, _tool: &str, arguments: Value) -> ToolOutcome {
        let text = arguments.to_string();
        let parsed: Value = serde_json::from_str(&text).expect("JSON");
        let sum = parsed["a"].as_f64().unwrap_or(0.0) + parsed["b"].as_f64().unwrap_or(0.0);
        ToolOutcome::native(Ok(ToolOutput::json(json!(sum))))
    }
}
