//! Calls in a sandbox of this process, each in an instance of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use everwit_runtime::capability::{Capability as _, NoSink, ToolCallContext, ToolServices};
use everwit_runtime::clock::{Clock, SystemClock};
use everwit_runtime::egress::{Gateway, GatewayConfig};
use everwit_runtime::id::{OrgId, RandomIds, SessionId, TurnId};
use everwit_runtime::limits::Budget;
use everwit_runtime::sandbox::{CompilerCommand, ComponentCapability, Sandbox, SandboxConfig, Terms};
use everwit_runtime::store::RuntimeBackends;
use everwit_runtime::store::memory::MemoryStore;
use everwit_runtime::usage::OrgAllowance;
use serde_json::json;
use uuid::Uuid;

use crate::Counts;

/// Times of one language's calls.
pub(crate) struct Calls {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// Calls each component in several rounds: neighbours on the machine come and go.
pub(crate) async fn measure(wasms: &[&[u8]], artifacts: &Path, counts: &Counts) -> Vec<Calls> {
    let (sandbox, context) = (sandbox(artifacts), context());
    let mut capabilities = Vec::new();
    for wasm in wasms {
        let terms = Terms { version: Some(1), budget: Budget::TOOL_CALL, ..Terms::default() };
        capabilities.push((sandbox.open(wasm.to_vec(), terms).await.expect("it is admitted"), Vec::new()));
    }
    for _ in 0..counts.rounds {
        for (capability, times) in &mut capabilities {
            // Whatever a round begins with is no warm call.
            call(capability, &context).await;
            for _ in 0..counts.calls {
                times.push(call(capability, &context).await);
            }
        }
    }
    let percentiles = capabilities.into_iter().map(|(_, mut times)| {
        times.sort_unstable();
        Calls { p50: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
    });
    percentiles.collect()
}

async fn call(capability: &ComponentCapability, context: &ToolCallContext) -> Duration {
    let started = Instant::now();
    let outcome = capability.call_tool(context, "greet", json!({ "name": "Ada" })).await;
    let taken = started.elapsed();
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    taken
}

fn sandbox(artifacts: &Path) -> Sandbox {
    let config = SandboxConfig {
        cache_dir: artifacts.to_owned(),
        cache_key: [1; 32],
        id_salt: [2; 32],
        compiler: CompilerCommand { program: env!("CARGO_BIN_EXE_compile-child").into(), args: vec!["__compile".into()] },
        keep_functions: false,
        max_concurrent_calls: 1,
    };
    let gateway = Gateway::new(GatewayConfig::default()).expect("a gateway");
    Sandbox::new(config, Arc::new(gateway), Arc::new(MemoryStore::default()), Arc::new(SystemClock)).expect("a sandbox")
}

fn context() -> ToolCallContext {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let services = ToolServices {
        backends: RuntimeBackends::in_memory(),
        egress: Arc::new(Gateway::new(GatewayConfig::default()).expect("a gateway")),
        ids: Arc::new(RandomIds::new(clock.clone())),
        clock,
        allowance: OrgAllowance::default(),
    };
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
        services: Arc::new(services),
        nested: None,
    }
}
