//! The log of a session and its queue of turns.

use async_trait::async_trait;
use jiff::Timestamp;

use super::error::store_error;
use super::event::{end_as_owner, events_after, insert_as_owner, insert_at_end, insert_events, numbered};
use super::row::{Stored, Word, integer, key};
use super::{DbConnection, DbRow, Lock, Store, turns};
use crate::error::ErrorKind;
use crate::event::{Event, NewEvent};
use crate::fail_point::fail_point;
use crate::id::{EventId, OrgId, SessionId, TurnId};
use crate::store::rules::{check_end, check_events, check_queue, check_writer, events_limit, not_parked, not_queued};
use crate::store::{
    Append, Claim, Fence, Listing, LogUsage, Page, ParkedFor, SessionLog, StoreError, StoreResult, Submitted, TurnAnswer, TurnEnd,
    TurnFilter, TurnRecord,
};

/// What a write to the log is checked against.
struct Head {
    last_sequence: u64,
    fence: Fence,
}

async fn head(connection: &mut DbConnection, org: OrgId, session: SessionId) -> StoreResult<Head> {
    let row = sqlx::query(concat!(
        "SELECT id, coalesce((SELECT max(sequence) FROM events WHERE org_id = $1 AND session_id = $2), 0) AS last_sequence, ",
        "coalesce((SELECT fence FROM (",
        latest_claim!(),
        ") AS latest), 0) AS fence FROM sessions WHERE org_id = $1 AND id = $2"
    ))
    .bind(key(org.uuid()))
    .bind(key(session.uuid()))
    .fetch_optional(connection)
    .await
    .map_err(store_error)?
    .ok_or_else(|| no_session(session))?;
    let row = Stored::new(&row, "sessions", &["id"]);
    Ok(Head { last_sequence: row.number("last_sequence")?, fence: Fence(row.number("fence")?) })
}

fn no_session(session: SessionId) -> StoreError {
    StoreError::NotFound { what: "session", id: session.to_string() }
}

/// Opens a turn; false if it was submitted before.
async fn insert_turn(connection: &mut DbConnection, org: OrgId, turn: TurnId, input: &Event) -> StoreResult<bool> {
    let inserted = sqlx::query(concat!(
        "INSERT INTO turns (org_id, id, session_id, input_sequence, attempt, cancel_requested, outcome) ",
        "VALUES ($1, $2, $3, $4, 0, FALSE, NULL) ON CONFLICT (org_id, id) DO NOTHING"
    ))
    .bind(key(org.uuid()))
    .bind(key(turn.uuid()))
    .bind(key(input.session_id.uuid()))
    .bind(input.sequence.map(integer).transpose()?)
    .execute(connection)
    .await
    .map_err(store_error)?;
    Ok(inserted.rows_affected() > 0)
}

async fn end_turn(connection: &mut DbConnection, org: OrgId, session: SessionId, turn: TurnId, end: TurnEnd) -> StoreResult<()> {
    let merges = end == TurnEnd::Merged;
    let ended = sqlx::query(concat!(
        "UPDATE turns SET outcome = $4 WHERE org_id = $1 AND session_id = $2 AND id = $3 AND outcome IS NULL ",
        "AND (NOT $5 OR (attempt = 0 AND cancel_requested = FALSE))"
    ))
    .bind(key(org.uuid()))
    .bind(key(session.uuid()))
    .bind(key(turn.uuid()))
    .bind(end.word())
    .bind(merges)
    .execute(connection)
    .await
    .map_err(store_error)?;
    match ended.rows_affected() {
        0 if merges => Err(not_queued(turn)),
        0 => Err(StoreError::NotFound { what: "open turn", id: turn.to_string() }),
        _ => Ok(()),
    }
}

/// Parks an open turn; false if it is not open.
async fn park_turn(
    connection: &mut DbConnection,
    org: OrgId,
    session: SessionId,
    (turn, waits_for): (TurnId, ParkedFor),
) -> StoreResult<bool> {
    let statement = "UPDATE turns SET parked = TRUE, paused = $4 WHERE org_id = $1 AND session_id = $2 AND id = $3 AND outcome IS NULL";
    let parked = sqlx::query(statement)
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .bind(key(turn.uuid()))
        .bind(waits_for == ParkedFor::Resume)
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(parked.rows_affected() > 0)
}

