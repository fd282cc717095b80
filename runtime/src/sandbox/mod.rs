//! The sandbox: WebAssembly components under a budget. The only module that knows the engine.
//!
//! A component comes in through [`Sandbox::admit`], which looks at it and compiles it in a child
//! process; from then on it is a [`ComponentCapability`], of which every call runs in a fresh
//! store and instance with all limits armed before anything of the guest runs.

mod accounts;
mod admit;
mod bindings;
mod cache;
mod call;
mod capability;
mod child;
mod compile;
mod connection;
mod convert;
mod driver;
pub mod engine;
mod fair;
#[cfg(feature = "testing")]
pub mod fuzz;
mod garbage;
mod gate;
mod imports;
mod ledger;
mod limiter;
mod loaded;
mod outlet;
mod placeholders;
mod pseudonym;
mod running;
mod signing;
mod state;
mod text;
mod trap;
mod turns;
mod verdict;
mod verify;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use moka::future::Cache;
use tokio_util::sync::CancellationToken;

pub use admit::{AdmitError, Compiled, Compiler, Rejection};
pub use cache::ArtifactCache;
pub use capability::{ComponentCapabilities, ComponentCapability, Terms};
pub use child::{compile_child, compile_child_main};
pub use compile::{CHILD_ARGUMENT, CompilerCommand, Lane};
pub use connection::{ComponentConnectionProvider, ComponentConnectionProviders};
pub use driver::{ComponentDriver, ComponentDrivers};
pub use garbage::Swept;
pub use gate::rule::{RULES, Rule};
pub use gate::{Finding, Inspection, Producer, inspect};
pub use verdict::{Check, CheckOutcome, CheckResult};

use crate::capability::{NoSink, ToolSink};
use crate::clock::Clock;
use crate::component::{ComponentDescription, ComponentKind, Digest, Effects, Grant, ReplayedExchange};
use crate::egress::Gateway;
use crate::error::Error;
use crate::id::OrgId;
use crate::limits::Budget;
use crate::mutation::off;
use crate::store::KvStore;
use crate::turn::MAX_NESTED_DEPTH;
use call::{Circumstances, Described, Finished};
use engine::{EngineClass, Engines};
use fair::{Fair, Limits};
use loaded::{Linkers, Loaded};
use pseudonym::Pseudonyms;
use state::{Services, Subject};
use turns::Turns;

/// Linked components that are kept in memory. Each takes three maps and about 35 KiB beside its
/// file-backed code; the kernel allows 65,530 maps.
const MAX_LOADED: u64 = 5_000;
/// At each depth of calls within calls there are so many times fewer of them than calls that are in none.
const NESTED_SHARE: usize = 8;
/// What is told of a component that cannot be linked, in bytes: the error and its causes.
const MAX_LINK_ERROR_BYTES: usize = 512;

/// Calls that wait for a place; one more is refused as busy.
const MAX_WAITING_CALLS: usize = 4_096;
/// Calls of one org that wait for a place.
const MAX_WAITING_CALLS_PER_ORG: usize = 1_024;

/// Settings of a [`Sandbox`]. Its `Debug` shows neither key nor salt.
#[derive(Clone)]
pub struct SandboxConfig {
    /// Where compiled code is kept; made with mode 0700 if absent.
    pub cache_dir: PathBuf,
    /// Authenticates what is kept there.
    pub cache_key: [u8; 32],
    /// Salts the ids that guests see.
    pub id_salt: [u8; 32],
    /// How to start the process that compiles.
    pub compiler: CompilerCommand,
    /// Guest calls at the same time, 1 to 72 if language engines are among them; more wait. One org has
    /// at most three quarters of them, so that there always are some for others. Calls from within a call have an eighth as
    /// many at each depth, beside these.
    pub max_concurrent_calls: usize,
}

impl fmt::Debug for SandboxConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxConfig")
            .field("cache_dir", &self.cache_dir)
            .field("compiler", &self.compiler)
            .field("max_concurrent_calls", &self.max_concurrent_calls)
            .finish_non_exhaustive()
    }
}

/// A component that passed all checks and is compiled.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    /// Digest of its bytes.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// What it says about itself.
    pub description: ComponentDescription,
    /// WIT names of its imports.
    pub imports: Vec<String>,
    /// What the replay of a driver's recorded exchanges covered.
    pub exchanges: Vec<ReplayedExchange>,
    /// What is allowed but unwise.
    pub warnings: Vec<Finding>,
}

