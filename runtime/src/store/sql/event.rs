//! Events as rows: how they are written, all of an append at once, and read.

use serde_json::json;

use super::dialect::INSERT_EVENTS;
use super::error::{store_error, taken};
use super::row::{Stored, integer, json as json_text, key};
use super::{DbConnection, DbRow};
use crate::event::{Event, EventContext, NewEvent};
use crate::id::{EventId, MessageId, OrgId, SessionId, TurnId};
use crate::store::StoreResult;
use crate::store::rules::whole_micros;

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

/// Writes events behind sequence `last` in one statement, however many there are.
pub(super) async fn insert_events(
    connection: &mut DbConnection,
    org: OrgId,
    session: SessionId,
    last: u64,
    events: Vec<NewEvent>,
) -> StoreResult<Vec<Event>> {
    let ids: Vec<String> = events.iter().map(|event| event.id.to_string()).collect();
    let rows = events.iter().map(row).collect::<StoreResult<Vec<_>>>()?;
    // The rows travel as one JSON array, a number of parameters that does not depend on them;
    // ids are hex in it because JSON has no bytes.
    sqlx::query(INSERT_EVENTS)
        .bind(key(org.uuid()))
        .bind(key(session.uuid()))
        .bind(integer(last + 1)?)
        .bind(json_text(&rows)?)
        .execute(connection)
        .await
        .map_err(|error| taken(error, "event", &[("events.id", &ids.join(", "))]))?;
    let stored = (last + 1..).zip(events);
    Ok(stored.map(|(sequence, event)| NewEvent { ts: whole_micros(event.ts), ..event }.at(session, Some(sequence))).collect())
}

/// An event as [`insert_events`] unpacks it. The payload is text inside the JSON, so that what
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
