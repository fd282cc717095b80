//! Fair shares among orgs: a bounded number of permits, queues of those who wait, one an org, that
//! are served in turn, and a bound on how many of one org have a permit at once.
//!
//! The sandbox has two of them. Places bound the calls that exist, because each takes memory.
//! Turns bound the guests whose code is ready to run: a guest gives its turn back whenever it
//! yields, so an org with a hundred spinning guests delays another one's by one slice of fuel.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;
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

    /// Runs a guest's code, one slice of fuel at a time, each in its org's turn.
    pub(super) fn slices<F: Future + Unpin>(&self, org: OrgId, work: F) -> Slices<F> {
        Slices { fair: self.clone(), org, turn: Turn::None, woken: None, work }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.fair.give_back(self.org);
    }
}

/// See [`Fair::slices`]. Whoever is ready to go on but has no turn is not woken until it has, so
/// that the executor's own queue, which knows no orgs, is never longer than there are turns.
pub(super) struct Slices<F> {
    fair: Fair,
    org: OrgId,
    turn: Turn,
    /// Made once the work has not ended at once.
    woken: Option<Arc<Woken>>,
    work: F,
}

enum Turn {
    None,
    Waiting(Pin<Box<dyn Future<Output = Result<Permit, Full>> + Send>>),
    Held(Permit),
}

/// Notes that the work can go on, and wakes the task.
#[derive(Default)]
struct Woken {
    is: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<F> Slices<F> {
    /// Waits for a turn. More cannot wait than have places, so that one always comes.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Option<Permit>> {
        loop {
            match std::mem::replace(&mut self.turn, Turn::None) {
                Turn::Held(permit) => return Poll::Ready(Some(permit)),
                Turn::Waiting(mut waiting) => match waiting.as_mut().poll(context) {
                    Poll::Ready(turn) => return Poll::Ready(turn.ok()),
                    Poll::Pending => {
                        self.turn = Turn::Waiting(waiting);
                        return Poll::Pending;
                    }
                },
                Turn::None => self.ask(),
            }
        }
    }

    fn ask(&mut self) {
        self.turn = match self.fair.try_take(self.org) {
            Some(permit) => Turn::Held(permit),
            None => {
                let (fair, org) = (self.fair.clone(), self.org);
                Turn::Waiting(Box::pin(async move { fair.take(org).await }))
            }
        };
    }
}

impl<F: Future + Unpin> Future for Slices<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        if off("fair.turns") {
            return Pin::new(&mut this.work).poll(context);
        }
        let Poll::Ready(turn) = this.poll_turn(context) else { return Poll::Pending };
        let Some(woken) = &this.woken else {
            // Most work ends within its first slice, and needs no waker of its own.
            this.woken = Some(Arc::default());
            let result = Pin::new(&mut this.work).poll(context);
            drop(turn);
            return result;
        };
        woken.task.register(context.waker());
        woken.is.store(false, Ordering::Release);
        let waker = Waker::from(woken.clone());
        let result = Pin::new(&mut this.work).poll(&mut Context::from_waker(&waker));
        drop(turn);
        if result.is_pending() && woken.is.load(Ordering::Acquire) {
            // It has yielded: its next turn comes after those who wait already.
            this.ask();
            if let Turn::Waiting(waiting) = &mut this.turn
                && let Poll::Ready(turn) = waiting.as_mut().poll(context)
            {
                this.turn = turn.map_or(Turn::None, Turn::Held);
                context.waker().wake_by_ref();
            }
        }
        result
    }
}
