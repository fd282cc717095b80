//! The OpenAPI document and a page that shows it. Everything comes from this server.

use axum::Router;
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

use super::App;

/// The page loads its own script and style, talks to this server, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// `/openapi.json`, `/docs` and what the page needs.
pub(crate) fn routes(document: &utoipa::openapi::OpenApi) -> Router<App> {
    let json = serde_json::to_string(document).expect("an OpenAPI document has only string keys");
    Router::new()
        .route("/openapi.json", get(|| async move { asset("application/json", json) }))
        .route("/docs", get(|| async { asset("text/html; charset=utf-8", include_str!("docs/index.html")) }))
        .route("/docs/page.js", get(|| async { asset("text/javascript; charset=utf-8", include_str!("docs/page.js")) }))
        .route("/docs/page.css", get(|| async { asset("text/css; charset=utf-8", include_str!("docs/page.css")) }))
}

fn asset(media_type: &'static str, text: impl IntoResponse) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, media_type),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ];
    (headers, text)
}
