//! The master keys of an installation: from the configuration, else from a file of the data
//! directory that is made at the first start.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use everwit_runtime::secret::{Cipher, Keyring, MasterKey};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::data_dir::DataDir;
use crate::random;

const FILE: &str = "master.key";
/// What a rotation writes before it replaces the file.
const NEW_FILE: &str = "master.key.new";
const PRIVATE_FILE: u32 = 0o600;
/// Largest key file, in bytes: far more keys than one rotation has.
const MAX_FILE_BYTES: u64 = 16 << 10;

/// Options of commands that work with encrypted values.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct EncryptionArgs {
    /// Master key that encrypts credentials, as ID:BASE64 of 32 bytes; without it the data
    /// directory has one. Better given by the environment than by the flag.
    #[arg(long, env = "EVERWIT_ENCRYPTION_KEY", hide_env_values = true, value_name = "KEY")]
    encryption_key: Option<SecretString>,
    /// Master keys of before, which still decrypt, separated by commas.
    #[arg(long, env = "EVERWIT_ENCRYPTION_KEY_PREVIOUS", hide_env_values = true, value_delimiter = ',', value_name = "KEY")]
    encryption_key_previous: Vec<SecretString>,
}

/// Where the current master key comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// The configuration.
    Configured,
    /// The data directory.
    File,
}

/// The master keys of an installation.
#[derive(Debug)]
pub(crate) struct MasterKeys {
    configured: Option<MasterKey>,
    previous: Vec<MasterKey>,
    /// Those of the file; the first one is its current key, the others wait for the end of a
    /// rotation.
    in_file: Vec<MasterKey>,
    file: KeyFile,
}

impl MasterKeys {
    /// Reads the keys; makes the file if there is no key anywhere.
    ///
    /// # Errors
    /// If a key is malformed, or the file cannot be used or can be read by others.
    pub(crate) fn load(args: &EncryptionArgs, dir: &DataDir) -> anyhow::Result<Self> {
        let parse =
            |flag: &str, text: &SecretString| text.expose_secret().parse::<MasterKey>().with_context(|| format!("{flag} cannot be used"));
        let configured = args.encryption_key.as_ref().map(|text| parse("the encryption key", text)).transpose()?;
        let previous =
            args.encryption_key_previous.iter().map(|text| parse("a previous encryption key", text)).collect::<anyhow::Result<Vec<_>>>()?;
        let file = KeyFile { dir: dir.path().to_owned() };
        let mut in_file = file.read()?;
        if configured.is_none() && in_file.is_empty() {
            in_file = vec![new_key()?];
            file.create(&in_file[0])?;
            in_file = file.read()?;
        }
        Ok(Self { configured, previous, in_file, file })
    }

    /// Whether there is a key: without one, [`Self::load`] makes one.
    pub(crate) fn exist(args: &EncryptionArgs, dir: &Path) -> bool {
        args.encryption_key.is_some() || dir.join(FILE).exists()
    }

    /// Where the current key comes from.
    pub(crate) fn source(&self) -> KeySource {
        if self.configured.is_some() { KeySource::Configured } else { KeySource::File }
    }

    /// The cipher with all keys.
    ///
    /// # Errors
    /// If different keys have the same id.
    pub(crate) fn cipher(&self) -> anyhow::Result<Cipher> {
        let mut keys = self.configured.iter().chain(&self.in_file).chain(&self.previous).cloned();
        let current = keys.next().context("there is no master key")?;
        Ok(Cipher::new(Keyring::new(current, keys)?))
    }

    /// Puts a new key in front of those of the file, unless a rotation before this one did and
    /// was not finished.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn begin_rotation(&mut self) -> anyhow::Result<()> {
        if self.in_file.len() <= 1 {
            self.in_file.insert(0, new_key()?);
            self.file.replace(&self.in_file)?;
        }
        Ok(())
    }

    /// Forgets the keys of the file that nothing needs any more.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn finish_rotation(&mut self) -> anyhow::Result<()> {
        self.in_file.truncate(1);
        self.file.replace(&self.in_file)
    }
}

fn new_key() -> anyhow::Result<MasterKey> {
    let suffix: String = random::secret_bytes()?.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    Ok(MasterKey::random(&format!("kek-{suffix}"))?)
}

/// The file with the keys, one a line, the current one first.
#[derive(Debug)]
struct KeyFile {
    dir: PathBuf,
}

