//! What the servers and workers of this process share when they work on the same data directory:
//! the database, the live events, the listeners, and the engine.
//!
//! Invariants: a data directory is opened by one process, and there once, however many servers
//! and workers use it; all of them run the same platform definition. With the embedded engine nothing else submits
//! turns of the database. With a distributed engine other processes do, each with a data directory of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, Weak};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use everwit_runtime::PlatformDefinition;
use everwit_runtime::connection::Refreshes;
use everwit_runtime::engine::{DistributedEngine, EmbeddedEngine, Engine, EngineConnector};
use everwit_runtime::platform::DefinitionDigest;
use everwit_runtime::sandbox::{Sandbox, SandboxConfig};
use everwit_runtime::secret::Cipher;
use everwit_runtime::store::{OrgStore, RuntimeBackends, S3Config};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use crate::bucket::{Bucket, NEEDS_BUCKET};
use crate::components::start_gateway;
use crate::config::EngineConfig;
use crate::control_plane::{ControlPlane, HeldTurns, PlaneClient, RemoteKeys};
use crate::data_dir::{DataDir, DataDirLock};
use crate::database::{Database, DatabaseConfig};
use crate::encryption::{EncryptionArgs, MasterKeys};
use crate::error::AppError;
use crate::listener::{Listeners, observed};
use crate::moments::Moments;
use crate::random;
use crate::turns_right::TurnsRight;

/// The open sites of this process by data directory.
static SITES: Mutex<BTreeMap<PathBuf, Weak<Site>>> = Mutex::const_new(BTreeMap::new());

/// See the module.
pub(crate) struct Site {
    /// Persistence; appends are shown to the listeners.
    pub(crate) stores: RuntimeBackends,
    /// Time and ids.
    pub(crate) moments: Moments,
    /// What runs the turns.
    pub(crate) engine: Arc<dyn Engine>,
    /// The same, if it runs them in other processes, too.
    pub(crate) distributed: Option<Arc<dyn DistributedEngine>>,
    /// The turns that run here, if somebody must know: without master keys.
    pub(crate) held: Option<Arc<HeldTurns>>,
    /// The control plane, of workers that are processes of their own.
    pub(crate) plane: Option<Arc<PlaneClient>>,
    /// Who refreshes which connection.
    pub(crate) refreshes: Arc<Refreshes>,
    /// Who sees the stored events.
    pub(crate) listeners: Arc<Listeners>,
    /// Where the data is.
    pub(crate) dir: DataDir,
    cache_key: [u8; 32],
    id_salt: [u8; 32],
    definition: std::sync::Mutex<Option<DefinitionDigest>>,
    config: DatabaseConfig,
    database: Database,
    /// Where bytes of components are, if not in the database.
    pub(crate) bucket: Option<Arc<Bucket>>,
    /// To run the turns of the database.
    pub(crate) right: TurnsRight,
    _following: Option<AbortOnDropHandle<()>>,
    _lock: DataDirLock,
}

/// Who has the master keys.
#[derive(Clone, Copy)]
pub(crate) enum SiteKeys<'a> {
    /// The site itself.
    Master(&'a EncryptionArgs),
    /// Only servers elsewhere.
    ControlPlane(&'a ControlPlane),
}

/// Where a site is, and what it works with.
pub(crate) struct SiteOptions<'a> {
    pub(crate) data_dir: &'a Path,
    pub(crate) database: &'a DatabaseConfig,
    /// Connections to a PostgreSQL database.
    pub(crate) connections: u32,
    /// A bucket for bytes of components.
    pub(crate) bucket: Option<&'a S3Config>,
    pub(crate) keys: SiteKeys<'a>,
    /// A distributed engine in place of the embedded one.
    pub(crate) engine: Option<&'a dyn EngineConnector>,
}

