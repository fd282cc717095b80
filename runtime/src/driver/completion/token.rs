//! Access tokens: short-lived, in memory only, one exchange for everybody who needs one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::driver::Access;
use crate::egress::ReuseKey;

/// Providers whose tokens are remembered.
const MAX_PROVIDERS: usize = 1_024;
/// A token is replaced this long before its end, so that it lasts for the request that it is for.
const MARGIN: Duration = Duration::from_secs(60);
/// Life of a token of which the vendor does not say how long it lives.
const UNKNOWN_LIFE: Duration = Duration::from_secs(300);
/// Longest life that is believed.
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);

/// Whose credentials they are, see [`super::exchange`].
pub(super) type Owner = ReuseKey;

/// What is known of one owner. Whoever holds it exchanges; the others wait for the outcome.
#[derive(Default)]
pub(super) struct Slot {
    token: Option<Token>,
    refresh_token: Option<SecretString>,
}

struct Token {
    value: SecretString,
    until: Timestamp,
}

impl Slot {
    /// The access token, if it will last for a request.
    pub(super) fn token(&self, now: Timestamp) -> Option<SecretString> {
        self.token.as_ref().filter(|token| now < token.until).map(|token| token.value.clone())
    }

    /// The latest refresh token, if the vendor has replaced the configured one.
    pub(super) fn refresh_token(&self) -> Option<SecretString> {
        self.refresh_token.clone()
    }

    /// Takes the outcome of an exchange in.
    pub(super) fn store(&mut self, access: &Access, now: Timestamp) {
        let life = access.expires_in.unwrap_or(UNKNOWN_LIFE).min(LONGEST_LIFE).saturating_sub(MARGIN);
        self.token = Some(Token { value: access.token.clone(), until: now + life });
        if access.refresh_token.is_some() {
            self.refresh_token.clone_from(&access.refresh_token);
        }
    }

    /// Forgets a token that the vendor does not accept, unless it was replaced already.
    pub(super) fn forget(&mut self, void: &SecretString) {
        self.token.take_if(|token| token.value.expose_secret() == void.expose_secret());
    }
}

/// The tokens of a platform.
#[derive(Default)]
pub(in crate::driver) struct Tokens(Mutex<HashMap<Owner, Arc<AsyncMutex<Slot>>>>);

impl Tokens {
    /// What is known of an owner, once nobody else exchanges its tokens.
    pub(super) async fn of(&self, owner: Owner) -> OwnedMutexGuard<Slot> {
        let slot = {
            let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if slots.len() >= MAX_PROVIDERS && !slots.contains_key(&owner) {
                slots.retain(|_, slot| Arc::strong_count(slot) > 1);
            }
            slots.entry(owner).or_default().clone()
        };
        slot.lock_owned().await
    }
}
