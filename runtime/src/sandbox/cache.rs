//! The directory of compiled components.
//!
//! An artifact is machine code: running one that this host did not make is running whatever its
//! author wants. Two things stand between: the directory is private to this user (0700, owner
//! checked), and every artifact has a MAC over its component's digest, the engine's settings, the
//! inspection and its bytes, with a key that is kept elsewhere. What fails the check is removed
//! and made again; it is never an error for the caller.
//!
//! Files: `<digest>-<settings>.cwasm`, mapped into memory when loaded, and beside it `.mac` with
//! the MAC and the inspection. Where functions are kept for the next compile, they are in
//! `functions-<settings>.kept`, behind their MAC. All come into being by rename, synced. Nothing is
//! ever written in place; an operator may delete the whole directory at any time. `garbage` removes
//! what nobody has any more.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, DirEntry, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretBox};
use sha2::Sha256;
use tempfile::NamedTempFile;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::engine::{self, Compatibility};
use super::functions::MAX_FUNCTIONS_BYTES;
use super::gate::Inspection;
use crate::component::Digest;

/// Keeps MACs of artifacts apart from any other use of the key; its number changes with what is covered.
const DOMAIN: &[u8] = b"everwit artifact 1";
/// The same for functions that are kept.
const FUNCTIONS_DOMAIN: &[u8] = b"everwit functions 1";
/// Length of a MAC, in bytes.
const MAC_BYTES: usize = 32;
/// Largest `.mac` file that is read, in bytes: an inspection with a description of 1 MiB, escaped.
const MAX_MAC_FILE_BYTES: u64 = 8 << 20;
/// Begin of the names of files that are being written.
const TEMPORARY: &str = "tmp-";
/// Size of the pieces in which an artifact is checked, in bytes.
const PIECE_BYTES: usize = 256 << 10;

/// A directory of compiled components.
#[derive(Debug)]
pub struct ArtifactCache {
    directory: PathBuf,
    key: SecretBox<[u8; 32]>,
}

impl ArtifactCache {
    /// Opens the directory, which is made if it does not exist, and removes what an earlier
    /// process left half-written. `key` must be the same for all processes that share the
    /// directory, and must not be stored in it.
    ///
    /// # Errors
    /// The directory cannot be made, is a link, or belongs to somebody else.
    pub fn open(directory: impl Into<PathBuf>, key: [u8; 32]) -> io::Result<Self> {
        let cache = Self { directory: directory.into(), key: SecretBox::new(Box::new(key)) };
        DirBuilder::new().recursive(true).mode(0o700).create(&cache.directory)?;
        let metadata = fs::symlink_metadata(&cache.directory)?;
        if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
            let message = format!("{} must be a directory of the user that runs this process", cache.directory.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(&cache.directory, fs::Permissions::from_mode(0o700))?;
        }
        cache.remove_leftovers()?;
        Ok(cache)
    }

    /// The compiled component for an engine; none if it has to be compiled (again). Reads the
    /// whole artifact, so it belongs on a thread that may block.
    ///
    /// # Errors
    /// The directory cannot be read, or the engine refuses an artifact that is authentic.
    pub(super) fn load(&self, engine: &Engine, digest: &Digest) -> io::Result<Option<Component>> {
        let compatibility = engine::compatibility(engine);
        if self.inspection(digest, compatibility)?.is_none() {
            return Ok(None);
        }
        map(engine, &self.path(digest, compatibility, "cwasm")).map(Some).map_err(|error| io::Error::other(format!("{error:#}")))
    }

    /// What is known about a component whose artifact is here and authentic. Blocks likewise.
    pub(super) fn inspection(&self, digest: &Digest, compatibility: Compatibility) -> io::Result<Option<Inspection>> {
        let (artifact, mac) = (self.path(digest, compatibility, "cwasm"), self.path(digest, compatibility, "mac"));
        let (Some(code), Some(sealed)) = (open_if_there(&artifact)?, open_if_there(&mac)?) else {
            return Ok(None);
        };
        if let Some(inspection) = self.verify(digest, compatibility, code, sealed)? {
            return Ok(Some(inspection));
        }
        tracing::error!(%digest, path = %artifact.display(), "a compiled component was changed or is incomplete; it is removed and compiled again");
        remove_if_there(&mac)?;
        remove_if_there(&artifact)?;
        Ok(None)
    }

