//! Admitting a component: what it is, said by itself under tiny limits, and held against what its bytes say.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::admit::{AdmitError, Compiled, Rejection};
use super::call::{self, Circumstances, Described, Finished};
use super::capability::{ComponentCapability, Terms};
use super::driver::ComponentDriver;
use super::engine::EngineClass;
use super::gate::Finding;
use super::loaded::Loaded;
use super::state::Subject;
use super::{Sandbox, connection, convert, driver, gone, text, verify};
use crate::capability::{NoSink, ToolSink};
use crate::component::{ComponentDescription, ComponentKind, Digest, Effects, Grant, ReplayedExchange};
use crate::error::Error;
use crate::id::OrgId;
use crate::limits::Budget;

/// What is told of a component that cannot be linked, in bytes: the error and its causes.
const MAX_LINK_ERROR_BYTES: usize = 512;

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

impl Sandbox {
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
}

fn internal(error: Error) -> AdmitError {
    AdmitError::Internal(error.to_string())
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
