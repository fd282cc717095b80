//! Who computes when.
//!
//! Guest code begins where it is called: most calls end within their first slice of fuel, and cost
//! no change of thread. Who yields goes on in the background: on threads that are as many as
//! processors and give way to all others, so that no request waits for a guest. There the orgs take
//! turns, slice by slice: a hundred spinning guests of one delay another's by one slice.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use async_task::Runnable;
use futures::task::AtomicWaker;
use tokio::runtime::Handle;
use tracing::Span;

use super::fair::{Fair, Limits};
use crate::id::OrgId;
use crate::mutation::off;

/// How much lower the priority of the background is, as `nice` counts: a thread that wakes up to
/// answer a request goes first at once, and beside one that never sleeps a guest has a tenth.
const NICE: i32 = 10;
/// Calls of all orgs that began where they were called; those beyond begin in the background.
const MAX_BEGINNING: usize = 1_024;

/// The threads, and what waits for them. They end when it is dropped.
pub(super) struct Turns {
    beginning: Fair,
    queue: Arc<Queue>,
}

/// Guests that are ready to go on; no more than there are calls.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    /// Orgs with a guest that is ready; nothing is kept of the others.
    orgs: HashMap<OrgId, VecDeque<Runnable>>,
    /// The same orgs, the next one first.
    round: VecDeque<OrgId>,
    over: bool,
}

impl Turns {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(super) fn start(processors: usize) -> io::Result<Self> {
        // Of one org as many as run at once anyway, so that its calls are no queue before those of others.
        let beginning = Limits { permits: MAX_BEGINNING, per_org: processors, waiting: 0, waiting_per_org: 0 };
        let turns = Self { beginning: Fair::new(beginning), queue: Arc::default() };
        for _ in 0..processors {
            let queue = turns.queue.clone();
            thread::Builder::new().name("guests".to_owned()).spawn(move || queue.serve())?;
        }
        Ok(turns)
    }

    /// Runs guest code of an org to its end. Dropping this ends it after the slice that it is in.
    pub(super) async fn run<T: Send + 'static>(&self, org: OrgId, work: impl Future<Output = T> + Send + 'static) -> T {
        let mut work = Box::pin(work);
        if off("fair.turns") {
            return work.await;
        }
        // Kept to the end of the call: who computes for long already begins in the background with the next one.
        let begins_here = self.beginning.try_take(org);
        if begins_here.is_some()
            && let Some(result) = until_it_yields(work.as_mut()).await
        {
            return result;
        }
        let work = Elsewhere { runtime: Handle::current(), span: Span::current(), work };
        let queue = self.queue.clone();
        let (runnable, task) = async_task::Builder::new().propagate_panic(true).spawn(|()| work, move |next| queue.push(org, next));
        runnable.schedule();
        task.await
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.over = true;
        let left = std::mem::take(&mut *state).orgs;
        state.over = true;
        drop(state);
        self.queue.ready.notify_all();
        drop(left);
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, org: OrgId, guest: Runnable) {
        let mut state = self.state();
        if state.over {
            // Dropping a guest runs code of others.
            drop(state);
            return drop(guest);
        }
        let State { orgs, round, .. } = &mut *state;
        let waiting = orgs.entry(org).or_default();
        if waiting.is_empty() {
            round.push_back(org);
        }
        waiting.push_back(guest);
        drop(state);
        self.ready.notify_one();
    }

    /// The next guest in the next org's turn, as soon as there is one; none once it is over.
    fn next(&self) -> Option<Runnable> {
        let state = self.ready.wait_while(self.state(), |state| !state.over && state.round.is_empty());
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let State { orgs, round, .. } = &mut *state;
        let org = round.pop_front()?;
        let waiting = orgs.get_mut(&org)?;
        let guest = waiting.pop_front();
        if waiting.is_empty() {
            orgs.remove(&org);
        } else {
            round.push_back(org);
        }
        guest
    }

    fn serve(&self) {
        // Elsewhere the call is about the whole process.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::warn!(%error, "guests that compute have the priority of requests");
        }
        while let Some(guest) = self.next() {
            guest.run();
            // A kernel that preempts lazily lets a thread that was woken meanwhile wait for this one's next
            // system call, or for the tick of its clock, which comes every few milliseconds.
            std::thread::yield_now();
        }
    }
}

/// Drives work here; its value if it ends before it yields: before it is ready to go on although
/// it has just paused.
async fn until_it_yields<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let woken = Arc::<Woken>::default();
    let waker = Waker::from(woken.clone());
    poll_fn(|context| {
        woken.task.register(context.waker());
        woken.is.store(false, Ordering::Release);
        match work.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if woken.is.load(Ordering::Acquire) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
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

/// Work with the timers, the sockets and the span of where it comes from.
struct Elsewhere<F> {
    runtime: Handle,
    span: Span,
    work: Pin<Box<F>>,
}

impl<F: Future> Future for Elsewhere<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let (_runtime, _span) = (this.runtime.enter(), this.span.enter());
        this.work.as_mut().poll(context)
    }
}
