//! Master keys: what wraps the data keys of all sealed values.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;
/// Longest id of a master key, in bytes.
const MAX_KEY_ID_BYTES: usize = 64;

/// Why a text is no master key. Never shows the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The form is wrong.
    #[error("a master key is written ID:BASE64, for example kek-v1:… with the base64 of 32 random bytes (openssl rand -base64 32)")]
    Form,
    /// The id is wrong.
    #[error("the id of a master key has 1 to {MAX_KEY_ID_BYTES} characters out of a-z, 0-9 and -")]
    Id,
    /// The key has another size.
    #[error("a master key has {KEY_BYTES} bytes, not {0}; make one with: openssl rand -base64 32")]
    Size(usize),
    /// Two keys have the same id.
    #[error("two different master keys have the same id; give the new one another id, for example kek-v2")]
    SameId,
    /// The system gives no random numbers.
    #[error("the system gives no randomness")]
    NoRandomness,
}

/// A master key with its id. Its text form is `id:base64`; its `Debug` shows the id only. The key
/// is wiped from memory when it is dropped.
#[derive(Clone)]
pub struct MasterKey {
    id: String,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

impl MasterKey {
    /// A new random key.
    ///
    /// # Errors
    /// If the id cannot be one, or the system gives no randomness.
    pub fn random(id: &str) -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| KeyError::NoRandomness)?;
        Self::new(id, bytes)
    }

    fn new(id: &str, bytes: Zeroizing<[u8; KEY_BYTES]>) -> Result<Self, KeyError> {
        let usual = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if id.is_empty() || id.len() > MAX_KEY_ID_BYTES || !id.bytes().all(usual) {
            return Err(KeyError::Id);
        }
        Ok(Self { id: id.to_owned(), bytes })
    }

    /// Its id, which sealed values name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its text form, which contains the key.
    pub fn to_text(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(STANDARD.encode(self.bytes.as_slice()));
        Zeroizing::new(format!("{}:{}", self.id, encoded.as_str()))
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }
}

impl FromStr for MasterKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (id, encoded) = text.trim().split_once(':').ok_or(KeyError::Form)?;
        let decoded = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| KeyError::Form)?);
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        if decoded.len() != KEY_BYTES {
            return Err(KeyError::Size(decoded.len()));
        }
        bytes.copy_from_slice(&decoded);
        Self::new(id, bytes)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The master key that seals, and those of before that still open.
#[derive(Debug, Clone)]
pub struct Keyring {
    current: MasterKey,
    previous: Vec<MasterKey>,
}

impl Keyring {
    /// `current` seals; `previous` only open what they sealed. A key that is given twice counts
    /// once.
    ///
    /// # Errors
    /// If different keys have the same id.
    pub fn new(current: MasterKey, previous: impl IntoIterator<Item = MasterKey>) -> Result<Self, KeyError> {
        let mut ring = Self { current, previous: Vec::new() };
        for key in previous {
            match ring.find(&key.id) {
                None => ring.previous.push(key),
                Some(known) if known.bytes == key.bytes => {}
                Some(_) => return Err(KeyError::SameId),
            }
        }
        Ok(ring)
    }

    /// The key that seals.
    pub fn current(&self) -> &MasterKey {
        &self.current
    }

    /// A key by id.
    pub(super) fn find(&self, id: &str) -> Option<&MasterKey> {
        std::iter::once(&self.current).chain(&self.previous).find(|key| key.id == id)
    }
}
