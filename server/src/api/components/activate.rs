//! Activation: what the tenant allows a version, and that new turns use it.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::component::{Component, ComponentKind, ComponentVersion, Grant, Permissions};
use everwit_runtime::id::OrgId;
use everwit_runtime::limits::Budget;
use everwit_runtime::store::{Activation, Note};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{VersionBody, replaced_version, require_bytes, signature, version};
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
    /// Name of a channel that is to point to the version, in place of making it the active one: words of lower-case letters
    /// and digits joined by hyphens, at most 64 bytes. Agents ask for it with `{"ref": …, "channel": …}`.
    #[serde(default)]
    #[schema(example = "beta")]
    channel: Option<String>,
    /// Needed if models would read something else than from the active version, and this one was never
    /// active: its diff says what.
    #[serde(default)]
    accept_changed_text: bool,
}

/// Activate a version
///
/// New turns use it from now on; turns that run keep theirs. Activating an older version is a
/// rollback. Activating the active version changes its grant and limits. With a channel, only new turns of agents that
/// ask for that channel, or for the version by its number, use it.
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
        (status = 409, description = "Models would read something else, and that is not accepted; or its bytes are deleted, or it is not signed as the org requires; or a channel of an archived component is meant"),
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
    let version = version(&app, caller.org, &component, &number).await?;
    request.check(&version)?;
    require_bytes(&component, &version)?;
    if request.channel.is_some() && component.archived_at.is_some() {
        let detail = format!("{:?} is archived; activate a version of it first", component.name);
        return Err(Problem::conflict("archived", detail));
    }
    let before = replaced_version(&app, caller.org, &component, request.channel.as_deref()).await?;
    if !request.accept_changed_text && version.granted_at.is_none() {
        require_same_text(&version, before.as_ref())?;
    }
    Note::replaces(before.map(|before| before.digest), Some(version.digest));
    let budget = request.limits.unwrap_or(Budget::of(component.kind));
    let activation = Activation { channel: request.channel, grant: request.grant, budget, now: app.moments.now() };
    let (component, version) = activate(&app, caller.org, &component, version.version, activation).await?;
    Ok(Json(VersionBody::new(&component, version)))
}

/// Activates a version and reads it again, if it is signed as its org wants.
pub(super) async fn activate(
    app: &App,
    org: OrgId,
    component: &Component,
    number: u32,
    activation: Activation,
) -> Result<(Component, ComponentVersion), Problem> {
    let signed = version(app, org, component, &number.to_string()).await?;
    signature::require(app, org, signed.digest, signed.signature.as_deref()).await?;
    let component = app.stores.component_store.activate(org, component.id, number, activation).await?;
    let version = version(app, org, &component, &number.to_string()).await?;
    Ok((component, version))
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
        if let Some(channel) = &self.channel {
            checks.name("/channel", channel);
            if version.description.kind() != ComponentKind::Capability {
                let reason = "only agents ask for versions of a component, and only capabilities are theirs";
                checks.add(Finding::at("/channel", "not_a_capability", reason).fix("leave it out"));
            }
        }
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
