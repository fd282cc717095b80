//! Data keys for workers, which have no master key: one value's at a time, for the org of a turn that the worker has
//! claimed. No part of the API: workers of the same version call it, with a token that no client has.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use everwit_runtime::Error;
use everwit_runtime::secret::{Place, SecretError};
use everwit_runtime::store::Fence;
use secrecy::ExposeSecret as _;

use super::App;
use super::extract::JsonBody;
use crate::auth::{bearer, hash_secret};
use crate::control_plane::{Given, Question};
use crate::problem::Problem;

/// Whoever has the token of the workers. Nothing of a request is read before that is known.
pub(crate) struct Worker;

impl FromRequestParts<App> for Worker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let known = match (&app.worker_token, bearer(&parts.headers)) {
            // Hashes are compared, so that the time tells nothing about the token.
            (Some(expected), Some(shown)) => hash_secret(&expected.0) == hash_secret(&shown),
            _ => false,
        };
        let refused = || Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "this is for workers with the control plane's token");
        if known { Ok(Self) } else { Err(refused()) }
    }
}

/// Gives a data key to the worker that has a turn of its org.
pub(crate) async fn give_data_key(
    State(app): State<App>,
    _worker: Worker,
    JsonBody(question): JsonBody<Question>,
) -> Result<Json<Given>, Problem> {
    let (org, turn) = (question.organization_id, question.turn);
    let owner = app.stores.log.owner(org, turn.session_id, turn.turn_id).await?;
    if owner != Some(Fence(turn.fence)) {
        let detail = format!("{} of {} is not open under this claim; another worker may have taken it over", turn.turn_id, turn.session_id);
        return Err(Problem::new(StatusCode::FORBIDDEN, "turn_not_held", detail));
    }
    let place = Place { org, field: &question.field, row: question.row };
    let cipher = &app.stores.cipher;
    let (data_key, wrapped) = match question.wrapped {
        Some(wrapped) => (cipher.unwrap_data_key(&wrapped, &place).await.map_err(refused)?, wrapped),
        None => cipher.make_data_key(&place).await.map_err(refused)?,
    };
    tracing::info!(%org, session = %turn.session_id, turn = %turn.turn_id, field = question.field, "a worker was given a data key");
    Ok(Json(Given { data_key: data_key.to_text().expose_secret().to_owned(), wrapped }))
}

/// What does not open is the worker's fault or an attack, not this server's.
fn refused(error: SecretError) -> Problem {
    match error {
        SecretError::Broken { .. } | SecretError::UnknownKey { .. } => {
            Problem::new(StatusCode::FORBIDDEN, "not_of_this_place", error.to_string())
        }
        other => Error::from(other).into(),
    }
}
