//! Ids as guests see them. An id of the host would let two components find out that they serve the
//! same org; a pseudonym is the same in all calls of one component and means nothing to another.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

/// The pseudonyms of one component.
pub(super) struct Pseudonyms {
    /// The MAC after the salt and the component's id, which are the same for every id. Three ids
    /// are replaced in each call, and preparing the key is most of the work.
    keyed: Hmac<Sha256>,
}

impl Pseudonyms {
    pub(super) fn new(salt: &[u8; 32], component: &str) -> Self {
        let mut keyed = Hmac::<Sha256>::new_from_slice(salt).expect("HMAC takes keys of any length");
        keyed.update(component.as_bytes());
        keyed.update(&[0]);
        Self { keyed }
    }

    /// 32 hex digits for the id that is written as `prefix`, an underscore and the digits of `uuid`.
    pub(super) fn of(&self, prefix: &str, uuid: Uuid) -> String {
        let mut mac = self.keyed.clone();
        mac.update(prefix.as_bytes());
        mac.update(b"_");
        mac.update(uuid.simple().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
        let tag = mac.finalize().into_bytes();
        let mut half = [0; 16];
        half.copy_from_slice(&tag[..16]);
        Uuid::from_bytes(half).simple().encode_lower(&mut Uuid::encode_buffer()).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guests keep data under their pseudonyms, so these must never change. The expected values
    /// are HMAC-SHA256 over component, zero byte and id, computed elsewhere.
    #[test]
    fn pseudonyms_last_and_differ_by_component_and_kind() {
        let id = Uuid::from_u128(2);
        let echo = Pseudonyms::new(&[9; 32], "echo");
        assert_eq!(echo.of("session", id), "e1831dff02d14024fbaf4980facc8a2d");
        assert_eq!(echo.of("turn", id), "9bb31a5ddb5f8efaeef540282149b704");
        assert_eq!(Pseudonyms::new(&[9; 32], "other").of("session", id), "9d33f3beefe67a7399c89d1a1f06ac09");
    }
}
