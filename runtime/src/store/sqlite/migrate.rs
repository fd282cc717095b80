//! Migrations: forward only, embedded in the binary, applied in one transaction.
//!
//! A released migration is never edited; its checksum here and in each database says so.

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::error::store_error;
use crate::store::migration::{Migration, SchemaStatus, pending};
use crate::store::{StoreError, StoreResult};

/// All migrations in order.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "initial",
        sql: include_str!("migrations/0001_initial.sql"),
        checksum: "6794c2ff3666df5ae394da0583ea1524e1adeb5b2a072ec26cb6c62601df5e02",
    },
    Migration {
        version: 2,
        name: "requests",
        sql: include_str!("migrations/0002_requests.sql"),
        checksum: "652795ba0ffd270d723158a4a7fe781baf10c1555cbc6dac567541bda353c4be",
    },
    Migration {
        version: 3,
        name: "deletion",
        sql: include_str!("migrations/0003_deletion.sql"),
        checksum: "4d88826cab3c40fd633ed87e9ef61791191665b6c06296d25dc2a0b6a1f7a524",
    },
    Migration {
        version: 4,
        name: "providers",
        sql: include_str!("migrations/0004_providers.sql"),
        checksum: "bd5777386445f64798381d112b04efdebc00874c74f5d5c325c9248467b0c119",
    },
    Migration {
        version: 5,
        name: "files",
        sql: include_str!("migrations/0005_files.sql"),
        checksum: "3b680302fdc4aa6bb897133c11e529d8154f183b0e40b3d03216b25d7777087e",
    },
    Migration {
        version: 6,
        name: "setup",
        sql: include_str!("migrations/0006_setup.sql"),
        checksum: "94169570776d6e73cab7b7c82ce2860b44b776f3ed37294a234e2d66f8daa7c5",
    },
    Migration {
        version: 7,
        name: "activations",
        sql: include_str!("migrations/0007_activations.sql"),
        checksum: "7e56eee5a16408ee4e296f6b5669235418058fe7ee35f12df7889ce0bea78769",
    },
    Migration {
        version: 8,
        name: "waiting_turns",
        sql: include_str!("migrations/0008_waiting_turns.sql"),
        checksum: "5d457a4699452ed6f5282e5572145e7ff01e90b79c8edd581f058a1e803db112",
    },
    Migration {
        version: 9,
        name: "component_kind",
        sql: include_str!("migrations/0009_component_kind.sql"),
        checksum: "dfcff44482cb2eff5279d4b198161fdb13a80dc3cf0c074c08552edd0cf8abc8",
    },
    Migration {
        version: 10,
        name: "connections",
        sql: include_str!("migrations/0010_connections.sql"),
        checksum: "6e1ccbbc75b14ddb13b09049e45b2107a37af581c0e327df4703ffbddecfd074",
    },
    Migration {
        version: 11,
        name: "stale_models",
        sql: include_str!("migrations/0011_stale_models.sql"),
        checksum: "ba2f23aec64223b2157ca0c4f9bebebc76e8d60086d38bd74872fc2a39f18765",
    },
    Migration {
        version: 12,
        name: "audit",
        sql: include_str!("migrations/0012_audit.sql"),
        checksum: "0afd1940dee7fc0549a27e3f940982279503e4e94d70d0fbd520cf8806210c6c",
    },
    Migration {
        version: 13,
        name: "usage",
        sql: include_str!("migrations/0013_usage.sql"),
        checksum: "91809f3e52fad8c4a3f0186521fbb51aee589b87be16f68f1d1180620cc783f0",
    },
    Migration {
        version: 14,
        name: "org_secrets",
        sql: include_str!("migrations/0014_org_secrets.sql"),
        checksum: "1ed9a80c4bf959ec0bf764f3e7c74a27c906c435e714504fee9f863421c97336",
    },
    Migration {
        version: 15,
        name: "sessions_of_events",
        sql: include_str!("migrations/0015_sessions_of_events.sql"),
        checksum: "abdc673ca5b3e5d12f00cbb602137c404a240776d11ad846f9376d118b33c368",
    },
    Migration {
        version: 16,
        name: "versions",
        sql: include_str!("migrations/0016_versions.sql"),
        checksum: "135b2fa4d28e642908b892b4a96d9b68ef2fd056407967eb324e9e003f1fa107",
    },
    Migration {
        version: 17,
        name: "signatures",
        sql: include_str!("migrations/0017_signatures.sql"),
        checksum: "5aed3c8c64896b3e16479cd52b9285b3f759e9bfd244c702ce390e92e6e98a18",
    },
    Migration {
        version: 18,
        name: "objects",
        sql: include_str!("migrations/0018_objects.sql"),
        checksum: "54291516bde47c65a1dffed2e10344bcbd12440964b9e9d0b217b1e74ace922e",
    },
    Migration {
        version: 19,
        name: "log_usage",
        sql: include_str!("migrations/0019_log_usage.sql"),
        checksum: "62d26d298802d38cf9387f70b5626d346aa093bfff787c52d931deeb6d9dc006",
    },
    Migration {
        version: 20,
        name: "max_risk",
        sql: include_str!("migrations/0020_max_risk.sql"),
        checksum: "437b60b6f35b48d225ad692e31671dadd2ffc198c75d61df11f8d8a0c0126a4a",
    },
    Migration {
        version: 21,
        name: "members",
        sql: include_str!("migrations/0021_members.sql"),
        checksum: "c2650db53ce90e9c7f5da41f035d2660831177c3979bbd8157c472260532a048",
    },
    Migration {
        version: 22,
        name: "soft_limits",
        sql: include_str!("migrations/0022_soft_limits.sql"),
        checksum: "2e7ccf4fadb5c7c4091e43eef475f4e8876a01434d2149969c7fcf021f31f52c",
    },
];

