//! The sandbox as commands use it: with a cache of its own and stores in memory, gone with the
//! process.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use everwit_runtime::capability::ToolServices;
use everwit_runtime::egress::PrivateTarget;
use everwit_runtime::limits::MAX_COMPONENT_BYTES;
use everwit_runtime::sandbox::Sandbox;
use everwit_runtime::store::RuntimeBackends;
use tempfile::TempDir;

use super::output::{Failure, Style, harmless, note};
use crate::components::{Admission, AdmitError, CompilerCommand, Rejection, SandboxSettings, start_gateway, start_sandbox};
use crate::moments::Moments;
use crate::random;

/// Time after which somebody who waits for a component to be compiled is told about it.
const PATIENCE: Duration = Duration::from_secs(1);

/// A sandbox for one command.
pub(crate) struct Workbench {
    pub(crate) sandbox: Sandbox,
    pub(crate) moments: Moments,
    pub(crate) services: Arc<ToolServices>,
    _cache: TempDir,
}

/// A component that was examined: accepted, or rejected.
pub(crate) type Examined<T> = Result<T, Arc<Rejection>>;

impl Workbench {
    /// Starts a sandbox.
    pub(crate) fn start(private_targets: Vec<PrivateTarget>) -> Result<Self, Failure> {
        let cache =
            TempDir::with_prefix("everwit-").map_err(|error| Failure::failed(format!("cannot create a temporary directory: {error}")))?;
        let moments = Moments::system();
        let settings = SandboxSettings {
            cache_dir: cache.path().to_owned(),
            cache_key: random::secret_bytes()?,
            id_salt: random::secret_bytes()?,
            compiler: CompilerCommand::default(),
            max_concurrent_calls: 1,
        };
        let (backends, egress) = (RuntimeBackends::in_memory(), start_gateway(private_targets)?);
        let sandbox = start_sandbox(settings, egress.clone(), backends.kv.clone(), moments.clock.clone())?;
        let services = ToolServices { backends, egress, clock: moments.clock.clone(), ids: moments.ids.clone() };
        Ok(Self { sandbox, moments, services: Arc::new(services), _cache: cache })
    }

    /// Has the sandbox judge a component, and says so if that takes long.
    pub(crate) async fn examine(&self, wasm: Vec<u8>) -> Result<Examined<Admission>, Failure> {
        let size = wasm.len();
        let mut examining = pin!(self.sandbox.admit(wasm));
        match tokio::time::timeout(PATIENCE, examining.as_mut()).await {
            Ok(outcome) => judged(outcome),
            Err(_) => {
                note(&format!("compiling {} KiB of WebAssembly …", size.div_ceil(1024)));
                judged(examining.await)
            }
        }
    }
}

/// Sets apart what is the component's fault from what is not.
pub(crate) fn judged<T>(outcome: Result<T, AdmitError>) -> Result<Examined<T>, Failure> {
    match outcome {
        Ok(accepted) => Ok(Ok(accepted)),
        Err(AdmitError::Rejected(rejection)) => Ok(Err(rejection)),
        Err(error) => Err(Failure::failed(error.to_string())),
    }
}

/// Reads a component, within the limit of uploads.
pub(crate) fn read_wasm(path: &Path) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    if path.is_dir() {
        return Err(Failure::failed(format!(
            "{shown} is a directory\nto fix it: everwit build {shown} -o component.wasm, and name that file"
        )));
    }
    let mut wasm = Vec::new();
    // A file can be endless, so no more is read than tells that it is too large.
    let most = MAX_COMPONENT_BYTES as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut wasm));
    read.map_err(|error| {
        let fix = if error.kind() == ErrorKind::NotFound { "\nto fix it: make one with everwit build" } else { "" };
        Failure::failed(format!("cannot read {shown}: {error}{fix}"))
    })?;
    if wasm.len() > MAX_COMPONENT_BYTES {
        let fix = "leave out debug information and data that a tool can be given as an argument";
        return Err(Failure::failed(format!("{shown} is larger than the {MAX_COMPONENT_BYTES} bytes of a component\nto fix it: {fix}")));
    }
    Ok(wasm)
}

/// Tells on stderr why a component is rejected.
pub(crate) fn tell_rejection(path: &Path, rejection: &Rejection) {
    let style = Style::stderr();
    let count = rejection.findings.len();
    let problems = if count == 1 { "problem" } else { "problems" };
    note(&format!("{} {} is no acceptable component: {count} {problems}", style.red("rejected:"), path.display()));
    for finding in &rejection.findings {
        let place = finding.pointer.as_deref().map(|pointer| format!(" at {}", harmless(pointer))).unwrap_or_default();
        note(&format!("  {}{place}: {}", style.bold(&finding.code), harmless(&finding.detail)));
        note(&format!("    fix: {}", harmless(&finding.fix)));
    }
}
