//! Connections that have answered a request and may carry the next one of the same caller.
//!
//! Handshakes cost a model call as much as the vendor takes for its first word, so that drivers
//! ask for reuse. A connection goes back to whoever has the same scope, key, scheme, host and
//! port, and only if its address is among those that were judged for the new request; a guest's
//! request never asks for reuse, and so never meets one.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::request::CheckedRequest;
use super::wire::Wire;
use crate::mutation::off;

/// Idle connections of a gateway.
const MAX_IDLE: usize = 256;
/// Idle connections of one place: as many turns as usually call the same model at once.
const MAX_IDLE_PER_PLACE: usize = 8;
/// How long a connection may be idle. Most servers keep theirs for a minute or longer; closed
/// ones are found out, but at the price of another attempt.
const MAX_IDLE_TIME: Duration = Duration::from_secs(45);
/// How long a connection may be used at all, so that a changed certificate or address of the
/// server is noticed.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Who may share connections: requests with the same key of the same scope. Made from everything
/// that tells two callers apart, credentials above all; it shows nothing of it.
///
/// A request with a key may be sent twice, if the connection that it is sent on turns out to be
/// closed before anything of the response has arrived.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReuseKey([u8; 32]);

impl ReuseKey {
    /// The key of these values.
    pub fn of<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut digest = Sha256::new();
        for value in values {
            digest.update((value.len() as u64).to_be_bytes());
            digest.update(value);
        }
        Self(digest.finalize().into())
    }
}

impl fmt::Debug for ReuseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReuseKey")
    }
}

/// Where a connection leads, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    scope: String,
    key: ReuseKey,
    is_https: bool,
    host: String,
    port: u16,
}

impl Place {
    /// The place of a request; none if it does not ask for reuse.
    pub(super) fn of(scope: &str, request: &CheckedRequest) -> Option<Self> {
        let key = request.reuse?;
        let (host, port) = (request.host().to_owned(), request.port());
        Some(Self { scope: scope.to_owned(), key, is_https: request.is_https(), host, port })
    }
}

/// A connection with what decides over its next use.
pub(super) struct Connected {
    pub(super) wire: Wire,
    pub(super) address: IpAddr,
    pub(super) since: Instant,
}

struct Idle {
    place: Place,
    connected: Connected,
    until: Instant,
}

/// The idle connections of a gateway, the longest idle one first. Those that are over are closed
/// when the pool is next used.
#[derive(Default)]
pub(super) struct Pool(Mutex<VecDeque<Idle>>);

impl Pool {
    /// A connection that was idle and is still open, to one of these addresses.
    pub(super) fn take(&self, place: &Place, addresses: &[IpAddr]) -> Option<Connected> {
        loop {
            // Checked outside of the lock, because it reads from the socket.
            let mut idle = self.take_any(place, addresses)?;
            if idle.wire.is_open() {
                return Some(idle);
            }
        }
    }

    fn take_any(&self, place: &Place, addresses: &[IpAddr]) -> Option<Connected> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop_expired(&mut idle);
        let fits = |idle: &Idle| idle.place == *place && addresses.contains(&idle.connected.address);
        let at = idle.iter().rposition(|idle| fits(idle) || off("egress.reuse"))?;
        idle.remove(at).map(|idle| idle.connected)
    }

    /// Keeps a connection for its next use, if it may have one.
    pub(super) fn put(&self, place: Place, mut connected: Connected) {
        let now = Instant::now();
        let idle_time = if off("egress.idle_connection_time") { MAX_AGE } else { MAX_IDLE_TIME };
        let age = if off("egress.connection_age") { 10 * MAX_AGE } else { MAX_AGE };
        let until = (now + idle_time).min(connected.since + age);
        if !connected.wire.is_open() || until <= now {
            return;
        }
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop_expired(&mut idle);
        let own = idle.iter().filter(|idle| idle.place == place).count();
        if own >= MAX_IDLE_PER_PLACE && !off("egress.idle_connections") {
            let oldest = idle.iter().position(|idle| idle.place == place);
            oldest.map(|at| idle.remove(at));
        }
        if idle.len() >= MAX_IDLE {
            idle.pop_front();
        }
        idle.push_back(Idle { place, connected, until });
    }

    /// How many connections are idle.
    pub(super) fn len(&self) -> usize {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop_expired(&mut idle);
        idle.len()
    }
}

fn drop_expired(idle: &mut VecDeque<Idle>) {
    let now = Instant::now();
    idle.retain(|idle| idle.until > now);
}
