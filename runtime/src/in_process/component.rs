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
use crate::clock::Clock;
use crate::component::Grant;
use crate::egress::Gateway;
use crate::error::Error;
use crate::limits::Budget;
use crate::platform::{ComponentDefinition, DefinitionProblem, PlatformDefinition};
use crate::sandbox::{CompilerCommand, Sandbox, SandboxConfig};
use crate::store::RuntimeBackends;

/// Guest calls at once; more wait. Enough for all tool calls of some steps, and for the driver
/// components of other turns, each of which has an instance as long as its model answers.
const MAX_CONCURRENT_CALLS: usize = 64;

/// What the builder is told about components.
#[derive(Default)]
pub(super) struct Components {
    given: Vec<ComponentDefinition>,
    compiler: Option<CompilerCommand>,
    cache: Option<ComponentCache>,
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
        self.components.given.push(ComponentDefinition::file(path, grant, limits));
        self
    }

    /// As [`Self::component_file`], from bytes.
    #[must_use]
    pub fn component_bytes(mut self, wasm: impl Into<Bytes>, grant: Grant, limits: Budget) -> Self {
        self.components.given.push(ComponentDefinition::bytes(wasm, grant, limits));
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

/// What components are opened with.
pub(super) struct Surroundings<'a> {
    pub(super) backends: &'a RuntimeBackends,
    pub(super) gateway: &'a Arc<Gateway>,
    pub(super) clock: &'a Arc<dyn Clock>,
}

impl Components {
    /// Opens these components and the definition's own; checks the definition. Returns the cache
    /// that they lie in if it is to go with the runtime. The definition stays as it is if a problem
    /// is found.
    pub(super) async fn open(
        self,
        definition: &mut PlatformDefinition,
        surroundings: Surroundings<'_>,
        problems: &mut Vec<BuildProblem>,
    ) -> Result<Option<TempDir>, BuildError> {
        definition.components_mut().extend(self.given);
        if definition.components().is_empty() {
            check(definition, problems);
            return Ok(None);
        }
        let compiler = self.compiler.unwrap_or_default();
        if let Err(error) = compiler.check() {
            let refused = |component: &ComponentDefinition| DefinitionProblem::BadComponent {
                component: component.source.to_string(),
                problems: vec![error.to_string()],
            };
            problems.extend(definition.components().iter().map(refused).map(BuildProblem::from));
            check(definition, problems);
            return Ok(None);
        }
        let (cache, temporary) = place(self.cache)?;
        let config = SandboxConfig {
            cache_dir: cache.dir,
            cache_key: cache.key,
            id_salt: random_bytes()?,
            compiler,
            keep_functions: false,
            max_concurrent_calls: MAX_CONCURRENT_CALLS,
        };
        let Surroundings { backends, gateway, clock } = surroundings;
        let sandbox = Sandbox::new(config, gateway.clone(), backends.kv.clone(), clock.clone())?;
        match definition.clone().open(&sandbox).await {
            Ok(opened) => *definition = opened,
            Err(errors) => {
                problems.extend(errors.0.into_iter().map(BuildProblem::from));
                check(definition, problems);
            }
        }
        Ok(temporary)
    }
}

/// Adds what is wrong with the definition, but for what is told already.
fn check(definition: &PlatformDefinition, problems: &mut Vec<BuildProblem>) {
    let Err(errors) = definition.validate() else { return };
    for problem in errors.0.into_iter().map(BuildProblem::from) {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
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
