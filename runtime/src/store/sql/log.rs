//! The log of a session and its queue of turns.

use async_trait::async_trait;

use super::error::store_error;
use super::event::{events_after, insert_events};
use super::row::{Stored, Word, integer, key};
use super::{DbConnection, DbRow, Lock, Store};
use crate::event::{Event, NewEvent};
use crate::id::{EventId, OrgId, SessionId, TurnId};
use crate::limits::MAX_EVENTS_PER_PAGE;
use crate::session::SessionStatus;
use crate::store::rules::{check_end, check_events, check_queue, check_writer, not_parked, not_queued, status_after};
use crate::store::{Append, Claim, Fence, SessionLog, StoreError, StoreResult, Submitted, TurnAnswer, TurnEnd};

/// What a write to the log is checked against.
struct Head {
    status: SessionStatus,
    last_sequence: u64,
    fence: Fence,
    open_turns: u64,
    /// Whether the oldest open turn is parked.
    parked: bool,
}

impl Head {
    /// The status that follows from the open turns.
    fn next_status(&self) -> SessionStatus {
        status_after(self.status, self.open_turns, self.parked)
    }
}

async fn head(connection: &mut DbConnection, org: OrgId, session: SessionId) -> StoreResult<Head> {
    // The index is named because it has the open turns only; left alone, the planner takes the
    // primary key and counts through every turn that the org ever had.
    let row = sqlx::query(concat!(
        "SELECT id, status, last_sequence, fence, ",
        "(SELECT count(*) FROM turns",
        indexed_by!("turns_open"),
        " WHERE org_id = $1 AND session_id = $2 AND outcome IS NULL) AS open_turns, ",
        "coalesce((SELECT parked FROM turns",
        indexed_by!("turns_open"),
        " WHERE org_id = $1 AND session_id = $2 AND outcome IS NULL ",
        "ORDER BY input_sequence LIMIT 1), FALSE) AS parked ",
        "FROM sessions WHERE org_id = $1 AND id = $2"
    ))
    .bind(key(org.uuid()))
    .bind(key(session.uuid()))
    .fetch_optional(connection)
    .await
    .map_err(store_error)?
    .ok_or_else(|| StoreError::NotFound { what: "session", id: session.to_string() })?;
    let row = Stored::new(&row, "sessions", &["id"]);
    Ok(Head {
        status: row.word("status")?,
        last_sequence: row.number("last_sequence")?,
        fence: Fence(row.number("fence")?),
        open_turns: row.number("open_turns")?,
        parked: row.flag("parked")?,
    })
}

/// Records where the log ends now, and when its last event happened.
async fn set_head(
    connection: &mut DbConnection,
    org: OrgId,
    session: SessionId,
    status: SessionStatus,
    last: Option<&Event>,
) -> StoreResult<()> {
    // Without a new event both values are null and the columns stay as they are.
    sqlx::query(concat!(
        "UPDATE sessions SET status = $3, last_sequence = coalesce($4, last_sequence), updated_at = coalesce($5, updated_at) ",
        "WHERE org_id = $1 AND id = $2"
    ))
    .bind(key(org.uuid()))
    .bind(key(session.uuid()))
    .bind(status.word())
    .bind(last.and_then(|event| event.sequence).map(integer).transpose()?)
    .bind(last.map(|event| event.ts.as_microsecond()))
    .execute(connection)
    .await
    .map_err(store_error)?;
    Ok(())
}

