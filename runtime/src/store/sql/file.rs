//! Files of sessions.

use async_trait::async_trait;
use jiff::Timestamp;

use super::error::store_error;
use super::read::snapshot;
use super::row::{Stored, key};
use super::{DbConnection, DbRow, Lock, Store};
use crate::component::Digest;
use crate::file::{Deletion, FilePath, FileStat, FileWrite, SessionFile};
use crate::id::{OrgId, SessionId};
use crate::store::file::rules::{Usage, absent, check_deletion, check_move, check_write, missing_directories, problem};
use crate::store::rules::whole_micros;
use crate::store::{FileProblem, RuntimeFileStore, StoreResult};

macro_rules! select {
    ($more:literal, $tail:literal) => {
        concat!(
            "SELECT path, is_directory, is_readonly, size, content_hash, created_at, updated_at",
            $more,
            " FROM session_files WHERE org_id = $1 AND session_id = $2 ",
            $tail
        )
    };
}

fn stat(row: &DbRow) -> StoreResult<FileStat> {
    let row = Stored::new(row, "session_files", &["path"]);
    let is_directory = row.flag("is_directory")?;
    Ok(FileStat {
        path: row.parsed("path")?,
        is_directory,
        is_readonly: row.flag("is_readonly")?,
        size_bytes: row.number("size")?,
        content_hash: if is_directory { None } else { Some(row.parsed("content_hash")?) },
        created_at: Some(row.time("created_at")?),
        updated_at: Some(row.time("updated_at")?),
    })
}

/// The files of one session, over a connection.
struct Files<'a> {
    connection: &'a mut DbConnection,
    org: OrgId,
    session: SessionId,
}

impl<'a> Files<'a> {
    fn new(connection: &'a mut DbConnection, org: OrgId, session: SessionId) -> Self {
        Self { connection, org, session }
    }

    async fn stat(&mut self, path: &FilePath) -> StoreResult<Option<FileStat>> {
        if path.is_root() {
            return Ok(Some(FileStat::root()));
        }
        let row = sqlx::query(select!("", "AND path = $3"))
            .bind(key(self.org.uuid()))
            .bind(key(self.session.uuid()))
            .bind(path.as_str())
            .fetch_optional(&mut *self.connection)
            .await
            .map_err(store_error)?;
        row.as_ref().map(stat).transpose()
    }

    /// Everything below a directory. "0" is the character behind "/", so the range is exact.
    async fn below(&mut self, path: &FilePath) -> StoreResult<Vec<FileStat>> {
        let rows = sqlx::query(select!("", "AND path > $3 || '/' AND path < $3 || '0' ORDER BY path"))
            .bind(key(self.org.uuid()))
            .bind(key(self.session.uuid()))
            .bind(path.prefix())
            .fetch_all(&mut *self.connection)
            .await
            .map_err(store_error)?;
        rows.iter().map(stat).collect()
    }

    async fn missing_above(&mut self, path: &FilePath) -> StoreResult<Vec<FilePath>> {
        let mut above = Vec::new();
        for path in path.ancestors() {
            let is_directory = self.stat(&path).await?.map(|stat| stat.is_directory);
            above.push((path, is_directory));
        }
        missing_directories(above)
    }

    async fn usage(&mut self) -> StoreResult<Usage> {
        // The named index holds all that it needs; without it the statement fails.
        let row = sqlx::query(concat!(
            "SELECT $2 AS session_id, count(*) AS entries, CAST(coalesce(sum(size), 0) AS BIGINT) AS bytes ",
            "FROM session_files",
            indexed_by!("session_files_size"),
            " WHERE org_id = $1 AND session_id = $2"
        ))
        .bind(key(self.org.uuid()))
        .bind(key(self.session.uuid()))
        .fetch_one(&mut *self.connection)
        .await
        .map_err(store_error)?;
        let row = Stored::new(&row, "session_files", &["session_id"]);
        Ok(Usage { entries: row.number("entries")?, bytes: row.number("bytes")? })
    }

