//! Sealing and opening of values.

use std::sync::OnceLock;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

use super::key::{KEY_BYTES, Keyring, MasterKey};
use crate::error::{Error, ErrorKind};
use crate::id::OrgId;

/// Version of the stored form.
const VERSION: u8 = 1;
const ALGORITHM: &str = "AES-256-GCM";
/// Bytes of a nonce. Each data key encrypts one value; each wrapping has a random nonce, and an
/// installation has far fewer values than the 2^32 after which random nonces may meet.
const NONCE_BYTES: usize = 12;
/// Id of the key of a [`Cipher::ephemeral`].
const EPHEMERAL_KEY_ID: &str = "ephemeral";

/// Where a sealed value belongs: it opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The tenant.
    pub org: OrgId,
    /// Kind of row and field, for example "provider.api_key".
    pub field: &'static str,
    /// Id of the row.
    pub row: Uuid,
}

impl Place {
    /// The associated data of the value or, with another purpose, of its data key. All parts but
    /// the field have a fixed length, and the field is last, so that no two places are the same
    /// bytes.
    fn bind(&self, purpose: &str) -> Vec<u8> {
        let mut bound = Vec::with_capacity(64);
        bound.extend_from_slice(purpose.as_bytes());
        bound.push(VERSION);
        bound.extend_from_slice(self.org.uuid().as_bytes());
        bound.extend_from_slice(self.row.as_bytes());
        bound.extend_from_slice(self.field.as_bytes());
        bound
    }
}

/// A value that only a [`Cipher`] with the right key opens, as it is stored. All binary parts are
/// base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// Version of this form.
    version: u8,
    /// How it is encrypted.
    alg: String,
    /// The master key.
    key_id: String,
    /// Nonce and encrypted data key.
    dek_wrapped: String,
    /// Nonce of the value.
    nonce: String,
    /// The encrypted value with its tag.
    ciphertext: String,
}

impl Sealed {
    /// Id of the master key that it needs.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }
}

/// Why a value cannot be sealed or opened. Says nothing about the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The master key is not there.
    #[error("the secret is encrypted with master key {key_id:?}, which this installation does not have; give it as a previous key")]
    UnknownKey {
        /// Id of the missing key.
        key_id: String,
    },
    /// The form is of another version.
    #[error("the secret is stored as {0}, which this version of the program does not know")]
    UnknownForm(String),
    /// It was changed, or belongs to another place, or the key is another one of the same id.
    #[error(
        "the secret cannot be decrypted: it was changed, or does not belong here, or master key {key_id:?} is not the one that encrypted it"
    )]
    Broken {
        /// Id of the key.
        key_id: String,
    },
    /// The system gives no random numbers.
    #[error("the system gives no randomness")]
    NoRandomness,
    /// The value is too large for the algorithm.
    #[error("the secret is too large to be encrypted")]
    TooLarge,
}

impl SecretError {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge => ErrorKind::Limit,
            Self::UnknownKey { .. } | Self::UnknownForm(_) | Self::Broken { .. } | Self::NoRandomness => ErrorKind::Internal,
        }
    }
}

impl From<SecretError> for Error {
    fn from(error: SecretError) -> Self {
        match error.kind() {
            ErrorKind::Limit => Self::Limit(error.to_string()),
            _ => Self::Internal(error.to_string()),
        }
    }
}

/// Seals and opens values with the master keys of an installation.
#[derive(Debug, Default)]
pub struct Cipher {
    keyring: OnceLock<Keyring>,
}

impl Cipher {
    /// A cipher with these keys.
    pub fn new(keyring: Keyring) -> Self {
        Self { keyring: OnceLock::from(keyring) }
    }

    /// A cipher with a random key that is gone with the value, for stores that are gone with the
    /// process.
    pub fn ephemeral() -> Self {
        Self::default()
    }

