//! The files of the session that the call belongs to. Others see them too: people, the model's own
//! tools, the other capabilities of the agent.
//!
//! Must be asked for in [`crate::capability!`] under `permissions: { files: "read" }`, or "write". A tool that
//! is declared `read_only` changes none. Paths start at the session's root, `/a/b` or `a/b`.

use core::fmt;
use std::collections::VecDeque;

use crate::bindings::files::everwit::files::store as wit;
use crate::{Failure, Result, host};

/// Entries that one request lists.
const PAGE_ENTRIES: u32 = 256;

/// A file, or the piece of it that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Size of the whole file in bytes.
    pub size: u64,
    /// Opaque, the same for the same content of the whole file.
    pub revision: String,
}

/// What is known about a file or a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is, from the root: `/a/b`.
    pub path: String,
    /// Whether it is a directory.
    pub directory: bool,
    /// Whether tools are refused to change it.
    pub read_only: bool,
    /// Size in bytes; 0 for directories.
    pub size: u64,
    /// Opaque, the same for the same content; none for directories.
    pub revision: Option<String>,
    /// When it was last changed, in milliseconds since the Unix epoch; none for the root.
    pub modified_ms: Option<u64>,
}

/// What has to be true of a file for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect<'a> {
    /// Nothing.
    Any,
    /// It does not exist.
    Absent,
    /// It has this revision: nobody changed it since it was read.
    Revision(&'a str),
}

/// Why an operation did not happen. With `?` it becomes the tool's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Not granted, or the tool is declared read-only; the text says what to do.
    Denied(String),
    /// No path of a session file; the text says why.
    InvalidPath(String),
    /// There is nothing at the path.
    NotFound,
    /// What is there cannot be used like this; the text says why.
    Unfit(String),
    /// The file is not as expected.
    Conflict,
    /// More than one file may have, or than one request may return; the text has the limit.
    TooLarge(String),
    /// A limit of the session or of the call is reached; the text says which.
    Quota(String),
    /// Anything else.
    Other(String),
}

/// The entries of a directory, in the order of their paths; fetched in pages as they are needed.
#[derive(Debug)]
pub struct Entries {
    directory: String,
    recursive: bool,
    page: VecDeque<Entry>,
    after: Option<String>,
    done: bool,
}

/// Reads a file. What is larger than one request may return (4 MiB by default) is read with [`read_at`].
///
/// # Errors
/// A [`Fault`].
pub fn read(path: &str) -> Result<Content, Fault> {
    Ok(host::files::read(path, 0, None)?.into())
}

/// Reads at most `length` bytes of a file from the byte `offset` on.
///
/// # Errors
/// A [`Fault`].
pub fn read_at(path: &str, offset: u64, length: u64) -> Result<Content, Fault> {
    Ok(host::files::read(path, offset, Some(length))?.into())
}

/// Reads a file as text.
///
/// # Errors
/// A [`Fault`]; and code "not_text" if it is no UTF-8.
pub fn read_text(path: &str) -> Result<String> {
    let content = read(path)?;
    String::from_utf8(content.bytes).map_err(|_| Failure::conflict("not_text", format!("{path} is no UTF-8 text")))
}

/// What is known about a file or a directory; `None` if there is nothing.
///
/// # Errors
/// A [`Fault`].
pub fn stat(path: &str) -> Result<Option<Entry>, Fault> {
    Ok(host::files::stat(path)?.map(Into::into))
}

/// What is in a directory.
pub fn list(directory: impl Into<String>) -> Entries {
    Entries { directory: directory.into(), recursive: false, page: VecDeque::new(), after: None, done: false }
}

/// What is anywhere below a directory.
pub fn list_all(directory: impl Into<String>) -> Entries {
    Entries { recursive: true, ..list(directory) }
}

/// Writes a whole file if it is as expected, with the directories above it, and returns its revision.
///
/// # Errors
/// A [`Fault`].
pub fn write(path: &str, content: impl AsRef<[u8]>, expect: Expect<'_>) -> Result<String, Fault> {
    let expected = match expect {
        Expect::Any => None,
        Expect::Absent => Some(""),
        Expect::Revision(revision) => Some(revision),
    };
    Ok(host::files::write(path, content.as_ref(), expected)?)
}

/// Removes a file or an empty directory, and returns whether there was one.
///
/// # Errors
/// A [`Fault`].
pub fn remove(path: &str) -> Result<bool, Fault> {
    Ok(host::files::remove(path)?)
}

impl Iterator for Entries {
    type Item = Result<Entry, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() && !self.done {
            match host::files::entries(&self.directory, self.recursive, self.after.as_deref(), PAGE_ENTRIES) {
                Ok(page) => {
                    self.done = !page.more;
                    self.after = page.entries.last().map(|entry| entry.path.clone());
                    self.page = page.entries.into_iter().map(Into::into).collect();
                }
                Err(fault) => {
                    self.done = true;
                    return Some(Err(fault.into()));
                }
            }
        }
        self.page.pop_front().map(Ok)
    }
}

impl From<wit::Content> for Content {
    fn from(content: wit::Content) -> Self {
        Content { bytes: content.bytes, size: content.size, revision: content.revision }
    }
}

impl From<wit::Entry> for Entry {
    fn from(entry: wit::Entry) -> Self {
        let wit::Entry { path, directory, read_only, size, revision, modified_ms } = entry;
        Entry { path, directory, read_only, size, revision, modified_ms }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Denied(text)
            | Fault::InvalidPath(text)
            | Fault::Unfit(text)
            | Fault::TooLarge(text)
            | Fault::Quota(text)
            | Fault::Other(text) => text,
            Fault::NotFound => "there is no such file",
            Fault::Conflict => "somebody else changed the file meanwhile",
        })
    }
}

impl From<wit::Fault> for Fault {
    fn from(fault: wit::Fault) -> Self {
        match fault {
            wit::Fault::Denied(text) => Fault::Denied(text),
            wit::Fault::InvalidPath(text) => Fault::InvalidPath(text),
            wit::Fault::NotFound => Fault::NotFound,
            wit::Fault::Unfit(text) => Fault::Unfit(text),
            wit::Fault::Conflict => Fault::Conflict,
            wit::Fault::TooLarge(text) => Fault::TooLarge(text),
            wit::Fault::Quota(text) => Fault::Quota(text),
            wit::Fault::Other(text) => Fault::Other(text),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let message = fault.to_string();
        match fault {
            Fault::Denied(_) => Failure::denied("files_denied", message),
            Fault::InvalidPath(_) => Failure::invalid("invalid_path", message),
            Fault::NotFound => Failure::not_found("file_not_found", message),
            Fault::Unfit(_) => Failure::conflict("file_unfit", message),
            Fault::Conflict => Failure::conflict("file_conflict", message).retryable(true),
            Fault::TooLarge(_) => Failure::internal("file_too_large", message),
            Fault::Quota(_) => Failure::internal("files_quota", message),
            Fault::Other(_) => Failure::internal("files_fault", message),
        }
    }
}