    async fn put(&mut self, stat: &FileStat, content: &[u8], now: Timestamp) -> StoreResult<()> {
        sqlx::query(concat!(
            "INSERT INTO session_files (org_id, session_id, path, is_directory, is_readonly, size, content_hash, created_at, ",
            "updated_at, content) VALUES ($1, $2, $3, $4, $5, length($8), $6, $7, $7, $8) ",
            "ON CONFLICT (org_id, session_id, path) DO UPDATE SET is_readonly = excluded.is_readonly, size = excluded.size, ",
            "content_hash = excluded.content_hash, updated_at = excluded.updated_at, content = excluded.content"
        ))
        .bind(key(self.org.uuid()))
        .bind(key(self.session.uuid()))
        .bind(stat.path.as_str())
        .bind(stat.is_directory)
        .bind(stat.is_readonly)
        .bind(stat.content_hash.map(|digest| digest.to_string()))
        .bind(now.as_microsecond())
        .bind(content)
        .execute(&mut *self.connection)
        .await
        .map_err(store_error)?;
        Ok(())
    }

    async fn add_directories(&mut self, paths: impl IntoIterator<Item = FilePath>, now: Timestamp) -> StoreResult<()> {
        for path in paths {
            self.put(&FileStat { path, ..FileStat::root() }, &[], now).await?;
        }
        Ok(())
    }

    async fn write(&mut self, path: &FilePath, write: &FileWrite) -> StoreResult<FileStat> {
        let existing = self.stat(path).await?;
        check_write(path, write, existing.as_ref())?;
        let missing = self.missing_above(path).await?;
        let (before, size) = (self.usage().await?, write.content.len() as u64);
        let replaced = existing.as_ref().map_or(0, |stat| stat.size_bytes);
        let entries = before.entries + missing.len() as u64 + u64::from(existing.is_none());
        Usage { entries, bytes: before.bytes.saturating_sub(replaced) + size }.check()?;
        let now = whole_micros(write.now);
        let stat = FileStat {
            path: path.clone(),
            is_directory: false,
            is_readonly: write.is_readonly.unwrap_or(existing.as_ref().is_some_and(|stat| stat.is_readonly)),
            size_bytes: size,
            content_hash: Some(Digest::of(&write.content)),
            created_at: existing.map_or(Some(now), |stat| stat.created_at),
            updated_at: Some(now),
        };
        self.add_directories(missing, now).await?;
        self.put(&stat, &write.content, now).await?;
        Ok(stat)
    }

    async fn create_directory(&mut self, path: &FilePath, now: Timestamp) -> StoreResult<FileStat> {
        if let Some(stat) = self.stat(path).await? {
            return if stat.is_directory { Ok(stat) } else { Err(problem(path, FileProblem::NotADirectory)) };
        }
        let missing = self.missing_above(path).await?;
        let before = self.usage().await?;
        Usage { entries: before.entries + missing.len() as u64 + 1, ..before }.check()?;
        self.add_directories(missing.into_iter().chain([path.clone()]), now).await?;
        self.stat(path).await?.ok_or_else(|| absent(path))
    }

    async fn delete(&mut self, path: &FilePath, how: Deletion) -> StoreResult<u64> {
        let own = if path.is_root() { None } else { self.stat(path).await? };
        let below = self.below(path).await?;
        check_deletion(path, own.as_ref(), &below, how)?;
        let deleted = sqlx::query(concat!(
            "DELETE FROM session_files WHERE org_id = $1 AND session_id = $2 ",
            "AND (path = $3 OR (path > $3 || '/' AND path < $3 || '0'))"
        ))
        .bind(key(self.org.uuid()))
        .bind(key(self.session.uuid()))
        .bind(path.prefix())
        .execute(&mut *self.connection)
        .await
        .map_err(store_error)?;
        Ok(deleted.rows_affected())
    }