    fn verify(&self, digest: &Digest, compatibility: Compatibility, mut code: File, sealed: File) -> io::Result<Option<Inspection>> {
        let mut seal = Vec::new();
        sealed.take(MAX_MAC_FILE_BYTES).read_to_end(&mut seal)?;
        let Some((tag, json)) = seal.split_first_chunk::<MAC_BYTES>() else {
            return Ok(None);
        };
        let mut mac = self.mac(digest, compatibility, json);
        for_each_piece(&mut code, |piece| mac.update(piece))?;
        // Parsed only after the check: until then it is nobody's text.
        let authentic = mac.verify_slice(tag).is_ok() || crate::mutation::off("cache.mac");
        Ok(authentic.then(|| serde_json::from_slice(json).ok()).flatten())
    }

    /// Begins to write an artifact; it is dropped without a trace unless it is kept.
    pub(super) fn begin(&self, digest: &Digest, compatibility: Compatibility, inspection: &Inspection) -> io::Result<PendingArtifact> {
        let json = serde_json::to_vec(inspection)?;
        let (file, temporary) = self.temporary()?.into_parts();
        // Held while it is written, so that another process does not take it for a leftover.
        file.try_lock()?;
        Ok(PendingArtifact {
            file: tokio::fs::File::from_std(file),
            temporary,
            mac: self.mac(digest, compatibility, &json),
            json,
            artifact_path: self.path(digest, compatibility, "cwasm"),
            mac_path: self.path(digest, compatibility, "mac"),
        })
    }

    /// Lets a component have the artifact of another one, by a link. Blocks. The caller has just asked [`Self::inspection`] about it.
    pub(super) fn share(&self, from: &Digest, to: &Digest, compatibility: Compatibility, inspection: &Inspection) -> io::Result<()> {
        let json = serde_json::to_vec(inspection)?;
        let artifact = self.path(from, compatibility, "cwasm");
        let link = tempfile::Builder::new().prefix(TEMPORARY).make_in(&self.directory, |path| fs::hard_link(&artifact, path))?;
        let mut mac = self.mac(to, compatibility, &json);
        for_each_piece(&mut File::open(link.path())?, |piece| mac.update(piece))?;
        link.into_temp_path().persist(self.path(to, compatibility, "cwasm"))?;
        seal(&self.path(to, compatibility, "mac"), mac, &json)
    }

    /// Functions of earlier compiles with an engine's settings; empty if there are none or they were changed. Blocks.
    pub(super) fn functions(&self, compatibility: Compatibility) -> io::Result<Bytes> {
        let path = self.functions_path(compatibility);
        let Some(file) = open_if_there(&path)? else { return Ok(Bytes::new()) };
        let mut kept = Vec::new();
        file.take((MAC_BYTES + MAX_FUNCTIONS_BYTES) as u64).read_to_end(&mut kept)?;
        let authentic = kept.split_first_chunk::<MAC_BYTES>().is_some_and(|(tag, functions)| {
            let checked = self.functions_mac(compatibility, functions).verify_slice(tag);
            checked.is_ok() || crate::mutation::off("cache.mac")
        });
        if authentic {
            return Ok(Bytes::from(kept).slice(MAC_BYTES..));
        }
        tracing::error!(path = %path.display(), "kept functions were changed or are incomplete; they are removed and compiled again");
        remove_if_there(&path)?;
        Ok(Bytes::new())
    }

    /// Keeps functions for the next compile, in the place of those that were kept. Blocks.
    pub(super) fn keep_functions(&self, compatibility: Compatibility, functions: &[u8]) -> io::Result<()> {
        seal(&self.functions_path(compatibility), self.functions_mac(compatibility, functions), functions)
    }

    fn functions_path(&self, compatibility: Compatibility) -> PathBuf {
        self.directory.join(format!("functions-{compatibility}.kept"))
    }

    fn functions_mac(&self, compatibility: Compatibility, functions: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed(FUNCTIONS_DOMAIN);
        mac.update(compatibility.as_bytes());
        mac.update(functions);
        mac
    }

