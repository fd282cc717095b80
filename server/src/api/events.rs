//! Events: the record of a session, page by page. The stream is in [`super::sse`].

use axum::Json;
use axum::extract::{Path, State};
use everwit_runtime::event::Event;
use everwit_runtime::id::{EventId, OrgId, SessionId};
use everwit_runtime::limits::MAX_EVENTS_PER_PAGE;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::extract::{FromParams, MAX_INTEGER, Params, Query};
use super::{App, resolve};
use crate::auth::Caller;
use crate::problem::Problem;

/// Events in one answer if the caller does not say.
const DEFAULT_EVENTS: u64 = 100;
/// Event types that one filter can name.
const MAX_TYPES: usize = 40;

/// Which types of events.
#[derive(Debug, Clone, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TypeFilter {
    /// Only events of these types; repeat the parameter for several.
    #[param(required = false)]
    types: Vec<String>,
    /// No events of these types; wins over `types`.
    #[param(required = false)]
    exclude: Vec<String>,
}

impl TypeFilter {
    /// Whether events of this type pass.
    pub(crate) fn passes(&self, name: &str) -> bool {
        let has = |list: &[String]| list.iter().any(|entry| entry == name);
        (self.types.is_empty() || has(&self.types)) && !has(&self.exclude)
    }
}

impl FromParams for TypeFilter {
    fn from_params(params: &mut Params) -> Self {
        let filter = Self { types: params.list("types"), exclude: params.list("exclude") };
        if filter.types.len().max(filter.exclude.len()) > MAX_TYPES {
            params.refuse("invalid_parameter", format!("a filter names at most {MAX_TYPES} types"));
        }
        filter
    }
}

/// Which part of the record.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventParams {
    /// Events after this sequence; 0 begins with the first.
    after_sequence: Option<u64>,
    /// Events after the one with this id.
    #[param(value_type = Option<String>)]
    since_id: Option<EventId>,
    /// The last events before this sequence, oldest first.
    before_sequence: Option<u64>,
    /// Events to return.
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: Option<u64>,
    #[param(ignore)]
    filter: TypeFilter,
}

impl FromParams for EventParams {
    fn from_params(params: &mut Params) -> Self {
        let cursors = Self {
            after_sequence: params.number("after_sequence", 0, MAX_INTEGER),
            since_id: params.one("since_id", "the id of an event"),
            before_sequence: params.number("before_sequence", 1, MAX_INTEGER),
            limit: params.number("limit", 1, MAX_EVENTS_PER_PAGE as u64),
            filter: TypeFilter::from_params(params),
        };
        let given = [cursors.after_sequence.is_some(), cursors.since_id.is_some(), cursors.before_sequence.is_some()];
        if given.into_iter().filter(|given| *given).count() > 1 {
            params.refuse("exclusive", "after_sequence, since_id and before_sequence exclude each other".to_owned());
        }
        cursors
    }
}

/// A part of a session's record.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventList {
    /// The events, in order.
    data: Vec<Event>,
    /// How many events the session has, whatever their types.
    total: u64,
    /// Sequence after which this part begins.
    offset: u64,
    /// Most events that this answer could have.
    limit: u64,
    /// Where to go on: `after_sequence` for the next part, or `before_sequence` for the part
    /// before this one if that was asked for. Absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_sequence: Option<u64>,
}

/// List events
///
/// Live-only events, such as deltas, are not part of the record.
#[utoipa::path(
    get,
    path = "/sessions/{session_id}/events",
    tag = "events",
    params(("session_id" = String, Path, description = "Id"), EventParams, TypeFilter),
    responses((status = 200, body = EventList)),
)]
pub(crate) async fn list_events(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    Query(params): Query<EventParams>,
) -> Result<Json<EventList>, Problem> {
    let session = resolve::session(&app, caller.org, &reference).await?.id;
    let record = Record { app: &app, org: caller.org, session };
    let limit = params.limit.unwrap_or(DEFAULT_EVENTS);
    let list = match (params.before_sequence, params.since_id) {
        (Some(before), _) => record.backwards(before, limit, &params.filter).await?,
        (None, Some(id)) => {
            let after = record.position_of(id).await?;
            record.forwards(after, limit, &params.filter).await?
        }
        (None, None) => record.forwards(params.after_sequence.unwrap_or(0), limit, &params.filter).await?,
    };
    Ok(Json(list))
}

