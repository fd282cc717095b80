//! `everwit db move-components`: moves bytes of components that are in the database to a bucket.

use clap::Args;
use everwit_runtime::clock::{Clock as _, SystemClock};
use everwit_runtime::component::Digest;
use everwit_runtime::id::{IdSource as _, RandomIds};
use everwit_runtime::store::{BlobsInside, StoreError};

use super::output::{Failure, note, print};
use crate::bucket::{Bucket, BucketArgs};
use crate::data_dir::DataDir;
use crate::database::{COMMAND_CONNECTIONS, Database, DatabaseConfig};

/// Options of `everwit db move-components`.
#[derive(Debug, Args)]
pub(super) struct MoveArgs {
    /// Only tell how much there is to move.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    bucket: BucketArgs,
    /// Private address or name that the bucket may be reached at in the clear. Repeatable.
    #[arg(long = "allow-private-target", env = "EVERWIT_ALLOW_PRIVATE_TARGETS", value_delimiter = ',', value_name = "HOST:PORT")]
    private_targets: Vec<everwit_runtime::egress::PrivateTarget>,
}

/// What became of the components whose bytes were in the database.
#[derive(Debug, Default, Clone, Copy)]
struct Progress {
    moved: u64,
    /// They are not those of their digest.
    broken: u64,
}

/// See `everwit db move-components`.
pub(super) async fn move_components(dir: &DataDir, config: &DatabaseConfig, args: &MoveArgs, json: bool) -> Result<(), Failure> {
    let mut problems = Vec::new();
    let bucket = args.bucket.validate(&mut problems, &args.private_targets);
    if !problems.is_empty() {
        return Err(Failure::usage(problems.join("\n")));
    }
    let Some(bucket) = bucket else {
        return Err(Failure::usage("no bucket is given\nto fix it: set EVERWIT_S3_BUCKET and the options beside it, as for the servers"));
    };
    let bucket = Bucket::open(&bucket).await.map_err(anyhow::Error::from)?;
    let database = Database::open_with(dir, config, COMMAND_CONNECTIONS, Some(bucket.blobs.clone())).await?;
    let moving = async {
        let done = if args.dry_run { Progress::default() } else { move_all(&database).await? };
        Ok::<_, Failure>((done, database.blobs_inside().await?))
    };
    let moved = moving.await;
    database.close().await?;
    let (done, BlobsInside { components, bytes }) = moved?;
    if json {
        print(&serde_json::json!({ "moved": done.moved, "left": components, "left_bytes": bytes }).to_string())?;
    } else {
        print(&format!("{} components moved to {}; {components} are in the database, {bytes} bytes", done.moved, bucket.shown()))?;
    }
    match done.broken {
        0 => Ok(()),
        broken => Err(Failure::failed(format!(
            "the bytes of {broken} components are not those of their digests and stay where they are\nto fix it: restore the database \
             from a backup in which they are whole"
        ))),
    }
}

/// One after the other, in the order of their digests; what is uploaded meanwhile to the database may be left.
async fn move_all(database: &Database) -> Result<Progress, Failure> {
    let inside = database.blobs_inside().await?;
    let clock = std::sync::Arc::new(SystemClock);
    let ids = RandomIds::new(clock.clone());
    let (mut done, mut after) = (Progress::default(), None::<Digest>);
    while let Some(digest) = database.next_blob_inside(after).await? {
        match database.move_blob(digest, ids.next(), clock.now()).await {
            Ok(moved) => done.moved += u64::from(moved),
            Err(StoreError::Corrupt(problem)) => {
                note(&problem);
                done.broken += 1;
            }
            Err(error) => return Err(error.into()),
        }
        note(&format!("{} of {} components moved", done.moved, inside.components));
        after = Some(digest);
    }
    Ok(done)
}
