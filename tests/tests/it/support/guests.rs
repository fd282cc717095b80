//! Built components, and sandboxes to call them in.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use everwit_runtime::capability::{NoSink, ToolCallContext, ToolServices};
use everwit_runtime::clock::{Clock, SystemClock};
use everwit_runtime::egress::{ByteStream, Connector, Gateway, GatewayConfig, Resolver, TcpConnector};
use everwit_runtime::id::{OrgId, RandomIds, SessionId, TurnId};
use everwit_runtime::sandbox::{CompilerCommand, Sandbox, SandboxConfig};
use everwit_runtime::store::RuntimeBackends;
use everwit_runtime::store::memory::MemoryStore;
use everwit_runtime::usage::OrgAllowance;
use serde_json::json;
use uuid::Uuid;

use super::port::with_port;

/// Root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository")
}

/// The target directory: the one that the tested binary lies in.
pub(crate) fn target() -> &'static Path {
    let target = Path::new(super::EVERWIT).parent().and_then(Path::parent);
    target.expect("a binary lies in the folder of a profile, and that in the target directory")
}

/// A component that `cargo xtask components` has built: a test guest or a shipped component.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    let places = ["test-guests", "components"].map(|folder| target().join(folder).join(format!("{name}.wasm")));
    let built = places.iter().find_map(|path| std::fs::read(path).ok());
    built.unwrap_or_else(|| panic!("{name}.wasm is not built; run `cargo xtask components`"))
}

/// A guest with the third party's port in place of the one that it was built with.
pub(crate) fn at_port(name: &str, port: u16) -> Vec<u8> {
    with_port(guest(name), port)
}

/// The command that compiles in a child process.
pub(crate) fn compiler() -> CompilerCommand {
    CompilerCommand { program: PathBuf::from(env!("CARGO_BIN_EXE_compile-child")), args: vec!["__compile".into()] }
}

/// Whatever would leave is counted and refused.
struct NoWay;

/// How often [`NoWay`] was asked.
static DIALS: AtomicUsize = AtomicUsize::new(0);

/// How often a sandbox of this process tried to connect where it must not.
pub(crate) fn dials() -> usize {
    DIALS.load(Ordering::SeqCst)
}

#[async_trait]
impl Connector for NoWay {
    async fn connect(&self, _address: SocketAddr) -> io::Result<Box<dyn ByteStream>> {
        DIALS.fetch_add(1, Ordering::SeqCst);
        Err(io::Error::other("a test must not dial"))
    }
}

/// Knows one name, and that is inside.
struct Names;

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        match host {
            "inside.test" => Ok(vec![IpAddr::from([10, 0, 0, 1])]),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such name")),
        }
    }
}

fn make(gateway: Gateway) -> Sandbox {
    make_for(gateway, 256)
}

fn make_for(gateway: Gateway, max_concurrent_calls: usize) -> Sandbox {
    // One cache for all test processes: its entries are keyed by content and authenticated.
    make_in(root().join("target/test-artifacts"), compiler(), gateway, max_concurrent_calls)
}

fn make_in(cache_dir: PathBuf, compiler: CompilerCommand, gateway: Gateway, max_concurrent_calls: usize) -> Sandbox {
    super::mutation::apply();
    let config = SandboxConfig { cache_dir, cache_key: [7; 32], id_salt: [9; 32], compiler, keep_functions: false, max_concurrent_calls };
    Sandbox::new(config, Arc::new(gateway), Arc::new(MemoryStore::default()), Arc::new(SystemClock)).expect("a sandbox")
}

/// A sandbox over a gateway.
pub(crate) fn sandbox_over(gateway: Gateway) -> Sandbox {
    make(gateway)
}

/// A sandbox from which nothing can leave.
pub(crate) fn sandbox() -> Sandbox {
    make(Gateway::with_transport(GatewayConfig::default(), Arc::new(Names), Arc::new(NoWay)).expect("a gateway"))
}

/// A sandbox from which nothing can leave, with a cache of its own that this command fills.
pub(crate) fn sandbox_with(cache: &Path, compiler: CompilerCommand) -> Sandbox {
    let gateway = Gateway::with_transport(GatewayConfig::default(), Arc::new(Names), Arc::new(NoWay));
    make_in(cache.to_owned(), compiler, gateway.expect("a gateway"), 1)
}

/// A sandbox from which nothing can leave, and that runs so many calls at once.
pub(crate) fn sandbox_of(max_concurrent_calls: usize) -> Sandbox {
    let gateway = Gateway::with_transport(GatewayConfig::default(), Arc::new(Names), Arc::new(NoWay));
    make_for(gateway.expect("a gateway"), max_concurrent_calls)
}

/// A sandbox whose only way out is this gateway.
pub(crate) fn sandbox_behind(gateway: Gateway) -> Sandbox {
    make(gateway)
}

/// A sandbox that may reach one port of the loopback, as an operator can allow it.
pub(crate) fn sandbox_that_may_dial(port: u16) -> Sandbox {
    let target = format!("127.0.0.1:{port}").parse().expect("a target");
    let config = GatewayConfig { private_targets: vec![target], ..GatewayConfig::default() };
    make(Gateway::with_transport(config, Arc::new(Names), Arc::new(TcpConnector)).expect("a gateway"))
}

/// A call in a session of its own, for tests of single calls.
pub(crate) fn call_context() -> ToolCallContext {
    ToolCallContext {
        org_id: OrgId::from_uuid(Uuid::from_u128(1)),
        session_id: SessionId::from_uuid(Uuid::from_u128(2)),
        has_session: true,
        turn_id: TurnId::from_uuid(Uuid::from_u128(3)),
        idempotency_key: "call_1".to_owned(),
        config: json!({}),
        locale: None,
        cancel: tokio_util::sync::CancellationToken::new(),
        sink: Arc::new(NoSink),
        services: tool_services(),
        nested: None,
    }
}

/// Services from which nothing can leave.
pub(crate) fn tool_services() -> Arc<ToolServices> {
    let egress = Gateway::with_transport(GatewayConfig::default(), Arc::new(Names), Arc::new(NoWay)).expect("a gateway");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Arc::new(ToolServices {
        backends: RuntimeBackends::in_memory(),
        egress: Arc::new(egress),
        ids: Arc::new(RandomIds::new(clock.clone())),
        clock,
        allowance: OrgAllowance::default(),
    })
}
