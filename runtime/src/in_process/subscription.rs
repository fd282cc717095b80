//! A session's events as they happen, without gaps: what the bus lost or brought out of order is
//! read from the store.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::error::Error;
use crate::event::Event;
use crate::id::{OrgId, SessionId};
use crate::limits::MAX_EVENTS_PER_PAGE;
use crate::store::SessionLog;
use crate::turn::insist;

/// Events of one session in order of their sequences, live-only ones in between. Ends with the
/// runtime's event bus, or after an error of the store.
pub type EventStream = BoxStream<'static, Result<Arc<Event>, Error>>;

pub(super) struct Subscription {
    pub(super) log: Arc<dyn SessionLog>,
    pub(super) org: OrgId,
    pub(super) session: SessionId,
    pub(super) live: Receiver<Arc<Event>>,
    /// Sequence of the last event that was given out, or was there before.
    pub(super) seen: u64,
    pub(super) ready: VecDeque<Arc<Event>>,
    pub(super) failed: bool,
}

impl Subscription {
    pub(super) fn stream(self) -> EventStream {
        stream::unfold(self, |mut subscription| async move {
            let event = subscription.next().await?;
            Some((event, subscription))
        })
        .boxed()
    }

    async fn next(&mut self) -> Option<Result<Arc<Event>, Error>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.failed {
                return None;
            }
            let missed = match self.live.recv().await {
                Ok(event) => match event.sequence {
                    None => return Some(Ok(event)),
                    Some(sequence) if sequence <= self.seen => false,
                    Some(sequence) if sequence == self.seen + 1 => {
                        self.seen = sequence;
                        return Some(Ok(event));
                    }
                    Some(_) => true,
                },
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => return None,
            };
            if missed && let Err(error) = self.catch_up().await {
                self.failed = true;
                return Some(Err(error));
            }
        }
    }

    /// Reads what is stored behind the last event that was given out.
    async fn catch_up(&mut self) -> Result<(), Error> {
        loop {
            let page = insist(|| self.log.read_events(self.org, self.session, self.seen, MAX_EVENTS_PER_PAGE)).await?;
            let full = page.len() == MAX_EVENTS_PER_PAGE;
            self.seen = page.last().and_then(|event| event.sequence).unwrap_or(self.seen);
            self.ready.extend(page.into_iter().map(Arc::new));
            if !full {
                return Ok(());
            }
        }
    }
}
