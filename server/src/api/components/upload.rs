//! Upload: examine, store, and activate if nobody has to decide anything.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use everwit_runtime::component::{ComponentDescription, ComponentKind, ComponentVersion, Digest, Grant, ReplayedExchange};
use everwit_runtime::id::{ComponentId, OrgId};
use everwit_runtime::limits::{Budget, MAX_COMPONENT_BYTES};
use everwit_runtime::store::{Activation, NewVersion, Note, StoreError, StoredVersion};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::form::{FORM, MAX_FRAMING_BYTES, UploadForm, component_of};
use super::{ComponentBody, VersionBody, activate, is_active, replaced_version, signature};
use crate::api::App;
use crate::api::check::Checks;
use crate::api::extract::{FromParams, Params, Query, has_media_type, read_typed_body};
use crate::auth::Caller;
use crate::components::{
    Admission, AdmitError, CheckOutcome, CheckResult, ComponentFinding, asked_beyond, credentials_beyond, full_grant, text_beyond,
};
use crate::garbage::{collect_old, make_room};
use crate::problem::{Finding, Problem};

/// Time for a component to arrive; who sends slower holds a place that others need.
const UPLOAD_LIMIT: Duration = Duration::from_secs(120);

/// How an entry of what needs review ends if it is about a text.
pub(crate) const CHANGED_TEXT: &str = "models read something else than before";

/// The media type of a component.
const WASM: &str = "application/wasm";

/// What to do with the component.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UploadParams {
    /// Examine it and store nothing.
    #[param(default = false)]
    dry_run: Option<bool>,
    /// `false`: do not activate it, even if it asks for nothing new.
    #[param(default = true)]
    activate: Option<bool>,
    /// Channel that is to point to it, in place of activating it.
    channel: Option<String>,
}

impl FromParams for UploadParams {
    fn from_params(params: &mut Params) -> Self {
        Self {
            dry_run: params.one("dry_run", "true or false"),
            activate: params.one("activate", "true or false"),
            channel: params.one("channel", "a name"),
        }
    }
}

impl UploadParams {
    fn check(&self) -> Result<(), Problem> {
        let mut checks = Checks::default();
        if let Some(channel) = &self.channel {
            checks.name("", channel);
        }
        checks.finish()
    }
}

/// What an upload did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Upload {
    /// Whether nothing was stored.
    dry_run: bool,
    /// Whether these bytes are new to the org.
    created: bool,
    /// Whether new turns use this version now.
    active: bool,
    /// The component; absent after a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<ComponentBody>,
    /// The version; absent after a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<VersionBody>,
    /// What the examination showed.
    inspection: Inspection,
    /// What it asks for beyond what the active version was granted, and where models would read something
    /// else than from that.
    needs_review: Vec<String>,
    /// The call that activates the version, or puts it into the channel, with all it asks for; absent if that is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    activate: Option<ActivateCall>,
}

/// What the examination of a component showed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Inspection {
    /// Digest of the bytes.
    digest: Digest,
    /// Size in bytes.
    size: u64,
    /// WIT names of its imports.
    imports: Vec<String>,
    /// What it implements.
    kind: ComponentKind,
    /// What it says about itself.
    description: ComponentDescription,
    /// What the replay of a driver's recorded exchanges covered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exchanges: Vec<ReplayedExchange>,
    /// What will work, but could be better.
    warnings: Vec<Finding>,
    /// Every check that was made, in order.
    checks: Vec<CheckResult>,
}

/// The request that activates a version.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActivateCall {
    /// Method.
    method: &'static str,
    /// Path.
    path: String,
    /// Body; secrets that it asks for have to be added to the grant by name.
    body: ActivateBody,
}

/// Body of the request that activates a version.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActivateBody {
    /// All that the version asks for.
    grant: Grant,
    /// The channel of the upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    /// Whether models would read something else than from the active version.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    accept_changed_text: bool,
}

