//! Channels: names for versions beside the active one. Activation lets one point to a version.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::harness::VersionChoice;

use super::users;
use crate::api::{App, resolve};
use crate::auth::Caller;
use crate::problem::Problem;

/// Remove a channel
///
/// The version that it pointed to stays. Refused while a harness or an agent asks for the channel.
#[utoipa::path(
    delete,
    path = "/components/{component}/channels/{channel}",
    tag = "components",
    params(
        ("component" = String, Path, description = "Id or name"),
        ("channel" = String, Path, description = "Name of the channel"),
    ),
    responses(
        (status = 204, description = "It is removed"),
        (status = 409, description = "A harness or an agent asks for it"),
    ),
)]
pub(crate) async fn remove_channel(
    State(app): State<App>,
    caller: Caller,
    Path((reference, channel)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let component = resolve::component(&app, caller.org, &reference).await?;
    let choice = Some(VersionChoice::Channel(channel.clone()));
    let users = users(&app, caller.org, &component, |entry| entry.choice() == choice).await?;
    if !users.is_empty() {
        let detail = format!("channel {channel:?} of {:?} is asked for by {}; change those first", component.name, users.join(", "));
        return Err(Problem::conflict("in_use", detail));
    }
    match app.stores.component_store.remove_channel(caller.org, component.id, &channel).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found("channel", &channel)),
    }
}
