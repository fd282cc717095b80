//! Connecting over OAuth: where the caller's browser is sent, and what it brings back.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::header::{ACCEPT, COOKIE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use everwit_runtime::connection::{Authorized, MAX_AUTHORIZATION_SECONDS};
use everwit_runtime::store::Scope;
use secrecy::{ExposeSecret, SecretString};
use utoipa::IntoParams;

use super::body::{AuthorizationBody, ConnectionBody};
use super::{refused, wake};
use crate::api::App;
use crate::api::extract::{FromParams, Params, Query};
use crate::api::middleware::Gate;
use crate::auth::Caller;
use crate::problem::Problem;

/// Longest path to return to, in bytes.
const MAX_RETURN_BYTES: usize = 1 << 10;
/// Longest code, state or error of a third party, in bytes.
const MAX_ANSWER_BYTES: usize = 4 << 10;

/// Where to go at the end.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuthorizeParams {
    /// Path on this server that the browser is sent to at the end; without it, the browser gets
    /// the connection as JSON.
    return_to: Option<String>,
}

impl FromParams for AuthorizeParams {
    fn from_params(params: &mut Params) -> Self {
        Self { return_to: params.one("return_to", "a path on this server") }
    }
}

/// What the third party answers through the caller's browser.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CallbackParams {
    /// As the authorization URL had it.
    state: Option<String>,
    /// What is exchanged for tokens.
    code: Option<String>,
    /// Why there is no code.
    error: Option<String>,
}

impl FromParams for CallbackParams {
    fn from_params(params: &mut Params) -> Self {
        // Third parties add what they like, for example `iss` and `scope`.
        let mut one = |name: &str| params.list(name).into_iter().next().filter(|text| text.len() <= MAX_ANSWER_BYTES);
        let own = Self { state: one("state"), code: one("code"), error: one("error") };
        params.pass_over_rest();
        own
    }
}

/// Begin to connect over OAuth
///
/// Says where to send the caller's browser; a browser itself is sent there. A cookie lets the same
/// browser finish without an API key.
#[utoipa::path(
    get,
    path = "/user/connections/{provider}/authorize",
    tag = "connections",
    params(("provider" = String, Path, description = "Id"), AuthorizeParams),
    responses(
        (status = 200, body = AuthorizationBody),
        (status = 303, description = "A browser is sent to the third party"),
        (status = 409, description = "The provider connects accounts with a form, or the server has no public URL"),
    ),
)]
pub(crate) async fn authorize_connection(
    State(app): State<App>,
    caller: Caller,
    Path(provider): Path<String>,
    Query(params): Query<AuthorizeParams>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let return_to = params.return_to.map(own_path).transpose()?;
    let public_url = app.public_url.as_ref().ok_or_else(|| {
        let detail = "third parties cannot send browsers back, because this server does not know its own address; \
                      start it with --public-url https://…";
        Problem::conflict("no_public_url", detail)
    })?;
    let redirect_uri = format!("{}/v1/user/connections/{}/callback", public_url.as_str().trim_end_matches('/'), provider.to_lowercase());
    let pending = app.connections.authorize(caller.org, &caller.subject, &provider, (&redirect_uri, return_to)).await.map_err(refused)?;
    let secure = if public_url.scheme() == "https" { "; Secure" } else { "" };
    let cookie = format!(
        "{}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={MAX_AUTHORIZATION_SECONDS}{secure}",
        cookie_name(&provider),
        pending.browser.expose_secret()
    );
    let mut response = if takes_html(&headers) {
        see_other(pending.url.as_str())?
    } else {
        Json(AuthorizationBody { authorization_url: pending.url.to_string(), expires_at: pending.expires_at }).into_response()
    };
    response.headers_mut().insert(SET_COOKIE, header(&cookie)?);
    Ok(response)
}