/// Upload a component
///
/// The body is the component itself, or a form with it as the part `component`. The same bytes are the same version. A version becomes
/// active at once if it asks for nothing beyond what the active version was granted (the first
/// one: if it asks for nothing), and models read the same of it; otherwise the answer has the call that activates it. With a
/// channel, that points to it under the same conditions, held against the version that the channel pointed to.
#[utoipa::path(
    post,
    path = "/components",
    tag = "components",
    params(
        UploadParams,
        ("Content-Digest" = Option<String>, Header, description = "RFC 9530 digest of the body, sha-256, to be verified"),
        ("Component-Signature" = Option<String>, Header, description = "Ed25519 signature of the component's digest, 64 bytes in base64; `everwit push --sign` makes it"),
    ),
    request_body(content(([u8] = "application/wasm"), (UploadForm = "multipart/form-data"))),
    responses(
        (status = 201, description = "Stored", body = Upload),
        (status = 200, description = "Stored before, or a dry run", body = Upload),
        (status = 409, description = "A built-in capability or driver has its id, or a component of the other kind"),
        (status = 422, description = "Rejected, with all findings; nothing was stored"),
        (status = 507, description = "The org's components have as many bytes as they may have, without what is archived and not used"),
    ),
)]
pub(crate) async fn upload_component(
    State(app): State<App>,
    caller: Caller,
    Query(params): Query<UploadParams>,
    request: Request,
) -> Result<(StatusCode, Json<Upload>), Problem> {
    params.check()?;
    let _slot = app.uploads.try_acquire().map_err(|_| busy())?;
    let (parts, body) = request.into_parts();
    let examined = examine(&app, caller.org, &parts.headers, body).await?;
    if params.dry_run == Some(true) {
        return Ok((StatusCode::OK, Json(rehearse(&app, caller.org, examined, params.channel.as_deref()).await?)));
    }
    Note::replaces(None, Some(examined.admission.digest));
    let stored = store(&app, caller.org, examined).await?;
    let status = if stored.stored.created { StatusCode::CREATED } else { StatusCode::OK };
    let upload = stored.activate(&app, caller.org, &params).await?;
    Ok((status, Json(upload)))
}

fn too_slow() -> Problem {
    let detail = format!("the component did not arrive within {} seconds", UPLOAD_LIMIT.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail)
}

