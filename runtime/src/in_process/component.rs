//! Components of an embedder: opened when the runtime is built, and from then on capabilities like
//! any other.
//!
//! They are compiled in a child process of the embedder's own program, see
//! [`compile_child`](crate::sandbox::compile_child). Compiling inside the host is deliberately not
//! offered: the compiler can take any amount of time and memory, and cannot be stopped.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;

use super::builder::InProcessRuntimeBuilder;
use super::problem::{BuildError, BuildProblem};
use crate::capability::Capability;
use crate::clock::Clock;
use crate::component::Grant;
use crate::egress::Gateway;
use crate::error::Error;
use crate::limits::{Budget, MAX_COMPONENT_BYTES};
use crate::sandbox::{AdmitError, CompilerCommand, Sandbox, SandboxConfig, Terms};
use crate::store::RuntimeBackends;

/// Guest calls at once; more wait. Enough for all tool calls of one step.
const MAX_CONCURRENT_CALLS: usize = 16;

/// What the builder is told about components.
#[derive(Default)]
pub(super) struct Components {
    given: Vec<Given>,
    compiler: Option<CompilerCommand>,
    cache: Option<ComponentCache>,
}

struct Given {
    source: Source,
    terms: Terms,
}

enum Source {
    File(PathBuf),
    Bytes(Bytes),
}

/// Where compiled components are kept from one start of the program to the next.
#[derive(Clone)]
pub struct ComponentCache {
    /// The directory; made with mode 0700 if absent.
    pub dir: PathBuf,
    /// Authenticates what is kept there, because it is machine code that this program runs: 32
    /// random bytes that only this program knows, and the same at each start.
    pub key: [u8; 32],
}

impl InProcessRuntimeBuilder {
    /// Adds a component from a file, with what it may reach and the limits of its calls. Its tools
    /// are offered as `<id>__<tool>`, with `_` for each `-` of the id.
    #[must_use]
    pub fn component_file(mut self, path: impl Into<PathBuf>, grant: Grant, limits: Budget) -> Self {
        let terms = Terms { version: None, grant, budget: limits };
        self.components.given.push(Given { source: Source::File(path.into()), terms });
        self
    }

    /// As [`Self::component_file`], from bytes.
    #[must_use]
    pub fn component_bytes(mut self, wasm: impl Into<Bytes>, grant: Grant, limits: Budget) -> Self {
        let terms = Terms { version: None, grant, budget: limits };
        self.components.given.push(Given { source: Source::Bytes(wasm.into()), terms });
        self
    }

    /// Sets where compiled components are kept. Default: in a temporary directory that goes with the
    /// runtime, so that they are compiled at each start.
    #[must_use]
    pub fn component_cache(mut self, cache: ComponentCache) -> Self {
        self.components.cache = Some(cache);
        self
    }

    /// Sets the program that compiles components. Default: this one, which must begin with
    /// [`compile_child`](crate::sandbox::compile_child).
    #[must_use]
    pub fn component_compiler(mut self, compiler: CompilerCommand) -> Self {
        self.components.compiler = Some(compiler);
        self
    }
}

/// Opened components, and the cache that they lie in if it is to go with the runtime.
pub(super) type Opened = (Vec<Arc<dyn Capability>>, Option<TempDir>);

