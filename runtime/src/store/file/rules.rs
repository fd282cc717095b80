//! Decisions about session files that every store of this crate takes the same way.

use crate::file::{Deletion, Expected, FilePath, FileStat, FileWrite};
use crate::limits::{MAX_FILE_BYTES, MAX_SESSION_FILE_BYTES, MAX_SESSION_FILES};
use crate::mutation::off;
use crate::store::{FileProblem, StoreError, StoreResult};

/// What a session has of files.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::store) struct Usage {
    /// Files and directories.
    pub(in crate::store) entries: u64,
    /// Bytes of contents.
    pub(in crate::store) bytes: u64,
}

impl Usage {
    /// Whether a session can have this much.
    pub(in crate::store) fn check(self) -> StoreResult<()> {
        let Self { entries, bytes } = self;
        if entries > MAX_SESSION_FILES && !off("store.files") {
            return Err(StoreError::Limit(format!(
                "the session would have {entries} files and directories; at most {MAX_SESSION_FILES} are allowed, so delete some first"
            )));
        }
        if bytes > MAX_SESSION_FILE_BYTES && !off("store.session_file_bytes") {
            return Err(StoreError::Limit(format!(
                "the session's files would have {bytes} bytes; at most {MAX_SESSION_FILE_BYTES} are allowed, so delete some first"
            )));
        }
        Ok(())
    }
}

/// The error about a path.
pub(in crate::store) fn problem(path: &FilePath, problem: FileProblem) -> StoreError {
    StoreError::File { path: path.clone(), problem }
}

/// The error about a path where nothing is.
pub(in crate::store) fn absent(path: &FilePath) -> StoreError {
    StoreError::NotFound { what: "file", id: path.to_string() }
}

/// The error about a path where something is.
pub(in crate::store) fn taken(path: &FilePath) -> StoreError {
    StoreError::Duplicate { what: "file", id: path.to_string() }
}

/// Whether a write may replace what is there.
pub(in crate::store) fn check_write(path: &FilePath, write: &FileWrite, existing: Option<&FileStat>) -> StoreResult<()> {
    let size = write.content.len();
    if size > MAX_FILE_BYTES && !off("store.file_bytes") {
        return Err(StoreError::Limit(format!("{path} would have {size} bytes; at most {MAX_FILE_BYTES} are allowed in one file")));
    }
    if path.is_root() {
        return Err(problem(path, FileProblem::IsDirectory));
    }
    let stale = || StoreError::Stale { what: "file", id: path.to_string() };
    let Some(existing) = existing else {
        return if matches!(write.expected, Expected::Content(_)) { Err(stale()) } else { Ok(()) };
    };
    if write.expected == Expected::Absent {
        return Err(taken(path));
    }
    if existing.is_directory {
        return Err(problem(path, FileProblem::IsDirectory));
    }
    if existing.is_readonly && !write.over_readonly {
        return Err(problem(path, FileProblem::ReadOnly));
    }
    match write.expected {
        Expected::Content(digest) if existing.content_hash != Some(digest) => Err(stale()),
        _ => Ok(()),
    }
}

/// Which of the directories above a path are missing, the nearest first. Each comes with whether
/// it is a directory, or none if it is absent.
pub(in crate::store) fn missing_directories(ancestors: impl IntoIterator<Item = (FilePath, Option<bool>)>) -> StoreResult<Vec<FilePath>> {
    let mut missing = Vec::new();
    for (path, is_directory) in ancestors {
        match is_directory {
            Some(true) => {}
            Some(false) => return Err(problem(&path, FileProblem::NotADirectory)),
            None => missing.push(path),
        }
    }
    Ok(missing)
}

/// Whether a file or a directory with what is below it may be deleted. `own` is none for the root.
pub(in crate::store) fn check_deletion(path: &FilePath, own: Option<&FileStat>, below: &[FileStat], how: Deletion) -> StoreResult<()> {
    if !below.is_empty() && !how.recursive {
        return Err(problem(path, FileProblem::NotEmpty));
    }
    match own.into_iter().chain(below).find(|stat| stat.is_readonly && !how.over_readonly) {
        Some(stat) => Err(problem(&stat.path, FileProblem::ReadOnly)),
        None => Ok(()),
    }
}

/// Whether something may be moved; `target` is what is at the new place.
pub(in crate::store) fn check_move(from: &FilePath, to: &FilePath, moved: &[FileStat], target: Option<&FileStat>) -> StoreResult<()> {
    if from.is_root() || to.is_below(from) {
        return Err(problem(from, FileProblem::IntoItself));
    }
    if moved.is_empty() {
        return Err(absent(from));
    }
    if target.is_some() || to.is_root() {
        return Err(taken(to));
    }
    if let Some(stat) = moved.iter().find(|stat| stat.is_readonly) {
        return Err(problem(&stat.path, FileProblem::ReadOnly));
    }
    for stat in moved {
        stat.path.moved(from, to).map_err(|error| StoreError::Invalid(format!("{} cannot be moved: {error}", stat.path)))?;
    }
    Ok(())
}
