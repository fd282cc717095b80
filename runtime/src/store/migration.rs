//! Migrations: forward only, embedded in the binary, applied in one transaction. A released one
//! is never edited; its checksum here and in each database says so.

use super::{StoreError, StoreResult};

/// One step of a schema.
pub(super) struct Migration {
    /// Number, from 1, without gaps.
    pub(super) version: i64,
    /// What it does.
    pub(super) name: &'static str,
    /// Statements.
    pub(super) sql: &'static str,
    /// SHA-256 of `sql` in lower-case hex.
    pub(super) checksum: &'static str,
}

/// How far the schema of a database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaStatus {
    /// Number of its newest migration, 0 if it has none.
    pub applied: usize,
    /// Number of the newest migration that this version of the program knows.
    pub known: usize,
}

impl SchemaStatus {
    /// That of a database whose migrations were checked.
    pub(super) fn of(migrations: &'static [Migration], applied: &[(i64, String)]) -> StoreResult<Self> {
        pending(migrations, applied)?;
        Ok(Self { applied: applied.len(), known: migrations.len() })
    }
}

/// The migrations that are still to do, after a look at those that were done, by version and
/// checksum.
pub(super) fn pending(migrations: &'static [Migration], applied: &[(i64, String)]) -> StoreResult<&'static [Migration]> {
    let newest = applied.last().map_or(0, |(version, _)| *version);
    if applied.len() > migrations.len() {
        return Err(StoreError::Incompatible(format!(
            "the database has schema {newest}, this version of the program knows schemas up to {}; use a newer version",
            migrations.len()
        )));
    }
    let (done, pending) = migrations.split_at(applied.len());
    for (migration, (version, checksum)) in done.iter().zip(applied) {
        if (migration.version, migration.checksum) != (*version, checksum.as_str()) {
            return Err(StoreError::Incompatible(format!(
                "schema {version} of the database is not schema {} ({}) of this version of the program",
                migration.version, migration.name
            )));
        }
    }
    Ok(pending)
}

/// Fails if a migration is not what its checksum says, or a file of the folder is not embedded.
#[cfg(test)]
pub(super) fn assert_unedited(migrations: &[Migration], database: &str) {
    use sha2::{Digest as _, Sha256};

    for (migration, number) in migrations.iter().zip(1..) {
        let checksum: String = Sha256::digest(migration.sql).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(migration.version, number, "{}", migration.name);
        assert_eq!(migration.checksum, checksum, "migration {number} ({}) was edited; add another one instead", migration.name);
    }
    let folder = format!("{}/src/store/{database}/migrations", env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(folder).expect("the migrations");
    let mut files: Vec<String> = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    files.sort();
    let embedded: Vec<String> = migrations.iter().map(|migration| format!("{:04}_{}.sql", migration.version, migration.name)).collect();
    assert_eq!(files, embedded);
}
