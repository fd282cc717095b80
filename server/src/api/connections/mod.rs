//! Connections: accounts of the caller at third parties, which tools use on the caller's behalf.

mod body;
mod oauth;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::Error;
use everwit_runtime::connection::ConnectionError;
use everwit_runtime::id::{OrgId, SessionId};
use everwit_runtime::limits::MAX_PAGE;
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::App;
use crate::api::extract::JsonBody;
use crate::api::page::List;
use crate::api::tool_results::{desk, go_on};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};
use body::{ConnectionBody, ConnectionProviderBody, Verified};
pub(crate) use oauth::{__path_authorize_connection, __path_finish_connection, authorize_connection, finish_connection};

/// The provider's form, filled in.
#[derive(Deserialize, ToSchema)]
#[schema(as = CreateConnectionRequest, value_type = Object, example = json!({ "api_key": "…" }))]
#[serde(transparent)]
pub(crate) struct FilledForm(BTreeMap<String, SecretString>);

/// List connections
///
/// Those of the caller, by provider.
#[utoipa::path(get, path = "/user/connections", tag = "connections", responses((status = 200, body = List<ConnectionBody>)))]
pub(crate) async fn list_connections(State(app): State<App>, caller: Caller) -> Result<Json<List<ConnectionBody>>, Problem> {
    let connections = app.connections.list(caller.org, &caller.subject).await?;
    Ok(Json(whole(connections.into_iter().map(Into::into).collect())))
}

/// List connection providers
///
/// With whom the caller can connect, by id.
#[utoipa::path(
    get,
    path = "/user/connections/providers",
    tag = "connections",
    responses((status = 200, body = List<ConnectionProviderBody>)),
)]
pub(crate) async fn list_connection_providers(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<List<ConnectionProviderBody>>, Problem> {
    let providers = app.connections.providers(caller.org).await?;
    Ok(Json(whole(providers.iter().map(|provider| (&**provider).into()).collect())))
}

/// Connect with a form
///
/// The credential is tried out first, encrypted then, and never shown again. It takes the place of
/// an earlier one. Turns that wait for it go on.
#[utoipa::path(
    post,
    path = "/user/connections/{provider}",
    tag = "connections",
    params(("provider" = String, Path, description = "Id")),
    request_body = FilledForm,
    responses(
        (status = 201, body = ConnectionBody),
        (status = 409, description = "The provider connects accounts over OAuth"),
        (status = 422, description = "The form is not filled in right, or the third party refuses the credential"),
        (status = 502, description = "The third party cannot be asked"),
    ),
)]
pub(crate) async fn create_connection(
    State(app): State<App>,
    caller: Caller,
    Path(provider): Path<String>,
    JsonBody(FilledForm(values)): JsonBody<FilledForm>,
) -> Result<(StatusCode, Json<ConnectionBody>), Problem> {
    let connection = app.connections.connect(caller.org, &caller.subject, &provider, values).await.map_err(refused)?;
    wake(&app, caller.org, &caller.subject).await?;
    Ok((StatusCode::CREATED, Json(connection.into())))
}

/// Disconnect
///
/// The credential is deleted here. The third party is not told: revoke it there as well.
#[utoipa::path(
    delete,
    path = "/user/connections/{provider}",
    tag = "connections",
    params(("provider" = String, Path, description = "Id")),
    responses((status = 204, description = "It is deleted"), (status = 404, description = "The caller is not connected")),
)]
pub(crate) async fn delete_connection(State(app): State<App>, caller: Caller, Path(provider): Path<String>) -> Result<StatusCode, Problem> {
    match app.connections.disconnect(caller.org, &caller.subject, &provider).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("connection", &provider)),
    }
}

/// Try a connection out
///
/// A connection that does not work is a result, not an error: the status is 200.
#[utoipa::path(
    post,
    path = "/user/connections/{provider}/verify",
    tag = "connections",
    params(("provider" = String, Path, description = "Id")),
    responses((status = 200, body = Verified), (status = 502, description = "The third party cannot be asked")),
)]
pub(crate) async fn verify_connection(
    State(app): State<App>,
    caller: Caller,
    Path(provider): Path<String>,
) -> Result<Json<Verified>, Problem> {
    match app.connections.verify(caller.org, &caller.subject, &provider).await {
        Ok(()) => Ok(Json(Verified { valid: true, error: None })),
        Err(ConnectionError::Refused(reason)) => Ok(Json(Verified { valid: false, error: Some(reason) })),
        Err(error) => Err(refused(error)),
    }
}

/// Has the turns of a user go on that waited for what is connected now.
async fn wake(app: &App, org: OrgId, subject: &str) -> Result<(), Problem> {
    let mut after = None;
    loop {
        let waiting = app.stores.log.waiting_sessions(org, after, MAX_PAGE).await?;
        let Some(&last) = waiting.last() else { return Ok(()) };
        after = Some(last);
        for id in waiting {
            let session = app.stores.session_store.get_session(org, id).await?;
            if session.is_some_and(|session| session.owner.as_deref() == Some(subject)) {
                wake_session(app, org, id).await?;
            }
        }
    }
}

/// Has the turn of a session go on if what it waited for is connected now.
pub(super) async fn wake_session(app: &App, org: OrgId, session: SessionId) -> Result<(), Problem> {
    if let Some(accepted) = desk(app).connect(org, session).await.map_err(Error::from)? {
        go_on(app, org, session, &accepted).await;
    }
    Ok(())
}

/// A list that is always whole, because its length has a limit.
fn whole<T>(data: Vec<T>) -> List<T> {
    let total = data.len() as u64;
    List { data, total, offset: 0, limit: total }
}

/// The problem of a refusal.
fn refused(error: ConnectionError) -> Problem {
    let detail = error.to_string();
    match error {
        ConnectionError::UnknownProvider(id) => Problem::not_found("connection provider", &id),
        ConnectionError::NotConnected(id) => Problem::not_found("connection", &id),
        ConnectionError::WrongMethod(_) => Problem::conflict("wrong_connection_type", detail),
        ConnectionError::Form(problems) => {
            let finding = |problem: everwit_runtime::connection::FormProblem| {
                Finding::at(format!("/{}", problem.field), problem.code, problem.detail)
            };
            Problem::invalid(problems.into_iter().map(finding).collect())
        }
        ConnectionError::Refused(_) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused_by_third_party", detail),
        ConnectionError::Unavailable(_) => Problem::new(StatusCode::BAD_GATEWAY, "third_party_unavailable", detail),
        ConnectionError::Misconfigured(_) => {
            let detail = format!("{detail}; the connection provider is not set up right: its operator has to see to it");
            Problem::new(StatusCode::BAD_GATEWAY, "connection_provider_misconfigured", detail)
        }
        ConnectionError::UnknownAuthorization => Problem::bad_request("unknown_authorization", detail),
        ConnectionError::NotYours => Problem::new(StatusCode::FORBIDDEN, "foreign_authorization", detail),
        ConnectionError::Runtime(error) => error.into(),
        other => Problem::internal(other.to_string()),
    }
}
