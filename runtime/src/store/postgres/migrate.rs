//! The schema of this database: see [`crate::store::migration`].

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::error::store_error;
use crate::store::migration::{Migration, SchemaStatus, pending};
use crate::store::{StoreError, StoreResult};

/// All migrations in order.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "initial",
        sql: include_str!("migrations/0001_initial.sql"),
        checksum: "dfac2a772b103a48c4b7b746d1bdcd72db6d5dde20b93efb2c2f69506c5a5342",
    },
    Migration {
        version: 2,
        name: "audit",
        sql: include_str!("migrations/0002_audit.sql"),
        checksum: "e0f0a8f4be444fe9dd3802b77384ef28987a03a7e57017dbb45b9e35bb81be84",
    },
    Migration {
        version: 3,
        name: "usage",
        sql: include_str!("migrations/0003_usage.sql"),
        checksum: "64ea83e7f6cc1bfbf24a13f2661475d10bbdb4a1c378f10cf8ba22475c62f199",
    },
    Migration {
        version: 4,
        name: "org_secrets",
        sql: include_str!("migrations/0004_org_secrets.sql"),
        checksum: "bceddcd2fcf9a0b266f15773c8178c71eae539ba36fe5259a35791eff35ea313",
    },
    Migration {
        version: 5,
        name: "sessions_of_events",
        sql: include_str!("migrations/0005_sessions_of_events.sql"),
        checksum: "d358bc73b99726f92b9077608f935cc7c9fbc8f01f78bfaafac22a96c3054b4d",
    },
    Migration {
        version: 6,
        name: "one_index_for_the_log",
        sql: include_str!("migrations/0006_one_index_for_the_log.sql"),
        checksum: "05c3b489df25661bf9c40f9e0e0ec40fa43b86a54529aff543734df3b6fd291e",
    },
    Migration {
        version: 7,
        name: "versions",
        sql: include_str!("migrations/0007_versions.sql"),
        checksum: "7a94b9946d2b7134acd0389e92a5604dd16103ddeac760ea979ee237b75f657d",
    },
    Migration {
        version: 8,
        name: "workers",
        sql: include_str!("migrations/0008_workers.sql"),
        checksum: "61e803ad9d52d91e8763b18e95eab9d688e4a120a3e8ad6d7a999eb59b987f5d",
    },
    Migration {
        version: 9,
        name: "signatures",
        sql: include_str!("migrations/0009_signatures.sql"),
        checksum: "5aed3c8c64896b3e16479cd52b9285b3f759e9bfd244c702ce390e92e6e98a18",
    },
    Migration {
        version: 10,
        name: "objects",
        sql: include_str!("migrations/0010_objects.sql"),
        checksum: "fae1131464607c391b633bbeb3288ea791a6afa2b96d3659e6cc86d7a93d0314",
    },
    Migration {
        version: 11,
        name: "log_usage",
        sql: include_str!("migrations/0011_log_usage.sql"),
        checksum: "03fd1a4c9f4a4d374bf03f0eb9b36b2d2fd7ffcfb64d6b996bd570d54e9cab1c",
    },
    Migration {
        version: 12,
        name: "max_risk",
        sql: include_str!("migrations/0012_max_risk.sql"),
        checksum: "437b60b6f35b48d225ad692e31671dadd2ffc198c75d61df11f8d8a0c0126a4a",
    },
    Migration {
        version: 13,
        name: "members",
        sql: include_str!("migrations/0013_members.sql"),
        checksum: "49e25cb51a9078336daeebbdb49671a30b8810fc9699bcb75550f91a6cf03835",
    },
    Migration {
        version: 14,
        name: "soft_limits",
        sql: include_str!("migrations/0014_soft_limits.sql"),
        checksum: "c359b223ee3d39884ff5fc8d7fedb0542d4c86f26ee2eb979d8752f27ccf5008",
    },
];

/// Begins the transaction of a migration. Processes that start at once wait for each other: the
/// number is "EVWT", and no other lock of ours is that small.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(1163286356)";

/// How far the schema is; changes nothing.
pub(super) async fn status(connection: &mut PgConnection) -> StoreResult<SchemaStatus> {
    let known = if is_ours(connection).await? { applied(connection).await? } else { Vec::new() };
    SchemaStatus::of(MIGRATIONS, &known)
}

/// Brings the schema up to date.
pub(super) async fn migrate(connection: &mut PgConnection) -> StoreResult<()> {
    let mut tx = connection.begin_with(BEGIN).await.map_err(store_error)?;
    if !is_ours(&mut tx).await? {
        sqlx::raw_sql("CREATE TABLE everwit_migrations (version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)")
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
    }
    let known = applied(&mut tx).await?;
    for migration in pending(MIGRATIONS, &known)? {
        sqlx::raw_sql(migration.sql).execute(&mut *tx).await.map_err(store_error)?;
        sqlx::query("INSERT INTO everwit_migrations (version, name, checksum) VALUES ($1, $2, $3)")
            .bind(migration.version)
            .bind(migration.name)
            .bind(migration.checksum)
            .execute(&mut *tx)
            .await
            .map_err(store_error)?;
    }
    tx.commit().await.map_err(store_error)
}

async fn applied(connection: &mut PgConnection) -> StoreResult<Vec<(i64, String)>> {
    let query = sqlx::query_as("SELECT version, checksum FROM everwit_migrations ORDER BY version");
    query.fetch_all(connection).await.map_err(store_error)
}

/// Whether the schema is ours rather than empty; that of another program is refused.
async fn is_ours(connection: &mut PgConnection) -> StoreResult<bool> {
    let (ours, tables): (bool, i64) = sqlx::query_as(concat!(
        "SELECT count(*) FILTER (WHERE tablename = 'everwit_migrations') > 0, count(*) ",
        "FROM pg_catalog.pg_tables WHERE schemaname = current_schema()"
    ))
    .fetch_one(&mut *connection)
    .await
    .map_err(store_error)?;
    if !ours && tables != 0 {
        return Err(StoreError::Incompatible("its schema has tables of another program; give Everwit a database of its own".to_owned()));
    }
    Ok(ours)
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn a_released_migration_is_never_edited() {
        crate::store::migration::assert_unedited(MIGRATIONS, "postgres");
    }
}