/// Wakes the open turns of a session; returns how many there are. Until the transaction ends,
/// nobody else writes as the owner of one of them.
async fn wake_turns(connection: &mut DbConnection, org: OrgId, session: SessionId) -> StoreResult<u64> {
    let open = sqlx::query(concat!(
        "UPDATE turns",
        indexed_by!("turns_open"),
        " SET parked = FALSE WHERE org_id = $1 AND session_id = $2 AND outcome IS NULL"
    ))
    .bind(key(org.uuid()))
    .bind(key(session.uuid()))
    .execute(connection)
    .await
    .map_err(store_error)?;
    Ok(open.rows_affected())
}

/// Takes hold of a parked turn, and wakes it or leaves it parked; false if it is not parked.
async fn answer_parked(connection: &mut DbConnection, org: OrgId, session: SessionId, answer: &TurnAnswer) -> StoreResult<bool> {
    let statement = "UPDATE turns SET parked = $4 WHERE org_id = $1 AND session_id = $2 AND id = $3 AND outcome IS NULL AND parked = TRUE";
    let held = sqlx::query(statement)
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .bind(key(answer.turn_id.uuid()))
        .bind(!answer.wakes_turn)
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(held.rows_affected() > 0)
}

/// The input of a turn that was submitted before, whether it has ended or not.
async fn submitted_input(connection: &mut DbConnection, org: OrgId, session: SessionId, turn: TurnId) -> StoreResult<Option<Event>> {
    let row = sqlx::query("SELECT id, session_id, input_sequence FROM turns WHERE org_id = $1 AND id = $2")
        .bind(key(org.uuid()))
        .bind(key(turn.uuid()))
        .fetch_optional(&mut *connection)
        .await
        .map_err(store_error)?;
    let Some(row) = row else { return Ok(None) };
    let row = Stored::new(&row, "turns", &["id"]);
    if row.id("session_id", SessionId::from_uuid)? != session {
        return Err(StoreError::Duplicate { what: "turn", id: turn.to_string() });
    }
    let sequence: u64 = row.number("input_sequence")?;
    let input = events_after(connection, org, session, sequence.saturating_sub(1), 1).await?.pop();
    input.map(Some).ok_or_else(|| row.corrupt("input_sequence", format!("there is no event {sequence}")))
}

fn claimed(row: &DbRow) -> StoreResult<Claim> {
    let row = Stored::new(row, "turns", &["id"]);
    Ok(Claim {
        turn_id: row.id("id", TurnId::from_uuid)?,
        fence: Fence(row.number("fence")?),
        attempt: row.number("attempt")?,
        cancel_requested: row.flag("cancel_requested")?,
    })
}

impl Store {
    /// Claims the oldest open turn of a session, at the next fence, or at this one if it is newer than
    /// that of every claim before.
    async fn claim(&self, org: OrgId, session: SessionId, at: Option<Fence>) -> StoreResult<Option<Claim>> {
        let mut writer = self.db.writer(Lock::Session(org, session)).await;
        // The subquery takes the first entry of the partial index of open turns. While the statement waits
        // for its row, another one may end the turn or claim it, so that the row itself is asked, too.
        let oldest = sqlx::query(concat!(
            "UPDATE turns SET attempt = attempt + 1, fence = coalesce($3, ",
            larger!("fence", "(SELECT coalesce(max(fence), 0) FROM turns WHERE org_id = $1 AND session_id = $2 AND fence > 0)"),
            " + 1) WHERE org_id = $1 AND id = (",
            "SELECT id FROM turns WHERE org_id = $1 AND session_id = $2 AND outcome IS NULL ORDER BY input_sequence LIMIT 1) ",
            "AND outcome IS NULL AND parked = FALSE AND ($3 IS NULL OR (fence < $3 AND NOT EXISTS ",
            "(SELECT 1 FROM turns WHERE org_id = $1 AND session_id = $2 AND fence > 0 AND fence >= $3))) ",
            "RETURNING id, attempt, cancel_requested, fence"
        ))
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .bind(at.map(|fence| integer(fence.0)).transpose()?)
        .fetch_optional(&mut *writer.connection().await?)
        .await
        .map_err(store_error)?;
        if oldest.is_some() {
            fail_point!(StoreClaimed);
        }
        oldest.as_ref().map(claimed).transpose()
    }

    /// Why an append was refused: what the log and its owner are by now comes before what the
    /// database said, because a database with many writers says it of a log that went on meanwhile.
    async fn refusal(&self, org: OrgId, session: SessionId, append: &Append, said: Option<StoreError>) -> StoreError {
        if said.as_ref().is_some_and(|said| said.kind() == ErrorKind::Unavailable) {
            return said.expect("it was just looked at");
        }
        let now = async {
            let mut writer = self.db.writer(Lock::Session(org, session)).await;
            let mut tx = writer.begin().await?;
            let head = head(&mut tx, org, session).await?;
            check_writer(append.fence, head.fence, append.expected_sequence, head.last_sequence)
        };
        match now.await {
            Err(error) => error,
            Ok(()) => said.unwrap_or_else(|| StoreError::Unavailable("an append was overtaken; try again".to_owned())),
        }
    }

