//! Orgs: their settings, as far as the roles of harnesses need them.

use axum::Json;
use axum::extract::{Path, State};
use everwit_runtime::capability::RiskLevel;
use everwit_runtime::component::{MAX_TRUSTED_KEYS, SignaturePolicy, SignatureSettings};
use everwit_runtime::harness::ResourceStatus;
use everwit_runtime::id::{HarnessId, OrgId};
use everwit_runtime::limits::MAX_NAME_BYTES;
use everwit_runtime::mutation::off;
use everwit_runtime::store::Org;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::{Checks, shown};
use super::extract::{IfMatch, JsonBody, Tagged, present};
use super::{App, resolve};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};

/// An org.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Org)]
pub(crate) struct OrgBody {
    /// Id.
    id: OrgId,
    /// Name, unique in the installation.
    name: String,
    /// The harness of sessions and agents that name none; absent while it is the platform's.
    #[serde(skip_serializing_if = "Option::is_none")]
    base_harness_id: Option<HarnessId>,
    /// The harness that clients suggest.
    #[serde(skip_serializing_if = "Option::is_none")]
    default_harness_id: Option<HarnessId>,
    /// Who has to sign its components.
    component_signatures: SignatureSettings,
    /// Most risk of a capability that turns of the org use.
    max_risk: RiskLevel,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its settings were last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Org> for OrgBody {
    fn from(org: Org) -> Self {
        Self {
            id: org.id,
            name: org.name,
            base_harness_id: org.base_harness_id,
            default_harness_id: org.default_harness_id,
            component_signatures: org.signatures,
            max_risk: org.max_risk,
            created_at: org.created_at,
            updated_at: org.updated_at,
        }
    }
}

/// What to change of an org: absent fields stay, null clears.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UpdateOrgRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateOrg {
    /// Id or name of the harness of sessions and agents that name none; null for the platform's.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    base_harness_id: Option<Option<String>>,
    /// Id or name of the harness that clients suggest.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    default_harness_id: Option<Option<String>>,
    /// Who has to sign its components, in place of what was said before; null for nobody.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<SignatureSettings>)]
    component_signatures: Option<Option<SignatureSettings>>,
    /// Most risk of a capability that turns of the org use, those that run included; null for `high`, which allows all.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<RiskLevel>)]
    max_risk: Option<Option<RiskLevel>>,
}

/// Read an org
#[utoipa::path(
    get,
    path = "/orgs/{org}",
    tag = "orgs",
    params(("org" = String, Path, description = "Id or name of the caller's org")),
    responses((status = 200, body = OrgBody)),
)]
pub(crate) async fn get_org(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Tagged<Json<OrgBody>>, Problem> {
    let org = own_org(&app, &caller, &reference).await?;
    Ok(Tagged(org.version, Json(org.into())))
}

/// Change the settings of an org
#[utoipa::path(
    patch,
    path = "/orgs/{org}",
    tag = "orgs",
    params(
        ("org" = String, Path, description = "Id or name of the caller's org"),
        ("If-Match" = Option<String>, Header, description = "ETag that the org must have"),
    ),
    request_body = UpdateOrg,
    responses(
        (status = 200, body = OrgBody),
        (status = 409, description = "Somebody else changed it at the same time"),
        (status = 412, description = "Not at the version of If-Match"),
    ),
)]
pub(crate) async fn update_org(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
    JsonBody(request): JsonBody<UpdateOrg>,
) -> Result<Tagged<Json<OrgBody>>, Problem> {
    let mut org = own_org(&app, &caller, &reference).await?;
    if_match.check(org.version)?;
    let mut checks = Checks::default();
    if let Some(base) = request.base_harness_id {
        org.base_harness_id = harness(&app, org.id, &mut checks, "/base_harness_id", base).await?;
    }
    if let Some(default) = request.default_harness_id {
        org.default_harness_id = harness(&app, org.id, &mut checks, "/default_harness_id", default).await?;
        org.default_is_seeded = false;
    }
    if let Some(signatures) = request.component_signatures {
        let signatures = signatures.unwrap_or_default();
        check_signatures(&mut checks, &signatures);
        org.signatures = signatures;
    }
    if let Some(most) = request.max_risk {
        org.max_risk = most.unwrap_or(RiskLevel::High);
    }
    checks.finish()?;
    org.version += 1;
    org.updated_at = app.moments.now();
    app.stores.setup_store.update_org(org.clone()).await.map_err(|error| if_match.lost(error))?;
    Ok(Tagged(org.version, Json(org.into())))
}

fn check_signatures(checks: &mut Checks, settings: &SignatureSettings) {
    const AT: &str = "/component_signatures/keys";
    if settings.keys.len() > MAX_TRUSTED_KEYS && !off("server.trusted_keys") {
        return checks.add(Finding::at(AT, "too_many", format!("{} keys; at most {MAX_TRUSTED_KEYS} are allowed", settings.keys.len())));
    }
    if settings.policy == SignaturePolicy::Require && settings.keys.is_empty() {
        let detail = "without a key nothing could be uploaded or activated any more";
        checks.add(Finding::at(AT, "missing", detail).fix("name a key: everwit signing-key FILE makes one"));
    }
    for (at, key) in settings.keys.iter().enumerate() {
        if key.name.is_empty() || key.name.len() > MAX_NAME_BYTES || key.name.chars().any(char::is_control) {
            let detail = format!("a name has 1 to {MAX_NAME_BYTES} bytes, and no control characters");
            checks.add(Finding::at(format!("{AT}/{at}/name"), "invalid_name", detail));
        }
        if settings.keys[..at].iter().any(|earlier| earlier.name == key.name) {
            checks.add(Finding::at(format!("{AT}/{at}/name"), "duplicate", format!("key {:?} is in the list already", shown(&key.name))));
        }
        if !key.is_well_formed() {
            let detail = "it is not the 32 bytes of an Ed25519 public key in base64";
            checks.add(Finding::at(format!("{AT}/{at}/public_key"), "invalid_key", detail).fix("everwit signing-key FILE prints it"));
        }
    }
}

/// The caller's org; every other one does not exist.
async fn own_org(app: &App, caller: &Caller, reference: &str) -> Result<Org, Problem> {
    let org = app.stores.setup_store.get_org(caller.org).await?;
    let is_meant = |org: &Org| reference.parse() == Ok(org.id) || reference == org.name;
    org.filter(is_meant).ok_or_else(|| Problem::not_found("org", reference))
}

async fn harness(
    app: &App,
    org: OrgId,
    checks: &mut Checks,
    pointer: &str,
    reference: Option<String>,
) -> Result<Option<HarnessId>, Problem> {
    let Some(reference) = reference else { return Ok(None) };
    let (code, state) = match resolve::find_harness(app, org, &reference).await? {
        Some(harness) if harness.status == ResourceStatus::Active => return Ok(Some(harness.id)),
        Some(_) => ("archived", "is archived"),
        None => ("unknown", "does not exist"),
    };
    checks.add(Finding::at(pointer, code, format!("harness {:?} {state}", shown(&reference))));
    Ok(None)
}
