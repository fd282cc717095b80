//! Admission: what an upload has to go through before anything of it can run.
//!
//! magic number → cache → queue → child process (gate, validation, compiling) → cache. Equal
//! uploads at the same time are compiled once. Deliberately not here: running `describe`, and how
//! often a tenant may upload.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::cache::ArtifactCache;
use super::compile::{Compilation, CompilerCommand, Job, Lane};
use super::engine::{self, Compatibility, EngineClass, Purpose};
use super::gate::{self, Finding, Inspection, Producer};
use crate::component::Digest;
use crate::error::Error;
use crate::mutation::off;

/// Compiles at the same time: one, because calls of guests share the machine's processors.
const PARALLEL_COMPILES: usize = 1;
/// Uploads that wait for a compile; the last of them then waits for minutes at worst, and holds
/// its bytes in memory until then.
const MAX_WAITING: usize = 8;

/// Why an upload was not admitted.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AdmitError {
    /// The component is at fault; every finding at once.
    #[error("component rejected: {}", .0.summary())]
    Rejected(Arc<Rejection>),
    /// Too many uploads wait; the same one may be admitted later.
    #[error("too many components wait for being compiled")]
    Busy,
    /// The host is at fault; for the log.
    #[error("sandbox: {0}")]
    Internal(String),
}

/// A refused upload. Nothing of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rejection {
    /// Digest of the bytes.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// Who made it, as far as it could be read.
    pub producers: Vec<Producer>,
    /// What is wrong; never empty, at most 50.
    pub findings: Vec<Finding>,
}

impl Rejection {
    fn summary(&self) -> String {
        let codes: Vec<&str> = self.findings.iter().map(|finding| finding.code.as_str()).collect();
        codes.join(", ")
    }
}

/// An admitted upload: its artifact is in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// Digest of the bytes.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// What was found in it.
    pub inspection: Inspection,
}

type Outcome = Result<Arc<Compiled>, AdmitError>;
type InFlight = Shared<BoxFuture<'static, Outcome>>;
type WeakInFlight = WeakShared<BoxFuture<'static, Outcome>>;

/// Admits uploads. Cheap to clone; all clones share queue and cache.
#[derive(Debug, Clone)]
pub struct Compiler {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    command: CompilerCommand,
    cache: ArtifactCache,
    compatibility: Compatibility,
    /// Running and waiting together; whoever gets no permit is turned away.
    places: Semaphore,
    /// Running.
    slots: Semaphore,
    in_flight: Mutex<HashMap<Digest, WeakInFlight>>,
    testing: Testing,
}

/// What only tests change.
#[derive(Debug, Clone, Copy, Default)]
struct Testing {
    skip_gate: bool,
    lane: Option<Lane>,
}

impl Compiler {
    /// A compiler that keeps its artifacts in `cache`.
    ///
    /// # Errors
    /// The engine's settings do not fit this machine.
    pub fn new(command: CompilerCommand, cache: ArtifactCache) -> Result<Self, Error> {
        let engine =
            Engine::new(&engine::config(EngineClass::Small, Purpose::Compile)).map_err(|error| Error::Sandbox(format!("{error:#}")))?;
        Ok(Self {
            inner: Arc::new(Inner {
                command,
                cache,
                compatibility: engine::compatibility(&engine),
                places: Semaphore::new(PARALLEL_COMPILES + if off("compile.waiting") { 1_000 } else { MAX_WAITING }),
                slots: Semaphore::new(if off("compile.parallel") { MAX_WAITING } else { PARALLEL_COMPILES }),
                in_flight: Mutex::default(),
                testing: Testing::default(),
            }),
        })
    }