    fn keyed(&self, domain: &[u8]) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose_secret()).expect("HMAC takes keys of any length");
        mac.update(domain);
        mac
    }

    fn mac(&self, digest: &Digest, compatibility: Compatibility, json: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed(DOMAIN);
        mac.update(digest.hex().as_bytes());
        mac.update(compatibility.as_bytes());
        mac.update(&(json.len() as u64).to_le_bytes());
        mac.update(json);
        mac
    }

    fn path(&self, digest: &Digest, compatibility: Compatibility, extension: &str) -> PathBuf {
        self.directory.join(format!("{}-{compatibility}.{extension}", digest.hex()))
    }

    fn temporary(&self) -> io::Result<NamedTempFile> {
        tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.directory)
    }

    /// Components whose files were all made at `before` or earlier. One that shares code has a MAC of its own.
    pub(super) fn settled(&self, before: SystemTime) -> io::Result<BTreeSet<Digest>> {
        let (mut found, mut young) = (BTreeSet::new(), BTreeSet::new());
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let Some(digest) = digest_of(&entry) else { continue };
            match entry.metadata().and_then(|metadata| metadata.modified()) {
                Ok(made) if made <= before => drop(found.insert(digest)),
                Ok(_) => drop(young.insert(digest)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&found - &young)
    }

    /// Removes all files of these components; returns how many bytes they had. Who has mapped one keeps what it is mapped to.
    pub(super) fn remove(&self, doomed: &[Digest]) -> io::Result<u64> {
        let mut bytes = 0;
        if doomed.is_empty() {
            return Ok(bytes);
        }
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if digest_of(&entry).is_some_and(|digest| doomed.contains(&digest)) {
                bytes += entry.metadata().map_or(0, |metadata| metadata.len());
                remove_if_there(&entry.path())?;
            }
        }
        Ok(bytes)
    }

    fn remove_leftovers(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let ours = entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes());
            // A lock that cannot be had is that of a process that still writes.
            if ours && open_if_there(&entry.path())?.is_some_and(|file| file.try_lock().is_ok()) {
                remove_if_there(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// The component that a file is of, if it is complete.
fn digest_of(entry: &DirEntry) -> Option<Digest> {
    let name = entry.file_name();
    let (hex, _) = name.to_str()?.split_once('-')?;
    format!("sha256:{hex}").parse().ok()
}

/// An artifact that is being written.
#[derive(Debug)]
pub(super) struct PendingArtifact {
    file: tokio::fs::File,
    temporary: tempfile::TempPath,
    mac: Hmac<Sha256>,
    json: Vec<u8>,
    artifact_path: PathBuf,
    mac_path: PathBuf,
}

impl PendingArtifact {
    /// Appends a piece.
    pub(super) async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.mac.update(piece);
        tokio::io::AsyncWriteExt::write_all(&mut self.file, piece).await
    }

    /// Makes it durable and visible: the artifact first, so that a MAC never lacks what it covers.
    pub(super) async fn keep(self) -> io::Result<()> {
        let mut file = self.file;
        tokio::io::AsyncWriteExt::flush(&mut file).await?;
        let file = file.into_std().await;
        let keep = move || {
            file.sync_all()?;
            self.temporary.persist(&self.artifact_path)?;
            seal(&self.mac_path, self.mac, &self.json)
        };
        tokio::task::spawn_blocking(keep).await.map_err(io::Error::other)?
    }
}

/// Writes a MAC and bytes that it covers.
fn seal(path: &Path, mac: Hmac<Sha256>, json: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut seal = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(directory)?;
    seal.as_file().try_lock()?;
    seal.write_all(&mac.finalize().into_bytes())?;
    seal.write_all(json)?;
    seal.as_file().sync_all()?;
    seal.persist(path)?;
    File::open(directory)?.sync_all()
}

fn for_each_piece(file: &mut File, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(()),
            read => take(&piece[..read]),
        }
    }
}

/// Maps an artifact whose MAC was just checked.
#[expect(unsafe_code, reason = "loading machine code is unsafe by nature; this is the only place that does it")]
fn map(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize_file` demands that the file holds what `precompile_component` made,
    // and that it is not changed while it is mapped.
    // - The only caller has just verified the file's MAC. The key is known to this host alone, and
    //   it makes MACs only in `PendingArtifact`, over bytes that came from the compiler's process,
    //   and in `share`, over bytes whose MAC it has just checked: the same binary with the same settings,
    //   which the compatibility value in the file's name and in the MAC ties to this build.
    // - Between the check and the mapping, and afterwards, only this user can reach the file: the
    //   directory is 0700 and owned by it, which `open` ensures. No code of this crate writes to
    //   an existing file in it; a concurrent compile replaces it by rename, with a file of which
    //   the same holds, and leaves the mapped inode as it is.
    // - Somebody with this user's rights could change it in between, and could as well write to
    //   this process's memory.
    unsafe { Component::deserialize_file(engine, path) }
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