impl Site {
    /// Opens a data directory, or joins those of this process that have it open.
    ///
    /// # Errors
    /// If it cannot be used, another process uses it, or those of this process keep their data
    /// elsewhere or have another engine.
    pub(crate) async fn join(options: SiteOptions<'_>) -> Result<Arc<Self>, AppError> {
        let SiteOptions { data_dir, database: config, engine, .. } = options;
        let dir = DataDir::create(data_dir).map_err(AppError::data_dir)?;
        let path = dir.path().canonicalize().map_err(|error| AppError::data_dir(error.into()))?;
        let mut sites = SITES.lock().await;
        if let Some(site) = sites.get(&path).and_then(Weak::upgrade) {
            if site.config.to_string() != config.to_string() {
                let problem = format!("{} is used with the database {}, not with {config}", path.display(), site.config);
                return Err(AppError::DataDir(format!(
                    "{problem}\nto fix it: give servers and workers of one data directory one database"
                )));
            }
            let bucket = options.bucket.map(ToString::to_string);
            if site.bucket.as_ref().map(|bucket| bucket.shown()) != bucket.as_deref() {
                return Err(AppError::DataDir(format!(
                    "{} is used with another bucket, or with none\nto fix it: give servers and workers of one data directory one bucket",
                    path.display()
                )));
            }
            if site.distributed.is_some() != engine.is_some() {
                return Err(AppError::DataDir(format!(
                    "{} is used with another engine\nto fix it: give servers and workers of one data directory one engine",
                    path.display()
                )));
            }
            return Ok(site);
        }
        let site = Arc::new(Self::open(dir, options).await?);
        sites.retain(|_, site| site.strong_count() > 0);
        sites.insert(path, Arc::downgrade(&site));
        Ok(site)
    }

    async fn open(dir: DataDir, options: SiteOptions<'_>) -> Result<Self, AppError> {
        let SiteOptions { data_dir: _, database: config, connections, bucket, keys, engine } = options;
        if let (Some(_), DatabaseConfig::Sqlite) = (engine, config) {
            return Err(AppError::NeedsPostgres);
        }
        let lock = dir.lock().map_err(AppError::data_dir)?;
        let bucket = match bucket {
            Some(bucket) => Some(Arc::new(Bucket::open(bucket).await?)),
            None => None,
        };
        let blobs = bucket.as_ref().map(|bucket| bucket.blobs.clone());
        let database = Database::open_with(&dir, config, connections, blobs).await?;
        if bucket.is_none() && database.needs_bucket().await? {
            return Err(AppError::Bucket(NEEDS_BUCKET.to_owned()));
        }
        let (cipher, held, plane) = match keys {
            SiteKeys::Master(encryption) => {
                (MasterKeys::load(encryption, &dir).and_then(|keys| keys.cipher()).map_err(AppError::data_dir)?, None, None)
            }
            SiteKeys::ControlPlane(control_plane) => {
                let (held, plane) = (Arc::<HeldTurns>::default(), Arc::new(PlaneClient::new(control_plane)?));
                (Cipher::without_master_keys(Arc::new(RemoteKeys::new(plane.clone(), held.clone()))), Some(held), Some(plane))
            }
        };
        let mut plain = database.backends().with_cipher(Arc::new(cipher));
        if engine.is_some() {
            plain = database.with_workers(plain);
        }
        let listeners = Arc::new(Listeners::new(plain.log.clone()));
        let stores = observed(plain, &listeners);
        let moments = Moments::system();
        // What is heard from others is not told to them again.
        let following = database.follow(stores.event_bus.clone());
        let relaying = database.relaying(stores.event_bus.clone());
        let stores = stores.with_event_bus(relaying);
        let distributed = match engine {
            Some(connector) => Some(connector.connect(stores.log.clone()).await?),
            None => None,
        };
        let engine: Arc<dyn Engine> = match &distributed {
            Some(engine) => engine.clone(),
            None => Arc::new(EmbeddedEngine::new(stores.log.clone(), moments.clock.clone())),
        };
        Ok(Self {
            cache_key: secret(&*stores.org_store, "artifact-cache").await?,
            id_salt: secret(&*stores.org_store, "guest-id-salt").await?,
            engine,
            distributed,
            moments,
            stores,
            listeners,
            held,
            plane,
            refreshes: Arc::default(),
            dir,
            definition: std::sync::Mutex::default(),
            config: config.clone(),
            database,
            bucket,
            right: TurnsRight::new(),
            _following: following,
            _lock: lock,
        })
    }

