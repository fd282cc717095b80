//! Reading the audit log.

use axum::Json;
use axum::extract::State;
use everwit_runtime::component::Digest;
use everwit_runtime::id::AuditEntryId;
use everwit_runtime::store::AuditEntry;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::extract::Query;
use super::page::{List, PageParams};
use crate::auth::Caller;
use crate::problem::Problem;

/// Something that was done to what the org decides about.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct AuditBody {
    /// Id.
    id: AuditEntryId,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Who: the id of an API key, `local`, what the server's own authentication says, or `component:<id>`.
    actor: String,
    /// What: method and route; or that a component misplaced the placeholder of a secret.
    #[schema(example = "POST /v1/components/{component}/rollback")]
    action: String,
    /// To what: the path of the request; or which secret, and to which host.
    target: String,
    /// 200 for what was done, the HTTP status of the answer to what was refused, 403 for what a component tried.
    status: u16,
    /// Digest of the component's version that was active before.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Digest>,
    /// Digest of the version that is active since, or that was uploaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Digest>,
}

impl From<AuditEntry> for AuditBody {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, actor, action, target, status, before, after } = entry;
        Self { id, at, actor, action, target, status, before, after }
    }
}

/// Read the audit log
///
/// Who changed components, grants, providers and the org's settings, newest first.
#[utoipa::path(
    get,
    path = "/audit",
    tag = "orgs",
    params(PageParams),
    responses((status = 200, body = List<AuditBody>)),
)]
pub(crate) async fn list_audit_entries(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageParams>,
) -> Result<Json<List<AuditBody>>, Problem> {
    let page = page.into();
    let listing = app.stores.org_store.list_audit_entries(caller.org, page).await?;
    Ok(Json(List::new(listing, page, Into::into)))
}
