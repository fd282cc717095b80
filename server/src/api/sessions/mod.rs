//! Sessions: durable conversations.

mod body;
pub(crate) mod chat;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::Error;
use everwit_runtime::event::{EventContext, EventData, NewEvent};
use everwit_runtime::harness::{Harness, ResourceStatus};
use everwit_runtime::id::{AgentId, EventId, HarnessId, ModelId, OrgId, SessionId};
use everwit_runtime::session::{Session, SessionStatus};
use everwit_runtime::store::StoreError;
use everwit_runtime::turn::write_initial_files;
use utoipa::IntoParams;

use crate::api::check::{Checks, shown};
use crate::api::extract::{FromParams, IfMatch, JsonBody, Params, Query, Tagged};
use crate::api::idempotency::{Once, Replayed};
use crate::api::page::{List, PageParams, Search, filtered};
use crate::api::redacted::{Redaction, configured};
use crate::api::{App, resolve};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};
use body::{CreateSession, SessionBody, UpdateSession};

/// Which sessions.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SessionFilter {
    /// Only sessions of the agent with this id or name.
    agent_id: Option<String>,
}

impl FromParams for SessionFilter {
    fn from_params(params: &mut Params) -> Self {
        Self { agent_id: params.one("agent_id", "the id or name of an agent") }
    }
}

/// List sessions
#[utoipa::path(
    get,
    path = "/sessions",
    tag = "sessions",
    params(PageParams, Search, SessionFilter),
    responses((status = 200, body = List<SessionBody>), (status = 404, description = "The agent does not exist")),
)]
pub(crate) async fn list_sessions(
    State(app): State<App>,
    caller: Caller,
    Query((page, filters)): Query<(PageParams, (Search, SessionFilter))>,
) -> Result<Json<List<SessionBody>>, Problem> {
    let (page, (search, filter)) = (page.into(), filters);
    let agent = match &filter.agent_id {
        Some(reference) => Some(resolve::agent(&app, caller.org, reference).await?.id),
        None => None,
    };
    let listing = {
        let list = |page| app.stores.session_store.list_sessions(caller.org, page);
        let wanted = |session: &Session| (agent.is_none() || session.agent_id == agent) && search.matches([session.title.as_deref()]);
        if agent.is_none() && search.is_empty() { list(page).await? } else { filtered(page, list, wanted).await? }
    };
    let ids = configured(listing.items.iter().map(|session| &session.capabilities));
    let redaction = Redaction::of(&app, caller.org, ids).await;
    Ok(Json(List::new(listing, page, |session| SessionBody::new(caller.org, session, &redaction))))
}

/// Create a session
///
/// Its harness is the one named, else its agent's, else the org's base harness, else the one with
/// the role base.
#[utoipa::path(
    post,
    path = "/sessions",
    tag = "sessions",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Name of the request; a repetition within a day has no second effect"),
    ),
    request_body = Option<CreateSession>,
    responses((status = 201, body = SessionBody)),
)]
pub(crate) async fn create_session(
    State(app): State<App>,
    caller: Caller,
    Once { body, key }: Once<Option<CreateSession>>,
) -> Result<(StatusCode, Replayed<Tagged<Json<SessionBody>>>), Problem> {
    let mut session = body.unwrap_or_default().into_session(&app, &caller).await?;
    let claimed = key.claim(&app, caller.org).await?;
    session.id = SessionId::from_uuid(claimed.id);
    let session = store(&app, caller.org, session, claimed.repeated).await?;
    Ok((StatusCode::CREATED, Replayed(claimed.repeated, answer(&app, caller.org, session).await)))
}

