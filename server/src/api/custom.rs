//! Routes of an embedder beside the stock ones.
//!
//! They pass what every request passes: request id, log line, limits of time, rendering of
//! problems. Authentication applies where an embedder asks for it: a handler that takes a
//! [`Caller`](crate::Caller) is only reached by callers with valid credentials, and
//! [`authorized`] and [`authorized_api`] let only callers of a scope through. A route with neither
//! is open to everybody who reaches the server.

use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::Router;
use everwit_runtime::store::Scope;
use utoipa_axum::router::OpenApiRouter;

use super::{App, middleware, openapi};
use crate::error::AppError;

/// Routes that an embedder adds.
#[derive(Clone, Default)]
pub(crate) struct CustomRoutes {
    /// Not part of the OpenAPI document.
    pub(crate) plain: Vec<Router>,
    /// Part of it.
    pub(crate) documented: Vec<OpenApiRouter>,
}

/// The same routes, for callers that have a scope: 401 without valid credentials, 403 with too
/// small a scope. Handlers can take the [`Caller`](crate::Caller).
pub fn authorized(scope: Scope, router: Router) -> Router {
    if !router.has_routes() {
        return router;
    }
    router.route_layer(axum::middleware::from_fn_with_state(scope, middleware::authorize))
}

/// As [`authorized`], for routes that join the OpenAPI document, which then states the scope and
/// the error responses.
pub fn authorized_api(scope: Scope, mut router: OpenApiRouter) -> OpenApiRouter {
    if router.get_openapi().paths.paths.is_empty() {
        return router;
    }
    openapi::require(router.get_openapi_mut(), scope);
    router.route_layer(axum::middleware::from_fn_with_state(scope, middleware::authorize))
}

impl CustomRoutes {
    /// Adds the documented routes.
    ///
    /// # Errors
    /// If a path and method is taken.
    pub(super) fn document(&self, router: OpenApiRouter<App>) -> Result<OpenApiRouter<App>, AppError> {
        self.documented.iter().cloned().try_fold(router, |router, own| refused(|| router.merge(own.with_state(()))))
    }

    /// Adds the others.
    ///
    /// # Errors
    /// If a path and method is taken.
    pub(super) fn add(&self, router: Router) -> Result<Router, AppError> {
        self.plain.iter().cloned().try_fold(router, |router, own| refused(|| router.merge(own)))
    }
}

/// The router panics when two routes are in each other's way, and tells nothing of its routes
/// that could be asked before.
fn refused<T>(merge: impl FnOnce() -> T) -> Result<T, AppError> {
    catch_unwind(AssertUnwindSafe(merge)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        AppError::RouteConflict(text.unwrap_or("two routes have the same path and method").to_owned())
    })
}
