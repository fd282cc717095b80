//! Listeners: what an embedder has told of every stored event.
//!
//! The writing methods of the stores note which part of a session's log is new, which takes no
//! time and cannot fail. Each listener has a task of its own that reads these parts from the
//! store and hands them over on a thread that may block. So a listener sees every event in
//! order, only stored ones, and whatever it does harms neither a turn nor another listener.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use everwit_runtime::event::{Event, NewEvent};
use everwit_runtime::id::{EventId, OrgId, SessionId, TurnId};
use everwit_runtime::limits::MAX_EVENTS_PER_PAGE;
use everwit_runtime::session::Session;
use everwit_runtime::store::{
    Append, Claim, Fence, Listing, LogUsage, Page, RuntimeBackends, RuntimeSessionStore, SessionLog, StoreResult, Submitted, TurnAnswer,
    TurnFilter, TurnRecord,
};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause before a part of the log is read again that could not be read.
const READ_PAUSE: Duration = Duration::from_secs(1);
/// How long the end waits for listeners to take what they have not seen yet.
const LAST_EVENTS: Duration = Duration::from_secs(5);

/// Is told of every stored event.
pub trait EventListener: Send + Sync {
    /// Called once for each event that this process stored since the listener was added, after
    /// its append; in order within a session. May block: it has a thread of its own, and what is
    /// new in the meantime waits in the store. A panic is logged, and the next event comes.
    fn on_event(&self, org: OrgId, event: &Event);
}

/// All listeners of a site.
pub(crate) struct Listeners {
    log: Arc<dyn SessionLog>,
    feeds: RwLock<Vec<Arc<Feed>>>,
}

/// What one listener has not seen yet.
struct Feed {
    listener: Arc<dyn EventListener>,
    /// By session: the sequence after which the new part begins, and its last one. Holds an entry
    /// for each session with news, never the events themselves.
    news: Mutex<BTreeMap<(OrgId, SessionId), (u64, u64)>>,
    changed: Notify,
    stop: CancellationToken,
}

/// A listener that was added.
pub(crate) struct Listening {
    listeners: Arc<Listeners>,
    feed: Arc<Feed>,
    task: TaskTracker,
}

impl Listeners {
    /// None yet.
    pub(crate) fn new(log: Arc<dyn SessionLog>) -> Self {
        Self { log, feeds: RwLock::default() }
    }

    /// Adds a listener, which sees what is stored from now on.
    pub(crate) fn add(self: &Arc<Self>, listener: Arc<dyn EventListener>) -> Listening {
        let feed = Arc::new(Feed { listener, news: Mutex::default(), changed: Notify::new(), stop: CancellationToken::new() });
        let task = TaskTracker::new();
        let (log, own) = (self.log.clone(), feed.clone());
        task.spawn(async move { own.deliver(log).await });
        task.close();
        self.feeds.write().unwrap_or_else(PoisonError::into_inner).push(feed.clone());
        Listening { listeners: self.clone(), feed, task }
    }

    fn note(&self, org: OrgId, events: &[Event]) {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return };
        let (Some(from), Some(to)) = (first.sequence, last.sequence) else { return };
        for feed in self.feeds.read().unwrap_or_else(PoisonError::into_inner).iter() {
            let mut news = feed.news.lock().unwrap_or_else(PoisonError::into_inner);
            let part = news.entry((org, first.session_id)).or_insert((from - 1, to));
            *part = (part.0.min(from - 1), part.1.max(to));
            feed.changed.notify_one();
        }
    }
}

impl Listening {
    /// Ends it, once the listener has seen everything, or patience ends.
    pub(crate) async fn end(self) {
        self.listeners.feeds.write().unwrap_or_else(PoisonError::into_inner).retain(|feed| !Arc::ptr_eq(feed, &self.feed));
        self.feed.stop.cancel();
        if tokio::time::timeout(LAST_EVENTS, self.task.wait()).await.is_err() {
            tracing::warn!("a listener did not take its last events in time");
        }
    }
}

impl Feed {
    async fn deliver(self: Arc<Self>, log: Arc<dyn SessionLog>) {
        loop {
            let news = std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner));
            if news.is_empty() {
                tokio::select! {
                    biased;
                    () = self.changed.notified() => continue,
                    () = self.stop.cancelled() => return,
                }
            }
            for ((org, session), (after, to)) in news {
                if !self.deliver_part(&*log, (org, session), after, to).await {
                    return;
                }
            }
        }
    }

    /// Hands a part of a log over; false if the end came first.
    async fn deliver_part(self: &Arc<Self>, log: &dyn SessionLog, key: (OrgId, SessionId), mut after: u64, to: u64) -> bool {
        while after < to {
            let most = usize::try_from(to - after).unwrap_or(MAX_EVENTS_PER_PAGE).min(MAX_EVENTS_PER_PAGE);
            match log.read_events(key.0, key.1, after, most).await {
                // The session was deleted since.
                Ok(events) if events.is_empty() => return true,
                Ok(events) => {
                    after = events.last().and_then(|event| event.sequence).unwrap_or(to);
                    self.hand_over(key.0, events).await;
                }
                Err(error) => {
                    tracing::warn!(%error, session = %key.1, "events for a listener cannot be read; trying again");
                    tokio::select! {
                        () = tokio::time::sleep(READ_PAUSE) => {}
                        () = self.stop.cancelled() => return false,
                    }
                }
            }
        }
        true
    }

    async fn hand_over(self: &Arc<Self>, org: OrgId, events: Vec<Event>) {
        let listener = self.listener.clone();
        let handing = tokio::task::spawn_blocking(move || {
            for event in &events {
                if catch_unwind(AssertUnwindSafe(|| listener.on_event(org, event))).is_err() {
                    tracing::error!(event = %event.id, "a listener panicked");
                }
            }
        });
        if let Err(error) = handing.await {
            tracing::error!(%error, "events could not be handed to a listener");
        }
    }
}