    /// Appends events that change no turn, in one statement.
    async fn append_events(&self, org: OrgId, session: SessionId, append: Append) -> StoreResult<Vec<Event>> {
        let at = (append.expected_sequence, append.fence);
        let stored = {
            let mut writer = self.db.writer(Lock::Session(org, session)).await;
            insert_as_owner(&mut *writer.connection().await?, org, session, at, &append.events).await
        };
        match stored {
            Ok(true) => Ok(numbered(session, append.expected_sequence, append.events)),
            Ok(false) => Err(self.refusal(org, session, &append, None).await),
            Err(error) => Err(self.refusal(org, session, &append, Some(error)).await),
        }
    }

    /// Appends events together with what they change of a turn.
    async fn append_and_change(&self, org: OrgId, session: SessionId, append: &Append) -> Result<(), Option<StoreError>> {
        let mut writer = self.db.writer(Lock::Session(org, session)).await;
        // What an owner does with its own turn needs one statement at most, where the database has one for it.
        if let (Some((turn, end)), None, false) = (append.ends_turn, append.parks_turn, append.events.is_empty())
            && end != TurnEnd::Merged
        {
            let at = (append.expected_sequence, append.fence);
            let ending = (turn, end.word());
            if end_as_owner(&mut *writer.connection().await?, org, session, at, &append.events, ending).await? == Some(true) {
                return Ok(());
            }
        }
        let mut tx = writer.begin_unlocked().await?;
        if append.events.is_empty() {
            let head = head(&mut tx, org, session).await?;
            check_writer(append.fence, head.fence, append.expected_sequence, head.last_sequence)?;
        } else {
            let at = (append.expected_sequence, append.fence);
            if !insert_as_owner(&mut tx, org, session, at, &append.events).await? {
                return Err(None);
            }
        }
        if let Some((turn, end)) = append.ends_turn {
            end_turn(&mut tx, org, session, turn, end).await?;
        }
        if let Some(parks) = append.parks_turn
            && !park_turn(&mut tx, org, session, parks).await?
        {
            return Err(Some(StoreError::NotFound { what: "open turn", id: parks.0.to_string() }));
        }
        fail_point!(StoreAppending);
        tx.commit().await.map_err(|error| Some(store_error(error)))
    }
}

#[async_trait]
impl SessionLog for Store {
    async fn submit_turn(&self, org: OrgId, session: SessionId, turn: TurnId, input: NewEvent) -> StoreResult<Submitted> {
        check_events(std::slice::from_ref(&input))?;
        let mut writer = self.db.writer(Lock::Session(org, session)).await;
        let mut tx = writer.begin().await?;
        let open = wake_turns(&mut tx, org, session).await?;
        let full = check_queue(open);
        if full.is_ok() {
            let event = insert_at_end(&mut tx, org, session, input).await?.ok_or_else(|| no_session(session))?;
            if insert_turn(&mut tx, org, turn, &event).await? {
                fail_point!(StoreSubmitting);
                tx.commit().await.map_err(store_error)?;
                fail_point!(StoreSubmitted);
                return Ok(Submitted { event, created: true });
            }
        }
        tx.rollback().await.map_err(store_error)?;
        let first = submitted_input(&mut *self.db.reader().await?, org, session, turn).await?;
        match first {
            Some(event) => Ok(Submitted { event, created: false }),
            None => Err(full.err().unwrap_or_else(|| no_session(session))),
        }
    }

    async fn claim_turn(&self, org: OrgId, session: SessionId) -> StoreResult<Option<Claim>> {
        self.claim(org, session, None).await
    }

    async fn claim_turn_at(&self, org: OrgId, session: SessionId, fence: Fence) -> StoreResult<Option<Claim>> {
        let claimed = self.claim(org, session, Some(fence)).await?;
        if claimed.is_none() {
            let head = head(&mut *self.db.reader().await?, org, session).await?;
            if head.fence >= fence {
                return Err(StoreError::Fenced { given: fence.0, actual: head.fence.0 });
            }
        }
        Ok(claimed)
    }

    async fn request_cancel(&self, org: OrgId, session: SessionId, turn: TurnId) -> StoreResult<bool> {
        let mut writer = self.db.writer(Lock::Session(org, session)).await;
        let marked = sqlx::query(
            "UPDATE turns SET cancel_requested = TRUE, parked = FALSE WHERE org_id = $1 AND session_id = $2 AND id = $3 AND outcome IS NULL",
        )
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .bind(key(turn.uuid()))
        .execute(&mut *writer.connection().await?)
        .await
        .map_err(store_error)?;
        fail_point!(StoreCancelling);
        Ok(marked.rows_affected() > 0)
    }

