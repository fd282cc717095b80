//! Secrets that an org stores for its components, under a name.

use jiff::Timestamp;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Cipher, Place, Sealed, SecretError};
use crate::id::OrgId;

/// A secret that an org stores under a name. A grant binds it to a name that a component asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct OrgSecret {
    /// Name: `[a-z][a-z0-9_-]*`, at most 64 bytes; unique in the org.
    pub name: String,
    /// The value.
    pub value: Sealed,
    /// When it was added.
    pub created_at: Timestamp,
    /// When its value was last replaced.
    pub updated_at: Timestamp,
}

impl OrgSecret {
    /// Seals the value of a new secret.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub async fn seal(cipher: &Cipher, org: OrgId, name: &str, value: &SecretString, now: Timestamp) -> Result<Self, SecretError> {
        let value = cipher.seal(value, &place(org, name)).await?;
        Ok(Self { name: name.to_owned(), value, created_at: now, updated_at: now })
    }

    /// Its value.
    ///
    /// # Errors
    /// If it does not open.
    pub async fn open(&self, cipher: &Cipher, org: OrgId) -> Result<SecretString, SecretError> {
        cipher.open(&self.value, &place(org, &self.name)).await
    }

    /// Seals it again with the current master key; says whether that was needed.
    ///
    /// # Errors
    /// If it does not open.
    pub async fn reseal(&mut self, cipher: &Cipher, org: OrgId) -> Result<bool, SecretError> {
        if cipher.is_current(&self.value)? {
            return Ok(false);
        }
        self.value = cipher.seal(&self.open(cipher, org).await?, &place(org, &self.name)).await?;
        Ok(true)
    }
}

fn place(org: OrgId, name: &str) -> Place<'static> {
    let digest = Sha256::digest(name.as_bytes());
    let mut row = [0; 16];
    row.copy_from_slice(&digest[..16]);
    Place { org, field: "org.secret", row: Uuid::from_bytes(row) }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[tokio::test]
    async fn an_org_secret_opens_in_its_org_and_under_its_name_only() {
        let (cipher, org) = (Cipher::ephemeral(), OrgId::from_uuid(Uuid::from_u128(1)));
        let own = OrgSecret::seal(&cipher, org, "a", &"planted".into(), Timestamp::UNIX_EPOCH).await.expect("it is sealed");
        assert!(!format!("{own:?}").contains("planted"), "{own:?}");
        assert_eq!(own.open(&cipher, org).await.expect("it opens").expose_secret(), "planted");
        assert!(own.open(&cipher, OrgId::from_uuid(Uuid::from_u128(2))).await.is_err());
        assert!(OrgSecret { name: "b".to_owned(), ..own }.open(&cipher, org).await.is_err());
    }
}