/// The same stores, of which every append is noted for the listeners.
pub(crate) fn observed(stores: RuntimeBackends, listeners: &Arc<Listeners>) -> RuntimeBackends {
    let log = Arc::new(Observed { inner: stores.log.clone(), listeners: listeners.clone() });
    let session_store = Arc::new(Observed { inner: stores.session_store.clone(), listeners: listeners.clone() });
    RuntimeBackends { log, session_store, ..stores }
}

struct Observed<S: ?Sized> {
    inner: Arc<S>,
    listeners: Arc<Listeners>,
}

#[async_trait]
impl SessionLog for Observed<dyn SessionLog> {
    async fn submit_turn(&self, org: OrgId, session: SessionId, turn: TurnId, input: NewEvent) -> StoreResult<Submitted> {
        let submitted = self.inner.submit_turn(org, session, turn, input).await?;
        if submitted.created {
            self.listeners.note(org, std::slice::from_ref(&submitted.event));
        }
        Ok(submitted)
    }

    async fn append(&self, org: OrgId, session: SessionId, append: Append) -> StoreResult<Vec<Event>> {
        let events = self.inner.append(org, session, append).await?;
        self.listeners.note(org, &events);
        Ok(events)
    }

    async fn answer_turn(&self, org: OrgId, session: SessionId, answer: TurnAnswer) -> StoreResult<Vec<Event>> {
        let events = self.inner.answer_turn(org, session, answer).await?;
        self.listeners.note(org, &events);
        Ok(events)
    }

    async fn claim_turn(&self, org: OrgId, session: SessionId) -> StoreResult<Option<Claim>> {
        self.inner.claim_turn(org, session).await
    }

    async fn claim_turn_at(&self, org: OrgId, session: SessionId, fence: Fence) -> StoreResult<Option<Claim>> {
        self.inner.claim_turn_at(org, session, fence).await
    }

    async fn request_cancel(&self, org: OrgId, session: SessionId, turn: TurnId) -> StoreResult<bool> {
        self.inner.request_cancel(org, session, turn).await
    }

    async fn owner(&self, org: OrgId, session: SessionId, turn: TurnId) -> StoreResult<Option<Fence>> {
        self.inner.owner(org, session, turn).await
    }

    async fn open_turns(&self, org: OrgId, session: SessionId) -> StoreResult<Vec<TurnId>> {
        self.inner.open_turns(org, session).await
    }

    async fn read_events(&self, org: OrgId, session: SessionId, after: u64, limit: usize) -> StoreResult<Vec<Event>> {
        self.inner.read_events(org, session, after, limit).await
    }

    async fn last_sequence(&self, org: OrgId, session: SessionId) -> StoreResult<u64> {
        self.inner.last_sequence(org, session).await
    }

    async fn find_event(&self, org: OrgId, session: SessionId, event: EventId) -> StoreResult<Option<u64>> {
        self.inner.find_event(org, session, event).await
    }

    async fn list_turns(&self, org: OrgId, filter: TurnFilter, page: Page) -> StoreResult<Listing<TurnRecord>> {
        self.inner.list_turns(org, filter, page).await
    }

    async fn waiting_sessions(&self, org: OrgId, after: Option<SessionId>, limit: u32) -> StoreResult<Vec<SessionId>> {
        self.inner.waiting_sessions(org, after, limit).await
    }

    async fn log_usage(&self, org: OrgId, now: Timestamp) -> StoreResult<LogUsage> {
        self.inner.log_usage(org, now).await
    }

    async fn sessions_with_open_turns(&self) -> StoreResult<Vec<(OrgId, SessionId)>> {
        self.inner.sessions_with_open_turns().await
    }
}

#[async_trait]
impl RuntimeSessionStore for Observed<dyn RuntimeSessionStore> {
    async fn add_session(&self, org: OrgId, session: Session, started: NewEvent) -> StoreResult<Event> {
        let event = self.inner.add_session(org, session, started).await?;
        self.listeners.note(org, std::slice::from_ref(&event));
        Ok(event)
    }

    async fn get_session(&self, org: OrgId, id: SessionId) -> StoreResult<Option<Session>> {
        self.inner.get_session(org, id).await
    }

    async fn update_session(&self, org: OrgId, session: Session) -> StoreResult<()> {
        self.inner.update_session(org, session).await
    }

    async fn delete_session(&self, org: OrgId, id: SessionId, expected: Option<u64>) -> StoreResult<()> {
        self.inner.delete_session(org, id, expected).await
    }

    async fn list_sessions(&self, org: OrgId, page: Page) -> StoreResult<Listing<Session>> {
        self.inner.list_sessions(org, page).await
    }
}