    async fn move_file(&mut self, from: &FilePath, to: &FilePath, now: Timestamp) -> StoreResult<FileStat> {
        let own = if from.is_root() { None } else { self.stat(from).await? };
        let moved: Vec<FileStat> = own.into_iter().chain(self.below(from).await?).collect();
        check_move(from, to, &moved, self.stat(to).await?.as_ref())?;
        let missing = self.missing_above(to).await?;
        let before = self.usage().await?;
        Usage { entries: before.entries + missing.len() as u64, ..before }.check()?;
        self.add_directories(missing, now).await?;
        // substr and length both count characters.
        sqlx::query(concat!(
            "UPDATE session_files SET path = $4 || substr(path, length($3) + 1), ",
            "updated_at = CASE path WHEN $3 THEN $5 ELSE updated_at END ",
            "WHERE org_id = $1 AND session_id = $2 AND (path = $3 OR (path > $3 || '/' AND path < $3 || '0'))"
        ))
        .bind(key(self.org.uuid()))
        .bind(key(self.session.uuid()))
        .bind(from.as_str())
        .bind(to.as_str())
        .bind(now.as_microsecond())
        .execute(&mut *self.connection)
        .await
        .map_err(store_error)?;
        self.stat(to).await?.ok_or_else(|| absent(to))
    }
}

#[async_trait]
impl RuntimeFileStore for Store {
    async fn read_file(&self, org: OrgId, session: SessionId, path: &FilePath) -> StoreResult<Option<SessionFile>> {
        if path.is_root() {
            return Err(problem(path, FileProblem::IsDirectory));
        }
        let row = sqlx::query(select!(", content", "AND path = $3"))
            .bind(key(org.uuid()))
            .bind(key(session.uuid()))
            .bind(path.as_str())
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        let Some(row) = row else { return Ok(None) };
        let stat = stat(&row)?;
        if stat.is_directory {
            return Err(problem(path, FileProblem::IsDirectory));
        }
        let row = Stored::new(&row, "session_files", &["path"]);
        let content: Vec<u8> = row.required("content")?;
        if stat.content_hash != Some(Digest::of(&content)) {
            return Err(row.corrupt("content", "it is not what its hash says"));
        }
        Ok(Some(SessionFile { stat, content }))
    }

    async fn stat_file(&self, org: OrgId, session: SessionId, path: &FilePath) -> StoreResult<Option<FileStat>> {
        Files::new(&mut *self.db.reader().await?, org, session).stat(path).await
    }

    async fn list_directory(&self, org: OrgId, session: SessionId, path: &FilePath, recursive: bool) -> StoreResult<Vec<FileStat>> {
        let mut reader = self.db.reader().await?;
        let mut tx = snapshot(&mut reader).await?;
        let mut files = Files::new(&mut tx, org, session);
        let stat = files.stat(path).await?.ok_or_else(|| absent(path))?;
        if !stat.is_directory {
            return Err(problem(path, FileProblem::NotADirectory));
        }
        let mut below = files.below(path).await?;
        tx.commit().await.map_err(store_error)?;
        below.retain(|stat| recursive || stat.path.parent().as_ref() == Some(path));
        Ok(below)
    }

    async fn write_file(&self, org: OrgId, session: SessionId, path: &FilePath, write: FileWrite) -> StoreResult<FileStat> {
        let mut writer = self.db.writer(Lock::Files(org, session)).await;
        let mut tx = writer.begin().await?;
        let stat = Files::new(&mut tx, org, session).write(path, &write).await?;
        tx.commit().await.map_err(store_error)?;
        Ok(stat)
    }

    async fn create_directory(&self, org: OrgId, session: SessionId, path: &FilePath, now: Timestamp) -> StoreResult<FileStat> {
        let mut writer = self.db.writer(Lock::Files(org, session)).await;
        let mut tx = writer.begin().await?;
        let stat = Files::new(&mut tx, org, session).create_directory(path, now).await?;
        tx.commit().await.map_err(store_error)?;
        Ok(stat)
    }

    async fn delete_file(&self, org: OrgId, session: SessionId, path: &FilePath, how: Deletion) -> StoreResult<u64> {
        let mut writer = self.db.writer(Lock::Files(org, session)).await;
        let mut tx = writer.begin().await?;
        let deleted = Files::new(&mut tx, org, session).delete(path, how).await?;
        tx.commit().await.map_err(store_error)?;
        Ok(deleted)
    }

    async fn move_file(&self, org: OrgId, session: SessionId, from: &FilePath, to: &FilePath, now: Timestamp) -> StoreResult<FileStat> {
        let mut writer = self.db.writer(Lock::Files(org, session)).await;
        let mut tx = writer.begin().await?;
        let stat = Files::new(&mut tx, org, session).move_file(from, to, now).await?;
        tx.commit().await.map_err(store_error)?;
        Ok(stat)
    }
}
