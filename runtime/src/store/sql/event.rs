//! Events as rows: how they are written, all of an append at once, and read.

use serde_json::json;

use super::error::{store_error, taken};
use super::row::{Stored, integer, json as json_text, key};
use super::{DbConnection, DbRow};
use crate::event::{Event, EventContext, NewEvent};
use crate::id::{EventId, MessageId, OrgId, SessionId, TurnId};
use crate::store::rules::whole_micros;
use crate::store::{Fence, StoreError, StoreResult};

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT session_id, sequence, id, ts, turn_id, input_message_id, data FROM events ", $tail)
    };
}

fn event(row: &DbRow) -> StoreResult<Event> {
    let row = Stored::new(row, "events", &["session_id", "sequence"]);
    Ok(Event {
        id: row.id("id", EventId::from_uuid)?,
        ts: row.time("ts")?,
        session_id: row.id("session_id", SessionId::from_uuid)?,
        sequence: Some(row.number("sequence")?),
        context: EventContext {
            turn_id: row.optional_id("turn_id", TurnId::from_uuid)?,
            input_message_id: row.optional_id("input_message_id", MessageId::from_uuid)?,
        },
        data: row.json("data")?,
    })
}

/// Columns of an insertion, and what comes from its rows; the sequence is in between.
macro_rules! into_events {
    ($sequence:literal, $from:expr) => {
        concat!(
            "INSERT INTO events (org_id, session_id, sequence, id, ts, turn_id, input_message_id, data) SELECT $1, $2, ",
            $sequence,
            ", new.id, new.ts, new.turn_id, new.input_message_id, new.data FROM ",
            event_rows!("$3"),
            $from,
            " ORDER BY new.place"
        )
    };
}

/// Where the log of a session ends.
macro_rules! end_of_log {
    () => {
        "coalesce((SELECT max(sequence) FROM events WHERE org_id = $1 AND session_id = $2), 0)"
    };
}

/// Writes events behind sequence `last` in one statement, however many there are. The caller sees to
/// it that nobody else writes there.
pub(super) async fn insert_events(
    connection: &mut DbConnection,
    org: OrgId,
    session: SessionId,
    last: u64,
    events: Vec<NewEvent>,
) -> StoreResult<Vec<Event>> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query(storing!(into_events!("$4 + new.place", "")))
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .bind(rows(&events)?)
        .bind(integer(last)?)
        .fetch_all(connection)
        .await
        .map_err(|error| event_taken(error, &events))?;
    Ok(numbered(session, last, events))
}

/// Writes an event where the log of an existing session ends; none if the session does not exist.
pub(super) async fn insert_at_end(
    connection: &mut DbConnection,
    org: OrgId,
    session: SessionId,
    event: NewEvent,
) -> StoreResult<Option<Event>> {
    let events = vec![event];
    let stored = sqlx::query(storing!(into_events!(
        "sessions.last_sequence + new.place",
        concat!(", (SELECT id, ", end_of_log!(), " AS last_sequence FROM sessions WHERE org_id = $1 AND id = $2) AS sessions")
    )))
    .bind(key(org.uuid()))
    .bind(key(session.uuid()))
    .bind(rows(&events)?)
    .fetch_all(connection)
    .await
    .map_err(|error| event_taken(error, &events))?;
    let Some(stored) = stored.last() else { return Ok(None) };
    let sequence: u64 = Stored::new(stored, "events", &["sequence"]).number("sequence")?;
    Ok(numbered(session, sequence - 1, events).pop())
}

