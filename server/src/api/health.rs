//! Whether the process lives, and whether it can serve.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use crate::lifecycle::Phase;

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    status: &'static str,
    /// Version of the server.
    version: &'static str,
}

/// Whether requests can be served.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Whether all checks passed.
    ready: bool,
    /// The checks.
    checks: Vec<Check>,
}

/// One check of readiness.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Check {
    /// What was checked.
    name: &'static str,
    /// Whether it passed.
    ok: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
}

/// Tell that the process lives
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "health",
    responses((status = 200, description = "It lives", body = Health)),
)]
pub(crate) async fn get_health() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

/// Tell whether requests can be served
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = 200, description = "Ready", body = Readiness),
        (status = 503, description = "Not ready; the body says which check failed", body = Readiness),
    ),
)]
pub(crate) async fn get_readiness(State(app): State<App>) -> (StatusCode, Json<Readiness>) {
    let running = app.lifecycle.phase() == Phase::Running;
    let store = app.stores.org_store.has_keys().await;
    if let Err(error) = &store {
        tracing::warn!(%error, "the store failed the readiness check");
    }
    let lost = app.right.is_lost();
    let mut checks = vec![
        Check { name: "lifecycle", ok: running, detail: (!running).then_some("the server is shutting down") },
        Check { name: "store", ok: store.is_ok(), detail: store.is_err().then_some("the store does not answer") },
        Check {
            name: "turns",
            ok: !lost,
            detail: lost.then_some("the right to run turns is lost with its connection; it is being taken again"),
        },
    ];
    if let Some(bucket) = &app.bucket {
        let ok = bucket.is_there().await;
        checks.push(Check {
            name: "bucket",
            ok,
            detail: (!ok).then_some("the bucket with the bytes of components does not answer, or not as it should"),
        });
    }
    let ready = checks.iter().all(|check| check.ok);
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(Readiness { ready, checks }))
}
