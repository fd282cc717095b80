//! Sealing and opening of values.

use std::fmt;
use std::sync::{Arc, OnceLock};

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

use super::key::{KEY_BYTES, Keyring, MasterKey};
use crate::error::{Error, ErrorKind};
use crate::id::OrgId;
use crate::mutation::off;

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
pub struct Place<'a> {
    /// The tenant.
    pub org: OrgId,
    /// Kind of row and field, for example "provider.api_key".
    pub field: &'a str,
    /// Id of the row.
    pub row: Uuid,
}

impl Place<'_> {
    /// The associated data of the value or, with another purpose, of its data key. All parts but
    /// the field have a fixed length, and the field is last, so that no two places are the same
    /// bytes.
    fn bind(&self, purpose: &str) -> Vec<u8> {
        if off("secret.sealed_place") {
            return Vec::new();
        }
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
    /// Whoever has the master keys does not answer.
    #[error("whoever has the master keys does not answer: {0}")]
    Unavailable(String),
    /// Whoever has the master keys does not give the data key.
    #[error("the data key of the secret is not given: {0}")]
    Refused(String),
}

impl SecretError {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge => ErrorKind::Limit,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::Refused(_) | Self::UnknownKey { .. } | Self::UnknownForm(_) | Self::Broken { .. } | Self::NoRandomness => {
                ErrorKind::Internal
            }
        }
    }
}

impl From<SecretError> for Error {
    fn from(error: SecretError) -> Self {
        match error.kind() {
            ErrorKind::Limit => Self::Limit(error.to_string()),
            ErrorKind::Unavailable => Self::Unavailable(error.to_string()),
            _ => Self::Internal(error.to_string()),
        }
    }
}

/// The key of one value. Its `Debug` shows nothing; it is wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey(Zeroizing<[u8; KEY_BYTES]>);

impl DataKey {
    /// The key in base64.
    pub fn to_text(&self) -> SecretString {
        STANDARD.encode(self.0.as_slice()).into()
    }

    /// The key that a text is; none if it is none.
    pub fn from_text(text: &SecretString) -> Option<Self> {
        Self::of(&Zeroizing::new(STANDARD.decode(text.expose_secret()).ok()?))
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey")
    }
}

/// A data key as it is stored: only the master key opens it, for one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrappedKey {
    /// The master key.
    pub key_id: String,
    /// Nonce and encrypted data key, in base64.
    pub wrapped: String,
}

