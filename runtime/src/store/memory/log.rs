//! The log of a session and its queue of turns.

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryStore;
use super::session::{OpenTurn, SessionRow, Sessions, SubmittedTurn, missing};
use crate::event::{Event, NewEvent};
use crate::id::{EventId, OrgId, SessionId, TurnId};
use crate::store::rules::{
    check_claim, check_end, check_events, check_queue, check_writer, events_limit, not_parked, not_queued, page_limit,
};
use crate::store::{
    Append, Claim, Fence, Listing, LogUsage, Page, SessionLog, StoreError, StoreResult, Submitted, TurnAnswer, TurnEnd, TurnFilter,
    TurnRecord,
};

#[async_trait]
impl SessionLog for MemoryStore {
    async fn submit_turn(&self, org: OrgId, session: SessionId, turn: TurnId, input: NewEvent) -> StoreResult<Submitted> {
        check_events(std::slice::from_ref(&input))?;
        self.write(org, |tenant| {
            let Sessions { table, turns, begun } = &mut tenant.sessions;
            let row = table.get_mut(session).ok_or_else(|| missing(session))?;
            if let Some(&earlier) = turns.get(&turn) {
                return repeated(row, turn, earlier);
            }
            check_queue(row.open.len() as u64)?;
            let began = input.ts;
            let mut stored = row.push(vec![input])?;
            begun.count(began);
            row.open.push_back(OpenTurn { id: turn, attempt: 0, cancel_requested: false, parked: None });
            row.open.iter_mut().for_each(|open| open.parked = None);
            row.set_status();
            turns.insert(turn, SubmittedTurn { session, input_sequence: row.last_sequence(), attempts: 0, end: None });
            Ok(Submitted { event: stored.remove(0), created: true })
        })
    }

    async fn claim_turn(&self, org: OrgId, session: SessionId) -> StoreResult<Option<Claim>> {
        self.write(org, |tenant| claim(&mut tenant.sessions, session, None))
    }

    async fn claim_turn_at(&self, org: OrgId, session: SessionId, fence: Fence) -> StoreResult<Option<Claim>> {
        self.write(org, |tenant| claim(&mut tenant.sessions, session, Some(fence)))
    }

    async fn request_cancel(&self, org: OrgId, session: SessionId, turn: TurnId) -> StoreResult<bool> {
        self.write(org, |tenant| {
            let Some(row) = tenant.sessions.table.get_mut(session) else { return Ok(false) };
            let Some(open) = row.open.iter_mut().find(|open| open.id == turn) else { return Ok(false) };
            open.cancel_requested = true;
            open.parked = None;
            row.set_status();
            Ok(true)
        })
    }

    async fn answer_turn(&self, org: OrgId, session: SessionId, answer: TurnAnswer) -> StoreResult<Vec<Event>> {
        check_events(&answer.events)?;
        self.write(org, |tenant| {
            let row = tenant.sessions.table.get_mut(session).ok_or_else(|| missing(session))?;
            let parked = row.open.iter().position(|open| open.id == answer.turn_id && open.parked.is_some());
            let parked = parked.ok_or_else(|| not_parked(answer.turn_id))?;
            check_end(answer.expected_sequence, row.last_sequence())?;
            let stored = row.push(answer.events)?;
            if answer.wakes_turn {
                row.open[parked].parked = None;
            }
            row.set_status();
            Ok(stored)
        })
    }

    async fn owner(&self, org: OrgId, session: SessionId, turn: TurnId) -> StoreResult<Option<Fence>> {
        Ok(self.read(org, |tenant| {
            let row = tenant.sessions.table.get(session)?;
            // Only the oldest one is ever claimed.
            let oldest = row.open.front()?;
            (oldest.id == turn && oldest.attempt > 0 && oldest.parked.is_none()).then_some(row.fence)
        }))
    }

    async fn open_turns(&self, org: OrgId, session: SessionId) -> StoreResult<Vec<TurnId>> {
        Ok(self.read(org, |tenant| {
            let row = tenant.sessions.table.get(session);
            row.map(|row| row.open.iter().map(|turn| turn.id).collect()).unwrap_or_default()
        }))
    }

    async fn append(&self, org: OrgId, session: SessionId, append: Append) -> StoreResult<Vec<Event>> {
        check_events(&append.events)?;
        self.write(org, |tenant| {
            let Sessions { table, turns, .. } = &mut tenant.sessions;
            let row = table.get_mut(session).ok_or_else(|| missing(session))?;
            check_writer(append.fence, row.fence, append.expected_sequence, row.last_sequence())?;
            let ended = match append.ends_turn {
                Some((turn, TurnEnd::Merged)) => Some(queued_position(row, turn)?),
                Some((turn, _)) => Some(open_position(row, turn)?),
                None => None,
            };
            let parked = append.parks_turn.map(|(turn, waits_for)| open_position(row, turn).map(|at| (at, waits_for))).transpose()?;
            let stored = row.push(append.events)?;
            if let Some((at, waits_for)) = parked {
                row.open[at].parked = Some(waits_for);
            }
            if let Some(at) = ended {
                row.open.remove(at);
            }
            if let Some((turn, end)) = append.ends_turn
                && let Some(submitted) = turns.get_mut(&turn)
            {
                submitted.end = Some(end);
            }
            row.set_status();
            Ok(stored)
        })
    }

