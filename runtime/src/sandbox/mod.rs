//! The sandbox: WebAssembly components under a budget. The only module that knows the engine.
//!
//! A component comes in through [`Sandbox::admit`], which looks at it and compiles it in a child
//! process; from then on it is a [`ComponentCapability`], of which every call runs in a fresh
//! store and instance with all limits armed before anything of the guest runs.

mod accounts;
mod admission;
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
mod functions;
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
mod shares;
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

use moka::future::Cache;

pub use admission::Admission;
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

use crate::clock::Clock;
use crate::component::{ComponentDescription, ComponentKind, Digest};
use crate::egress::Gateway;
use crate::error::Error;
use crate::store::KvStore;
use engine::{EngineClass, Engines};
use loaded::{Linkers, Loaded};
use pseudonym::Pseudonyms;
use shares::Shares;
use state::Services;

/// Linked components that are kept in memory. Each takes three maps and about 35 KiB beside its
/// file-backed code; the kernel allows 65,530 maps.
const MAX_LOADED: u64 = 5_000;
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
    /// Whether compiled functions are kept for the next component that has them too, up to 64 MiB: for who edits components
    /// on a machine of his own. A server compiles each component alone.
    pub keep_functions: bool,
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
            .field("keep_functions", &self.keep_functions)
            .field("max_concurrent_calls", &self.max_concurrent_calls)
            .finish_non_exhaustive()
    }
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
        let compiler = Compiler::new(config.compiler, cache, config.keep_functions)?;
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

fn gone(digest: Digest) -> Error {
    Error::Sandbox(format!("the compiled code of {digest} is gone"))
}
