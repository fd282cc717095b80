//! Fair shares among orgs: a bounded number of permits, queues of those who wait, one an org, that
//! are served in turn, and a bound on how many of one org have a permit at once. Calls need one to
//! exist, because each takes memory, and one to begin where they are called, see `turns`.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::id::OrgId;
use crate::mutation::off;

/// Permits, and who waits for them. Cloning shares it.
#[derive(Clone)]
pub(super) struct Fair {
    inner: Arc<Inner>,
}

struct Inner {
    limits: Limits,
    state: Mutex<State>,
}

/// How many there may be of each kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Permits at once.
    pub(super) permits: usize,
    /// Permits of one org at once.
    pub(super) per_org: usize,
    /// Who waits, of all orgs.
    pub(super) waiting: usize,
    /// Who waits, of one org.
    pub(super) waiting_per_org: usize,
}

#[derive(Default)]
struct State {
    held: usize,
    waiting: usize,
    /// Orgs that hold or wait; nothing is kept of the others.
    orgs: HashMap<OrgId, Org>,
    /// Orgs with somebody waiting, the next one first.
    round: VecDeque<OrgId>,
}

#[derive(Default)]
struct Org {
    held: usize,
    queue: VecDeque<oneshot::Sender<Permit>>,
}

/// Leave to go on; given back when it is dropped.
pub(super) struct Permit {
    fair: Fair,
    org: OrgId,
}

/// Why somebody cannot even wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Fair {
    pub(super) fn new(limits: Limits) -> Self {
        Self { inner: Arc::new(Inner { limits, state: Mutex::default() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics while it holds the lock.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A permit if one is free that nobody waits for.
    pub(super) fn try_take(&self, org: OrgId) -> Option<Permit> {
        let mut state = self.state();
        let Limits { permits, per_org, .. } = self.inner.limits;
        let State { held, orgs, .. } = &mut *state;
        let entry = orgs.get(&org);
        let barges = entry.is_some_and(|entry| !entry.queue.is_empty());
        if *held >= permits || barges || entry.is_some_and(|entry| entry.held >= per_org && !off("fair.places")) {
            return None;
        }
        *held += 1;
        orgs.entry(org).or_default().held += 1;
        Some(Permit { fair: self.clone(), org })
    }

    /// A permit, in the org's turn.
    ///
    /// # Errors
    /// If too many wait.
    pub(super) async fn take(&self, org: OrgId) -> Result<Permit, Full> {
        if let Some(permit) = self.try_take(org) {
            return Ok(permit);
        }
        let place = self.queue(org)?;
        // Whoever serves the queue never drops a sender without a permit.
        place.await.map_err(|_| Full)
    }

    fn queue(&self, org: OrgId) -> Result<oneshot::Receiver<Permit>, Full> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        let Limits { waiting, waiting_per_org, .. } = self.inner.limits;
        let State { waiting: all, orgs, round, .. } = &mut *state;
        let entry = orgs.entry(org).or_default();
        // Those who gave up leave their places when they are next looked at.
        if entry.queue.len() >= waiting_per_org || *all >= waiting {
            let before = entry.queue.len();
            entry.queue.retain(|sender| !sender.is_closed());
            *all -= before - entry.queue.len();
            if entry.queue.len() >= waiting_per_org || *all >= waiting {
                if entry.held == 0 && entry.queue.is_empty() {
                    orgs.remove(&org);
                }
                return Err(Full);
            }
        }
        if entry.queue.is_empty() && !round.contains(&org) {
            round.push_back(org);
        }
        entry.queue.push_back(sender);
        *all += 1;
        drop(state);
        // A permit may have been given back in the meantime.
        self.serve();
        Ok(receiver)
    }

    fn give_back(&self, org: OrgId) {
        let mut state = self.state();
        state.held -= 1;
        if let Some(entry) = state.orgs.get_mut(&org) {
            entry.held -= 1;
            if entry.held == 0 && entry.queue.is_empty() {
                state.orgs.remove(&org);
            }
        }
        drop(state);
        self.serve();
    }

    /// Hands free permits to those who wait, one org after the other.
    fn serve(&self) {
        while let Some((sender, permit)) = self.next() {
            // Who has given up gives it back by dropping it, outside the lock.
            drop(sender.send(permit));
        }
    }

    fn next(&self) -> Option<(oneshot::Sender<Permit>, Permit)> {
        let mut state = self.state();
        let Limits { permits, per_org, .. } = self.inner.limits;
        let State { held, waiting, orgs, round } = &mut *state;
        if *held >= permits {
            return None;
        }
        for _ in 0..round.len() {
            let org = round.pop_front()?;
            let Some(entry) = orgs.get_mut(&org) else { continue };
            if entry.held >= per_org && !entry.queue.is_empty() {
                round.push_back(org);
                continue;
            }
            while let Some(sender) = entry.queue.pop_front() {
                *waiting -= 1;
                if sender.is_closed() {
                    continue;
                }
                if !entry.queue.is_empty() {
                    round.push_back(org);
                }
                *held += 1;
                entry.held += 1;
                return Some((sender, Permit { fair: self.clone(), org }));
            }
            if entry.held == 0 {
                orgs.remove(&org);
            }
        }
        None
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.fair.give_back(self.org);
    }
}