    /// Encrypts a value for a place.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn seal(&self, value: &SecretString, place: &Place) -> Result<Sealed, SecretError> {
        let master = self.keyring()?.current();
        let data_key = Zeroizing::new(random::<KEY_BYTES>()?);
        let (nonce, ciphertext) = encrypt(&data_key, value.expose_secret().as_bytes(), &place.bind("value"))?;
        let (wrap_nonce, wrapped) = encrypt(master.bytes(), data_key.as_slice(), &place.bind("data-key"))?;
        Ok(Sealed {
            version: VERSION,
            alg: ALGORITHM.to_owned(),
            key_id: master.id().to_owned(),
            dek_wrapped: STANDARD.encode([&wrap_nonce[..], &wrapped].concat()),
            nonce: STANDARD.encode(nonce),
            ciphertext: STANDARD.encode(ciphertext),
        })
    }

    /// Decrypts a value of a place.
    ///
    /// # Errors
    /// If the key is missing, or the value was not sealed with it for this place.
    pub fn open(&self, sealed: &Sealed, place: &Place) -> Result<SecretString, SecretError> {
        if sealed.version != VERSION || sealed.alg != ALGORITHM {
            return Err(SecretError::UnknownForm(format!("version {} with {:?}", sealed.version, sealed.alg)));
        }
        let master = self.keyring()?.find(&sealed.key_id).ok_or_else(|| SecretError::UnknownKey { key_id: sealed.key_id.clone() })?;
        let value = open_with(master, sealed, place).ok_or_else(|| SecretError::Broken { key_id: sealed.key_id.clone() })?;
        Ok(value.into())
    }

    /// Whether a value is sealed with the current master key.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn is_current(&self, sealed: &Sealed) -> Result<bool, SecretError> {
        Ok(self.keyring()?.current().id() == sealed.key_id)
    }

    fn keyring(&self) -> Result<&Keyring, SecretError> {
        if let Some(keyring) = self.keyring.get() {
            return Ok(keyring);
        }
        let key = MasterKey::random(EPHEMERAL_KEY_ID).map_err(|_| SecretError::NoRandomness)?;
        let keyring = Keyring::new(key, []).expect("one key has no other of its id");
        Ok(self.keyring.get_or_init(|| keyring))
    }
}

/// None if anything does not fit; which part it was would help nobody but an attacker.
fn open_with(master: &MasterKey, sealed: &Sealed, place: &Place) -> Option<String> {
    let wrapped = STANDARD.decode(&sealed.dek_wrapped).ok()?;
    let (wrap_nonce, wrapped) = wrapped.split_first_chunk::<NONCE_BYTES>()?;
    let data_key = Zeroizing::new(decrypt(master.bytes(), wrap_nonce, wrapped, &place.bind("data-key"))?);
    let data_key: &[u8; KEY_BYTES] = data_key.as_slice().try_into().ok()?;
    let nonce: [u8; NONCE_BYTES] = STANDARD.decode(&sealed.nonce).ok()?.try_into().ok()?;
    let value = decrypt(data_key, &nonce, &STANDARD.decode(&sealed.ciphertext).ok()?, &place.bind("value"))?;
    String::from_utf8(value).map_err(|error| error.into_bytes().zeroize()).ok()
}

fn random<const N: usize>() -> Result<[u8; N], SecretError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| SecretError::NoRandomness)?;
    Ok(bytes)
}

fn encrypt(key: &[u8; KEY_BYTES], message: &[u8], bound: &[u8]) -> Result<([u8; NONCE_BYTES], Vec<u8>), SecretError> {
    let nonce = random::<NONCE_BYTES>()?;
    let sealed = Aes256Gcm::new(key.into()).encrypt(&nonce.into(), Payload { msg: message, aad: bound });
    Ok((nonce, sealed.map_err(|_| SecretError::TooLarge)?))
}

fn decrypt(key: &[u8; KEY_BYTES], nonce: &[u8; NONCE_BYTES], sealed: &[u8], bound: &[u8]) -> Option<Vec<u8>> {
    Aes256Gcm::new(key.into()).decrypt(nonce.into(), Payload { msg: sealed, aad: bound }).ok()
}
