//! Signatures of components: an org names the keys that it trusts, and decides what becomes of a
//! component that none of them has signed.
//!
//! What is signed is the text `everwit component signature v1`, a line feed, and the component's digest as it is
//! written everywhere, `sha256:` and 64 hexadecimal digits. Keys are Ed25519.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Digest;
use crate::mutation::off;

/// What a signature is for, so that it is good for nothing else.
const PURPOSE: &str = "everwit component signature v1";
/// Keys that one org trusts at most.
pub const MAX_TRUSTED_KEYS: usize = 16;
/// Bytes of a public key.
const PUBLIC_KEY_BYTES: usize = 32;
/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 64;
/// First and last line of a private key in a file, as OpenSSL writes it.
const PEM: [&str; 2] = ["-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"];

/// What becomes of components that no trusted key has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SignaturePolicy {
    /// Nobody looks.
    #[default]
    Off,
    /// The report of the upload says so.
    Warn,
    /// They are not stored, and versions that were are not activated.
    Require,
}

/// A key that an org trusts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// Who signs with it, for reports: 1 to 64 bytes.
    pub name: String,
    /// The 32 bytes of an Ed25519 public key, in base64.
    pub public_key: String,
}

/// What an org says about signatures.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignatureSettings {
    /// What becomes of what is not signed.
    pub policy: SignaturePolicy,
    /// At most 16.
    #[serde(default)]
    pub keys: Vec<TrustedKey>,
}

/// What becomes of a component, by the settings of its org.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement<'a> {
    /// The org does not ask who signed it.
    NotAsked,
    /// The key of this name signed it.
    Signed(&'a str),
    /// It counts as not signed, which the org wants to be told.
    Warned(Unsigned),
    /// It counts as not signed, and the org uses nothing of that kind.
    Refused(Unsigned),
}

/// Why a component counts as not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// It came without a signature.
    #[error("it came without a signature")]
    Absent,
    /// What came is no signature; see [`is_signature`].
    #[error("its signature is not {SIGNATURE_BYTES} bytes in base64")]
    Malformed,
    /// No key of the org made the signature, or it is of other bytes.
    #[error("none of the keys that the org trusts made its signature, or they signed other bytes")]
    Untrusted,
}

impl TrustedKey {
    /// Whether the public key has the form of one.
    pub fn is_well_formed(&self) -> bool {
        STANDARD.decode(&self.public_key).is_ok_and(|bytes| bytes.len() == PUBLIC_KEY_BYTES)
    }

    fn made(&self, signature: &[u8], digest: Digest) -> bool {
        let Ok(key) = STANDARD.decode(&self.public_key) else { return false };
        UnparsedPublicKey::new(&ED25519, key).verify(message(digest).as_bytes(), signature).is_ok()
    }
}

impl SignatureSettings {
    /// Judges the component with this digest, both when it is uploaded and when a version is activated; `signature`
    /// is in base64.
    pub fn judge(&self, digest: Digest, signature: Option<&str>) -> Judgement<'_> {
        match (self.policy, self.signer(digest, signature)) {
            (SignaturePolicy::Off, _) => Judgement::NotAsked,
            (_, Ok(name)) => Judgement::Signed(name),
            (SignaturePolicy::Require, Err(unsigned)) if !off("signature.policy") => Judgement::Refused(unsigned),
            (_, Err(unsigned)) => Judgement::Warned(unsigned),
        }
    }

    /// The name of the key that signed the component with this digest; `signature` is in base64.
    ///
    /// # Errors
    /// Why it counts as not signed.
    pub fn signer(&self, digest: Digest, signature: Option<&str>) -> Result<&str, Unsigned> {
        let signature = decoded(signature.ok_or(Unsigned::Absent)?).ok_or(Unsigned::Malformed)?;
        let made = |key: &&TrustedKey| key.made(&signature, digest) || off("signature.verification");
        self.keys.iter().find(made).map(|key| key.name.as_str()).ok_or(Unsigned::Untrusted)
    }
}

/// Whether a text has the form of a signature: 64 bytes in base64.
pub fn is_signature(text: &str) -> bool {
    decoded(text).is_some()
}

fn decoded(signature: &str) -> Option<Vec<u8>> {
    STANDARD.decode(signature).ok().filter(|bytes| bytes.len() == SIGNATURE_BYTES)
}

