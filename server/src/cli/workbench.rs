//! The sandbox as commands use it: with a cache of its own and stores in memory, gone with the
//! process.

use std::path::Path;

use everwit_runtime::capability::CapabilityRegistry;
use everwit_runtime::component::Grant;
use everwit_runtime::egress::PrivateTarget;
use everwit_runtime::id::{ComponentId, OrgId};
use everwit_runtime::limits::{Budget, MAX_COMPONENT_BYTES};
use everwit_runtime::store::{Activation, NewVersion, RuntimeBackends, StoredVersion};
use tempfile::TempDir;

use super::output::{Failure, Style, harmless, note};
use crate::components::{Admission, AdmitError, Components, Rejection, SandboxSettings, start_sandbox};
use crate::moments::Moments;
use crate::random;

/// A sandbox for one command.
pub(crate) struct Workbench {
    pub(crate) components: Components,
    pub(crate) stores: RuntimeBackends,
    pub(crate) moments: Moments,
    _cache: TempDir,
}

/// A component that was examined: admitted, or rejected.
pub(crate) type Examined = Result<Admission, Rejection>;

impl Workbench {
    /// Starts a sandbox.
    pub(crate) fn start(private_targets: Vec<PrivateTarget>) -> Result<Self, Failure> {
        let cache = TempDir::with_prefix("everwit-").map_err(|error| Failure::failed(format!("cannot create a temporary directory: {error}")))?;
        let (moments, stores) = (Moments::system(), RuntimeBackends::in_memory());
        let settings = SandboxSettings {
            cache_dir: cache.path().to_owned(),
            cache_key: random::secret_bytes()?,
            id_salt: random::secret_bytes()?,
            max_concurrent_calls: 1,
            private_targets,
        };
        let sandbox = start_sandbox(settings, stores.kv.clone(), moments.clock.clone())?;
        let components = Components::new(CapabilityRegistry::new(), stores.component_store.clone(), sandbox);
        Ok(Self { components, stores, moments, _cache: cache })
    }

    /// Has the sandbox judge a component.
    pub(crate) async fn examine(&self, wasm: Vec<u8>) -> Result<Examined, Failure> {
        match self.components.admit(wasm).await {
            Ok(admission) => Ok(Ok(admission)),
            Err(AdmitError::Rejected(rejection)) => Ok(Err(rejection)),
            Err(AdmitError::Busy) => Err(Failure::failed("the sandbox is busy; try again")),
            Err(AdmitError::Failed(error)) => Err(error.into()),
        }
    }

    /// Makes an admitted component callable.
    pub(crate) async fn install(&self, wasm: Vec<u8>, admission: &Admission, grant: Grant) -> Result<(OrgId, StoredVersion), Failure> {
        let now = self.moments.now();
        let org = self.stores.org_store.default_org(OrgId::from_uuid(self.moments.uuid()), now).await?;
        let new = NewVersion {
            component_id: ComponentId::from_uuid(self.moments.uuid()),
            digest: admission.digest,
            wasm,
            description: admission.description.clone(),
            imports: admission.imports.clone(),
            now,
        };
        let mut stored = self.stores.component_store.add_version(org, new).await?;
        let activation = Activation { grant, budget: Budget::TOOL_CALL, now };
        stored.component = self.stores.component_store.activate(org, stored.component.id, stored.version.version, activation).await?;
        Ok((org, stored))
    }
}

/// Reads a component, within the limit of uploads.
pub(crate) fn read_wasm(path: &Path) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let wasm = std::fs::read(path).map_err(|error| Failure::failed(format!("cannot read {shown}: {error}")))?;
    if wasm.len() > MAX_COMPONENT_BYTES {
        return Err(Failure::failed(format!("{shown} has {} bytes; a component has at most {MAX_COMPONENT_BYTES}", wasm.len())));
    }
    Ok(wasm)
}

/// Tells on stderr why a component is rejected.
pub(crate) fn tell_rejection(path: &Path, rejection: &Rejection) {
    let style = Style::stderr();
    note(&format!("{} {} is no acceptable component: {} problems", style.red("rejected:"), path.display(), rejection.findings.len()));
    for finding in &rejection.findings {
        let place = finding.pointer.as_deref().map(|pointer| format!(" at {}", harmless(pointer))).unwrap_or_default();
        note(&format!("  {}{place}: {}", style.bold(&finding.code), harmless(&finding.detail)));
        note(&format!("    fix: {}", harmless(&finding.fix)));
    }
}