/// Writes events if the log ends at sequence `last` and the fence is that of the latest claim;
/// tells whether it did. Nobody can claim the turn meanwhile. In a database with many writers a
/// log that goes on at the same moment is an error of the statement.
pub(super) async fn insert_as_owner(
    connection: &mut DbConnection,
    org: OrgId,
    session: SessionId,
    (last, fence): (u64, Fence),
    events: &[NewEvent],
) -> StoreResult<bool> {
    let stored = sqlx::query(storing!(into_events!(
        "$4 + new.place",
        concat!(", (", latest_claim!(), ") AS latest WHERE latest.fence = $5 AND ", end_of_log!(), " = $4")
    )))
    .bind(key(org.uuid()))
    .bind(key(session.uuid()))
    .bind(rows(events)?)
    // Nothing that was stored is as large as what does not fit.
    .bind(i64::try_from(last).unwrap_or(i64::MAX))
    .bind(i64::try_from(fence.0).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await
    .map_err(|error| event_taken(error, events))?;
    Ok(!stored.is_empty())
}

/// As [`insert_as_owner`], and ends the turn of the latest claim, all in one statement.
const END_AS_OWNER: Option<&str> = ending!(into_events!(
    "$4 + new.place",
    concat!(
        ", (",
        latest_claim!(),
        ") AS latest WHERE latest.fence = $5 AND latest.id = $6 AND latest.outcome IS NULL AND ",
        end_of_log!(),
        " = $4"
    )
));

/// As [`insert_as_owner`], and ends a turn if it is that of the latest claim; false if it is not, or is not open.
/// None if the database cannot do that in one statement.
pub(super) async fn end_as_owner(
    connection: &mut DbConnection,
    org: OrgId,
    session: SessionId,
    (last, fence): (u64, Fence),
    events: &[NewEvent],
    (turn, outcome): (TurnId, &str),
) -> StoreResult<Option<bool>> {
    let Some(statement) = END_AS_OWNER else { return Ok(None) };
    let stored = sqlx::query(statement)
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .bind(rows(events)?)
        .bind(i64::try_from(last).unwrap_or(i64::MAX))
        .bind(i64::try_from(fence.0).unwrap_or(i64::MAX))
        .bind(key(turn.uuid()))
        .bind(outcome)
        .fetch_all(connection)
        .await
        .map_err(|error| event_taken(error, events))?;
    Ok(Some(!stored.is_empty()))
}

/// Events as they are stored behind sequence `last`.
pub(super) fn numbered(session: SessionId, last: u64, events: Vec<NewEvent>) -> Vec<Event> {
    let stored = (last + 1..).zip(events);
    stored.map(|(sequence, event)| NewEvent { ts: whole_micros(event.ts), ..event }.at(session, Some(sequence))).collect()
}

/// Why events could not be written.
fn event_taken(error: sqlx::Error, events: &[NewEvent]) -> StoreError {
    let ids: Vec<String> = events.iter().map(|event| event.id.to_string()).collect();
    taken(error, "event", &[("events.id", &ids.join(", "))])
}

/// Rows travel as one JSON array, a number of parameters that does not depend on them; ids are hex
/// in it because JSON has no bytes.
fn rows(events: &[NewEvent]) -> StoreResult<String> {
    json_text(&events.iter().map(row).collect::<StoreResult<Vec<_>>>()?)
}

/// An event as an insertion unpacks it. The payload is text inside the JSON, so that what
/// is stored is what was written, byte for byte.
fn row(event: &NewEvent) -> StoreResult<serde_json::Value> {
    Ok(json!([
        event.id.uuid().simple().to_string(),
        event.ts.as_microsecond(),
        event.context.turn_id.map(|id| id.uuid().simple().to_string()),
        event.context.input_message_id.map(|id| id.uuid().simple().to_string()),
        json_text(&event.data)?,
    ]))
}

/// Events after a sequence, in order.
pub(super) async fn events_after(
    connection: &mut DbConnection,
    org: OrgId,
    session: SessionId,
    after: u64,
    limit: usize,
) -> StoreResult<Vec<Event>> {
    let rows = sqlx::query(select!("WHERE org_id = $1 AND session_id = $2 AND sequence > $3 ORDER BY sequence LIMIT $4"))
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        // No sequence is beyond the largest integer, so nothing is after what does not fit.
        .bind(i64::try_from(after).unwrap_or(i64::MAX))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await
        .map_err(store_error)?;
    rows.iter().map(event).collect()
}