    /// The same with the gate switched off and other limits for the child, to see what the limits
    /// alone hold.
    ///
    /// # Panics
    /// If it has clones.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn without_gate(mut self, lane: Lane) -> Self {
        #[expect(clippy::expect_used, reason = "documented, and for tests only")]
        let inner = Arc::get_mut(&mut self.inner).expect("no clones");
        inner.testing = Testing { skip_gate: true, lane: Some(lane) };
        self
    }

    /// Checks and compiles an upload, unless its artifact is in the cache already. Dropping the
    /// future gives the upload up; the compile is killed when nobody waits for it any more.
    ///
    /// # Errors
    /// See [`AdmitError`].
    pub async fn admit(&self, upload: Bytes) -> Outcome {
        let size = upload.len() as u64;
        let hashed = upload.clone();
        let digest = tokio::task::spawn_blocking(move || Digest::of(&hashed)).await.map_err(internal)?;
        if let Some(finding) = gate::judge_magic(&upload) {
            return Err(rejected(digest, size, Inspection::default(), vec![finding]));
        }
        self.join(digest, upload).await
    }

    /// Gives the code of an admitted component to one that consists of its bytes and, behind them, the section
    /// `everwit:description`: sections of that kind are no code.
    ///
    /// # Errors
    /// `Internal` if it consists of something else, or the cache has no code or cannot be written.
    pub(crate) async fn admit_described(&self, bare: Digest, bare_size: u64, described: Bytes) -> Outcome {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || inner.admit_described(&bare, bare_size, &described)).await.map_err(internal)?
    }

    /// Where compiled code is kept.
    pub(super) fn artifacts(&self) -> &ArtifactCache {
        &self.inner.cache
    }

    /// Whether the artifact of a component is in the cache, authentic, and loads into engines of
    /// both classes.
    ///
    /// # Errors
    /// As for loading.
    #[cfg(feature = "testing")]
    pub fn loads(&self, digest: &Digest) -> Result<bool, Error> {
        let engines = engine::Engines::new();
        let mut loads = true;
        for class in [EngineClass::Small, EngineClass::Large] {
            let engine = engines.get(class).map_err(|error| Error::Sandbox(format!("{error:#}")))?;
            loads &= self.load(engine, digest)?.is_some();
        }
        Ok(loads)
    }

    /// The compiled component, for an engine of either class; none if it was never admitted with
    /// this build's settings, or if its artifact was tampered with: then admit it again. Blocks.
    ///
    /// # Errors
    /// The cache cannot be read.
    pub(crate) fn load(&self, engine: &Engine, digest: &Digest) -> Result<Option<Component>, Error> {
        self.inner.cache.load(engine, digest).map_err(|error| Error::Sandbox(format!("compiled component {digest}: {error}")))
    }

    /// The admission of this digest that is under way, or a new one.
    fn join(&self, digest: Digest, upload: Bytes) -> InFlight {
        // Poisoned only if a caller panicked in here; the map is whole then, too.
        let mut in_flight = self.inner.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        in_flight.retain(|_, admission| admission.upgrade().is_some_and(|admission| admission.peek().is_none()));
        if let Some(admission) = in_flight.get(&digest).and_then(WeakShared::upgrade) {
            return admission;
        }
        let admission = Arc::clone(&self.inner).admit(digest, upload).boxed().shared();
        if let Some(weak) = admission.downgrade() {
            in_flight.insert(digest, weak);
        }
        admission
    }
}

impl Inner {
    fn admit_described(&self, bare: &Digest, bare_size: u64, described: &[u8]) -> Outcome {
        if let Some(finding) = gate::judge_magic(described) {
            return Err(rejected(Digest::of(described), described.len() as u64, Inspection::default(), vec![finding]));
        }
        let parts = usize::try_from(bare_size).ok().and_then(|size| described.split_at_checked(size));
        let description = parts.filter(|(bytes, _)| Digest::of(bytes) == *bare).and_then(|(_, section)| gate::only_description(section));
        let Some(description) = description else {
            return Err(AdmitError::Internal("a component is not the one that was admitted, with its description behind it".to_owned()));
        };
        let digest = Digest::of(described);
        let found = self.cache.inspection(bare, self.compatibility).map_err(internal)?;
        let inspection = found.ok_or_else(|| internal("the component that was admitted has no code any more"))?;
        if inspection.description.is_some() {
            return Err(internal("the component that was admitted has a description already"));
        }
        let inspection = Inspection { description: Some(description.to_owned()), ..inspection };
        self.cache.share(bare, &digest, self.compatibility, &inspection).map_err(internal)?;
        Ok(Arc::new(Compiled { digest, size: described.len() as u64, inspection }))
    }

    async fn admit(self: Arc<Self>, digest: Digest, upload: Bytes) -> Outcome {
        let size = upload.len() as u64;
        let cache = Arc::clone(&self);
        let cached = tokio::task::spawn_blocking(move || cache.cache.inspection(&digest, cache.compatibility));
        if let Some(inspection) = cached.await.map_err(internal)?.map_err(internal)? {
            return Ok(Arc::new(Compiled { digest, size, inspection }));
        }
        let _place = self.places.try_acquire().map_err(|_| AdmitError::Busy)?;
        let _slot = self.slots.acquire().await.map_err(internal)?;
        let job = Job {
            command: &self.command,
            cache: &self.cache,
            compatibility: self.compatibility,
            lane: self.testing.lane.unwrap_or_else(|| Lane::of(&upload)),
            skip_gate: self.testing.skip_gate,
            digest,
            upload: &upload,
        };
        match job.run().await.map_err(AdmitError::Internal)? {
            Compilation::Done(inspection, artifact) => {
                artifact.keep().await.map_err(|error: io::Error| AdmitError::Internal(format!("the artifact cannot be kept: {error}")))?;
                Ok(Arc::new(Compiled { digest, size, inspection }))
            }
            Compilation::Refused(inspection, findings) => Err(rejected(digest, size, inspection, findings)),
        }
    }
}

fn rejected(digest: Digest, size: u64, inspection: Inspection, findings: Vec<Finding>) -> AdmitError {
    AdmitError::Rejected(Arc::new(Rejection { digest, size, producers: inspection.producers, findings }))
}

fn internal(error: impl std::fmt::Display) -> AdmitError {
    AdmitError::Internal(error.to_string())
}