/// One session's record.
pub(crate) struct Record<'a> {
    /// Where it is stored.
    pub(crate) app: &'a App,
    /// Whose it is.
    pub(crate) org: OrgId,
    /// The session.
    pub(crate) session: SessionId,
}

impl Record<'_> {
    /// Events after a sequence.
    pub(crate) async fn read(&self, after: u64, limit: usize) -> Result<Vec<Event>, Problem> {
        Ok(self.app.stores.log.read_events(self.org, self.session, after, limit).await?)
    }

    /// Sequence of the last event.
    pub(crate) async fn end(&self) -> Result<u64, Problem> {
        Ok(self.app.stores.log.last_sequence(self.org, self.session).await?)
    }

    /// The sequence after which to go on for a caller that has seen the event with this id.
    ///
    /// Live-only events have an id, too, and published clients send it as their cursor. Event
    /// ids begin with a time, so that the record is searched for the last event of an earlier
    /// millisecond: nothing is lost, and at most the events of that millisecond come twice.
    pub(crate) async fn position_of(&self, id: EventId) -> Result<u64, Problem> {
        if let Some(sequence) = self.app.stores.log.find_event(self.org, self.session, id).await? {
            return Ok(sequence);
        }
        let millis = millis_of(id);
        let (mut low, mut high) = (0, self.end().await?);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let event = self.read(middle - 1, 1).await?.pop();
            match event {
                Some(event) if millis_of(event.id) < millis => low = middle,
                _ => high = middle - 1,
            }
        }
        Ok(low)
    }

    async fn forwards(&self, after: u64, limit: u64, filter: &TypeFilter) -> Result<EventList, Problem> {
        let (mut data, mut at, total) = (Vec::new(), after, self.end().await?);
        while at < total && (data.len() as u64) < limit {
            let events = self.read(at, MAX_EVENTS_PER_PAGE).await?;
            if events.is_empty() {
                break;
            }
            for event in events {
                if data.len() as u64 == limit {
                    break;
                }
                at = event.sequence.unwrap_or(at);
                if filter.passes(event.data.name()) {
                    data.push(event);
                }
            }
        }
        Ok(EventList { data, total, offset: after, limit, next_sequence: (at < total).then_some(at) })
    }

    async fn backwards(&self, before: u64, limit: u64, filter: &TypeFilter) -> Result<EventList, Problem> {
        let total = self.end().await?;
        let mut before = before.min(total.saturating_add(1));
        let mut newest_first: Vec<Event> = Vec::new();
        while before > 1 && (newest_first.len() as u64) < limit {
            let after = (before - 1).saturating_sub(MAX_EVENTS_PER_PAGE as u64);
            let window = usize::try_from(before - 1 - after).unwrap_or(MAX_EVENTS_PER_PAGE);
            for event in self.read(after, window).await?.into_iter().rev() {
                if newest_first.len() as u64 == limit {
                    break;
                }
                before = event.sequence.unwrap_or(before);
                if filter.passes(event.data.name()) {
                    newest_first.push(event);
                }
            }
        }
        newest_first.reverse();
        let next_sequence = (before > 1).then_some(before);
        Ok(EventList { data: newest_first, total, offset: before.saturating_sub(1), limit, next_sequence })
    }
}

/// Milliseconds of the time in a UUIDv7.
fn millis_of(id: EventId) -> u128 {
    id.uuid().as_u128() >> 80
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_includes_then_excludes() {
        let filter = |types: &[&str], exclude: &[&str]| {
            let own = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect();
            TypeFilter { types: own(types), exclude: own(exclude) }
        };
        assert!(filter(&[], &[]).passes("turn.started"));
        assert!(filter(&["turn.started"], &[]).passes("turn.started"));
        assert!(!filter(&["turn.started"], &[]).passes("turn.completed"));
        assert!(!filter(&["turn.started"], &["turn.started"]).passes("turn.started"));
    }
}