impl Components {
    /// Opens all; what is wrong with one is added to `problems`.
    pub(super) async fn open(
        self,
        backends: &RuntimeBackends,
        gateway: &Arc<Gateway>,
        clock: &Arc<dyn Clock>,
        problems: &mut Vec<BuildProblem>,
    ) -> Result<Opened, BuildError> {
        if self.given.is_empty() {
            return Ok((Vec::new(), None));
        }
        let compiler = self.compiler.unwrap_or_default();
        if let Err(error) = compiler.check() {
            let refused = |(at, given): (usize, &Given)| BuildProblem::Component { component: given.name(at), reason: error.to_string() };
            problems.extend(self.given.iter().enumerate().map(refused));
            return Ok((Vec::new(), None));
        }
        let (cache, temporary) = place(self.cache)?;
        let config = SandboxConfig {
            cache_dir: cache.dir,
            cache_key: cache.key,
            id_salt: random_bytes()?,
            compiler,
            max_concurrent_calls: MAX_CONCURRENT_CALLS,
        };
        let sandbox = Sandbox::new(config, gateway.clone(), backends.kv.clone(), clock.clone())?;
        let mut opened: Vec<Arc<dyn Capability>> = Vec::with_capacity(self.given.len());
        for (at, given) in self.given.into_iter().enumerate() {
            let component = given.name(at);
            match given.open(&sandbox).await? {
                Ok(capability) => opened.push(capability),
                Err(reason) => problems.push(BuildProblem::Component { component, reason }),
            }
        }
        Ok((opened, temporary))
    }
}

impl Given {
    fn name(&self, at: usize) -> String {
        match &self.source {
            Source::File(path) => path.display().to_string(),
            Source::Bytes(_) => format!("number {} of those given", at + 1),
        }
    }

    /// The component as a capability, or why it cannot be one.
    async fn open(self, sandbox: &Sandbox) -> Result<Result<Arc<dyn Capability>, String>, Error> {
        let wasm = match self.source {
            Source::Bytes(wasm) => wasm,
            Source::File(path) => match tokio::fs::read(&path).await {
                Ok(wasm) => wasm.into(),
                Err(error) => return Ok(Err(format!("the file cannot be read: {error}"))),
            },
        };
        if wasm.len() > MAX_COMPONENT_BYTES {
            return Ok(Err(format!("it has {} bytes; at most {MAX_COMPONENT_BYTES} are allowed", wasm.len())));
        }
        let wrong_limits = self.terms.budget.problems();
        if !wrong_limits.is_empty() {
            return Ok(Err(format!("its limits are wrong: {}", wrong_limits.join("; "))));
        }
        let admission = match sandbox.admit(wasm.clone()).await {
            Ok(admission) => admission,
            Err(error) => return refused(error),
        };
        let beyond = self.terms.grant.beyond(&admission.description.permissions);
        if !beyond.is_empty() {
            return Ok(Err(format!("its grant goes beyond what it asks for: {}", beyond.join("; "))));
        }
        let bytes = || async move { Ok(wasm.to_vec()) };
        let capability = sandbox.component(admission.digest, admission.description, self.terms, bytes).await?;
        Ok(Ok(Arc::new(capability)))
    }
}

/// Tells what is the component's fault from what is not.
fn refused(error: AdmitError) -> Result<Result<Arc<dyn Capability>, String>, Error> {
    match error {
        AdmitError::Rejected(rejection) => {
            let found =
                rejection.findings.iter().map(|finding| format!("{}: {} (to fix it: {})", finding.code, finding.detail, finding.fix));
            Ok(Err(found.collect::<Vec<_>>().join("; ")))
        }
        AdmitError::Busy => Err(Error::Unavailable("too many components wait for being compiled".to_owned())),
        AdmitError::Internal(reason) => Err(Error::Sandbox(reason)),
    }
}

fn place(cache: Option<ComponentCache>) -> Result<(ComponentCache, Option<TempDir>), Error> {
    if let Some(cache) = cache {
        return Ok((cache, None));
    }
    let failed = |error| Error::Sandbox(format!("no temporary directory for compiled components: {error}; name one with component_cache"));
    let dir = tempfile::Builder::new().prefix("everwit-components-").tempdir().map_err(failed)?;
    Ok((ComponentCache { dir: dir.path().to_owned(), key: random_bytes()? }, Some(dir)))
}

fn random_bytes() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Sandbox(format!("the system gives no randomness: {error}")))?;
    Ok(bytes)
}
