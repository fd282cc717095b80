//! The log of a session and its queue of turns.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Listing, Page, StoreResult};
use crate::event::{Event, NewEvent};
use crate::id::{EventId, OrgId, SessionId, TurnId};
use crate::usage::BegunTurns;

/// Proof of owning a session: grows with each claim; only the newest may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(pub u64);

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnEnd {
    /// With an answer.
    Completed,
    /// With an error.
    Failed,
    /// By a cancel.
    Cancelled,
    /// By the platform.
    Sealed,
    /// Without having started: its input became part of the turn that ran when it came.
    Merged,
}

/// What a parked turn waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParkedFor {
    /// Somebody outside: results, an answer, an approval, a connection. The session is `waiting_for_tool_results`.
    Answer,
    /// That somebody resumes the session, which is `paused`.
    Resume,
}

/// Events to append in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// Sequence of the last event that the writer has seen.
    pub expected_sequence: u64,
    /// The writer's fence.
    pub fence: Fence,
    /// The events, in order; none of them live-only. At most 1,000.
    pub events: Vec<NewEvent>,
    /// The turn that these events end; the session becomes idle if no other turn is open. A turn that
    /// ends as [`TurnEnd::Merged`] must never have been claimed, nor be marked to be cancelled.
    pub ends_turn: Option<(TurnId, TurnEnd)>,
    /// The turn that waits from now on, and for what. Nobody can claim it until
    /// [`SessionLog::answer_turn`], a cancel or a further submission wakes it.
    pub parks_turn: Option<(TurnId, ParkedFor)>,
}

/// Answers to what a parked turn waits for.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnAnswer {
    /// The turn.
    pub turn_id: TurnId,
    /// Sequence of the last event that the answer takes account of.
    pub expected_sequence: u64,
    /// The events, in order; at most 1,000.
    pub events: Vec<NewEvent>,
    /// Whether the turn waits for nothing any more.
    pub wakes_turn: bool,
}

/// A claimed turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The turn.
    pub turn_id: TurnId,
    /// Fence of this claim.
    pub fence: Fence,
    /// How often the turn was claimed, this time included; more than one means that an owner
    /// died.
    pub attempt: u32,
    /// Whether a cancel was requested.
    pub cancel_requested: bool,
}

/// What a submission did.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The stored `input.message` event.
    pub event: Event,
    /// False if the turn had been submitted before; nothing was stored then.
    pub created: bool,
}

/// Which turns to list: those for which all of it holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TurnFilter {
    /// Turns of this session.
    pub session: Option<SessionId>,
    /// This turn alone.
    pub turn: Option<TurnId>,
    /// Turns that ended like this.
    pub end: Option<TurnEnd>,
}

/// A turn, as the queue of its session knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnRecord {
    /// The turn.
    pub turn_id: TurnId,
    /// Its session.
    pub session_id: SessionId,
    /// Sequence of its `input.message`.
    pub input_sequence: u64,
    /// How often it was claimed.
    pub attempts: u32,
    /// How it ended; none if it is open.
    pub end: Option<TurnEnd>,
}

/// What an org has in its logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogUsage {
    /// Sessions with an open turn: one that runs, waits its turn or is parked.
    pub busy_sessions: u64,
    /// Turns that were submitted in the minute of now and in the one before, by the times of their messages.
    pub begun: BegunTurns,
    /// Bytes of all events: those of their data as JSON, and [`crate::limits::EVENT_OVERHEAD_BYTES`] each. What is deleted with
    /// its session does not count.
    pub event_bytes: u64,
}

/// The log of each session together with its queue of turns: one aggregate, because an event
/// and the change of a turn that it records must be one transaction.
///
/// To a reader, a session that does not exist is one without events and turns; writing to it is
/// `NotFound`. Appending sets the session's `updated_at` to the time of the last event.
#[async_trait]
pub trait SessionLog: Send + Sync {
    /// Accepts a message: appends `input.message` wherever the log ends, opens the turn behind
    /// those already open, wakes a parked turn, and makes the session active. Idempotent by turn id, also after
    /// the turn ended. `Limit` if [`crate::limits::MAX_QUEUED_TURNS`] are open, `Duplicate` if
    /// the turn is one of another session.
    async fn submit_turn(&self, org: OrgId, session: SessionId, turn: TurnId, input: NewEvent) -> StoreResult<Submitted>;

