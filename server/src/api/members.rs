//! Members of the org: people who act for it, each with a role and keys of their own.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::id::{MemberId, OrgId};
use everwit_runtime::limits::{MAX_NAME_BYTES, MAX_PAGE};
use everwit_runtime::store::{Member, Page, Role, Scope};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::check::Checks;
use super::extract::{IfMatch, JsonBody, Query, Tagged, present};
use super::page::{List, PageParams};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};

/// Longest address of electronic mail, in bytes.
const MAX_EMAIL_BYTES: usize = 254;

/// A member.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Member)]
pub(crate) struct MemberBody {
    /// Id.
    id: MemberId,
    /// Name.
    name: String,
    /// Where to reach this person.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// What the member may do: the most of each of its keys.
    role: Role,
    /// When it was added.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Member> for MemberBody {
    fn from(member: Member) -> Self {
        let Member { id, name, email, role, created_at, updated_at, .. } = member;
        Self { id, name, email, role, created_at, updated_at }
    }
}

/// A new member.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CreateMemberRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateMember {
    /// Name: 1 to 64 bytes.
    name: String,
    /// Where to reach this person; nothing is sent there.
    email: Option<String>,
    /// What the member may do.
    role: Role,
}

/// What to change of a member: absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UpdateMemberRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateMember {
    /// Name: 1 to 64 bytes.
    name: Option<String>,
    /// Where to reach this person; null clears it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    email: Option<Option<String>>,
    /// What the member may do, from its next request on.
    role: Option<Role>,
}

/// Who calls.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Me)]
pub(crate) struct MeBody {
    /// The org that the caller acts for.
    organization_id: OrgId,
    /// Who the audit log says that it is.
    subject: String,
    /// What the caller may do now: the lesser of what the key has and the role allows.
    scope: Scope,
    /// The member whose key it is; absent for keys of services.
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<MemberBody>,
}

/// Say who calls
#[utoipa::path(get, path = "/me", tag = "members", responses((status = 200, body = MeBody)))]
pub(crate) async fn get_me(State(app): State<App>, caller: Caller) -> Result<Json<MeBody>, Problem> {
    let member = match caller.member {
        Some(member) => app.stores.member_store.get_member(caller.org, member.id).await?,
        None => None,
    };
    let (subject, scope) = (caller.subject.to_string(), caller.scope);
    Ok(Json(MeBody { organization_id: caller.org, subject, scope, member: member.map(Into::into) }))
}

/// List the members of the org
#[utoipa::path(get, path = "/members", tag = "members", params(PageParams), responses((status = 200, body = List<MemberBody>)))]
pub(crate) async fn list_members(
    State(app): State<App>,
    caller: Caller,
    Query(page): Query<PageParams>,
) -> Result<Json<List<MemberBody>>, Problem> {
    let page = page.into();
    let listing = app.stores.member_store.list_members(caller.org, page).await?;
    Ok(Json(List::new(listing, page, Into::into)))
}

/// Read a member
#[utoipa::path(
    get,
    path = "/members/{member}",
    tag = "members",
    params(("member" = String, Path, description = "Id")),
    responses((status = 200, body = MemberBody)),
)]
pub(crate) async fn get_member(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Tagged<Json<MemberBody>>, Problem> {
    let member = find(&app, caller.org, &reference).await?;
    Ok(Tagged(member.version, Json(member.into())))
}

/// Add a member
///
/// Nobody makes somebody of a role above the own; while the org has no owner, every admin makes the first one. The
/// member needs a key then: `POST /v1/api-keys` with its id.
#[utoipa::path(
    post,
    path = "/members",
    tag = "members",
    request_body = CreateMember,
    responses((status = 201, body = MemberBody)),
)]
pub(crate) async fn create_member(
    State(app): State<App>,
    caller: Caller,
    JsonBody(request): JsonBody<CreateMember>,
) -> Result<(StatusCode, Tagged<Json<MemberBody>>), Problem> {
    let (id, now) = (MemberId::from_uuid(app.moments.uuid()), app.moments.now());
    let CreateMember { name, email, role } = request;
    let member = Member { id, name, email, role, version: 1, created_at: now, updated_at: now };
    check(&member)?;
    if role != Role::Owner || has_owner(&app, caller.org).await? {
        require_authority(&caller, role)?;
    }
    app.stores.member_store.add_member(caller.org, member.clone()).await?;
    Ok((StatusCode::CREATED, Tagged(member.version, Json(member.into()))))
}