impl KeyFile {
    fn path(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// Its keys; none if it does not exist.
    fn read(&self) -> anyhow::Result<Vec<MasterKey>> {
        let path = self.path();
        let shown = path.display();
        let metadata = match std::fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("cannot use {shown}")),
        };
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            bail!("{shown} has mode {mode:o}, so that others can get at the master key\nto fix it: chmod 600 {shown}");
        }
        if metadata.len() > MAX_FILE_BYTES {
            bail!("{shown} has {} bytes; a key file has at most {MAX_FILE_BYTES}", metadata.len());
        }
        let text = Zeroizing::new(std::fs::read_to_string(&path).with_context(|| format!("cannot read {shown}"))?);
        let keys: Result<Vec<MasterKey>, _> = text.lines().filter(|line| !line.trim().is_empty()).map(str::parse).collect();
        let keys = keys.with_context(|| format!("{shown} is broken"))?;
        if keys.is_empty() {
            bail!("{shown} is empty; put its backup back: without the key, stored credentials are lost");
        }
        Ok(keys)
    }

    /// Creates it, complete or not at all; a file that appeared in the meantime stays.
    fn create(&self, key: &MasterKey) -> anyhow::Result<()> {
        let new = self.write_new(std::slice::from_ref(key))?;
        let linked = std::fs::hard_link(&new, self.path());
        std::fs::remove_file(&new).with_context(|| format!("cannot remove {}", new.display()))?;
        match linked {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked.with_context(|| format!("cannot create {}", self.path().display())),
        }
    }

    fn replace(&self, keys: &[MasterKey]) -> anyhow::Result<()> {
        let new = self.write_new(keys)?;
        std::fs::rename(&new, self.path()).with_context(|| format!("cannot replace {}", self.path().display()))
    }

    /// Writes the keys to a file of their own, down to the disk.
    fn write_new(&self, keys: &[MasterKey]) -> anyhow::Result<PathBuf> {
        let path = self.dir.join(format!("{NEW_FILE}.{}", std::process::id()));
        let write = |path: &Path| {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(PRIVATE_FILE).open(path)?;
            for key in keys {
                file.write_all(key.to_text().as_bytes())?;
                file.write_all(b"\n")?;
            }
            file.sync_all()
        };
        write(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> (tempfile::TempDir, DataDir) {
        let parent = tempfile::tempdir().unwrap();
        let dir = DataDir::create(&parent.path().join("data")).unwrap();
        (parent, dir)
    }

    fn configured(current: &MasterKey) -> EncryptionArgs {
        EncryptionArgs { encryption_key: Some(SecretString::from(current.to_text().as_str())), encryption_key_previous: Vec::new() }
    }

    #[test]
    fn the_file_is_made_once_private_and_stays() {
        let (_parent, dir) = dir();
        let first = MasterKeys::load(&EncryptionArgs::default(), &dir).unwrap();
        assert_eq!(std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode() & 0o777, PRIVATE_FILE);
        let second = MasterKeys::load(&EncryptionArgs::default(), &dir).unwrap();
        assert_eq!(first.in_file[0].to_text(), second.in_file[0].to_text());
        assert_eq!((second.source(), std::fs::read_dir(dir.path()).unwrap().count()), (KeySource::File, 1));
    }

    #[test]
    fn a_configured_key_is_current_and_makes_no_file() {
        let (_parent, dir) = dir();
        let key = MasterKey::random("kek-v1").unwrap();
        let keys = MasterKeys::load(&configured(&key), &dir).unwrap();
        assert_eq!((keys.source(), keys.in_file.len()), (KeySource::Configured, 0));
        assert!(!dir.path().join(FILE).exists());
        assert!(!format!("{:?} {keys:?}", configured(&key)).contains(&key.to_text()[7..]));
    }

    #[test]
    fn a_broken_open_or_empty_file_is_refused() {
        let (_parent, dir) = dir();
        let path = dir.path().join(FILE);
        let refusal = || format!("{:#}", MasterKeys::load(&EncryptionArgs::default(), &dir).unwrap_err());
        std::fs::write(&path, "kek-v1:AAAA\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(refusal().contains("chmod 600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(refusal().contains("is broken"));
        std::fs::write(&path, "\n").unwrap();
        assert!(refusal().contains("is empty"));
    }

    #[test]
    fn a_rotation_that_was_cut_off_goes_on_with_its_new_key() {
        let (_parent, dir) = dir();
        let load = || MasterKeys::load(&EncryptionArgs::default(), &dir).unwrap();
        let old = load().in_file[0].id().to_owned();
        load().begin_rotation().unwrap();
        let mut again = load();
        again.begin_rotation().unwrap();
        let ids: Vec<String> = load().in_file.iter().map(|key| key.id().to_owned()).collect();
        assert_eq!((ids.len(), &ids[1]), (2, &old));
        again.finish_rotation().unwrap();
        assert_eq!((load().in_file.len(), load().in_file[0].id()), (1, ids[0].as_str()));
    }
}
