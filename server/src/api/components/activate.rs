//! Activation: what the tenant allows a version, and that new turns use it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::component::{ComponentKind, ComponentVersion, Grant, Permissions};
use everwit_runtime::limits::Budget;
use everwit_runtime::store::{Activation, Note};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{VersionBody, active_version, version};
use crate::api::check::Checks;
use crate::api::extract::OptionalJsonBody;
use crate::api::{App, resolve};
use crate::auth::Caller;
use crate::components::text_beyond;
use crate::problem::{Finding, Problem};

/// Changed texts that a refusal names.
const MAX_SHOWN_CHANGES: usize = 20;

/// What to allow a version.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = ActivateVersionRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActivateVersion {
    /// What it may use; at most what it asks for. Absent: nothing.
    #[serde(default)]
    grant: Grant,
    /// Limits of its calls. Absent: the defaults of its kind; absent fields: those of a tool call.
    #[serde(default)]
    limits: Option<Budget>,
    /// Needed if models would read something else than from the active version, and this one was never
    /// active: its diff says what.
    #[serde(default)]
    accept_changed_text: bool,
}

/// Activate a version
///
/// New turns use it from now on; turns that run keep theirs. Activating an older version is a
/// rollback. Activating the active version changes its grant and limits.
#[utoipa::path(
    post,
    path = "/components/{component}/versions/{version}/activate",
    tag = "components",
    params(
        ("component" = String, Path, description = "Id or name"),
        ("version" = u32, Path, description = "Number"),
    ),
    request_body = Option<ActivateVersion>,
    responses(
        (status = 200, body = VersionBody),
        (status = 409, description = "Models would read something else, and that is not accepted"),
    ),
)]
pub(crate) async fn activate_version(
    State(app): State<App>,
    caller: Caller,
    Path((reference, number)): Path<(String, String)>,
    OptionalJsonBody(request): OptionalJsonBody<ActivateVersion>,
) -> Result<Json<VersionBody>, Problem> {
    let request = request.unwrap_or_default();
    let component = resolve::component(&app, caller.org, &reference).await?;
    let mut version = version(&app, caller.org, &component, &number).await?;
    request.check(&version)?;
    let active = active_version(&app, caller.org, &component).await?;
    if !request.accept_changed_text && version.activated_at.is_none() {
        require_same_text(&version, active.as_ref())?;
    }
    Note::replaces(active.map(|active| active.digest), Some(version.digest));
    let limits = request.limits.unwrap_or(Budget::of(component.kind));
    let activation = Activation { grant: request.grant.clone(), budget: limits, now: app.moments.now() };
    let component = app.stores.component_store.activate(caller.org, component.id, version.version, activation).await?;
    (version.grant, version.budget, version.activated_at) = (request.grant, limits, Some(component.updated_at));
    Ok(Json(VersionBody::new(&component, version)))
}

/// What a model reads can make it do anything that its tools allow, so a change of it is agreed to
/// like a power.
fn require_same_text(version: &ComponentVersion, active: Option<&ComponentVersion>) -> Result<(), Problem> {
    let changed = text_beyond(&version.description, active);
    let Some(active) = active.filter(|_| !changed.is_empty()) else { return Ok(()) };
    let finding = |place: &String| {
        let detail = format!("models would read another {place} than from version {}", active.version);
        Finding { pointer: None, ..Finding::at("", "text_changed", detail) }
    };
    let findings: Vec<Finding> = changed.iter().take(MAX_SHOWN_CHANGES).map(finding).collect();
    let what = format!(
        "what models read has changed in {} places; look at …/versions/{}/diff/{} and send \"accept_changed_text\": true",
        changed.len(),
        active.version,
        version.version
    );
    Err(Problem::findings(StatusCode::CONFLICT, "text_changed", &what, findings))
}

impl ActivateVersion {
    fn check(&self, version: &ComponentVersion) -> Result<(), Problem> {
        let mut checks = Checks::default();
        for beyond in self.grant.beyond(&version.description.permissions) {
            let (place, reason) = beyond.split_once(": ").unwrap_or(("", &beyond));
            checks.add(Finding::at(format!("/grant/{place}"), "beyond_permissions", reason).fix("grant only what the version asks for"));
        }
        // Half of what it needs would be a way to connect that fails in the middle.
        let agreed = Permissions { http: self.grant.http.clone(), ..Permissions::default() };
        if version.description.kind() == ComponentKind::ConnectionProvider
            && !Grant::everything_asked(&version.description.permissions).beyond(&agreed).is_empty()
        {
            let reason = "a connection provider needs all the hosts that it asks for";
            checks.add(Finding::at("/grant/http", "incomplete_grant", reason).fix("grant what the answer to the upload names"));
        }
        for problem in self.limits.iter().flat_map(Budget::problems) {
            let field = problem.split(' ').next().unwrap_or_default();
            checks.add(Finding::at(format!("/limits/{field}"), "out_of_range", problem.clone()));
        }
        checks.finish()
    }
}