    async fn answer_turn(&self, org: OrgId, session: SessionId, answer: TurnAnswer) -> StoreResult<Vec<Event>> {
        check_events(&answer.events)?;
        let mut writer = self.db.writer(Lock::Session(org, session)).await;
        let mut tx = writer.begin().await?;
        let is_parked = answer_parked(&mut tx, org, session, &answer).await?;
        let head = head(&mut tx, org, session).await?;
        if !is_parked {
            return Err(not_parked(answer.turn_id));
        }
        check_end(answer.expected_sequence, head.last_sequence)?;
        let stored = insert_events(&mut tx, org, session, head.last_sequence, answer.events).await?;
        fail_point!(StoreAnswering);
        tx.commit().await.map_err(store_error)?;
        fail_point!(StoreAnswered);
        Ok(stored)
    }

    async fn owner(&self, org: OrgId, session: SessionId, turn: TurnId) -> StoreResult<Option<Fence>> {
        turns::owner(&self.db, org, session, turn).await
    }

    async fn open_turns(&self, org: OrgId, session: SessionId) -> StoreResult<Vec<TurnId>> {
        let rows = sqlx::query("SELECT id FROM turns WHERE org_id = $1 AND session_id = $2 AND outcome IS NULL ORDER BY input_sequence")
            .bind(key(org.uuid()))
            .bind(key(session.uuid()))
            .fetch_all(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        rows.iter().map(|row| Stored::new(row, "turns", &["id"]).id("id", TurnId::from_uuid)).collect()
    }

    async fn append(&self, org: OrgId, session: SessionId, append: Append) -> StoreResult<Vec<Event>> {
        check_events(&append.events)?;
        let stored = if append.ends_turn.is_none() && append.parks_turn.is_none() && !append.events.is_empty() {
            self.append_events(org, session, append).await?
        } else {
            match self.append_and_change(org, session, &append).await {
                Ok(()) => numbered(session, append.expected_sequence, append.events),
                Err(said) => return Err(self.refusal(org, session, &append, said).await),
            }
        };
        fail_point!(StoreAppended);
        Ok(stored)
    }

    async fn read_events(&self, org: OrgId, session: SessionId, after: u64, limit: usize) -> StoreResult<Vec<Event>> {
        events_after(&mut *self.db.reader().await?, org, session, after, events_limit(limit)).await
    }

    async fn last_sequence(&self, org: OrgId, session: SessionId) -> StoreResult<u64> {
        let row = sqlx::query("SELECT coalesce(max(sequence), 0) AS sequence FROM events WHERE org_id = $1 AND session_id = $2")
            .bind(key(org.uuid()))
            .bind(key(session.uuid()))
            .fetch_one(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        Stored::new(&row, "events", &[]).number("sequence")
    }

    async fn find_event(&self, org: OrgId, session: SessionId, event: EventId) -> StoreResult<Option<u64>> {
        let row = sqlx::query("SELECT session_id, sequence FROM events WHERE org_id = $1 AND session_id = $2 AND id = $3")
            .bind(key(org.uuid()))
            .bind(key(session.uuid()))
            .bind(key(event.uuid()))
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.map(|row| Stored::new(&row, "events", &["session_id", "sequence"]).number("sequence")).transpose()
    }

    async fn list_turns(&self, org: OrgId, filter: TurnFilter, page: Page) -> StoreResult<Listing<TurnRecord>> {
        turns::list_turns(&self.db, org, filter, page).await
    }

    async fn waiting_sessions(&self, org: OrgId, after: Option<SessionId>, limit: u32) -> StoreResult<Vec<SessionId>> {
        turns::waiting_sessions(&self.db, org, after, limit).await
    }

    async fn log_usage(&self, org: OrgId, now: Timestamp) -> StoreResult<LogUsage> {
        turns::log_usage(&self.db, org, now).await
    }

    async fn sessions_with_open_turns(&self) -> StoreResult<Vec<(OrgId, SessionId)>> {
        let rows = sqlx::query("SELECT DISTINCT org_id, session_id FROM turns WHERE outcome IS NULL")
            .fetch_all(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        let ids = |row| {
            let row = Stored::new(row, "turns", &["org_id", "session_id"]);
            Ok((row.id("org_id", OrgId::from_uuid)?, row.id("session_id", SessionId::from_uuid)?))
        };
        rows.iter().map(ids).collect()
    }
}