    /// Takes the session's oldest open turn over, whoever had it; none if no turn is open, or
    /// if that turn is parked.
    async fn claim_turn(&self, org: OrgId, session: SessionId) -> StoreResult<Option<Claim>>;

    /// As [`Self::claim_turn`], with a fence that the caller has chosen: for callers whose claims are
    /// numbered already. `Fenced` unless it is newer than the session's.
    async fn claim_turn_at(&self, org: OrgId, session: SessionId, fence: Fence) -> StoreResult<Option<Claim>>;

    /// Appends answers to a parked turn if the log ends at the expected sequence, without a
    /// fence: nobody owns a parked turn. `NotFound` if the turn is not parked,
    /// `SequenceConflict` if the log went on; otherwise as [`Self::append`].
    async fn answer_turn(&self, org: OrgId, session: SessionId, answer: TurnAnswer) -> StoreResult<Vec<Event>>;

    /// Marks an open turn to be cancelled, and wakes it if it is parked; false if it is not open
    /// any more.
    async fn request_cancel(&self, org: OrgId, session: SessionId, turn: TurnId) -> StoreResult<bool>;

    /// The fence of the latest claim of an open turn; none if the turn is not open, was never claimed, or is parked.
    async fn owner(&self, org: OrgId, session: SessionId, turn: TurnId) -> StoreResult<Option<Fence>>;

    /// The session's open turns, oldest first.
    async fn open_turns(&self, org: OrgId, session: SessionId) -> StoreResult<Vec<TurnId>>;

    /// Appends events if the log ends at the expected sequence and the fence is the newest;
    /// `Fenced` or else `SequenceConflict` otherwise, and nothing is stored. `NotFound` if the
    /// turn to end or to park is not open ("open turn"), or the one to merge does not just wait
    /// ("queued turn"), `Duplicate` if an event id is taken in this session, `Limit`
    /// for too many events or a live-only one.
    async fn append(&self, org: OrgId, session: SessionId, append: Append) -> StoreResult<Vec<Event>>;

    /// Events after a sequence, in order, at most `limit` (up to
    /// [`crate::limits::MAX_EVENTS_PER_PAGE`]).
    async fn read_events(&self, org: OrgId, session: SessionId, after: u64, limit: usize) -> StoreResult<Vec<Event>>;

    /// Sequence of the last event.
    async fn last_sequence(&self, org: OrgId, session: SessionId) -> StoreResult<u64>;

    /// Sequence of the event with this id (text form); none if it is not in the session.
    async fn find_event(&self, org: OrgId, session: SessionId, event: EventId) -> StoreResult<Option<u64>>;

    /// Turns of an org, open and ended ones, those with the greatest ids first: of ids that begin with a time, the
    /// latest.
    async fn list_turns(&self, org: OrgId, filter: TurnFilter, page: Page) -> StoreResult<Listing<TurnRecord>>;

    /// Sessions of which a turn is parked, in order of their ids, after one of them.
    async fn waiting_sessions(&self, org: OrgId, after: Option<SessionId>, limit: u32) -> StoreResult<Vec<SessionId>>;

    /// What an org has in its logs, counted in the transactions that change it. Asked before each turn, so that it
    /// must cost the same however much there is.
    async fn log_usage(&self, org: OrgId, now: Timestamp) -> StoreResult<LogUsage>;

    /// All sessions of all orgs with an open turn, for recovery at start. The one method that
    /// looks across orgs; not reachable from any request.
    async fn sessions_with_open_turns(&self) -> StoreResult<Vec<(OrgId, SessionId)>>;
}