/// Finish connecting over OAuth
///
/// Where third parties send the caller's browser. Works once for each authorization, and for the
/// caller who began it only: by an API key, or by the browser's cookie. Turns that wait for the
/// connection go on.
#[utoipa::path(
    get,
    path = "/user/connections/{provider}/callback",
    tag = "connections",
    params(("provider" = String, Path, description = "Id"), CallbackParams),
    responses(
        (status = 200, body = ConnectionBody),
        (status = 303, description = "The browser is sent on"),
        (status = 400, description = "The authorization is not known, was used, or has expired"),
        (status = 403, description = "Somebody else began it"),
        (status = 422, description = "The third party refuses"),
        (status = 502, description = "The third party cannot be asked"),
    ),
)]
pub(crate) async fn finish_connection(
    State(app): State<App>,
    Path(provider): Path<String>,
    Query(params): Query<CallbackParams>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let browser = cookie(&parts.headers, &cookie_name(&provider));
    let gate = parts.extensions.get::<Gate>().ok_or_else(|| Problem::internal("the route is not served by this server"))?;
    let caller = match gate.admit(&parts).await {
        Ok(caller) => Some(caller),
        // Browsers come back without a key.
        Err(_) if browser.is_some() => None,
        Err(problem) => return Err(problem),
    };
    if let Some(caller) = &caller {
        caller.require(Scope::Write)?;
    }
    let state = params.state.ok_or_else(|| missing("state"))?;
    let answer = match (params.code, params.error) {
        (_, Some(error)) => Err(error),
        (Some(code), None) => Ok(SecretString::from(code)),
        (None, None) => return Err(missing("code")),
    };
    let subject = caller.as_ref().map(|caller| (caller.org, &*caller.subject));
    let authorized = Authorized { state: &state, answer, subject, browser: browser.as_deref() };
    let (org, connection, return_to) = app.connections.finish(&provider, authorized).await.map_err(refused)?;
    wake(&app, org, &connection.subject).await?;
    match return_to {
        Some(path) => see_other(&path),
        None => Ok(Json(ConnectionBody::from(connection)).into_response()),
    }
}

/// A path on this server: a browser takes what begins with two slashes for another server.
fn own_path(path: String) -> Result<String, Problem> {
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if path.len() <= MAX_RETURN_BYTES && plain && path.starts_with('/') && !path.starts_with("//") {
        return Ok(path);
    }
    let detail = format!(
        "return_to is not a path on this server: it begins with one slash and has at most {MAX_RETURN_BYTES} bytes of visible ASCII"
    );
    Err(Problem::bad_request("invalid_parameter", detail))
}

fn missing(name: &str) -> Problem {
    Problem::bad_request("invalid_parameter", format!("{name} is missing, or longer than {MAX_ANSWER_BYTES} bytes"))
}

fn cookie_name(provider: &str) -> String {
    let usual = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    format!("everwit_connect_{}", provider.to_lowercase().replace(|character| !usual(character), "_"))
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

fn takes_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("text/html"))
}

fn see_other(location: &str) -> Result<Response, Problem> {
    Ok((StatusCode::SEE_OTHER, [(LOCATION, header(location)?)]).into_response())
}

fn header(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(|_| Problem::internal("a header value is not valid in HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_sent_to_paths_of_this_server_only() {
        for path in ["/", "/settings?tab=connections#x"] {
            assert_eq!(own_path(path.to_owned()).ok().as_deref(), Some(path));
        }
        for path in ["", "settings", "//evil.example", "/\\evil.example", "https://evil.example", "/a b", "/a\r\nx: y", "/ü"] {
            assert!(own_path(path.to_owned()).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("a=b; everwit_connect_x=secret;c"))]);
        assert_eq!(cookie(&headers, &cookie_name("X")).as_deref(), Some("secret"));
        assert_eq!(cookie(&headers, "everwit_connect"), None);
        assert_eq!(cookie_name("a b;c=d"), "everwit_connect_a_b_c_d");
    }
}
