//! Fair shares among orgs: a bounded number of permits, queues of those who wait, one an org, that
//! are served in turn, and a bound on how many of one org have a permit at once.
//!
//! The sandbox has two of them. Places bound the calls that exist, because each takes memory.
//! Turns bound the guests whose code is ready to run: a guest gives its turn back whenever it
//! yields, so an org with a hundred spinning guests delays another one's by one slice of fuel.

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

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    fn org(number: u128) -> OrgId {
        OrgId::from_uuid(Uuid::from_u128(number))
    }

    fn fair(permits: usize, per_org: usize) -> Fair {
        Fair::new(Limits { permits, per_org, waiting: 100, waiting_per_org: 50 })
    }

    #[tokio::test]
    async fn orgs_take_turns_however_many_wait_of_one() {
        let fair = fair(1, 1);
        let first = fair.try_take(org(1)).expect("it is free");
        let mut served = Vec::new();
        let mut waiting: Vec<_> = [1, 1, 1, 2, 1, 3].into_iter().map(|number| (number, fair.queue(org(number)).expect("room"))).collect();
        drop(first);
        while !waiting.is_empty() {
            let at = waiting.iter_mut().position(|(_, place)| !place.is_empty()).expect("somebody is served");
            let (number, place) = waiting.remove(at);
            served.push(number);
            drop(place.await.expect("a permit"));
        }
        assert_eq!(served, [1, 2, 3, 1, 1, 1]);
        assert!(fair.state().orgs.is_empty() && fair.state().held == 0 && fair.state().waiting == 0, "nothing is left");
    }

    #[tokio::test]
    async fn one_org_never_has_more_than_its_share() {
        let fair = fair(4, 2);
        let held = [fair.try_take(org(1)), fair.try_take(org(1))];
        assert!(held.iter().all(Option::is_some) && fair.try_take(org(1)).is_none());
        let mut third = Box::pin(fair.take(org(1)));
        assert!(futures::poll!(third.as_mut()).is_pending());
        let other = fair.try_take(org(2)).expect("the rest is for others");
        drop(other);
        assert!(futures::poll!(third.as_mut()).is_pending(), "its share is still used");
        drop(held);
        third.await.expect("its share is free again");
        assert_eq!(fair.state().held, 0);
    }

    #[tokio::test]
    async fn who_gives_up_leaves_permit_and_place() {
        let fair = fair(1, 1);
        let held = fair.try_take(org(1)).expect("it is free");
        let given_up: Vec<_> = (0..50).map(|_| fair.queue(org(2)).expect("room")).collect();
        assert!(fair.queue(org(2)).is_err(), "so many of one org wait and no more");
        fair.queue(org(3)).expect("others may still wait").now_or_never();
        drop(given_up);
        fair.queue(org(2)).expect("their places are free").now_or_never();
        drop(held);
        assert!(fair.try_take(org(1)).is_some(), "nobody waits for it any more");
        let state = fair.state();
        assert_eq!((state.held, state.waiting), (0, 0));
    }

    #[tokio::test]
    async fn of_an_org_that_may_not_even_wait_nothing_is_kept() {
        let fair = Fair::new(Limits { permits: 1, per_org: 1, waiting: 1, waiting_per_org: 1 });
        let _held = fair.try_take(org(1)).expect("it is free");
        let _waiting = fair.queue(org(2)).expect("room");
        assert!(fair.queue(org(3)).is_err());
        assert!(!fair.state().orgs.contains_key(&org(3)));
    }

    /// As the engine yields when a slice of fuel is used up: ready again at once.
    async fn yield_now() {
        let mut yielded = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Yields so often, and notes each slice.
    async fn spin(name: &'static str, slices: usize, seen: &Mutex<Vec<&'static str>>) {
        for _ in 0..slices {
            seen.lock().expect("nothing panics").push(name);
            yield_now().await;
        }
    }

    /// One thread, whose own queue would run a hundred guests before a new one's first slice.
    #[tokio::test]
    async fn a_guest_that_comes_late_does_not_wait_for_all_guests_of_another_org() {
        let turns = Fair::new(Limits { permits: 1, per_org: 1, waiting: 200, waiting_per_org: 200 });
        let seen = Arc::new(Mutex::new(Vec::new()));
        let start = |number, name, slices| {
            let (turns, seen) = (turns.clone(), seen.clone());
            tokio::spawn(async move {
                let work = std::pin::pin!(spin(name, slices, &seen));
                turns.slices(org(number), work).await;
            })
        };
        let noisy: Vec<_> = (0..100).map(|_| start(1, "noisy", 20)).collect();
        while seen.lock().expect("nothing panics").len() < 300 {
            tokio::task::yield_now().await;
        }
        start(2, "quiet", 5).await.expect("no panic");
        let slices = seen.lock().expect("nothing panics").clone();
        let quiet = |slice: &&str| *slice == "quiet";
        let (first, last) = (slices.iter().position(quiet), slices.iter().rposition(quiet));
        let between = last.expect("it ran") - first.expect("it ran") - 4;
        assert!(between <= 16, "{between} slices of the noisy org were among 5 of the quiet one");
        for task in noisy {
            task.await.expect("no panic");
        }
        assert_eq!(turns.state().held, 0, "every turn was given back");
    }
}
