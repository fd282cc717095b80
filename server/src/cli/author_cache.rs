//! Compiled components between two commands of an author: a component of a language engine takes seconds to compile,
//! and `build`, `test` and `call` follow each other.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::TempDir;

use super::output::Failure;
use crate::config;
use crate::data_dir::DataDir;
use crate::random;

/// Compiled code that is kept, in bytes; the oldest goes first. About thirty Python components.
const MAX_KEPT_BYTES: u64 = 1 << 30;

/// Where compiled components go, and what authenticates them.
pub(super) struct AuthorCache {
    pub(super) dir: PathBuf,
    pub(super) key: [u8; 32],
    /// Set if nothing can be kept: the directory goes with the process.
    _temporary: Option<TempDir>,
}

impl AuthorCache {
    /// The user's cache directory or, if there is none that can be used, one for this command alone.
    pub(super) fn open() -> Result<Self, Failure> {
        match config::author_cache().and_then(|base| kept(&base).ok()) {
            Some((dir, key)) => Ok(Self { dir, key, _temporary: None }),
            None => {
                let failed = |error| Failure::failed(format!("cannot create a temporary directory: {error}"));
                let temporary = TempDir::with_prefix("everwit-").map_err(failed)?;
                Ok(Self { dir: temporary.path().to_owned(), key: random::secret_bytes()?, _temporary: Some(temporary) })
            }
        }
    }
}

/// The compiled components in a directory that only its owner can get at, with the key beside them.
fn kept(base: &Path) -> anyhow::Result<(PathBuf, [u8; 32])> {
    let dir = DataDir::create(base)?.cache()?;
    trim(&dir, MAX_KEPT_BYTES)?;
    Ok((dir, key(&base.join("key"))?))
}

/// The key of this user's cache; made once. It appears by a link, so that two commands that start
/// together get the same one, complete.
fn key(path: &Path) -> anyhow::Result<[u8; 32]> {
    let mut key = [0; 32];
    match fs::File::open(path) {
        Ok(mut file) => file.read_exact(&mut key)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let fresh = random::secret_bytes()?;
            let temporary = path.with_extension(std::process::id().to_string());
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?.write_all(&fresh)?;
            let linked = fs::hard_link(&temporary, path);
            fs::remove_file(&temporary)?;
            match linked {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
                _ => fs::File::open(path)?.read_exact(&mut key)?,
            }
        }
        Err(error) => return Err(error.into()),
    }
    Ok(key)
}

/// Removes the oldest files until at most `most` bytes are left.
fn trim(dir: &Path, most: u64) -> io::Result<()> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        files.push((metadata.modified()?, metadata.len(), entry.path()));
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in files {
        if total <= most {
            break;
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => total -= bytes,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_key_stays_the_same_and_is_its_owners_alone() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().join("everwit");
        let (first, second) = (kept(&base).unwrap().1, kept(&base).unwrap().1);
        assert_eq!(first, second);
        assert_ne!(first, [0; 32]);
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(base.join("key")).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_oldest_go_when_there_is_too_much() {
        let dir = tempfile::tempdir().unwrap();
        for (name, age) in [("a", 1), ("b", 3), ("c", 2)] {
            let file = fs::File::create(dir.path().join(name)).unwrap();
            file.set_len(10).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(100 - age)).unwrap();
        }
        trim(dir.path(), 20).unwrap();
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a", "c"]);
    }
}