fn busy() -> Problem {
    Problem::busy(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many components are being examined; try again", 2)
}

/// A component that can be stored.
struct Examined {
    wasm: Bytes,
    admission: Admission,
    signature: Option<String>,
    /// What its org makes of that.
    signed: CheckResult,
}

/// Reads the body and has the sandbox judge it, and the org its signature.
async fn examine(app: &App, org: OrgId, headers: &HeaderMap, body: Body) -> Result<Examined, Problem> {
    let signature = signature::sent(headers)?;
    let is_form = has_media_type(headers, FORM);
    let limit = if is_form { MAX_COMPONENT_BYTES + MAX_FRAMING_BYTES } else { MAX_COMPONENT_BYTES };
    let reading = read_typed_body(headers, body, &[WASM, FORM], limit);
    let sent = tokio::time::timeout(UPLOAD_LIMIT, reading).await.map_err(|_| too_slow())??;
    verify_digest(headers, &sent)?;
    let wasm = if is_form { component_of(headers, sent).await? } else { sent };
    let admission = app.components.admit(wasm.clone()).await.map_err(|error| match error {
        AdmitError::Rejected(rejection) => {
            let findings = rejection.findings.iter().cloned().map(Into::into).collect();
            let what = "the component is rejected, nothing was stored";
            Problem::findings(StatusCode::UNPROCESSABLE_ENTITY, "component_rejected", what, findings).checks(rejection.checks())
        }
        AdmitError::Busy => busy(),
        AdmitError::Internal(cause) => Problem::internal(cause),
    })?;
    if let Some(detail) = app.components.reserved(admission.description.kind(), &admission.description.id) {
        return Err(Problem::conflict("id_reserved", detail));
    }
    let signed = signature::check(&signature::settings(app, org).await?, admission.digest, signature.as_deref());
    if signed.outcome == CheckOutcome::Failed {
        let findings = signed.findings.iter().cloned().map(Into::into).collect();
        let what = "the component is not signed as the org requires, nothing was stored";
        return Err(Problem::findings(StatusCode::UNPROCESSABLE_ENTITY, "component_rejected", what, findings)
            .checks(with_signature(admission.checks(), signed)));
    }
    Ok(Examined { wasm, admission, signature, signed })
}

/// A report with what became of the signature.
fn with_signature(mut checks: Vec<CheckResult>, signed: CheckResult) -> Vec<CheckResult> {
    for check in checks.iter_mut().filter(|result| result.check == signed.check) {
        *check = signed.clone();
    }
    checks
}

/// RFC 9530: if the caller sent the digest of what it meant to send, that is what must have come.
fn verify_digest(headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let Some(value) = headers.get("content-digest") else { return Ok(()) };
    let sent = value.to_str().unwrap_or_default().split(',').find_map(|entry| entry.trim().strip_prefix("sha-256=:")?.strip_suffix(':'));
    let actual = STANDARD.encode(Sha256::digest(body));
    match sent {
        Some(sent) if sent == actual => Ok(()),
        Some(_) => Err(Problem::bad_request("digest_mismatch", "the body is not the one that Content-Digest describes")),
        None => Err(Problem::bad_request("invalid_header", "Content-Digest must have an entry sha-256=:<base64>:")),
    }
}

/// What an org has no room for stays so until it has more.
fn no_room(error: StoreError) -> Problem {
    match error {
        StoreError::Limit(detail) => Problem::new(StatusCode::INSUFFICIENT_STORAGE, "quota_exceeded", detail),
        other => other.into(),
    }
}

async fn rehearse(app: &App, org: OrgId, examined: Examined, channel: Option<&str>) -> Result<Upload, Problem> {
    let Examined { admission, signed, .. } = examined;
    let component = app.stores.component_store.find_component(org, &admission.description.id).await?;
    let active = match &component {
        Some(component) => replaced_version(app, org, component, channel).await?,
        None => None,
    };
    let known = match &component {
        Some(component) => app.stores.component_store.read_wasm(org, admission.digest).await?.map(|_| component.id),
        None => None,
    };
    Ok(Upload {
        dry_run: true,
        created: known.is_none(),
        active: false,
        component: None,
        version: None,
        needs_review: beyond(&admission.description, active.as_ref()),
        inspection: Inspection::new(admission, signed),
        activate: None,
    })
}

/// What its tenant has not agreed to yet.
fn beyond(asked: &ComponentDescription, active: Option<&ComponentVersion>) -> Vec<String> {
    let mut beyond = asked_beyond(&asked.permissions, active);
    beyond.extend(credentials_beyond(asked, active));
    beyond.extend(text_beyond(asked, active).into_iter().map(|place| format!("{place}: {CHANGED_TEXT}")));
    beyond
}

/// A stored version with what its examination showed.
struct Stored {
    stored: StoredVersion,
    inspection: Inspection,
}

async fn store(app: &App, org: OrgId, examined: Examined) -> Result<Stored, Problem> {
    let Examined { wasm, admission, signature, signed } = examined;
    let new = |wasm: Bytes| NewVersion {
        component_id: ComponentId::from_uuid(app.moments.uuid()),
        digest: admission.digest,
        wasm: wasm.into(),
        description: admission.description.clone(),
        imports: admission.imports.clone(),
        signature: signature.clone(),
        now: app.moments.now(),
        quota_bytes: app.quotas.limits().component_bytes,
        quota_components: app.quotas.limits().components.into(),
    };
    collect_old(&app.stores, org, app.moments.now()).await?;
    loop {
        match app.stores.component_store.add_version(org, new(wasm.clone())).await {
            // Ends, because each round deletes bytes or is the last one.
            Err(StoreError::Limit(_)) if make_room(&app.stores, org, app.moments.now()).await? => {}
            stored => return Ok(Stored { stored: stored.map_err(no_room)?, inspection: Inspection::new(admission, signed) }),
        }
    }
}

impl Stored {
    /// Activates a new version that asks for nothing new, and tells how to activate any other.
    async fn activate(self, app: &App, org: OrgId, params: &UploadParams) -> Result<Upload, Problem> {
        let Self { stored: StoredVersion { mut component, mut version, created }, inspection } = self;
        let channel = params.channel.as_deref();
        let before = replaced_version(app, org, &component, channel).await?;
        let needs_review = beyond(&inspection.description, before.as_ref());
        // The same bytes again finish an upload that broke off before its activation, but never
        // bring back a version in place of one that was chosen since.
        let undecided = created || before.is_none();
        if params.activate != Some(false) && undecided && needs_review.is_empty() && component.archived_at.is_none() {
            let grant = full_grant(&version.description.permissions, before.as_ref());
            let budget = before.as_ref().map_or(Budget::of(component.kind), |before| before.budget);
            let activation = Activation { channel: params.channel.clone(), grant, budget, now: app.moments.now() };
            (component, version) = activate(app, org, &component, version.version, activation).await?;
        }
        let is_active = is_active(&component, version.version);
        let is_done = channel.map_or(is_active, |channel| component.channels.get(channel) == Some(&version.version));
        let call = ActivateCall {
            method: "POST",
            path: format!("/v1/components/{}/versions/{}/activate", component.id, version.version),
            body: ActivateBody {
                grant: full_grant(&inspection.description.permissions, before.as_ref()),
                channel: params.channel.clone(),
                accept_changed_text: !text_beyond(&inspection.description, before.as_ref()).is_empty(),
            },
        };
        Ok(Upload {
            dry_run: false,
            created,
            active: is_active,
            version: Some(VersionBody::new(&component, version)),
            component: Some(component.into()),
            inspection,
            needs_review: if is_done { Vec::new() } else { needs_review },
            activate: (!is_done).then_some(call),
        })
    }
}

impl Inspection {
    fn new(admission: Admission, signed: CheckResult) -> Self {
        let advice = signed.findings.clone();
        Self {
            checks: with_signature(admission.checks(), signed),
            digest: admission.digest,
            size: admission.size,
            imports: admission.imports,
            kind: admission.description.kind(),
            description: admission.description,
            exchanges: admission.exchanges,
            warnings: admission.warnings.into_iter().chain(advice).map(Into::into).collect(),
        }
    }
}

impl From<ComponentFinding> for Finding {
    fn from(finding: ComponentFinding) -> Self {
        Self { code: finding.code.into(), pointer: finding.pointer, detail: finding.detail, fix: Some(finding.fix) }
    }
}
