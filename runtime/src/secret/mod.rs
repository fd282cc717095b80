//! Secrets at rest, in envelope encryption with AES-256-GCM; and out of what leaves.
//!
//! Each value is encrypted under a data key of its own, which is random, used once, and stored
//! wrapped by a master key. Both encryptions are bound to the [`Place`] of the value, so that a
//! sealed value that was copied to another org, row or field does not open. Stores keep sealed
//! values only.

mod key;
mod org;
#[cfg_attr(not(feature = "sandbox"), expect(dead_code, reason = "streams and lines are looked through for components"))]
mod scrub;
mod seal;
mod spelling;

pub use key::{KeyError, Keyring, MasterKey};
pub use org::OrgSecret;
#[cfg(feature = "sandbox")]
pub(crate) use scrub::Scrubbed;
pub(crate) use scrub::{REDACTED, Scrubber};
pub use seal::{Cipher, DataKey, DataKeys, Place, Sealed, SecretError, WrappedKey};

#[cfg(test)]
mod tests;
