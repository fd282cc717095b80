//! The audit log: who did what to components, grants, providers and the org's settings. Every route that
//! needs the scope admin and changes something writes it, whatever its handler does.

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use everwit_runtime::component::Digest;
use everwit_runtime::id::AuditEntryId;
use everwit_runtime::store::AuditEntry;

use crate::api::App;
use crate::auth::Caller;
use crate::problem::Problem;

/// Longest path of a request that is kept, in bytes.
const MAX_TARGET_BYTES: usize = 512;

/// The path of a request as it was sent, whatever router handles it.
#[derive(Debug, Clone)]
pub(crate) struct Target(pub(crate) String);

/// Which content took the place of which; a handler leaves it in its response.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Replaced {
    /// What was in force.
    pub(crate) before: Option<Digest>,
    /// What is in force now.
    pub(crate) after: Option<Digest>,
}

/// Route layer: notes what was done, and by whom. A change that cannot be noted is told as a failure,
/// although it was made: nothing goes unseen.
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
    let response = next.run(request).await;
    let Replaced { before, after } = response.extensions().get().copied().unwrap_or_default();
    let (actor, status) = (caller.subject.to_string(), response.status().as_u16());
    let id = AuditEntryId::from_uuid(app.moments.uuid());
    let entry = AuditEntry { id, at: app.moments.now(), actor, action, target, status, before, after };
    app.stores.org_store.add_audit_entry(caller.org, entry).await?;
    Ok(response)
}
