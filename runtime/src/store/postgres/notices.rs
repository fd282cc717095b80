//! What other processes do: each append notifies with the session and its last sequence, and no more; live-only events
//! are told whole. Heard on a connection of its own that is made again whenever it is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use super::live;
use crate::event::Event;
use crate::id::SessionId;

/// Where appends notify; see the dialect.
const CHANNEL: &str = "everwit_events";
/// Pause before a lost connection is made again.
const RECONNECT: Duration = Duration::from_secs(1);

/// Something that was appended by this process or another one, or is live in another one.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// The log of a session reaches to this sequence.
    Appended(SessionId, u64),
    /// Live-only events of other processes.
    Live(Vec<Event>),
    /// Nobody listened for a while: anything may have been appended.
    Missed,
}

/// Listens to appends.
pub struct Notices {
    options: PgConnectOptions,
    listener: Option<PgListener>,
    /// Who tells what is live here.
    own: Arc<AtomicU32>,
}

impl Notices {
    pub(super) fn new(options: PgConnectOptions, own: Arc<AtomicU32>) -> Self {
        Self { options, listener: None, own }
    }

    /// The next one; the first is [`Notice::Missed`]. Nothing is lost between two calls, and a call that
    /// is dropped loses nothing but [`Notice::Missed`] in the moment of a connection.
    pub async fn next(&mut self) -> Notice {
        loop {
            let Some(listener) = &mut self.listener else {
                match connect(self.options.clone()).await {
                    Ok(listener) => {
                        self.listener = Some(listener);
                        return Notice::Missed;
                    }
                    Err(error) => {
                        tracing::warn!(%error, pause = ?RECONNECT, "appends of other processes cannot be listened to; trying again");
                        tokio::time::sleep(RECONNECT).await;
                        continue;
                    }
                }
            };
            match listener.try_recv().await {
                Ok(Some(said)) if said.channel() == live::CHANNEL => {
                    if said.process_id() != self.own.load(Ordering::Acquire) {
                        return Notice::Live(live::parse(said.payload()));
                    }
                }
                Ok(Some(said)) => match parse(said.payload()) {
                    Some(notice) => return notice,
                    None => tracing::warn!(payload = said.payload(), "a notification is not one of ours"),
                },
                Ok(None) => self.listener = None,
                Err(error) => {
                    tracing::warn!(%error, "the connection that listens to appends of other processes is lost");
                    self.listener = None;
                }
            }
        }
    }
}

/// The pool gives its only connection to the listener.
async fn connect(options: PgConnectOptions) -> sqlx::Result<PgListener> {
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    // What happens between a loss and the next connection is not told, so the loss has to be.
    listener.eager_reconnect(false);
    listener.listen_all([CHANNEL, live::CHANNEL]).await?;
    Ok(listener)
}

fn parse(payload: &str) -> Option<Notice> {
    let (session, sequence) = payload.split_once(':')?;
    let session = session.parse::<uuid::Uuid>().ok()?;
    Some(Notice::Appended(SessionId::from_uuid(session), sequence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_notices_are_read() {
        let session = uuid::Uuid::from_u128(7);
        assert_eq!(parse(&format!("{session}:12")), Some(Notice::Appended(SessionId::from_uuid(session), 12)));
        for wrong in ["", ":", "7:12", &format!("{session}"), &format!("{session}:"), &format!("{session}:-1"), &format!("{session}:1:2")] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