/// Marks a file as ours: "EVWT" in the header field that SQLite has for this.
const APPLICATION_ID: i64 = 0x4556_5754;

/// Brings the schema up to date. Processes that open the same file at once wait for each other.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> StoreResult<()> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.map_err(store_error)?;
    claim_file(&mut tx).await?;
    let known = applied(&mut tx).await?;
    for migration in pending(MIGRATIONS, &known)? {
        sqlx::raw_sql(migration.sql).execute(&mut *tx).await.map_err(store_error)?;
        sqlx::query("INSERT INTO migrations (version, name, checksum) VALUES (?1, ?2, ?3)")
            .bind(migration.version)
            .bind(migration.name)
            .bind(migration.checksum)
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
    }
    tx.commit().await.map_err(store_error)
}

/// How far the schema is; changes nothing.
pub(super) async fn status(connection: &mut SqliteConnection) -> StoreResult<SchemaStatus> {
    let known = if is_ours(connection).await? { applied(connection).await? } else { Vec::new() };
    SchemaStatus::of(MIGRATIONS, &known)
}

/// Makes an empty file ours and refuses the database of another program.
async fn claim_file(connection: &mut SqliteConnection) -> StoreResult<()> {
    if is_ours(connection).await? {
        return Ok(());
    }
    sqlx::raw_sql(concat!(
        "PRAGMA application_id = 0x45565754; ",
        "CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL) STRICT"
    ))
    .execute(&mut *connection)
    .await
    .map_err(store_error)?;
    Ok(())
}

/// Whether the file is ours rather than empty.
async fn is_ours(connection: &mut SqliteConnection) -> StoreResult<bool> {
    let application: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await.map_err(store_error)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await.map_err(store_error)?;
    match application {
        APPLICATION_ID => Ok(true),
        0 if tables == 0 => Ok(false),
        _ => Err(StoreError::Incompatible("the file is the SQLite database of another program".to_owned())),
    }
}

async fn applied(connection: &mut SqliteConnection) -> StoreResult<Vec<(i64, String)>> {
    sqlx::query_as("SELECT version, checksum FROM migrations ORDER BY version").fetch_all(connection).await.map_err(store_error)
}
