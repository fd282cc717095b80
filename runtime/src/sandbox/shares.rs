//! What calls share among orgs: places and processors.

use std::sync::Arc;

use super::fair::{Fair, Limits};
use super::turns::Turns;
use crate::error::Error;
use crate::mutation::off;
use crate::turn::MAX_NESTED_DEPTH;

/// At each depth of calls within calls there are so many times fewer of them than calls that are in none.
const NESTED_SHARE: usize = 8;

/// Calls that wait for a place; one more is refused as busy.
const MAX_WAITING_CALLS: usize = 4_096;
/// Calls of one org that wait for a place.
const MAX_WAITING_CALLS_PER_ORG: usize = 1_024;

/// What calls share among orgs.
#[derive(Clone)]
pub(super) struct Shares {
    /// Calls that exist, by how many calls are around them: each takes memory. Who waits for a place holds those
    /// of the calls around it, so each depth has places of its own, and the deepest never waits for another.
    pub(super) places: Vec<Fair>,
    /// Guests that compute: each takes a processor.
    pub(super) turns: Arc<Turns>,
}

impl Shares {
    pub(super) fn new(calls: usize) -> Result<Self, Error> {
        let more = if off("calls.waiting") { 1_000 } else { 1 };
        let (waiting, waiting_per_org) = (MAX_WAITING_CALLS * more, MAX_WAITING_CALLS_PER_ORG * more);
        let fair = |permits: usize| Fair::new(Limits { permits, per_org: (permits - permits / 4).max(1), waiting, waiting_per_org });
        let nested = (calls / NESTED_SHARE).max(1);
        let places = std::iter::once(calls).chain([nested; MAX_NESTED_DEPTH]).map(fair).collect();
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let turns = Turns::start(processors).map_err(|error| Error::Sandbox(format!("the threads of guests cannot start: {error}")))?;
        Ok(Self { places, turns: Arc::new(turns) })
    }
}