/// Read a session
#[utoipa::path(
    get,
    path = "/sessions/{session_id}",
    tag = "sessions",
    params(("session_id" = String, Path, description = "Id")),
    responses((status = 200, body = SessionBody)),
)]
pub(crate) async fn get_session(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Tagged<Json<SessionBody>>, Problem> {
    let session = resolve::session(&app, caller.org, &reference).await?;
    Ok(answer(&app, caller.org, session).await)
}

/// Change a session
#[utoipa::path(
    patch,
    path = "/sessions/{session_id}",
    tag = "sessions",
    params(
        ("session_id" = String, Path, description = "Id"),
        ("If-Match" = Option<String>, Header, description = "ETag that the session must have"),
    ),
    request_body = UpdateSession,
    responses(
        (status = 200, body = SessionBody),
        (status = 409, description = "Somebody else changed it at the same time"),
        (status = 412, description = "Not at the version of If-Match"),
    ),
)]
pub(crate) async fn update_session(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
    JsonBody(mut request): JsonBody<UpdateSession>,
) -> Result<Tagged<Json<SessionBody>>, Problem> {
    let mut session = resolve::session(&app, caller.org, &reference).await?;
    if_match.check(session.version)?;
    let mut checks = Checks::default();
    if let Some(model) = &request.model_id {
        session.model_id = checks.model(&app, caller.org, "/model_id", model.as_deref()).await?;
    }
    checks.changed_capabilities(&app, &caller, request.capabilities.as_mut(), &session.capabilities).await?;
    request.apply(&mut session);
    check(checks, &session)?;
    session.version += 1;
    session.updated_at = app.moments.now();
    app.stores.session_store.update_session(caller.org, session.clone()).await.map_err(|error| if_match.lost(error))?;
    Ok(answer(&app, caller.org, session).await)
}

/// Delete a session
///
/// With its messages and all of its events, for good. Refused while a turn runs or waits: cancel it
/// first, and wait for `turn.cancelled`.
#[utoipa::path(
    delete,
    path = "/sessions/{session_id}",
    tag = "sessions",
    params(
        ("session_id" = String, Path, description = "Id"),
        ("If-Match" = Option<String>, Header, description = "ETag that the session must have"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        (status = 409, description = "A turn has not ended"),
        (status = 412, description = "Not at the version of If-Match"),
    ),
)]
pub(crate) async fn delete_session(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let session = resolve::session(&app, caller.org, &reference).await?;
    if_match.check(session.version)?;
    let deleted = app.stores.session_store.delete_session(caller.org, session.id, if_match.expected(session.version)).await;
    deleted.map_err(|error| if_match.lost(error))?;
    app.stores.history_cache.forget(caller.org, session.id);
    app.streams.end(session.id);
    Ok(StatusCode::NO_CONTENT)
}

async fn answer(app: &App, org: OrgId, session: Session) -> Tagged<Json<SessionBody>> {
    let redaction = Redaction::of(app, org, configured([&session.capabilities])).await;
    Tagged(session.version, Json(SessionBody::new(org, session, &redaction)))
}

/// Stores a new session, unless the request that this one repeats has done so.
async fn store(app: &App, org: OrgId, session: Session, repeated: bool) -> Result<Session, Problem> {
    if repeated && let Some(made) = app.stores.session_store.get_session(org, session.id).await? {
        return Ok(made);
    }
    app.quotas.check_room(org, &*app.stores.log, app.moments.now()).await?;
    // Before the session is there, so that no turn can run without them.
    write_initial_files(&app.stores, org, &session).await.map_err(Error::from)?;
    let started = NewEvent {
        id: EventId::from_uuid(app.moments.uuid()),
        ts: session.created_at,
        context: EventContext::default(),
        data: EventData::SessionStarted { harness_id: session.harness_id, agent_id: session.agent_id },
    };
    match app.stores.session_store.add_session(org, session.clone(), started).await {
        Ok(event) => app.stores.event_bus.emit(event),
        // A repetition at the same time was faster.
        Err(StoreError::Duplicate { .. }) => return resolve::session(app, org, &session.id.to_string()).await,
        Err(error) => return Err(error.into()),
    }
    Ok(session)
}

impl CreateSession {
    async fn into_session(self, app: &App, caller: &Caller) -> Result<Session, Problem> {
        let org = caller.org;
        let mut checks = Checks::default();
        self.check_unsupported(&mut checks);
        let agent = self.agent(app, org, &mut checks).await?;
        let named = self.harness(app, org, &mut checks).await?.map(|harness| harness.id);
        let harness_id = match named.or(agent.map(|(_, harness)| harness)) {
            Some(id) => id,
            None => resolve::base_harness(app, org).await?,
        };
        let model_id = checks.model(app, org, "/model_id", self.model_id.as_deref()).await?;
        let mut session =
            Session { owner: Some(caller.subject.to_string()), ..self.build(app, harness_id, model_id, agent.map(|(id, _)| id)) };
        checks.assigned_capabilities(app, caller, &mut session.capabilities, &[]).await?;
        check(checks, &session)?;
        Ok(session)
    }

