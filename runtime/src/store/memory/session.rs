//! Sessions, each with its log and its queue of turns.

use std::collections::{HashMap, HashSet, VecDeque};

use async_trait::async_trait;

use super::MemoryStore;
use super::table::Table;
use crate::component::Digest;
use crate::event::{Event, EventData, NewEvent};
use crate::id::{EventId, OrgId, SessionId, TurnId};
use crate::session::Session;
use crate::store::rules::{check_deletion, check_events, event_bytes, follows, status_after, whole_micros};
use crate::store::{Fence, KvScope, Listing, Page, ParkedFor, RuntimeSessionStore, StoreError, StoreResult, TurnEnd};
use crate::usage::TurnRate;

/// The sessions of an org, and which of them has which turn.
#[derive(Default)]
pub(super) struct Sessions {
    pub(super) table: Table<SessionId, SessionRow>,
    pub(super) turns: HashMap<TurnId, SubmittedTurn>,
    pub(super) begun: TurnRate,
}

impl Sessions {
    /// Components with which open turns started; none while one was claimed that has not said so yet.
    pub(super) fn used_by_open_turns(&self) -> Option<HashSet<Digest>> {
        let mut used = HashSet::new();
        for row in self.table.iter() {
            for turn in row.open.iter().filter(|turn| turn.attempt > 0) {
                let started = row.events.iter().rev().find_map(|event| match &event.data {
                    EventData::TurnStarted { turn_id, capabilities, driver, .. } if *turn_id == turn.id => {
                        Some(capabilities.iter().chain(driver))
                    }
                    _ => None,
                });
                used.extend(started?.filter_map(|pin| pin.digest));
            }
        }
        Some(used)
    }
}

/// Where a turn came in; kept after it ended, so that a repeated submission finds it.
#[derive(Clone, Copy)]
pub(super) struct SubmittedTurn {
    pub(super) session: SessionId,
    pub(super) input_sequence: u64,
    pub(super) attempts: u32,
    pub(super) end: Option<TurnEnd>,
}

/// A session with everything that hangs on it.
pub(super) struct SessionRow {
    pub(super) session: Session,
    /// The event of sequence n is at n - 1.
    pub(super) events: Vec<Event>,
    pub(super) sequences: HashMap<EventId, u64>,
    /// What its events count, in bytes.
    pub(super) bytes: u64,
    pub(super) fence: Fence,
    pub(super) open: VecDeque<OpenTurn>,
}

/// A turn that has not ended.
pub(super) struct OpenTurn {
    pub(super) id: TurnId,
    pub(super) attempt: u32,
    pub(super) cancel_requested: bool,
    pub(super) parked: Option<ParkedFor>,
}

impl SessionRow {
    /// Brings the status in line with the open turns.
    pub(super) fn set_status(&mut self) {
        let parked = self.open.front().and_then(|oldest| oldest.parked);
        self.session.status = status_after(self.session.status, self.open.len() as u64, parked);
    }

    pub(super) fn last_sequence(&self) -> u64 {
        self.events.len() as u64
    }

    /// Puts events at the end of the log, all or none.
    pub(super) fn push(&mut self, events: Vec<NewEvent>) -> StoreResult<Vec<Event>> {
        let mut seen = std::collections::HashSet::new();
        if let Some(event) = events.iter().find(|event| self.sequences.contains_key(&event.id) || !seen.insert(event.id)) {
            return Err(StoreError::Duplicate { what: "event", id: event.id.to_string() });
        }
        let bytes = event_bytes(&events)?;
        let first = self.last_sequence() + 1;
        let stored: Vec<Event> = (first..)
            .zip(events)
            .map(|(sequence, event)| NewEvent { ts: whole_micros(event.ts), ..event }.at(self.session.id, Some(sequence)))
            .collect();
        self.sequences.extend((first..).zip(&stored).map(|(sequence, event)| (event.id, sequence)));
        self.events.extend_from_slice(&stored);
        self.bytes += bytes;
        if let Some(last) = stored.last() {
            self.session.updated_at = last.ts;
        }
        Ok(stored)
    }
}

pub(super) fn missing(id: SessionId) -> StoreError {
    StoreError::NotFound { what: "session", id: id.to_string() }
}

#[async_trait]
impl RuntimeSessionStore for MemoryStore {
    async fn add_session(&self, org: OrgId, session: Session, started: NewEvent) -> StoreResult<Event> {
        check_events(std::slice::from_ref(&started))?;
        self.write(org, |tenant| {
            let id = session.id;
            if tenant.sessions.table.contains(id) {
                return Err(StoreError::Duplicate { what: "session", id: id.to_string() });
            }
            let bytes = event_bytes(std::slice::from_ref(&started))?;
            let updated_at = whole_micros(session.updated_at);
            let session = Session { created_at: whole_micros(session.created_at), updated_at, ..session };
            let event = NewEvent { ts: whole_micros(started.ts), ..started }.at(id, Some(1));
            let row = SessionRow {
                session,
                sequences: HashMap::from([(event.id, 1)]),
                bytes,
                events: vec![event.clone()],
                fence: Fence(0),
                open: VecDeque::new(),
            };
            tenant.sessions.table.add(id, row);
            Ok(event)
        })
    }

    async fn get_session(&self, org: OrgId, id: SessionId) -> StoreResult<Option<Session>> {
        Ok(self.read(org, |tenant| tenant.sessions.table.get(id).map(|row| row.session.clone())))
    }

    async fn update_session(&self, org: OrgId, session: Session) -> StoreResult<()> {
        self.write(org, |tenant| {
            let row = tenant.sessions.table.get_mut(session.id).ok_or_else(|| missing(session.id))?;
            let stored = &mut row.session;
            if !follows(stored.version, session.version) {
                return Err(StoreError::Stale { what: "session", id: session.id.to_string() });
            }
            *stored = Session {
                status: stored.status,
                created_at: whole_micros(session.created_at),
                updated_at: whole_micros(session.updated_at),
                ..session
            };
            Ok(())
        })
    }

    async fn delete_session(&self, org: OrgId, id: SessionId, expected: Option<u64>) -> StoreResult<()> {
        self.write(org, |tenant| {
            let row = tenant.sessions.table.get(id).ok_or_else(|| missing(id))?;
            check_deletion(id, expected, row.session.version, row.open.len() as u64)?;
            tenant.sessions.table.remove(id);
            tenant.sessions.turns.retain(|_, turn| turn.session != id);
            tenant.files.remove(&id);
            tenant.connections.secrets.retain(|(session, _), _| *session != id);
            let KvScope { component, bucket, .. } = KvScope::of_session(org, id);
            tenant.kv.remove(&(component, bucket));
            Ok(())
        })
    }

    async fn list_sessions(&self, org: OrgId, page: Page) -> StoreResult<Listing<Session>> {
        Ok(self.read(org, |tenant| tenant.sessions.table.list(page, |row| row.session.clone())))
    }
}