async fn insert_turn(connection: &mut DbConnection, org: OrgId, turn: TurnId, input: &Event) -> StoreResult<()> {
    sqlx::query(concat!(
        "INSERT INTO turns (org_id, id, session_id, input_sequence, attempt, cancel_requested, outcome) ",
        "VALUES ($1, $2, $3, $4, 0, FALSE, NULL)"
    ))
    .bind(key(org.uuid()))
    .bind(key(turn.uuid()))
    .bind(key(input.session_id.uuid()))
    .bind(input.sequence.map(integer).transpose()?)
    .execute(connection)
    .await
    .map_err(store_error)?;
    Ok(())
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

/// Parks an open turn, or wakes it; false if it is not open.
async fn set_parked(connection: &mut DbConnection, org: OrgId, session: SessionId, turn: TurnId, parked: bool) -> StoreResult<bool> {
    let set = sqlx::query("UPDATE turns SET parked = $4 WHERE org_id = $1 AND session_id = $2 AND id = $3 AND outcome IS NULL")
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .bind(key(turn.uuid()))
        .bind(parked)
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(set.rows_affected() > 0)
}

/// Wakes the parked turn of a session, if it has one.
async fn wake_session(connection: &mut DbConnection, org: OrgId, session: SessionId) -> StoreResult<()> {
    sqlx::query("UPDATE turns SET parked = FALSE WHERE org_id = $1 AND session_id = $2 AND outcome IS NULL AND parked = TRUE")
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .execute(connection)
        .await
        .map_err(store_error)?;
    Ok(())
}

async fn is_parked(connection: &mut DbConnection, org: OrgId, session: SessionId, turn: TurnId) -> StoreResult<bool> {
    let parked = sqlx::query("SELECT 1 FROM turns WHERE org_id = $1 AND session_id = $2 AND id = $3 AND outcome IS NULL AND parked = TRUE")
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .bind(key(turn.uuid()))
        .fetch_optional(connection)
        .await
        .map_err(store_error)?;
    Ok(parked.is_some())
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

fn claimed(row: &DbRow, fence: u64) -> StoreResult<Claim> {
    let row = Stored::new(row, "turns", &["id"]);
    Ok(Claim {
        turn_id: row.id("id", TurnId::from_uuid)?,
        fence: Fence(fence),
        attempt: row.number("attempt")?,
        cancel_requested: row.flag("cancel_requested")?,
    })
}

impl Store {
    /// Claims the oldest open turn of a session, at a fence or the next one.
    async fn claim(&self, org: OrgId, session: SessionId, at: Option<Fence>) -> StoreResult<Option<Claim>> {
        let at = at.map(|fence| integer(fence.0)).transpose()?;
        let mut writer = self.db.writer(Lock::Session(org, session)).await;
        let mut tx = writer.begin().await?;
        // The subquery takes the first entry of the partial index of open turns.
        let oldest = sqlx::query(concat!(
            "UPDATE turns SET attempt = attempt + 1 WHERE org_id = $1 AND id = (",
            "SELECT id FROM turns WHERE org_id = $1 AND session_id = $2 AND outcome IS NULL ORDER BY input_sequence LIMIT 1) ",
            "AND parked = FALSE ",
            "RETURNING id, attempt, cancel_requested"
        ))
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .fetch_optional(&mut *tx)
        .await
        .map_err(store_error)?;
        let Some(oldest) = oldest else { return Ok(None) };
        let owned = sqlx::query(concat!(
            "UPDATE sessions SET fence = coalesce($3, fence + 1) WHERE org_id = $1 AND id = $2 AND ($3 IS NULL OR fence < $3) ",
            "RETURNING id, fence"
        ))
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .bind(at)
        .fetch_optional(&mut *tx)
        .await
        .map_err(store_error)?;
        let Some(owned) = owned else {
            let given = at.unwrap_or_default();
            let actual = head(&mut tx, org, session).await?.fence.0;
            return Err(StoreError::Fenced { given: u64::try_from(given).unwrap_or_default(), actual });
        };
        let claim = claimed(&oldest, Stored::new(&owned, "sessions", &["id"]).number("fence")?)?;
        tx.commit().await.map_err(store_error)?;
        Ok(Some(claim))
    }
}

#[async_trait]
impl SessionLog for Store {
    async fn submit_turn(&self, org: OrgId, session: SessionId, turn: TurnId, input: NewEvent) -> StoreResult<Submitted> {
        check_events(std::slice::from_ref(&input))?;
        let mut writer = self.db.writer(Lock::Session(org, session)).await;
        let mut tx = writer.begin().await?;
        let head = head(&mut tx, org, session).await?;
        if let Some(event) = submitted_input(&mut tx, org, session, turn).await? {
            return Ok(Submitted { event, created: false });
        }
        check_queue(head.open_turns)?;
        let event = insert_events(&mut tx, org, session, head.last_sequence, vec![input]).await?.remove(0);
        insert_turn(&mut tx, org, turn, &event).await?;
        wake_session(&mut tx, org, session).await?;
        let head = Head { open_turns: head.open_turns + 1, parked: false, ..head };
        set_head(&mut tx, org, session, head.next_status(), Some(&event)).await?;
        tx.commit().await.map_err(store_error)?;
        Ok(Submitted { event, created: true })
    }

    async fn claim_turn(&self, org: OrgId, session: SessionId) -> StoreResult<Option<Claim>> {
        self.claim(org, session, None).await
    }

    async fn claim_turn_at(&self, org: OrgId, session: SessionId, fence: Fence) -> StoreResult<Option<Claim>> {
        self.claim(org, session, Some(fence)).await
    }

    async fn request_cancel(&self, org: OrgId, session: SessionId, turn: TurnId) -> StoreResult<bool> {
        let mut writer = self.db.writer(Lock::Session(org, session)).await;
        let mut tx = writer.begin().await?;
        let marked = sqlx::query(
            "UPDATE turns SET cancel_requested = TRUE, parked = FALSE WHERE org_id = $1 AND session_id = $2 AND id = $3 AND outcome IS NULL",
        )
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .bind(key(turn.uuid()))
        .execute(&mut *tx)
        .await
        .map_err(store_error)?;
        if marked.rows_affected() == 0 {
            return Ok(false);
        }
        let head = head(&mut tx, org, session).await?;
        set_head(&mut tx, org, session, head.next_status(), None).await?;
        tx.commit().await.map_err(store_error)?;
        Ok(true)
    }

    async fn answer_turn(&self, org: OrgId, session: SessionId, answer: TurnAnswer) -> StoreResult<Vec<Event>> {
        check_events(&answer.events)?;
        let mut writer = self.db.writer(Lock::Session(org, session)).await;
        let mut tx = writer.begin().await?;
        let before = head(&mut tx, org, session).await?;
        if !is_parked(&mut tx, org, session, answer.turn_id).await? {
            return Err(not_parked(answer.turn_id));
        }
        check_end(answer.expected_sequence, before.last_sequence)?;
        let stored = insert_events(&mut tx, org, session, before.last_sequence, answer.events).await?;
        if answer.wakes_turn {
            set_parked(&mut tx, org, session, answer.turn_id, false).await?;
        }
        let after = head(&mut tx, org, session).await?;
        set_head(&mut tx, org, session, after.next_status(), stored.last()).await?;
        tx.commit().await.map_err(store_error)?;
        Ok(stored)
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
        let mut writer = self.db.writer(Lock::Session(org, session)).await;
        let mut tx = writer.begin().await?;
        let before = head(&mut tx, org, session).await?;
        check_writer(append.fence, before.fence, append.expected_sequence, before.last_sequence)?;
        if let Some((turn, end)) = append.ends_turn {
            end_turn(&mut tx, org, session, turn, end).await?;
        }
        if let Some(turn) = append.parks_turn
            && !set_parked(&mut tx, org, session, turn, true).await?
        {
            return Err(StoreError::NotFound { what: "open turn", id: turn.to_string() });
        }
        let stored = insert_events(&mut tx, org, session, before.last_sequence, append.events).await?;
        let after = if append.ends_turn.is_some() || append.parks_turn.is_some() { head(&mut tx, org, session).await? } else { before };
        set_head(&mut tx, org, session, after.next_status(), stored.last()).await?;
        tx.commit().await.map_err(store_error)?;
        Ok(stored)
    }

    async fn read_events(&self, org: OrgId, session: SessionId, after: u64, limit: usize) -> StoreResult<Vec<Event>> {
        events_after(&mut *self.db.reader().await?, org, session, after, limit.min(MAX_EVENTS_PER_PAGE)).await
    }

    async fn last_sequence(&self, org: OrgId, session: SessionId) -> StoreResult<u64> {
        let row = sqlx::query("SELECT id, last_sequence FROM sessions WHERE org_id = $1 AND id = $2")
            .bind(key(org.uuid()))
            .bind(key(session.uuid()))
            .fetch_optional(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        row.map_or(Ok(0), |row| Stored::new(&row, "sessions", &["id"]).number("last_sequence"))
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

    async fn waiting_sessions(&self, org: OrgId, after: Option<SessionId>, limit: u32) -> StoreResult<Vec<SessionId>> {
        let rows = sqlx::query(concat!(
            "SELECT DISTINCT session_id FROM turns",
            indexed_by!("turns_parked"),
            " WHERE org_id = $1 AND session_id > $2 AND outcome IS NULL AND parked = ",
            yes!(),
            " ORDER BY session_id LIMIT $3"
        ))
        .bind(key(org.uuid()))
        .bind(after.map(|after| key(after.uuid())).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&mut *self.db.reader().await?)
        .await
        .map_err(store_error)?;
        rows.iter().map(|row| Stored::new(row, "turns", &["session_id"]).id("session_id", SessionId::from_uuid)).collect()
    }

    async fn busy_sessions(&self, org: OrgId) -> StoreResult<u64> {
        let row = sqlx::query("SELECT count(DISTINCT session_id) AS busy FROM turns WHERE org_id = $1 AND outcome IS NULL")
            .bind(key(org.uuid()))
            .fetch_one(&mut *self.db.reader().await?)
            .await
            .map_err(store_error)?;
        Stored::new(&row, "turns", &[]).number("busy")
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
