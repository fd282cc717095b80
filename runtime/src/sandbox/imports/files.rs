//! `everwit:files/store`: the files of the session that the call belongs to, within the grant and
//! within what the tool says it does.

use std::sync::Arc;

use crate::capability::ToolServices;
use crate::component::{Digest, FileAccess};
use crate::file::{Deletion, Expected, FilePath, FileStat, FileWrite};
use crate::id::{OrgId, SessionId};
use crate::limits::MAX_FILE_BYTES;
use crate::mutation::off;
use crate::sandbox::bindings::everwit::files::store::{self, Content, Entry, Fault, Page};
use crate::sandbox::state::CallState;
use crate::store::{RuntimeFileStore, StoreError};

/// Requests of one call.
const MAX_OPERATIONS: u32 = 1_000;
/// Bytes of the files that one call reads and writes, each counted as a whole.
const MAX_BYTES: u64 = 64 << 20;
/// Most entries of one listing.
const MAX_ENTRIES: u32 = 1_000;
/// What an entry takes beside its path, in bytes: a revision and numbers.
const ENTRY_BYTES: usize = 128;

/// What one call has done with files.
#[derive(Default)]
pub(in crate::sandbox) struct FileUse {
    operations: u32,
    bytes: u64,
    /// Bytes that the request at hand has worked on, to be paid for.
    work: u64,
}

impl FileUse {
    fn begin(&mut self) -> Result<(), Fault> {
        self.operations = self.operations.saturating_add(1);
        if self.operations > MAX_OPERATIONS && !off("guest.file_operations") {
            return Err(Fault::Quota(format!("one call makes at most {MAX_OPERATIONS} requests about files")));
        }
        self.take(0)
    }

    /// Counts a file. What is too much stays counted, so that the next request is refused before it is made.
    fn take(&mut self, bytes: u64) -> Result<(), Fault> {
        self.work += bytes;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MAX_BYTES && !off("guest.file_bytes") {
            return Err(Fault::Quota(format!("the files that one call reads and writes have at most {MAX_BYTES} bytes together")));
        }
        Ok(())
    }
}

/// The files of one session.
struct SessionFiles {
    services: Arc<ToolServices>,
    org: OrgId,
    session: SessionId,
}

impl SessionFiles {
    fn store(&self) -> &dyn RuntimeFileStore {
        &*self.services.backends.file_store
    }
}

impl CallState {
    /// Begins a request.
    fn open_files(&mut self, access: FileAccess) -> Result<SessionFiles, Fault> {
        self.subject.grant.allows_files(access).map_err(|denied| Fault::Denied(denied.to_string()))?;
        if access == FileAccess::Write && self.effects.read_only && !off("guest.read_only") {
            let why = "the tool is declared read-only, so it changes no files; declare its effects as they are";
            return Err(Fault::Denied(why.to_owned()));
        }
        let account = self.secrets.account().filter(|account| account.call.has_session).ok_or_else(no_session)?;
        let files = SessionFiles { services: account.services.clone(), org: self.org, session: account.session };
        self.files.begin()?;
        Ok(files)
    }

    /// Ends a request: what the host worked on is paid for, and so is what it hands on.
    fn close_files<T>(&mut self, result: Result<T, Fault>, bytes: impl FnOnce(&T) -> usize) -> wasmtime::Result<Result<T, Fault>> {
        let work = std::mem::take(&mut self.files.work);
        self.ledger.charge_work(work)?;
        self.leave(result.as_ref().map_or(0, bytes))?;
        Ok(result)
    }

