//! A bucket for the bytes of components, in place of the database.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use everwit_runtime::egress::PrivateTarget;
use everwit_runtime::store::{BlobStore, S3Bucket, S3Config, StoreResult};
use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::control_plane::is_local;
use crate::error::AppError;

/// How long an answer to [`Bucket::is_there`] counts: probes come more often than it should cost.
const COUNTS: Duration = Duration::from_secs(15);

/// Why a database is refused whose rows name objects.
pub(crate) const NEEDS_BUCKET: &str = "bytes of components of this database are in a bucket, and none is configured\n\
                                       to fix it: set EVERWIT_S3_BUCKET and the options beside it, as for the server that uploaded them";

/// Options of whoever uses components.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct BucketArgs {
    /// S3 bucket to keep the bytes of components in, in place of the database; the same for all servers and workers of the
    /// database. Components that are in the database stay there.
    #[arg(long, env = "EVERWIT_S3_BUCKET", value_name = "NAME")]
    s3_bucket: Option<String>,
    /// What all keys in the bucket begin with, without a slash at the end.
    #[arg(long, env = "EVERWIT_S3_PREFIX", default_value = "", value_name = "PREFIX")]
    s3_prefix: String,
    /// Region of the bucket, such as eu-central-1.
    #[arg(long, env = "EVERWIT_S3_REGION", value_name = "REGION")]
    s3_region: Option<String>,
    /// Service that has the bucket, if it is not Amazon's. Plain http is for this machine, and for targets of
    /// --allow-private-target.
    #[arg(long, env = "EVERWIT_S3_ENDPOINT", value_name = "URL")]
    s3_endpoint: Option<String>,
    /// Id of the access key to the bucket.
    #[arg(long, env = "EVERWIT_S3_ACCESS_KEY_ID", value_name = "ID")]
    s3_access_key_id: Option<String>,
    /// Secret of that access key. Better given by the environment than by the flag.
    #[arg(long, env = "EVERWIT_S3_SECRET_ACCESS_KEY", hide_env_values = true, value_name = "SECRET")]
    s3_secret_access_key: Option<SecretString>,
}

impl BucketArgs {
    /// What they say; none without a bucket.
    pub(crate) fn validate(&self, problems: &mut Vec<String>, private_targets: &[PrivateTarget]) -> Option<S3Config> {
        let bucket = self.s3_bucket.clone()?;
        let before = problems.len();
        let mut needed = |flag: &str, given: bool| {
            if !given {
                problems.push(format!("--s3-bucket needs {flag}"));
            }
        };
        needed("--s3-region", self.s3_region.is_some());
        needed("--s3-access-key-id", self.s3_access_key_id.is_some());
        needed("the secret of its access key: EVERWIT_S3_SECRET_ACCESS_KEY", self.s3_secret_access_key.is_some());
        let region = self.s3_region.clone()?;
        let endpoint = self.s3_endpoint.clone().unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let endpoint = endpoint
            .parse()
            .map_err(|error| format!("{error}"))
            .and_then(|endpoint| not_in_the_clear(endpoint, private_targets))
            .map_err(|problem| problems.push(format!("--s3-endpoint: {problem}")));
        let config = S3Config {
            bucket,
            prefix: self.s3_prefix.clone(),
            endpoint: endpoint.ok()?,
            region,
            access_key_id: self.s3_access_key_id.clone()?,
            secret_access_key: self.s3_secret_access_key.clone()?,
        };
        problems.extend(config.problems().into_iter().map(|(field, problem)| format!("--s3-{}: {problem}", field.replace('_', "-"))));
        (problems.len() == before).then_some(config)
    }
}

/// Who listens would have the code of all components.
fn not_in_the_clear(endpoint: Url, private_targets: &[PrivateTarget]) -> Result<Url, String> {
    let place = format!("{}:{}", endpoint.host_str().unwrap_or_default(), endpoint.port_or_known_default().unwrap_or_default());
    let is_private = || place.parse().is_ok_and(|target| private_targets.contains(&target));
    if endpoint.scheme() != "http" || is_local(&endpoint) || is_private() {
        return Ok(endpoint);
    }
    let origin = endpoint.origin().ascii_serialization();
    Err(format!("{origin} would send components in the clear; use https or, within a network of your own, --allow-private-target {place}"))
}

/// An open bucket.
pub(crate) struct Bucket {
    pub(crate) blobs: Arc<dyn BlobStore>,
    shown: String,
    answer: Mutex<Option<(Instant, bool)>>,
}

impl Bucket {
    /// Opens a bucket and makes sure that it lets this process in.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) async fn open(config: &S3Config) -> Result<Self, AppError> {
        let blobs = S3Bucket::new(config)?;
        blobs.check().await.map_err(|error| AppError::Bucket(fix(&error)))?;
        Ok(Self { blobs: Arc::new(blobs), shown: config.to_string(), answer: Mutex::default() })
    }

    /// Which one it is, without credentials.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether it lets this process in; asked at most every [`COUNTS`].
    pub(crate) async fn is_there(&self) -> bool {
        let mut answer = self.answer.lock().await;
        if let Some((at, is_there)) = *answer
            && at.elapsed() < COUNTS
        {
            return is_there;
        }
        let found: StoreResult<()> = self.blobs.check().await;
        if let Err(error) = &found {
            tracing::warn!(%error, "the bucket failed the readiness check");
        }
        *answer = Some((Instant::now(), found.is_ok()));
        found.is_ok()
    }
}

/// An error of a bucket, with what to do.
pub(crate) fn fix(error: &impl std::fmt::Display) -> String {
    format!(
        "{error}\nto fix it: see that the bucket exists in --s3-region, and that the access key may list it and get, put and delete its objects"
    )
}
