//! Files of sessions.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryStore;
use crate::component::Digest;
use crate::file::{Deletion, FilePath, FileStat, FileWrite, SessionFile};
use crate::id::{OrgId, SessionId};
use crate::store::file::rules::{Usage, absent, check_deletion, check_move, check_write, missing_directories, problem};
use crate::store::rules::whole_micros;
use crate::store::{FileProblem, RuntimeFileStore, StoreError, StoreResult};

/// The files and directories of a session, without its root. Directories have no content.
#[derive(Default)]
pub(super) struct Files(BTreeMap<FilePath, SessionFile>);

impl Files {
    fn stat(&self, path: &FilePath) -> Option<FileStat> {
        if path.is_root() { Some(FileStat::root()) } else { self.0.get(path).map(|file| file.stat.clone()) }
    }

    fn below(&self, path: &FilePath) -> Vec<FileStat> {
        self.0.values().map(|file| &file.stat).filter(|stat| stat.path.is_below(path)).cloned().collect()
    }

    fn missing_above(&self, path: &FilePath) -> StoreResult<Vec<FilePath>> {
        missing_directories(path.ancestors().map(|above| {
            let is_directory = self.stat(&above).map(|stat| stat.is_directory);
            (above, is_directory)
        }))
    }

    fn usage(&self) -> Usage {
        Usage { entries: self.0.len() as u64, bytes: self.0.values().map(|file| file.stat.size_bytes).sum() }
    }

    fn add_directories(&mut self, paths: impl IntoIterator<Item = FilePath>, now: Timestamp) {
        for path in paths {
            let now = Some(now);
            let stat = FileStat { path: path.clone(), created_at: now, updated_at: now, ..FileStat::root() };
            self.0.insert(path, SessionFile { stat, content: Vec::new() });
        }
    }

    fn write(&mut self, path: &FilePath, write: FileWrite) -> StoreResult<FileStat> {
        let existing = self.stat(path);
        check_write(path, &write, existing.as_ref())?;
        let missing = self.missing_above(path)?;
        let (before, size) = (self.usage(), write.content.len() as u64);
        let replaced = existing.as_ref().map_or(0, |stat| stat.size_bytes);
        let entries = before.entries + missing.len() as u64 + u64::from(existing.is_none());
        Usage { entries, bytes: before.bytes - replaced + size }.check()?;
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
        self.add_directories(missing, now);
        self.0.insert(path.clone(), SessionFile { stat: stat.clone(), content: write.content });
        Ok(stat)
    }

    fn create_directory(&mut self, path: &FilePath, now: Timestamp) -> StoreResult<FileStat> {
        if let Some(stat) = self.stat(path) {
            return if stat.is_directory { Ok(stat) } else { Err(problem(path, FileProblem::NotADirectory)) };
        }
        let missing = self.missing_above(path)?;
        let before = self.usage();
        Usage { entries: before.entries + missing.len() as u64 + 1, ..before }.check()?;
        self.add_directories(missing.into_iter().chain([path.clone()]), whole_micros(now));
        self.stat(path).ok_or_else(|| absent(path))
    }

    fn delete(&mut self, path: &FilePath, how: Deletion) -> StoreResult<u64> {
        let own = self.0.get(path).map(|file| file.stat.clone());
        let below = self.below(path);
        check_deletion(path, own.as_ref(), &below, how)?;
        let deleted = below.len() + usize::from(own.is_some());
        for stat in own.into_iter().chain(below) {
            self.0.remove(&stat.path);
        }
        Ok(deleted as u64)
    }

    fn move_file(&mut self, from: &FilePath, to: &FilePath, now: Timestamp) -> StoreResult<FileStat> {
        let own = self.0.get(from).map(|file| file.stat.clone());
        let moved: Vec<FileStat> = own.into_iter().chain(self.below(from)).collect();
        check_move(from, to, &moved, self.stat(to).as_ref())?;
        let missing = self.missing_above(to)?;
        let before = self.usage();
        Usage { entries: before.entries + missing.len() as u64, ..before }.check()?;
        let now = whole_micros(now);
        self.add_directories(missing, now);
        for stat in moved {
            let path = stat.path.moved(from, to).map_err(|error| StoreError::Invalid(error.to_string()))?;
            let Some(mut file) = self.0.remove(&stat.path) else { continue };
            file.stat.path = path.clone();
            if path == *to {
                file.stat.updated_at = Some(now);
            }
            self.0.insert(path, file);
        }
        self.stat(to).ok_or_else(|| absent(to))
    }

    fn list(&self, path: &FilePath, recursive: bool) -> StoreResult<Vec<FileStat>> {
        let stat = self.stat(path).ok_or_else(|| absent(path))?;
        if !stat.is_directory {
            return Err(problem(path, FileProblem::NotADirectory));
        }
        let mut below = self.below(path);
        below.retain(|stat| recursive || stat.path.parent().as_ref() == Some(path));
        Ok(below)
    }
}

impl MemoryStore {
    fn files<T>(&self, org: OrgId, session: SessionId, read: impl FnOnce(&Files) -> T) -> T {
        self.read(org, |tenant| match tenant.files.get(&session) {
            Some(files) => read(files),
            None => read(&Files::default()),
        })
    }

    fn change_files<T>(&self, org: OrgId, session: SessionId, change: impl FnOnce(&mut Files) -> T) -> T {
        self.write(org, |tenant| change(tenant.files.entry(session).or_default()))
    }
}

#[async_trait]
impl RuntimeFileStore for MemoryStore {
    async fn read_file(&self, org: OrgId, session: SessionId, path: &FilePath) -> StoreResult<Option<SessionFile>> {
        match self.files(org, session, |files| (files.stat(path), files.0.get(path).cloned())) {
            (Some(stat), _) if stat.is_directory => Err(problem(path, FileProblem::IsDirectory)),
            (_, file) => Ok(file),
        }
    }

    async fn stat_file(&self, org: OrgId, session: SessionId, path: &FilePath) -> StoreResult<Option<FileStat>> {
        Ok(self.files(org, session, |files| files.stat(path)))
    }

    async fn list_directory(&self, org: OrgId, session: SessionId, path: &FilePath, recursive: bool) -> StoreResult<Vec<FileStat>> {
        self.files(org, session, |files| files.list(path, recursive))
    }

    async fn write_file(&self, org: OrgId, session: SessionId, path: &FilePath, write: FileWrite) -> StoreResult<FileStat> {
        self.change_files(org, session, |files| files.write(path, write))
    }

    async fn create_directory(&self, org: OrgId, session: SessionId, path: &FilePath, now: Timestamp) -> StoreResult<FileStat> {
        self.change_files(org, session, |files| files.create_directory(path, now))
    }

    async fn delete_file(&self, org: OrgId, session: SessionId, path: &FilePath, how: Deletion) -> StoreResult<u64> {
        self.change_files(org, session, |files| files.delete(path, how))
    }

    async fn move_file(&self, org: OrgId, session: SessionId, from: &FilePath, to: &FilePath, now: Timestamp) -> StoreResult<FileStat> {
        self.change_files(org, session, |files| files.move_file(from, to, now))
    }
}
