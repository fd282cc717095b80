//! What every request passes: its id, its log line, authorization, and the rendering of problems.

use std::any::Any;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use everwit_runtime::mutation::off;
use everwit_runtime::store::Scope;
use tracing::Instrument;

use super::App;
use crate::audit::Target;
use crate::auth::Caller;
use crate::problem::Problem;

/// The header that carries a request's id, both ways.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over from a caller, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// Outermost layer: gives the request its id, logs it once, and renders problems.
pub(crate) async fn envelope(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = request_id(&app, &request);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = tracing::info_span!("request", id = %id);
    async move {
        let started = app.moments.now();
        let mut response = render(next.run(request).await, &id);
        let millis = app.moments.now().duration_since(started).as_millis();
        tracing::info!(%method, path, status = response.status().as_u16(), millis = i64::try_from(millis).unwrap_or(i64::MAX), "answered");
        let headers = response.headers_mut();
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        if let Ok(value) = HeaderValue::from_str(&id) {
            headers.insert(REQUEST_ID, value);
        }
        response
    }
    .instrument(span)
    .await
}

/// A caller's id if it is short and harmless in logs, a new one otherwise.
fn request_id(app: &App, request: &Request) -> String {
    let harmless = |id: &&str| {
        !id.is_empty()
            && (id.len() <= MAX_REQUEST_ID_BYTES || off("server.request_id_bytes"))
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(harmless);
    given.map_or_else(|| format!("req_{}", app.moments.uuid().simple()), str::to_owned)
}

fn render(mut response: Response, id: &str) -> Response {
    let own = response.extensions_mut().remove::<Problem>();
    // Error responses that are JSON are a handler's own words, as those of the readiness check.
    let own_words = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let problem = match own {
        Some(problem) => problem,
        None if own_words => return response,
        None => match Problem::of_bare_response(&response) {
            Some(problem) => problem,
            None => return response,
        },
    };
    if let Some(cause) = problem.cause() {
        tracing::error!(cause, "request failed");
    }
    problem.render(id)
}

/// The response for a handler that panicked; the panic itself is logged by the panic hook.
pub(crate) fn after_panic(payload: Box<dyn Any + Send + 'static>) -> Response {
    let message =
        payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Problem::internal(format!("a handler panicked: {message}")).into_response()
}

/// Finds out who makes a request, for routes of embedders as well.
#[derive(Clone)]
pub(crate) struct Gate(App);

impl Gate {
    /// The caller of a request, whose org is seeded then.
    ///
    /// # Errors
    /// As the server's authentication says; those of the store.
    pub(crate) async fn admit(&self, request: &Parts) -> Result<Caller, Problem> {
        let caller = self.0.auth.caller(request).await?;
        self.0.seeder.ensure(caller.org).await?;
        Ok(caller)
    }
}

/// Outer layer: gives requests the gate and their whole path, for the layers and extractors that ask.
pub(crate) async fn offer_gate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let target = Target(request.uri().path().to_owned());
    request.extensions_mut().insert(target);
    request.extensions_mut().insert(Gate(app));
    next.run(request).await
}

/// Route layer: lets callers through that have the scope, and tells the handler who calls.
pub(crate) async fn authorize(State(needed): State<Scope>, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let gate = parts.extensions.get::<Gate>().cloned();
    let gate = gate.ok_or_else(|| Problem::internal("a route that needs a caller is not served by this server"))?;
    let caller = gate.admit(&parts).await?;
    caller.require(needed)?;
    parts.extensions.insert(caller);
    Ok(next.run(Request::from_parts(parts, body)).await)
}

/// Answer for paths that no route has.
pub(crate) async fn no_such_route() -> StatusCode {
    StatusCode::NOT_FOUND
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    async fn defect() -> StatusCode {
        panic!("a defect with a secret")
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_that_tells_nothing() {
        let router: Router = Router::new().route("/", get(defect)).layer(CatchPanicLayer::custom(after_panic));
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        let rendered = render(response, "req_1");
        assert_eq!(rendered.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(rendered.into_body(), 10_000).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("req_1") && !text.contains("secret"), "{text}");
    }
}