/// Makes and unwraps data keys elsewhere, where the master keys are.
#[async_trait]
pub trait DataKeys: Send + Sync + fmt::Debug {
    /// A new data key for a place.
    ///
    /// # Errors
    /// `Unavailable` or `Refused`.
    async fn make(&self, place: &Place<'_>) -> Result<(DataKey, WrappedKey), SecretError>;

    /// The data key that was wrapped for a place.
    ///
    /// # Errors
    /// `Unavailable` or `Refused`.
    async fn unwrap(&self, wrapped: &WrappedKey, place: &Place<'_>) -> Result<DataKey, SecretError>;
}

/// Seals and opens values of an installation.
#[derive(Debug)]
pub struct Cipher {
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    /// Empty until an ephemeral key is needed.
    Own(OnceLock<Keyring>),
    Elsewhere(Arc<dyn DataKeys>),
}

impl Cipher {
    /// A cipher with these master keys.
    pub fn new(keyring: Keyring) -> Self {
        Self { keys: Keys::Own(OnceLock::from(keyring)) }
    }

    /// A cipher without master keys, which has somebody else make and unwrap its data keys.
    pub fn without_master_keys(data_keys: Arc<dyn DataKeys>) -> Self {
        Self { keys: Keys::Elsewhere(data_keys) }
    }

    /// A cipher with a random key that is gone with the value, for stores that are gone with the
    /// process.
    pub fn ephemeral() -> Self {
        Self { keys: Keys::Own(OnceLock::new()) }
    }

    /// Encrypts a value for a place.
    ///
    /// # Errors
    /// If the system gives no randomness, or there is no data key to be had.
    pub async fn seal(&self, value: &SecretString, place: &Place<'_>) -> Result<Sealed, SecretError> {
        let (data_key, WrappedKey { key_id, wrapped }) = self.make_data_key(place).await?;
        let (nonce, ciphertext) = encrypt(&data_key.0, value.expose_secret().as_bytes(), &place.bind("value"))?;
        Ok(Sealed {
            version: VERSION,
            alg: ALGORITHM.to_owned(),
            key_id,
            dek_wrapped: wrapped,
            nonce: STANDARD.encode(nonce),
            ciphertext: STANDARD.encode(ciphertext),
        })
    }

    /// Decrypts a value of a place.
    ///
    /// # Errors
    /// If the key is missing or not given, or the value was not sealed with it for this place.
    pub async fn open(&self, sealed: &Sealed, place: &Place<'_>) -> Result<SecretString, SecretError> {
        if sealed.version != VERSION || sealed.alg != ALGORITHM {
            return Err(SecretError::UnknownForm(format!("version {} with {:?}", sealed.version, sealed.alg)));
        }
        let wrapped = WrappedKey { key_id: sealed.key_id.clone(), wrapped: sealed.dek_wrapped.clone() };
        let data_key = self.unwrap_data_key(&wrapped, place).await?;
        let value = open_with(&data_key, sealed, place).ok_or_else(|| SecretError::Broken { key_id: sealed.key_id.clone() })?;
        Ok(value.into())
    }

    /// A new data key for a place, which encrypts one value.
    ///
    /// # Errors
    /// If the system gives no randomness, or there is none to be had.
    pub async fn make_data_key(&self, place: &Place<'_>) -> Result<(DataKey, WrappedKey), SecretError> {
        let master = match &self.keys {
            Keys::Own(own) => keyring(own)?.current(),
            Keys::Elsewhere(elsewhere) => return elsewhere.make(place).await,
        };
        let data_key = DataKey(Zeroizing::new(random::<KEY_BYTES>()?));
        let (nonce, wrapped) = encrypt(master.bytes(), data_key.0.as_slice(), &place.bind("data-key"))?;
        let wrapped = STANDARD.encode([&nonce[..], &wrapped].concat());
        Ok((data_key, WrappedKey { key_id: master.id().to_owned(), wrapped }))
    }

    /// The data key that was wrapped for a place.
    ///
    /// # Errors
    /// If the master key is missing, the data key was wrapped for another place, or it is not given.
    pub async fn unwrap_data_key(&self, wrapped: &WrappedKey, place: &Place<'_>) -> Result<DataKey, SecretError> {
        let key_id = &wrapped.key_id;
        let master = match &self.keys {
            Keys::Own(own) => keyring(own)?.find(key_id).ok_or_else(|| SecretError::UnknownKey { key_id: key_id.clone() })?,
            Keys::Elsewhere(elsewhere) => return elsewhere.unwrap(wrapped, place).await,
        };
        unwrap_with(master, &wrapped.wrapped, place).ok_or_else(|| SecretError::Broken { key_id: key_id.clone() })
    }

    /// Whether a value is sealed with the current master key.
    ///
    /// # Errors
    /// If the system gives no randomness; for a cipher without master keys.
    pub fn is_current(&self, sealed: &Sealed) -> Result<bool, SecretError> {
        match &self.keys {
            Keys::Own(own) => Ok(keyring(own)?.current().id() == sealed.key_id),
            Keys::Elsewhere(_) => Err(SecretError::Refused("only who has the master keys knows which of them is current".to_owned())),
        }
    }
}

impl Default for Cipher {
    fn default() -> Self {
        Self::ephemeral()
    }
}

fn keyring(own: &OnceLock<Keyring>) -> Result<&Keyring, SecretError> {
    if let Some(keyring) = own.get() {
        return Ok(keyring);
    }
    let key = MasterKey::random(EPHEMERAL_KEY_ID).map_err(|_| SecretError::NoRandomness)?;
    let keyring = Keyring::new(key, []).expect("one key has no other of its id");
    Ok(own.get_or_init(|| keyring))
}

/// None if anything does not fit; which part it was would help nobody but an attacker.
fn unwrap_with(master: &MasterKey, wrapped: &str, place: &Place<'_>) -> Option<DataKey> {
    let wrapped = STANDARD.decode(wrapped).ok()?;
    let (nonce, wrapped) = wrapped.split_first_chunk::<NONCE_BYTES>()?;
    DataKey::of(&Zeroizing::new(decrypt(master.bytes(), nonce, wrapped, &place.bind("data-key"))?))
}

/// As [`unwrap_with`].
fn open_with(data_key: &DataKey, sealed: &Sealed, place: &Place<'_>) -> Option<String> {
    let nonce: [u8; NONCE_BYTES] = STANDARD.decode(&sealed.nonce).ok()?.try_into().ok()?;
    let value = decrypt(&data_key.0, &nonce, &STANDARD.decode(&sealed.ciphertext).ok()?, &place.bind("value"))?;
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