fn message(digest: Digest) -> String {
    format!("{PURPOSE}\n{digest}")
}

/// A private key, for whoever publishes components.
pub struct SigningKey(Ed25519KeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("public_key", &self.public_key()).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A new one.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn generate() -> Result<Self, String> {
        Ed25519KeyPair::generate().map(Self).map_err(|_| "the system gives no randomness".to_owned())
    }

    /// Reads it from a PEM file with PKCS8, such as `openssl genpkey -algorithm ed25519` writes.
    ///
    /// # Errors
    /// What is wrong with the file; nothing of it is shown.
    pub fn from_pem(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        if lines.next() != Some(PEM[0]) {
            return Err(format!("it does not begin with {}", PEM[0]));
        }
        let body: Zeroizing<String> = Zeroizing::new(lines.take_while(|line| *line != PEM[1]).collect());
        let der =
            Zeroizing::new(STANDARD.decode(body.as_bytes()).map_err(|_| "it is not base64 between its first and last line".to_owned())?);
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(Self).map_err(|_| "it has no Ed25519 key in PKCS8".to_owned())
    }

    /// The same file.
    ///
    /// # Errors
    /// If the key has no such form.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, String> {
        let der = self.0.to_pkcs8v1().map_err(|_| "the key has no PKCS8 form".to_owned())?;
        Ok(Zeroizing::new(format!("{}\n{}\n{}\n", PEM[0], STANDARD.encode(der.as_ref()), PEM[1])))
    }

    /// The public key in base64, for the settings of an org.
    pub fn public_key(&self) -> String {
        STANDARD.encode(self.0.public_key().as_ref())
    }

    /// The signature of a component, in base64.
    pub fn sign(&self, digest: Digest) -> String {
        STANDARD.encode(self.0.sign(message(digest).as_bytes()).as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of RFC 8032, section 7.1, test 1, in PKCS8.
    const KNOWN: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";
    const KNOWN_PUBLIC: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn settings(keys: &[&SigningKey]) -> SignatureSettings {
        let trusted = |(at, key): (usize, &&SigningKey)| TrustedKey { name: format!("key-{at}"), public_key: key.public_key() };
        SignatureSettings { policy: SignaturePolicy::Require, keys: keys.iter().enumerate().map(trusted).collect() }
    }

    #[test]
    fn a_key_is_read_as_openssl_writes_it_and_written_so() {
        let key = SigningKey::from_pem(KNOWN).unwrap();
        assert_eq!((key.public_key().as_str(), key.to_pem().unwrap().as_str()), (KNOWN_PUBLIC, KNOWN));
        assert!(!format!("{key:?}").contains("MC4CAQ"));
        for wrong in ["", "x", "-----BEGIN PRIVATE KEY-----\n??\n-----END PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\nAAAA\n"] {
            assert!(SigningKey::from_pem(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_signature_is_of_one_component_by_one_key() {
        let [own, other] = [(); 2].map(|()| SigningKey::generate().unwrap());
        let (digest, elsewhere) = (Digest::of(b"a"), Digest::of(b"b"));
        let signature = own.sign(digest);
        let signer = |keys: &[&SigningKey], digest, signature: Option<&str>| settings(keys).signer(digest, signature).map(str::to_owned);
        assert_eq!(signer(&[&other, &own], digest, Some(&signature)), Ok("key-1".to_owned()));
        assert_eq!(signer(&[&own], elsewhere, Some(&signature)), Err(Unsigned::Untrusted));
        assert_eq!(signer(&[&other], digest, Some(&signature)), Err(Unsigned::Untrusted));
        assert_eq!(signer(&[], digest, Some(&signature)), Err(Unsigned::Untrusted));
        assert_eq!(signer(&[&own], digest, None), Err(Unsigned::Absent));
        for malformed in ["", "AAAA", "?", &signature[..80]] {
            assert_eq!(signer(&[&own], digest, Some(malformed)), Err(Unsigned::Malformed), "{malformed:?}");
        }
        // A signature of the digest alone, as another program may make it, is none.
        let bare = STANDARD.encode(own.0.sign(digest.to_string().as_bytes()).as_ref());
        assert_eq!(signer(&[&own], digest, Some(&bare)), Err(Unsigned::Untrusted));
    }
}
