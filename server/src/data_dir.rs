//! The data directory: private to its owner, used by one server at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

/// Nobody but the owner may look inside.
const PRIVATE_DIR: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;

/// A data directory.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    path: PathBuf,
}

/// Proof of being the only server on a data directory; ends with the process at the latest.
#[derive(Debug)]
pub(crate) struct DataDirLock {
    _file: File,
}

impl DataDir {
    /// Creates the directory if it is missing, with mode 0700.
    ///
    /// # Errors
    /// If it cannot be created, or others than the owner can get at an existing one.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE_DIR)
            .create(path)
            .map_err(|error| anyhow!("cannot create the data directory {shown}: {error}\nto fix it: name another one with --data-dir"))?;
        Self::open(path)
    }

    /// An existing directory.
    ///
    /// # Errors
    /// If it is missing, or others than the owner can get at it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let metadata = std::fs::metadata(path).with_context(|| format!("cannot use the data directory {shown}"))?;
        if !metadata.is_dir() {
            bail!("the data directory {shown} is not a directory");
        }
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            bail!("the data directory {shown} has mode {mode:o}, so that others can get at it\nto fix it: chmod 700 {shown}");
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        Self::database_in(&self.path)
    }

    /// Where the database of a data directory is, whether that exists or not.
    pub(crate) fn database_in(path: &Path) -> PathBuf {
        path.join("everwit.db")
    }

    /// The compiled components; created if missing.
    ///
    /// # Errors
    /// If it cannot be created.
    pub(crate) fn cache(&self) -> io::Result<PathBuf> {
        let path = self.path.join("cache");
        DirBuilder::new().recursive(true).mode(PRIVATE_DIR).create(&path)?;
        Ok(path)
    }

    /// Claims the directory for this process.
    ///
    /// # Errors
    /// If another server has it.
    pub(crate) fn lock(&self) -> anyhow::Result<DataDirLock> {
        let path = self.path.join("server.lock");
        let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(PRIVATE_FILE).open(&path);
        let file = opened.with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(DataDirLock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another server uses the data directory {}\nto fix it: stop that one, or give this one another --data-dir",
                    self.path.display()
                )
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_is_private_and_locked_once() {
        let parent = tempfile::tempdir().unwrap();
        let dir = DataDir::create(&parent.path().join("a/b")).unwrap();
        assert_eq!(std::fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, PRIVATE_DIR);
        let lock = dir.lock().unwrap();
        assert!(dir.lock().unwrap_err().to_string().contains("another server"));
        drop(lock);
        dir.lock().unwrap();
    }

    #[test]
    fn a_directory_that_others_can_read_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        std::fs::set_permissions(parent.path(), PermissionsExt::from_mode(0o755)).unwrap();
        assert!(DataDir::create(parent.path()).unwrap_err().to_string().contains("chmod 700"));
    }
}
