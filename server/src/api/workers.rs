//! Processes that run turns. They belong to the installation, so that no scope within an org is enough to see them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::component::Digest;
use everwit_runtime::id::WorkerId;
use everwit_runtime::store::{WorkerRecord, WorkerState};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::data_keys::Worker;
use super::extract::{JsonBody, Query};
use super::page::{List, PageParams};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::workers::{Instruction, Refusal, Report, WorkerTable};

/// A process that runs turns.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Worker)]
pub(crate) struct WorkerBody {
    /// Id, from its start to its end.
    id: WorkerId,
    /// What it does.
    state: Activity,
    /// Version of its program.
    version: String,
    /// Digest of its platform definition; servers and workers have the same.
    definition: Digest,
    /// Turns that it runs at once.
    slots: u32,
    /// Turns that it runs.
    running: u32,
    /// When it started.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// When it told of itself last.
    #[schema(value_type = String, format = DateTime)]
    seen_at: Timestamp,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Activity {
    /// It takes up turns.
    Active,
    /// It takes up none, and lets the steps end that it runs.
    Draining,
    /// It does nothing until it is resumed.
    Drained,
    /// It has not told of itself for 10 seconds; its turns go on with others.
    Gone,
}

impl WorkerBody {
    fn at(now: Timestamp, worker: WorkerRecord) -> Self {
        let WorkerRecord { report, drain, seen_at } = worker;
        let state = match report.state {
            _ if WorkerTable::is_gone(seen_at, now) => Activity::Gone,
            // It learns of it with its next report.
            WorkerState::Active if drain => Activity::Draining,
            WorkerState::Active => Activity::Active,
            WorkerState::Draining => Activity::Draining,
            WorkerState::Drained => Activity::Drained,
        };
        Self {
            id: report.id,
            state,
            version: report.version,
            definition: report.definition,
            slots: report.slots,
            running: report.running,
            started_at: report.started_at,
            seen_at,
        }
    }
}

/// List workers
///
/// In order of their start. A server that runs turns itself is one of them. Who has been silent for 10 seconds is shown
/// as gone, and for an hour is not shown any more.
#[utoipa::path(
    get,
    path = "/workers",
    tag = "workers",
    params(PageParams),
    responses((status = 200, body = List<WorkerBody>)),
)]
pub(crate) async fn list_workers(
    State(app): State<App>,
    _operator: Caller,
    Query(page): Query<PageParams>,
) -> Result<Json<List<WorkerBody>>, Problem> {
    let (page, now) = (page.into(), app.moments.now());
    let listing = app.stores.worker_store.list_workers(WorkerTable::shown_since(now), page).await?;
    Ok(Json(List::new(listing, page, |worker| WorkerBody::at(now, worker))))
}

/// Drain a worker
///
/// Within 2 seconds it takes up no further turns. It lets the steps end that it runs, after which their turns go on with
/// other workers, and is shown as drained. Idempotent.
#[utoipa::path(
    post,
    path = "/workers/{worker_id}/drain",
    tag = "workers",
    params(("worker_id" = String, Path, description = "Id")),
    responses((status = 200, body = WorkerBody), (status = 409, description = "It is gone")),
)]
pub(crate) async fn drain_worker(
    State(app): State<App>,
    _operator: Caller,
    Path(reference): Path<String>,
) -> Result<Json<WorkerBody>, Problem> {
    set(&app, &reference, true).await
}

/// Resume a worker
///
/// Within 2 seconds it takes up turns again. Idempotent.
#[utoipa::path(
    post,
    path = "/workers/{worker_id}/resume",
    tag = "workers",
    params(("worker_id" = String, Path, description = "Id")),
    responses((status = 200, body = WorkerBody), (status = 409, description = "It is gone")),
)]
pub(crate) async fn resume_worker(
    State(app): State<App>,
    _operator: Caller,
    Path(reference): Path<String>,
) -> Result<Json<WorkerBody>, Problem> {
    set(&app, &reference, false).await
}

async fn set(app: &App, reference: &str, drain: bool) -> Result<Json<WorkerBody>, Problem> {
    let absent = || Problem::not_found("worker", reference);
    let id: WorkerId = reference.parse().map_err(|_| absent())?;
    let now = app.moments.now();
    let worker = app.stores.worker_store.drain_worker(id, drain).await?.ok_or_else(absent)?;
    let body = WorkerBody::at(now, worker);
    if body.state == Activity::Gone {
        return Err(Problem::conflict("worker_gone", format!("{id} is gone: it has not told of itself since {}", body.seen_at)));
    }
    Ok(Json(body))
}

/// Takes what a worker tells of itself. No part of the API: workers of the same version call it, with a token that no
/// client has. All of them have the same one, and each is believed what it says of itself.
pub(crate) async fn report_worker(
    State(app): State<App>,
    _worker: Worker,
    JsonBody(report): JsonBody<Report>,
) -> Result<Json<Instruction>, Problem> {
    let id = report.id();
    let table = WorkerTable { store: app.stores.worker_store.clone(), definition: app.definition.clone(), moments: app.moments.clone() };
    match table.note(report).await {
        Ok(instruction) => Ok(Json(instruction)),
        Err(Refusal::Mismatch(difference)) => {
            tracing::warn!(worker = %id, difference, "a worker that runs something else is refused");
            Err(Problem::new(StatusCode::CONFLICT, "definition_mismatch", difference))
        }
        Err(Refusal::Store(error)) => Err(error.into()),
    }
}
