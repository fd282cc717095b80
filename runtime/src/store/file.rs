//! Files of sessions.

pub(super) mod rules;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{StoreError, StoreResult};
use crate::component::Digest;
use crate::file::{
    Deletion, Expected, FileEncoding, FilePath, FileStat, FileWrite, GrepQuery, GrepReport, InitialFile, Matcher, SessionFile,
};
use crate::id::{OrgId, SessionId};
use crate::limits::{MAX_GREP_BYTES, MAX_GREP_FILE_BYTES};
use crate::mutation::off;

/// Files of sessions, within the limits of [`crate::limits`]: `Limit` beyond them. The root is
/// always there; directories come with the files in them and stay when those go. A path that
/// cannot be what the call needs is [`StoreError::File`].
#[async_trait]
pub trait RuntimeFileStore: Send + Sync {
    /// Reads a file; none if absent.
    async fn read_file(&self, org: OrgId, session: SessionId, path: &FilePath) -> StoreResult<Option<SessionFile>>;

    /// What is known about a file or directory; none if absent.
    async fn stat_file(&self, org: OrgId, session: SessionId, path: &FilePath) -> StoreResult<Option<FileStat>>;

    /// What is in a directory, by path: its children, or everything below it. A file is not a
    /// directory; what is absent is `NotFound`.
    async fn list_directory(&self, org: OrgId, session: SessionId, path: &FilePath, recursive: bool) -> StoreResult<Vec<FileStat>>;

    /// Writes a whole file and creates the directories above it. `Stale` if it has another
    /// content than expected, `Duplicate` if it was to be absent and is not.
    async fn write_file(&self, org: OrgId, session: SessionId, path: &FilePath, write: FileWrite) -> StoreResult<FileStat>;

    /// Creates a directory and those above it; one that is there already is fine.
    async fn create_directory(&self, org: OrgId, session: SessionId, path: &FilePath, now: Timestamp) -> StoreResult<FileStat>;

    /// Deletes a file or a directory; returns how many files and directories went, 0 if it is
    /// absent. The root itself stays.
    async fn delete_file(&self, org: OrgId, session: SessionId, path: &FilePath, how: Deletion) -> StoreResult<u64>;

    /// Moves a file, or a directory with all that is in it. `NotFound` if `from` is absent,
    /// `Duplicate` if `to` is there.
    async fn move_file(&self, org: OrgId, session: SessionId, from: &FilePath, to: &FilePath, now: Timestamp) -> StoreResult<FileStat>;

    /// Writes a file if its content is still the expected one; `Stale` if not.
    async fn write_file_if_content_matches(
        &self,
        org: OrgId,
        session: SessionId,
        path: &FilePath,
        expected: Digest,
        write: FileWrite,
    ) -> StoreResult<FileStat> {
        self.write_file(org, session, path, FileWrite { expected: Expected::Content(expected), ..write }).await
    }

    /// Searches the lines of text files; `NotFound` if the place to search is absent. They are read one after the other: what is written
    /// meanwhile may or may not be found.
    async fn grep_files(&self, org: OrgId, session: SessionId, query: &GrepQuery) -> StoreResult<GrepReport> {
        let matcher = Matcher::new(query).map_err(StoreError::Invalid)?;
        let mut report = GrepReport::default();
        let mut bytes = 0;
        let place = self.stat_file(org, session, &query.under).await?.ok_or_else(|| rules::absent(&query.under))?;
        let files = match place.is_directory {
            true => self.list_directory(org, session, &query.under, true).await?,
            false => vec![place],
        };
        for stat in files.into_iter().filter(|stat| !stat.is_directory && matcher.wants(&stat.path)) {
            if stat.size_bytes > MAX_GREP_FILE_BYTES && !off("file.grep_file_bytes") {
                report.skipped.push(stat.path);
                continue;
            }
            bytes += stat.size_bytes;
            if bytes > MAX_GREP_BYTES && !off("file.grep_bytes") {
                report.cut = true;
                break;
            }
            let Some(file) = self.read_file(org, session, &stat.path).await? else { continue };
            let (encoding, text) = FileEncoding::encode(&file.content);
            if encoding != FileEncoding::Text {
                report.skipped.push(stat.path);
                continue;
            }
            let (matcher, mut matches) = (matcher.clone(), std::mem::take(&mut report.matches));
            // Half a megabyte against a hard pattern takes longer than a task may hold its thread.
            let search = move || (matcher.search(&stat.path, &text, &mut matches), matches);
            let (goes_on, matches) =
                tokio::task::spawn_blocking(search).await.map_err(|error| StoreError::Unavailable(format!("the search ended: {error}")))?;
            report.matches = matches;
            if !goes_on {
                report.cut = true;
                break;
            }
        }
        Ok(report)
    }

    /// Writes a starter file, unless its path is taken: what is there was written later.
    async fn seed_initial_file(&self, org: OrgId, session: SessionId, file: &InitialFile, now: Timestamp) -> StoreResult<()> {
        let content = file.encoding.decode(&file.content);
        let content = content.map_err(|error| StoreError::Invalid(format!("the content of {} is not base64: {error}", file.path)))?;
        let write = FileWrite { expected: Expected::Absent, is_readonly: Some(file.is_readonly), ..FileWrite::new(content, now) };
        match self.write_file(org, session, &file.path, write).await {
            Ok(_) | Err(StoreError::Duplicate { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
