//! The audit log: who did what to components, grants, providers and the org's settings. Every route that
//! needs the scope admin and changes something writes it, whatever its handler does; and those for keys of members.

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use everwit_runtime::id::AuditEntryId;
use everwit_runtime::store::{AuditEntry, Note};

use crate::api::App;
use crate::auth::Caller;
use crate::problem::Problem;

/// Longest path of a request that is kept, in bytes.
const MAX_TARGET_BYTES: usize = 512;
/// The status of an entry about something that was done.
const DONE: u16 = 200;

/// The path of a request as it was sent, whatever router handles it.
#[derive(Debug, Clone)]
pub(crate) struct Target(pub(crate) String);

/// Route layer: notes what is done, and by whom. The entry is written with the change, or the change
/// is not made; of what was refused, or changed nothing that is stored, it is written afterwards.
pub(crate) async fn record(State(app): State<App>, request: Request, next: Next) -> Result<Response, Problem> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(next.run(request).await);
    }
    let caller = request.extensions().get::<Caller>().cloned();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let target = request.extensions().get::<Target>().cloned();
    let (Some(caller), Some(route), Some(Target(mut target))) = (caller, route, target) else {
        return Err(Problem::internal("a route that is audited does not know its caller, its name or its path"));
    };
    let route = route.as_str();
    let action = format!("{} {}", request.method(), route.strip_prefix("/api").unwrap_or(route));
    target.truncate(target.floor_char_boundary(MAX_TARGET_BYTES));
    let (id, at, actor, status) = (app.moments.uuid(), app.moments.now(), caller.subject.to_string(), DONE);
    let entry = AuditEntry { id: AuditEntryId::from_uuid(id), at, actor, action, target, status, before: None, after: None };
    let note = Note::new(caller.org, entry.clone());
    let response = note.with(next.run(request)).await;
    let refused = (!response.status().is_success()).then(|| response.status().as_u16());
    let entry = match (note.unwritten(), refused) {
        (None, None) => return Ok(response),
        (Some(entry), None) => entry,
        // A part of it was done, and that is noted.
        (None, Some(status)) => AuditEntry { id: AuditEntryId::from_uuid(app.moments.uuid()), status, ..entry },
        (Some(_), Some(status)) => AuditEntry { status, ..entry },
    };
    app.stores.org_store.add_audit_entry(caller.org, entry).await?;
    Ok(response)
}