    /// Gives a site up; the last one closes the database.
    ///
    /// # Errors
    /// If the database cannot be closed; nothing is lost by that.
    pub(crate) async fn leave(self: Arc<Self>) -> Result<(), AppError> {
        // Under the lock, so that nobody joins a site that is about to close.
        let _sites = SITES.lock().await;
        match Arc::into_inner(self) {
            Some(last) => {
                last.right.release().await;
                Ok(last.database.close().await?)
            }
            None => Ok(()),
        }
    }

    /// Makes sure that no other process runs the turns of this database, or none but those of the engine.
    ///
    /// # Errors
    /// If another one does.
    pub(crate) async fn claim_turns(&self) -> Result<(), AppError> {
        self.right.take(&self.database, self.distributed.is_none()).await
    }

    /// Makes sure that everybody here runs the same definition.
    ///
    /// # Errors
    /// How this definition differs from the one that runs here already.
    pub(crate) fn agree_on(&self, platform: &PlatformDefinition) -> Result<(), AppError> {
        let own = platform.digest();
        let mut running = self.definition.lock().unwrap_or_else(PoisonError::into_inner);
        match &*running {
            Some(running) => match running.difference(&own) {
                Some(difference) => {
                    Err(AppError::DefinitionMismatch { running: running.whole(), own: own.whole(), difference: difference.into() })
                }
                None => Ok(()),
            },
            None => {
                *running = Some(own);
                Ok(())
            }
        }
    }

    /// What everybody here runs, once somebody does.
    pub(crate) fn definition(&self) -> Option<DefinitionDigest> {
        self.definition.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A gateway and a sandbox of one server or worker. They share the cache of compiled code.
    ///
    /// # Errors
    /// If the roots of trust, the engine or the cache directory cannot be used.
    pub(crate) fn start_sandbox(&self, config: &EngineConfig) -> Result<Isolation, AppError> {
        let egress = start_gateway(config.private_targets.clone())?;
        let settings = SandboxConfig {
            cache_dir: self.dir.cache().map_err(|error| AppError::data_dir(error.into()))?,
            cache_key: self.cache_key,
            id_salt: self.id_salt,
            compiler: config.compiler.clone(),
            keep_functions: false,
            max_concurrent_calls: config.max_calls,
        };
        let sandbox = Sandbox::new(settings, egress.clone(), self.stores.kv.clone(), self.moments.clock.clone())?;
        Ok(Isolation { egress, sandbox })
    }
}

/// What keeps guests in: the sandbox, and the gateway as the one way out.
pub(crate) struct Isolation {
    pub(crate) egress: Arc<everwit_runtime::egress::Gateway>,
    pub(crate) sandbox: Sandbox,
}

/// 32 random bytes that stay the same for the installation.
async fn secret(orgs: &dyn OrgStore, name: &str) -> Result<[u8; 32], AppError> {
    let fresh = random::secret_bytes().map_err(|error| AppError::Internal(error.to_string()))?;
    let stored = orgs.installation_secret(name, SecretString::from(URL_SAFE_NO_PAD.encode(fresh))).await?;
    let stored = URL_SAFE_NO_PAD.decode(stored.expose_secret()).ok().and_then(|bytes| bytes.try_into().ok());
    stored.ok_or_else(|| AppError::Internal(format!("the installation secret {name:?} in the database is broken")))
}