/// Runs components. Cloning shares it.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    compiler: Compiler,
    engines: Engines,
    linkers: Linkers,
    loaded: Cache<(Digest, EngineClass), Arc<Loaded>>,
    services: Arc<Services>,
    shares: Shares,
    id_salt: [u8; 32],
}

impl Sandbox {
    /// Makes a sandbox; the engine is made when the first component is loaded.
    ///
    /// # Errors
    /// The cache directory cannot be used.
    pub fn new(config: SandboxConfig, gateway: Arc<Gateway>, kv: Arc<dyn KvStore>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let cache = ArtifactCache::open(&config.cache_dir, config.cache_key)
            .map_err(|error| Error::Sandbox(format!("the artifact cache {} cannot be used: {error}", config.cache_dir.display())))?;
        let compiler = Compiler::new(config.compiler, cache)?;
        let inner = Inner {
            compiler,
            engines: Engines::new(),
            linkers: Linkers::default(),
            loaded: Cache::new(MAX_LOADED),
            services: Arc::new(Services { clock, gateway, kv }),
            shares: Shares::new(config.max_concurrent_calls)?,
            id_salt: config.id_salt,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Checks and compiles a component, and asks it what it is, with no grant and tiny limits.
    /// Stores nothing but compiled code.
    ///
    /// # Errors
    /// All findings, if it is refused.
    pub async fn admit(&self, wasm: impl Into<Bytes>) -> Result<Admission, AdmitError> {
        let compiled = self.inner.compiler.admit(wasm.into()).await?;
        let Compiled { digest, size, inspection } = compiled.as_ref();
        let rejected = |findings| {
            let producers = inspection.producers.clone();
            AdmitError::Rejected(Arc::new(Rejection { digest: *digest, size: *size, producers, findings }))
        };
        // Most of what is examined is never called, so it is not kept in memory.
        let loaded = match self.link(*digest, EngineClass::of(Budget::DESCRIBE.memory_bytes)).await {
            Err(Error::Invalid(detail)) => return Err(rejected(vec![incomplete(&detail)])),
            loaded => loaded.map_err(internal)?.ok_or_else(|| internal(gone(*digest)))?,
        };
        let finished = self.describe(&loaded).await;
        let described = finished.result.map_err(|stopped| rejected(vec![describe_stopped(&stopped)]))?;
        let description = match described {
            Described::Capability(described) => convert::description(described),
            Described::Driver(described) => driver::description(described),
            Described::ConnectionProvider(described) => connection::description(described),
        };
        let description = description.map_err(|problems| rejected(unreadable(problems)))?;
        let mut findings = verify::description(&description);
        findings.extend(verify::section(inspection.description.as_deref(), &description));
        if !findings.is_empty() {
            return Err(rejected(findings));
        }
        let mut warnings = verify::growth(&finished.usage, inspection.min_memory_bytes);
        let exchanges = match (description.kind(), inspection.exchanges.as_deref()) {
            (ComponentKind::Driver, Some(section)) => {
                let terms = Terms { budget: Budget::COMPLETION, ..Terms::default() };
                let driver = ComponentDriver::new(self.clone(), loaded, description.clone(), *digest, terms).map_err(internal)?;
                driver::replay(&driver, section).await.map_err(rejected)?
            }
            (ComponentKind::Driver, None) => {
                warnings.push(no_exchanges());
                Vec::new()
            }
            (ComponentKind::Capability | ComponentKind::ConnectionProvider, _) => Vec::new(),
        };
        Ok(Admission { digest: *digest, size: *size, description, imports: inspection.imports.clone(), exchanges, warnings })
    }

    /// Admits what consists of a component that was admitted without a description in it, and behind that the section
    /// `everwit:description`. Nothing is compiled.
    ///
    /// # Errors
    /// As for [`Self::admit`]; `Internal` if it does not consist of that.
    pub async fn admit_described(&self, bare: Admission, wasm: impl Into<Bytes>) -> Result<Admission, AdmitError> {
        let compiled = self.inner.compiler.admit_described(bare.digest, bare.size, wasm.into()).await?;
        let Compiled { digest, size, inspection } = compiled.as_ref();
        if let Some(finding) = verify::section(inspection.description.as_deref(), &bare.description) {
            let producers = inspection.producers.clone();
            return Err(AdmitError::Rejected(Arc::new(Rejection { digest: *digest, size: *size, producers, findings: vec![finding] })));
        }
        Ok(Admission { digest: *digest, size: *size, ..bare })
    }

    /// Admits a component and makes it callable, for hosts that keep no versions.
    ///
    /// # Errors
    /// As for [`Self::admit`].
    pub async fn open(&self, wasm: impl Into<Bytes>, terms: Terms) -> Result<ComponentCapability, AdmitError> {
        let wasm = wasm.into();
        let Admission { digest, description, .. } = self.admit(wasm.clone()).await?;
        self.component(digest, description, terms, || async { Ok(wasm.to_vec()) }).await.map_err(internal)
    }

    /// As [`Self::open`], for a driver.
    ///
    /// # Errors
    /// As for [`Self::admit`].
    pub async fn open_driver(&self, wasm: impl Into<Bytes>, terms: Terms) -> Result<ComponentDriver, AdmitError> {
        let wasm = wasm.into();
        let Admission { digest, description, .. } = self.admit(wasm.clone()).await?;
        self.driver(digest, description, terms, || async { Ok(wasm.to_vec()) }).await.map_err(internal)
    }

    /// A component that was admitted before, by this process or another. If its compiled code is
    /// not in the cache, the bytes that `wasm` gives are compiled again.
    ///
    /// # Errors
    /// Those of `wasm`; `Sandbox` if it cannot be compiled any more.
    pub async fn component<F, R>(
        &self,
        digest: Digest,
        description: ComponentDescription,
        terms: Terms,
        wasm: F,
    ) -> Result<ComponentCapability, Error>
    where
        F: FnOnce() -> R,
        R: Future<Output = Result<Vec<u8>, Error>>,
    {
        let loaded = self.load_or_compile(digest, terms.budget.memory_bytes, wasm).await?;
        if loaded.kind() != ComponentKind::Capability {
            return Err(Error::Sandbox(format!("{digest} is no capability")));
        }
        Ok(ComponentCapability::new(self.clone(), loaded, description, digest, terms))
    }

    /// As [`Self::component`], for a driver.
    ///
    /// # Errors
    /// As for [`Self::component`].
    pub async fn driver<F, R>(
        &self,
        digest: Digest,
        description: ComponentDescription,
        terms: Terms,
        wasm: F,
    ) -> Result<ComponentDriver, Error>
    where
        F: FnOnce() -> R,
        R: Future<Output = Result<Vec<u8>, Error>>,
    {
        let loaded = self.load_or_compile(digest, terms.budget.memory_bytes, wasm).await?;
        ComponentDriver::new(self.clone(), loaded, description, digest, terms)
    }

    /// As [`Self::component`], for a connection provider.
    ///
    /// # Errors
    /// As for [`Self::component`].
    pub async fn connection_provider<F, R>(
        &self,
        digest: Digest,
        description: ComponentDescription,
        terms: Terms,
        wasm: F,
    ) -> Result<ComponentConnectionProvider, Error>
    where
        F: FnOnce() -> R,
        R: Future<Output = Result<Vec<u8>, Error>>,
    {
        let loaded = self.load_or_compile(digest, terms.budget.memory_bytes, wasm).await?;
        ComponentConnectionProvider::new(self.clone(), loaded, description, digest, terms)
    }

    async fn load_or_compile<F, R>(&self, digest: Digest, memory: u64, wasm: F) -> Result<Arc<Loaded>, Error>
    where
        F: FnOnce() -> R,
        R: Future<Output = Result<Vec<u8>, Error>>,
    {
        if let Some(loaded) = self.load(digest, memory).await? {
            return Ok(loaded);
        }
        let compiled = self.inner.compiler.admit(wasm().await?.into()).await;
        compiled.map_err(|error| Error::Sandbox(format!("{digest} cannot be compiled any more: {error}")))?;
        self.load(digest, memory).await?.ok_or_else(|| gone(digest))
    }

    /// Loads compiled code into the engine that `memory_bytes` of memory need, and keeps it for later calls.
    async fn load(&self, digest: Digest, memory_bytes: u64) -> Result<Option<Arc<Loaded>>, Error> {
        let class = EngineClass::of(memory_bytes);
        if let Some(loaded) = self.inner.loaded.get(&(digest, class)).await {
            return Ok(Some(loaded));
        }
        let loaded = self.link(digest, class).await?;
        if let Some(loaded) = &loaded {
            self.inner.loaded.insert((digest, class), loaded.clone()).await;
        }
        Ok(loaded)
    }

    async fn link(&self, digest: Digest, class: EngineClass) -> Result<Option<Arc<Loaded>>, Error> {
        let inner = self.inner.clone();
        let linking = tokio::task::spawn_blocking(move || inner.link(digest, class));
        linking.await.map_err(|error| Error::Sandbox(format!("loading {digest} failed: {error}")))?
    }

    /// Asks a component what it is. That is nobody's call: no org, no grant, no listener.
    async fn describe(&self, loaded: &Arc<Loaded>) -> Finished<Described> {
        let subject = Arc::new(Subject { component: String::new(), grant: Grant::default(), secrets: Vec::new() });
        let (cancel, sink): (_, Arc<dyn ToolSink>) = (CancellationToken::new(), Arc::new(NoSink));
        let circumstances = Circumstances {
            org: OrgId::from_uuid(uuid::Uuid::nil()),
            subject: &subject,
            budget: &Budget::DESCRIBE,
            cancel: &cancel,
            sink: &sink,
            effects: Effects::default(),
            account: None,
            depth: 0,
        };
        call::describe(&self.inner.services, &self.inner.shares, loaded, circumstances).await
    }

    fn services(&self) -> &Arc<Services> {
        &self.inner.services
    }

    fn shares(&self) -> &Shares {
        &self.inner.shares
    }

    /// The ids that a component sees.
    fn pseudonyms(&self, component: &str) -> Pseudonyms {
        Pseudonyms::new(&self.inner.id_salt, component)
    }
}

/// What calls share among orgs.
#[derive(Clone)]
struct Shares {
    /// Calls that exist, by how many calls are around them: each takes memory. Who waits for a place holds those
    /// of the calls around it, so each depth has places of its own, and the deepest never waits for another.
    places: Vec<Fair>,
    /// Guests that compute: each takes a processor.
    turns: Arc<Turns>,
}

impl Shares {
    fn new(calls: usize) -> Result<Self, Error> {
        let more = if off("calls.waiting") { 1_000 } else { 1 };
        let (waiting, waiting_per_org) = (MAX_WAITING_CALLS * more, MAX_WAITING_CALLS_PER_ORG * more);
        let fair = |permits: usize| Fair::new(Limits { permits, per_org: (permits - permits / 4).max(1), waiting, waiting_per_org });
        let nested = (calls / NESTED_SHARE).max(1);
        let places = std::iter::once(calls).chain([nested; MAX_NESTED_DEPTH]).map(fair).collect();
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let turns = Turns::start(processors).map_err(|error| Error::Sandbox(format!("the threads of guests cannot start: {error}")))?;
        Ok(Self { places, turns: Arc::new(turns) })
    }
}

impl Inner {
    /// # Errors
    /// `Invalid` if the component is not what its exports are named after; `Sandbox` for what is not its fault.
    fn link(&self, digest: Digest, class: EngineClass) -> Result<Option<Arc<Loaded>>, Error> {
        let failed = |error: wasmtime::Error| Error::Sandbox(format!("{digest} cannot be loaded: {error:#}"));
        let engine = self.engines.get(class).map_err(failed)?;
        let Some(component) = self.compiler.load(engine, &digest)? else { return Ok(None) };
        let linker = self.linkers.get(class, engine).map_err(failed)?;
        let loaded = Loaded::link(linker, &component).map_err(|error| Error::Invalid(format!("{error:#}")))?;
        Ok(Some(Arc::new(loaded)))
    }
}

fn internal(error: Error) -> AdmitError {
    AdmitError::Internal(error.to_string())
}

fn gone(digest: Digest) -> Error {
    Error::Sandbox(format!("the compiled code of {digest} is gone"))
}

/// The gate knows the names of the exports; what is in them is known once they are linked.
fn incomplete(detail: &str) -> Finding {
    let detail = format!("its exports are not those of the contract: {}", text::escape(detail, MAX_LINK_ERROR_BYTES));
    Finding::new("export_incomplete", Some("/exports".to_owned()), detail, "build it against wit/, or with an SDK")
}

fn no_exchanges() -> Finding {
    let detail = "the driver carries no recorded exchanges, so that nothing of it was tried";
    Finding::new("no_exchanges", None, detail, "record some: docs/drivers.md says how")
}

fn describe_stopped(stopped: &crate::capability::Stopped) -> Finding {
    let detail = format!("describe did not return: {stopped}");
    Finding::new(
        "describe_failed",
        Some("/exports/describe".to_owned()),
        detail,
        "make describe return at once, without imports but the log",
    )
}

fn unreadable(problems: Vec<String>) -> Vec<Finding> {
    let finding = |problem: String| Finding::new("invalid_description", Some("/description".to_owned()), problem, "return what wit/ says");
    problems.into_iter().map(finding).collect()
}