/// Change a member
///
/// Nobody changes somebody of a role above the own, or gives such a role. Another role counts from the member's next
/// request on. The last owner stays one.
#[utoipa::path(
    patch,
    path = "/members/{member}",
    tag = "members",
    params(
        ("member" = String, Path, description = "Id"),
        ("If-Match" = Option<String>, Header, description = "ETag that the member must have"),
    ),
    request_body = UpdateMember,
    responses(
        (status = 200, body = MemberBody),
        (status = 409, description = "No owner would be left, or somebody else changed it at the same time"),
        (status = 412, description = "Not at the version of If-Match"),
    ),
)]
pub(crate) async fn update_member(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
    JsonBody(request): JsonBody<UpdateMember>,
) -> Result<Tagged<Json<MemberBody>>, Problem> {
    let mut member = find(&app, caller.org, &reference).await?;
    if_match.check(member.version)?;
    require_authority(&caller, member.role)?;
    require_authority(&caller, request.role.unwrap_or(member.role))?;
    member.name = request.name.unwrap_or(member.name);
    member.email = request.email.unwrap_or(member.email);
    member.role = request.role.unwrap_or(member.role);
    check(&member)?;
    member.version += 1;
    member.updated_at = app.moments.now();
    app.stores.member_store.update_member(caller.org, member.clone()).await.map_err(|error| if_match.lost(error))?;
    Ok(Tagged(member.version, Json(member.into())))
}

/// Remove a member
///
/// Its keys go with it. What it made stays, and the audit log goes on to name its id. The last owner cannot be removed.
#[utoipa::path(
    delete,
    path = "/members/{member}",
    tag = "members",
    params(("member" = String, Path, description = "Id")),
    responses((status = 204, description = "It is gone"), (status = 409, description = "No owner would be left")),
)]
pub(crate) async fn remove_member(State(app): State<App>, caller: Caller, Path(reference): Path<String>) -> Result<StatusCode, Problem> {
    let member = find(&app, caller.org, &reference).await?;
    require_authority(&caller, member.role)?;
    match app.stores.member_store.remove_member(caller.org, member.id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("member", &reference)),
    }
}

/// A member of the org by its id.
pub(super) async fn find(app: &App, org: OrgId, reference: &str) -> Result<Member, Problem> {
    let found = match reference.parse() {
        Ok(id) => app.stores.member_store.get_member(org, id).await?,
        Err(_) => None,
    };
    found.ok_or_else(|| Problem::not_found("member", reference))
}

/// Whether the caller counts as at least that.
///
/// # Errors
/// 403.
pub(super) fn require_authority(caller: &Caller, needed: Role) -> Result<(), Problem> {
    if caller.authority() >= needed {
        return Ok(());
    }
    let (has, needs) = (caller.authority().as_str(), needed.as_str());
    let detail = format!("this needs the role {needs}; the caller counts as {has}");
    Err(Problem::new(StatusCode::FORBIDDEN, "insufficient_role", detail))
}

async fn has_owner(app: &App, org: OrgId) -> Result<bool, Problem> {
    /// An org has no more members than a page.
    const ALL: Page = Page { offset: 0, limit: MAX_PAGE };
    let members = app.stores.member_store.list_members(org, ALL).await?;
    Ok(members.items.iter().any(|member| member.role == Role::Owner))
}

fn check(member: &Member) -> Result<(), Problem> {
    let mut checks = Checks::default();
    if member.name.trim().is_empty() || member.name.len() > MAX_NAME_BYTES || member.name.chars().any(char::is_control) {
        let detail = format!("a name has 1 to {MAX_NAME_BYTES} bytes, and no control characters");
        checks.add(Finding::at("/name", "invalid_name", detail));
    }
    let is_address = |text: &String| {
        let parts = text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
        parts && text.len() <= MAX_EMAIL_BYTES && !text.chars().any(|c| c.is_control() || c.is_whitespace())
    };
    if member.email.as_ref().is_some_and(|email| !is_address(email)) {
        let detail = format!("it is no address of the form name@host with at most {MAX_EMAIL_BYTES} bytes");
        checks.add(Finding::at("/email", "invalid_email", detail));
    }
    checks.finish()
}
