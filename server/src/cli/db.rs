//! `everwit db`: maintenance of the database itself.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use everwit_runtime::store::SchemaStatus;
use everwit_runtime::store::sqlite::SqliteStore;
use serde_json::json;

use super::move_components::{MoveArgs, move_components};
use super::output::{Failure, print};
use super::rotate::rotate_keys;
use crate::data_dir::DataDir;
use crate::database::{COMMAND_CONNECTIONS, Database, DatabaseArgs, DatabaseConfig};
use crate::encryption::EncryptionArgs;

/// Options of `everwit db`.
#[derive(Debug, Args)]
pub(crate) struct DbArgs {
    /// The server's data directory.
    #[arg(long, global = true, env = "EVERWIT_DATA_DIR", default_value = "./everwit-data", value_name = "DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    /// Tell which database it is and how far its schema is; changes nothing.
    Status,
    /// Bring the schema up to date, as a start of the server does. There is no way back but a
    /// backup.
    Migrate,
    /// Copy the SQLite database to a new file, while the server may run.
    ///
    /// The copy is the database of one moment. It does not hold the master key (master.key of the
    /// data directory, or EVERWIT_ENCRYPTION_KEY), without which its credentials cannot be read:
    /// keep that elsewhere. A PostgreSQL database is backed up with pg_dump.
    Backup {
        /// The file to write; it must not exist.
        file: PathBuf,
    },
    /// Make a backup the SQLite database of the data directory. The server must not run.
    ///
    /// The backup is read and checked first, and brought up to date. A database that is there
    /// already is kept beside the new one, as everwit.db.before-restore.
    Restore {
        /// The backup.
        file: PathBuf,
    },
    /// Encrypt all stored credentials with the current master key.
    ///
    /// With a configured key (EVERWIT_ENCRYPTION_KEY), give the old one as
    /// EVERWIT_ENCRYPTION_KEY_PREVIOUS to the server and to this command; the server may run.
    /// Without one, a new key is made in the data directory and the old one is forgotten at the
    /// end; the server must not run. Can be cut off at any time and repeated.
    RotateKeys(EncryptionArgs),
    /// Move bytes of components that are in the database to the bucket of --s3-bucket.
    ///
    /// All servers and workers must have the bucket by then; they may run. The bytes of one component after the other are
    /// written to an object, read back and held against their digest, and only then does the database let go of them. Can
    /// be cut off at any time and repeated.
    MoveComponents(MoveArgs),
}

pub(crate) async fn run(args: DbArgs) -> Result<(), Failure> {
    let config = args.database.parse().map_err(Failure::usage)?;
    let restores = matches!(args.command, DbCommand::Restore { .. });
    let dir = if restores { DataDir::create(&args.data_dir)? } else { DataDir::open(&args.data_dir)? };
    match &args.command {
        DbCommand::Status => tell(&config, &dir, config.schema(dir.path()).await?, args.json),
        DbCommand::Migrate => {
            Database::open(&dir, &config, COMMAND_CONNECTIONS).await?.close().await?;
            tell(&config, &dir, config.schema(dir.path()).await?, args.json)
        }
        DbCommand::Backup { file } => {
            only_sqlite(&config, "pg_dump --format=custom")?;
            SqliteStore::back_up(&dir.database(), file).await?;
            done("backup", file, SqliteStore::verify(file).await?, args.json)
        }
        DbCommand::Restore { file } => {
            only_sqlite(&config, "pg_restore")?;
            restore(&dir, file, args.json).await
        }
        DbCommand::RotateKeys(encryption) => rotate_keys(&dir, &config, encryption, args.json).await,
        DbCommand::MoveComponents(moving) => move_components(&dir, &config, moving, args.json).await,
    }
}

fn tell(config: &DatabaseConfig, dir: &DataDir, schema: SchemaStatus, json: bool) -> Result<(), Failure> {
    let SchemaStatus { applied, known } = schema;
    let (kind, place) = match config {
        DatabaseConfig::Sqlite => ("sqlite", dir.database().display().to_string()),
        DatabaseConfig::Postgres(url) => ("postgres", url.to_string()),
    };
    if json {
        return print(&json!({ "database": kind, "place": place, "schema": applied, "newest_schema": known }).to_string());
    }
    let state = match known - applied {
        0 => "up to date".to_owned(),
        pending => format!("{pending} to do: everwit db migrate, or start the server"),
    };
    print(&format!("database  {kind}: {place}\nschema    {applied} of {known}, {state}"))
}

fn only_sqlite(config: &DatabaseConfig, instead: &str) -> Result<(), Failure> {
    match config {
        DatabaseConfig::Sqlite => Ok(()),
        DatabaseConfig::Postgres(url) => {
            Err(Failure::usage(format!("{url} is a PostgreSQL database\nto fix it: use PostgreSQL's own command, {instead}")))
        }
    }
}

fn done(what: &str, file: &Path, schema: SchemaStatus, json: bool) -> Result<(), Failure> {
    let bytes = std::fs::metadata(file).map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?.len();
    if json {
        return print(&json!({ what: file, "bytes": bytes, "schema": schema.applied }).to_string());
    }
    print(&format!("{what} {}, {bytes} bytes, schema {}, checked", file.display(), schema.applied))
}

/// The database of the data directory is replaced in one step: whenever this is cut off, there is
/// the old one or the new one.
async fn restore(dir: &DataDir, backup: &Path, json: bool) -> Result<(), Failure> {
    let _lock = dir.lock()?;
    SqliteStore::verify(backup).await.map_err(|error| Failure::failed(format!("{}: {error}", backup.display())))?;
    let (current, fresh) = (dir.database(), dir.path().join("everwit.db.restoring"));
    let kept = dir.path().join("everwit.db.before-restore");
    let failed = |path: &Path, error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    if kept.exists() {
        return Err(Failure::failed(format!("{} is kept from an earlier restore\nto fix it: move it away", kept.display())));
    }
    remove_database(&fresh)?;
    SqliteStore::back_up(backup, &fresh).await?;
    SqliteStore::open(&fresh).await?.close().await?;
    if current.exists() {
        // Opening and closing it writes its log back, so that the one file is all of it.
        SqliteStore::open(&current).await?.close().await?;
        std::fs::hard_link(&current, &kept).map_err(|error| failed(&kept, error))?;
    }
    std::fs::rename(&fresh, &current).map_err(|error| failed(&current, error))?;
    done("restored", &current, SqliteStore::verify(&current).await?, json)
}

/// What an interrupted restore may have left.
fn remove_database(path: &Path) -> Result<(), Failure> {
    for end in ["", "-wal", "-shm"] {
        let file = PathBuf::from(format!("{}{end}", path.display()));
        match std::fs::remove_file(&file) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::failed(format!("{}: {error}", file.display()))),
        }
    }
    Ok(())
}