    async fn read_file(&mut self, path: String, offset: u64, length: Option<u64>) -> Result<Content, Fault> {
        let files = self.open_files(FileAccess::Read)?;
        let path = self.file_path(path)?;
        let file = files.store().read_file(files.org, files.session, &path).await.map_err(fault)?.ok_or(Fault::NotFound)?;
        let size = file.content.len();
        self.files.take(size as u64)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(size);
        let wanted = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX).min(size - start);
        let most = self.budget.host_call_bytes;
        if wanted as u64 > most {
            let text = format!("{wanted} bytes of {path} are asked for at once; one host call copies at most {most}, so read it in pieces");
            return Err(Fault::TooLarge(text));
        }
        let revision = revision(&file.stat).ok_or_else(|| Fault::Other(format!("{path} has no revision")))?;
        let bytes = if wanted == size { file.content } else { file.content[start..start + wanted].to_vec() };
        Ok(Content { bytes, size: size as u64, revision })
    }

    async fn stat_file(&mut self, path: String) -> Result<Option<Entry>, Fault> {
        let files = self.open_files(FileAccess::Read)?;
        let path = self.file_path(path)?;
        let stat = files.store().stat_file(files.org, files.session, &path).await.map_err(fault)?;
        Ok(stat.as_ref().map(entry))
    }

    async fn list_files(&mut self, directory: String, recursive: bool, after: Option<String>, limit: u32) -> Result<Page, Fault> {
        let files = self.open_files(FileAccess::Read)?;
        if !(1..=MAX_ENTRIES).contains(&limit) && !off("guest.file_entries") {
            return Err(Fault::Other(format!("limit is {limit}; it must be between 1 and {MAX_ENTRIES}")));
        }
        let directory = self.file_path(directory)?;
        let after = after.map(|after| self.file_path(after)).transpose()?;
        let listed = files.store().list_directory(files.org, files.session, &directory, recursive).await.map_err(fault)?;
        self.files.work += listed.iter().map(|stat| entry_bytes(stat.path.as_str()) as u64).sum::<u64>();
        let mut room = usize::try_from(self.budget.host_call_bytes).unwrap_or(usize::MAX);
        let mut rest = listed.iter().filter(|stat| after.as_ref().is_none_or(|after| stat.path > *after)).peekable();
        let mut entries = Vec::new();
        while entries.len() < limit as usize
            && let Some(stat) = rest.next_if(|stat| entries.is_empty() || entry_bytes(stat.path.as_str()) <= room)
        {
            room = room.saturating_sub(entry_bytes(stat.path.as_str()));
            entries.push(entry(stat));
        }
        Ok(Page { entries, more: rest.peek().is_some() })
    }

    async fn write_file(&mut self, path: String, content: Vec<u8>, expected: Option<String>) -> Result<String, Fault> {
        let files = self.open_files(FileAccess::Write)?;
        let path = self.file_path(path)?;
        let size = content.len();
        if size > MAX_FILE_BYTES {
            return Err(Fault::TooLarge(format!("{path} would have {size} bytes; one file has at most {MAX_FILE_BYTES}")));
        }
        self.files.take(size as u64)?;
        let expected = match expected.as_deref() {
            None => Expected::Any,
            Some("") => Expected::Absent,
            // What is no digest was never handed out.
            Some(revision) => Expected::Content(revision.parse::<Digest>().map_err(|_| Fault::Conflict)?),
        };
        // Others read what is stored.
        let content = self.outlets.stored.line(&content);
        let write = FileWrite { expected, ..FileWrite::new(content, self.services.clock.now()) };
        let stat = files.store().write_file(files.org, files.session, &path, write).await.map_err(fault)?;
        revision(&stat).ok_or_else(|| Fault::Other(format!("{path} has no revision")))
    }

    async fn remove_file(&mut self, path: String) -> Result<bool, Fault> {
        let files = self.open_files(FileAccess::Write)?;
        let path = self.file_path(path)?;
        let removed = files.store().delete_file(files.org, files.session, &path, Deletion::default()).await.map_err(fault)?;
        Ok(removed > 0)
    }

    /// A path is stored too, and shown to others.
    fn file_path(&self, text: String) -> Result<FilePath, Fault> {
        FilePath::parse(&self.outlets.word(text)).map_err(|error| Fault::InvalidPath(error.to_string()))
    }
}

fn entry(stat: &FileStat) -> Entry {
    Entry {
        path: stat.path.to_string(),
        directory: stat.is_directory,
        read_only: stat.is_readonly,
        size: stat.size_bytes,
        revision: revision(stat),
        modified_ms: stat.updated_at.and_then(|at| u64::try_from(at.as_millisecond()).ok()),
    }
}

fn revision(stat: &FileStat) -> Option<String> {
    stat.content_hash.map(|digest| digest.to_string())
}

fn entry_bytes(path: &str) -> usize {
    path.len() + ENTRY_BYTES
}

fn no_session() -> Fault {
    Fault::Other("this call belongs to no session, so there are no files".to_owned())
}

/// What the guest learns of a store error; the store's own text stays in the host's log.
fn fault(error: StoreError) -> Fault {
    match error {
        StoreError::Stale { .. } | StoreError::Duplicate { .. } => Fault::Conflict,
        StoreError::NotFound { what: "file", .. } => Fault::NotFound,
        StoreError::NotFound { what: "session", .. } => no_session(),
        StoreError::File { path, problem } => Fault::Unfit(format!("{path}: {problem}")),
        StoreError::Limit(text) => Fault::Quota(text),
        error => {
            tracing::error!(%error, "a request of a guest about files failed");
            Fault::Other("the store is not available".to_owned())
        }
    }
}

impl store::Host for CallState {
    async fn read(&mut self, path: String, offset: u64, length: Option<u64>) -> wasmtime::Result<Result<Content, Fault>> {
        self.enter(path.len()).await?;
        let result = self.read_file(path, offset, length).await;
        self.close_files(result, |content| content.bytes.len())
    }

    async fn stat(&mut self, path: String) -> wasmtime::Result<Result<Option<Entry>, Fault>> {
        self.enter(path.len()).await?;
        let result = self.stat_file(path).await;
        self.close_files(result, |entry| entry.as_ref().map_or(0, |entry| entry_bytes(&entry.path)))
    }

    async fn entries(
        &mut self,
        directory: String,
        recursive: bool,
        after: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<Result<Page, Fault>> {
        self.enter(directory.len() + after.as_ref().map_or(0, String::len)).await?;
        let result = self.list_files(directory, recursive, after, limit).await;
        self.close_files(result, |page| page.entries.iter().map(|entry| entry_bytes(&entry.path)).sum())
    }

    async fn write(&mut self, path: String, content: Vec<u8>, expected: Option<String>) -> wasmtime::Result<Result<String, Fault>> {
        self.enter(path.len() + content.len() + expected.as_ref().map_or(0, String::len)).await?;
        let result = self.write_file(path, content, expected).await;
        self.close_files(result, String::len)
    }

    async fn remove(&mut self, path: String) -> wasmtime::Result<Result<bool, Fault>> {
        self.enter(path.len()).await?;
        let result = self.remove_file(path).await;
        self.close_files(result, |_| 0)
    }
}
