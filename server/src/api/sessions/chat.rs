//! The chat session of a caller.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use everwit_runtime::BuiltInHarnessRole;
use everwit_runtime::harness::ResourceStatus;
use everwit_runtime::id::{HarnessId, SessionId};
use everwit_runtime::session::Session;

use super::body::{CreateSession, SessionBody};
use super::{answer, store};
use crate::api::App;
use crate::api::extract::Tagged;
use crate::auth::Caller;
use crate::problem::Problem;

/// Get or create the caller's chat session
///
/// It runs on the harness with the role chat, and is the same for every request of the caller.
#[utoipa::path(
    post,
    path = "/sessions/chat",
    tag = "sessions",
    responses(
        (status = 200, description = "It was there", body = SessionBody),
        (status = 201, body = SessionBody),
        (status = 409, description = "The platform has no harness with the role chat"),
    ),
)]
pub(crate) async fn get_chat_session(State(app): State<App>, caller: Caller) -> Result<(StatusCode, Tagged<Json<SessionBody>>), Problem> {
    let harness = app.seeder.harness_for_role(caller.org, BuiltInHarnessRole::Chat).await?;
    let harness = harness.ok_or_else(|| {
        let detail = "no harness has the role chat, so there is no chat session; give a harness template of the platform this role";
        Problem::conflict("no_chat_harness", detail)
    })?;
    let setup = &app.stores.setup_store;
    let known = setup.chat_session(caller.org, &caller.subject).await?;
    if let Some(session) = usable(&app, &caller, known).await? {
        return Ok((StatusCode::OK, answer(&app, caller.org, session).await));
    }
    let session = CreateSession::default().on_harness(&app, harness);
    let id = setup.replace_chat_session(caller.org, &caller.subject, known, session.id).await?;
    // Of two requests at once the slower one makes, or finds, the session of the faster one.
    let session = store(&app, caller.org, Session { id, owner: Some(caller.subject.to_string()), ..session }, true).await?;
    Ok((StatusCode::CREATED, answer(&app, caller.org, session).await))
}

/// A chat session that exists, on a harness that can be used.
async fn usable(app: &App, caller: &Caller, id: Option<SessionId>) -> Result<Option<Session>, Problem> {
    let Some(id) = id else { return Ok(None) };
    let Some(session) = app.stores.session_store.get_session(caller.org, id).await? else { return Ok(None) };
    let harness = app.stores.harness_store.get_harness(caller.org, session.harness_id).await?;
    Ok(harness.is_some_and(|harness| harness.status == ResourceStatus::Active).then_some(session))
}

impl CreateSession {
    /// A session without anything of its own.
    fn on_harness(self, app: &App, harness: HarnessId) -> Session {
        self.build(app, harness, None, None)
    }
}