    async fn read_events(&self, org: OrgId, session: SessionId, after: u64, limit: usize) -> StoreResult<Vec<Event>> {
        let skip = usize::try_from(after).unwrap_or(usize::MAX);
        Ok(self.read(org, |tenant| {
            let events = tenant.sessions.table.get(session).map(|row| row.events.as_slice()).unwrap_or_default();
            events.iter().skip(skip).take(events_limit(limit)).cloned().collect()
        }))
    }

    async fn last_sequence(&self, org: OrgId, session: SessionId) -> StoreResult<u64> {
        Ok(self.read(org, |tenant| tenant.sessions.table.get(session).map_or(0, SessionRow::last_sequence)))
    }

    async fn find_event(&self, org: OrgId, session: SessionId, event: EventId) -> StoreResult<Option<u64>> {
        Ok(self.read(org, |tenant| tenant.sessions.table.get(session).and_then(|row| row.sequences.get(&event).copied())))
    }

    async fn list_turns(&self, org: OrgId, filter: TurnFilter, page: Page) -> StoreResult<Listing<TurnRecord>> {
        Ok(self.read(org, |tenant| {
            let record = |(&turn_id, turn): (&TurnId, &SubmittedTurn)| TurnRecord {
                turn_id,
                session_id: turn.session,
                input_sequence: turn.input_sequence,
                attempts: turn.attempts,
                end: turn.end,
            };
            let is_wanted = |turn: &TurnRecord| {
                filter.session.is_none_or(|session| session == turn.session_id)
                    && filter.turn.is_none_or(|id| id == turn.turn_id)
                    && (filter.end.is_none() || filter.end == turn.end)
            };
            let mut turns: Vec<TurnRecord> = tenant.sessions.turns.iter().map(record).filter(is_wanted).collect();
            turns.sort_unstable_by_key(|turn| std::cmp::Reverse(turn.turn_id));
            let total = turns.len() as u64;
            let items = turns.into_iter().skip(page.offset as usize).take(page_limit(page) as usize).collect();
            Listing { items, total }
        }))
    }

    async fn waiting_sessions(&self, org: OrgId, after: Option<SessionId>, limit: u32) -> StoreResult<Vec<SessionId>> {
        Ok(self.read(org, |tenant| {
            let waiting = tenant.sessions.table.iter().filter(|row| row.open.iter().any(|turn| turn.parked.is_some()));
            let mut ids: Vec<SessionId> = waiting.map(|row| row.session.id).filter(|id| after.is_none_or(|after| *id > after)).collect();
            ids.sort_unstable();
            ids.truncate(limit as usize);
            ids
        }))
    }

    async fn log_usage(&self, org: OrgId, now: Timestamp) -> StoreResult<LogUsage> {
        Ok(self.read(org, |tenant| {
            let Sessions { table, begun, .. } = &tenant.sessions;
            let busy_sessions = table.iter().filter(|row| !row.open.is_empty()).count() as u64;
            LogUsage { busy_sessions, begun: begun.at(now), event_bytes: table.iter().map(|row| row.bytes).sum() }
        }))
    }

    async fn sessions_with_open_turns(&self) -> StoreResult<Vec<(OrgId, SessionId)>> {
        let state = self.lock();
        let rows = state.tenants.iter().flat_map(|(&org, tenant)| tenant.sessions.table.iter().map(move |row| (org, row)));
        Ok(rows.filter(|(_, row)| !row.open.is_empty()).map(|(org, row)| (org, row.session.id)).collect())
    }
}

/// Claims the oldest open turn of a session, at a fence or the next one.
fn claim(sessions: &mut Sessions, session: SessionId, at: Option<Fence>) -> StoreResult<Option<Claim>> {
    let Some(row) = sessions.table.get_mut(session) else { return Ok(None) };
    let Some(turn) = row.open.front_mut().filter(|turn| turn.parked.is_none()) else { return Ok(None) };
    let fence = at.unwrap_or(Fence(row.fence.0 + 1));
    check_claim(fence, row.fence)?;
    turn.attempt += 1;
    row.fence = fence;
    if let Some(submitted) = sessions.turns.get_mut(&turn.id) {
        submitted.attempts = turn.attempt;
    }
    Ok(Some(Claim { turn_id: turn.id, fence, attempt: turn.attempt, cancel_requested: turn.cancel_requested }))
}

/// What a repeated submission returns: the event of the first.
fn repeated(row: &SessionRow, turn: TurnId, earlier: SubmittedTurn) -> StoreResult<Submitted> {
    if earlier.session != row.session.id {
        return Err(StoreError::Duplicate { what: "turn", id: turn.to_string() });
    }
    let event = row.events.iter().find(|event| event.sequence == Some(earlier.input_sequence));
    let event = event.expect("a submitted turn has its input in the log, and goes with it");
    Ok(Submitted { event: event.clone(), created: false })
}

fn open_position(row: &SessionRow, turn: TurnId) -> StoreResult<usize> {
    let position = row.open.iter().position(|open| open.id == turn);
    position.ok_or_else(|| StoreError::NotFound { what: "open turn", id: turn.to_string() })
}

fn queued_position(row: &SessionRow, turn: TurnId) -> StoreResult<usize> {
    let position = row.open.iter().position(|open| open.id == turn && open.attempt == 0 && !open.cancel_requested);
    position.ok_or_else(|| not_queued(turn))
}