    fn build(self, app: &App, harness_id: HarnessId, model_id: Option<ModelId>, agent_id: Option<AgentId>) -> Session {
        let now = app.moments.now();
        Session {
            id: SessionId::from_uuid(app.moments.uuid()),
            harness_id,
            agent_id,
            owner: None,
            title: self.title,
            status: SessionStatus::Started,
            system_prompt: self.system_prompt,
            capabilities: self.capabilities,
            tools: self.tools,
            model_id,
            locale: self.locale,
            max_iterations: self.max_iterations,
            initial_files: self.initial_files,
            tags: self.tags,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    fn check_unsupported(&self, checks: &mut Checks) {
        checks.unsupported(&[
            ("/agent_identity_id", &self.agent_identity_id),
            ("/hints", &self.hints),
            ("/mcp_servers", &self.mcp_servers),
            ("/network_access", &self.network_access),
            ("/parallel_tool_calls", &self.parallel_tool_calls),
            ("/workspace_id", &self.workspace_id),
        ]);
    }

    async fn agent(&self, app: &App, org: OrgId, checks: &mut Checks) -> Result<Option<(AgentId, HarnessId)>, Problem> {
        let Some((pointer, reference)) = one_of(checks, ("/agent_id", &self.agent_id), ("/agent_name", &self.agent_name)) else {
            return Ok(None);
        };
        let found = match reference.parse() {
            Ok(id) => app.stores.agent_store.get_agent(org, id).await?,
            Err(_) => app.stores.agent_store.find_agent(org, reference).await?,
        };
        refuse_unusable(checks, pointer, "agent", reference, found.as_ref().map(|agent| agent.status));
        Ok(found.map(|agent| (agent.id, agent.harness_id)))
    }

    async fn harness(&self, app: &App, org: OrgId, checks: &mut Checks) -> Result<Option<Harness>, Problem> {
        let Some((pointer, reference)) = one_of(checks, ("/harness_id", &self.harness_id), ("/harness_name", &self.harness_name)) else {
            return Ok(None);
        };
        let found = match reference.parse() {
            Ok(id) => app.stores.harness_store.get_harness(org, id).await?,
            Err(_) => app.stores.harness_store.find_harness(org, reference).await?,
        };
        refuse_unusable(checks, pointer, "harness", reference, found.as_ref().map(|harness| harness.status));
        Ok(found)
    }
}

type Reference<'a> = (&'static str, &'a Option<String>);

/// The one of two fields that is given.
fn one_of<'a>(checks: &mut Checks, first: Reference<'a>, second: Reference<'a>) -> Option<(&'static str, &'a str)> {
    let given = |(pointer, value): Reference<'a>| value.as_deref().map(|value| (pointer, value));
    if first.1.is_some() && second.1.is_some() {
        let detail = format!("{} and {} exclude each other", &first.0[1..], &second.0[1..]);
        checks.add(Finding::at(second.0, "exclusive", detail).fix("send one of them"));
    }
    given(first).or(given(second))
}

fn refuse_unusable(checks: &mut Checks, pointer: &str, what: &str, reference: &str, status: Option<ResourceStatus>) {
    let (code, state) = match status {
        Some(ResourceStatus::Active) => return,
        Some(ResourceStatus::Archived) => ("archived", "is archived"),
        None => ("unknown", "does not exist"),
    };
    checks.add(Finding::at(pointer, code, format!("{what} {:?} {state}", shown(reference))));
}

fn check(mut checks: Checks, session: &Session) -> Result<(), Problem> {
    checks.title("/title", session.title.as_deref());
    checks.system_prompt(session.system_prompt.as_deref());
    checks.client_tools(&session.tools);
    checks.initial_files(&session.initial_files);
    checks.tags(&session.tags);
    checks.locale("/locale", session.locale.as_deref());
    checks.max_iterations(session.max_iterations);
    checks.finish()
}
