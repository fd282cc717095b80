//! A third party of the tests: an OAuth 2 server that checks everything, and an API behind it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// What every secret of the tests contains, and nothing else.
pub(crate) const PLANTED: &str = "planted-91ef";
const CLIENT_ID: &str = "everwit-tests";
/// A client without a secret.
const PUBLIC_CLIENT_ID: &str = "everwit-public";

type Form = BTreeMap<String, String>;

/// A code that was not exchanged yet.
struct Code {
    challenge: String,
    redirect_uri: String,
}

#[derive(Default)]
struct Books {
    issued: u32,
    codes: BTreeMap<String, Code>,
    access: Vec<String>,
    refresh: Vec<String>,
    refreshes: u32,
    expires_in: Option<u64>,
    /// What the token endpoint answers instead of tokens.
    failure: Option<(u16, Value)>,
    /// Whether the account's name is the token that it was asked with.
    echoes: bool,
}

/// See the module. Dropping it ends it.
pub(crate) struct Vendor {
    pub(crate) port: u16,
    books: Arc<Mutex<Books>>,
    /// Closed while refreshes are to wait.
    gate: Arc<Semaphore>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Office {
    books: Arc<Mutex<Books>>,
    gate: Arc<Semaphore>,
}

impl Office {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("nothing panics while it holds the lock")
    }
}

impl Vendor {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let books = Arc::new(Mutex::new(Books { expires_in: Some(3_600), ..Books::default() }));
        let gate = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let office = Office { books: books.clone(), gate: gate.clone() };
        let router =
            Router::new().route("/authorize", get(authorize)).route("/token", post(token)).route("/user", get(user)).with_state(office);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("the vendor serves") });
        Self { port, books, gate, task }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("nothing panics while it holds the lock")
    }

    /// How long the next tokens live, in seconds.
    pub(crate) fn set_life(&self, seconds: Option<u64>) {
        self.books().expires_in = seconds;
    }

    /// What the token endpoint answers from now on instead of tokens.
    pub(crate) fn fail(&self, status: u16, body: Value) {
        self.books().failure = Some((status, body));
    }

    /// Accepts this API key.
    pub(crate) fn accept(&self, key: &str) {
        self.books().access.push(key.to_owned());
    }

    /// Accepts no token any more that it has given.
    pub(crate) fn revoke_access(&self) {
        self.books().access.clear();
    }

    /// Names accounts by the token that it is asked with.
    pub(crate) fn echo(&self) {
        self.books().echoes = true;
    }

    pub(crate) fn refreshes(&self) -> u32 {
        self.books().refreshes
    }

    /// Lets refreshes wait until the returned value is dropped.
    pub(crate) fn hold_refreshes(&self) -> impl Sized + use<> {
        let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        self.gate.clone().try_acquire_many_owned(most).expect("nobody else holds them")
    }

    /// It as a connection provider over OAuth, with a check of credentials.
    pub(crate) fn over_oauth(&self, id: &str) -> Value {
        let base = format!("http://127.0.0.1:{}", self.port);
        json!({
            "id": id, "display_name": "Issues", "hosts": [format!("127.0.0.1:{}", self.port)],
            "method": { "oauth": {
                "authorize_url": format!("{base}/authorize"), "token_url": format!("{base}/token"), "scopes": ["read", "write"],
                "client_id": CLIENT_ID, "client_secret": format!("client-{PLANTED}"),
            } },
            "check": { "url": format!("{base}/user"), "username_pointer": "/login" },
        })
    }

    /// It as a connection provider with a form.
    pub(crate) fn with_form(&self, id: &str) -> Value {
        let form = json!({ "fields": [
            { "name": "api_key", "label": "API key", "field_type": "password", "required": true },
            { "name": "workspace", "label": "Workspace", "field_type": "text" },
        ], "instructions_markdown": "Make one." });
        let mut provider = self.over_oauth(id);
        provider["method"] = json!({ "api_key": form });
        provider
    }
}

/// The user agrees at once.
async fn authorize(State(office): State<Office>, RawQuery(query): RawQuery) -> Response {
    let query = parse(query.unwrap_or_default().as_bytes());
    let wrong = [("response_type", "code"), ("code_challenge_method", "S256"), ("scope", "read write")]
        .iter()
        .any(|(name, value)| query.get(*name).map(String::as_str) != Some(*value));
    let is_known = query.get("client_id").is_some_and(|id| [CLIENT_ID, PUBLIC_CLIENT_ID].contains(&&**id));
    if wrong || !is_known {
        return (StatusCode::BAD_REQUEST, format!("{query:?}")).into_response();
    }
    let mut books = office.books();
    books.issued += 1;
    let code = format!("code-{PLANTED}-{}", books.issued);
    let redirect_uri = query["redirect_uri"].clone();
    books.codes.insert(code.clone(), Code { challenge: query["code_challenge"].clone(), redirect_uri: redirect_uri.clone() });
    let mut location = url::Url::parse(&redirect_uri).expect("a URL");
    location.query_pairs_mut().append_pair("code", &code).append_pair("state", &query["state"]).append_pair("iss", "vendor");
    (StatusCode::FOUND, [("location", location.to_string())]).into_response()
}

async fn token(State(office): State<Office>, headers: HeaderMap, body: Bytes) -> Response {
    let form = parse(&body);
    let expected = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:client-{PLANTED}")));
    let is_public = form.get("client_id").is_some_and(|id| id == PUBLIC_CLIENT_ID) && !form.contains_key("client_secret");
    if !is_public && headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(&*expected) {
        return refused(401, "invalid_client");
    }
    let is_refresh = form["grant_type"] == "refresh_token";
    if is_refresh {
        office.books().refreshes += 1;
        let _waited = office.gate.acquire().await.expect("the gate is open");
    }
    let mut books = office.books();
    if let Some((status, body)) = books.failure.clone() {
        return (StatusCode::from_u16(status).expect("a status"), Json(body)).into_response();
    }
    if is_refresh {
        // A refresh token works once.
        let Some(at) = books.refresh.iter().position(|known| *known == form["refresh_token"]) else {
            return refused(400, "invalid_grant");
        };
        books.refresh.remove(at);
    } else {
        let Some(code) = books.codes.remove(&form["code"]) else { return refused(400, "invalid_grant") };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
        if code.challenge != challenge || code.redirect_uri != form["redirect_uri"] {
            return refused(400, "invalid_grant");
        }
    }
    books.issued += 1;
    let (access, refresh) = (format!("access-{PLANTED}-{}", books.issued), format!("refresh-{PLANTED}-{}", books.issued));
    books.access.push(access.clone());
    books.refresh.push(refresh.clone());
    let mut answer = json!({ "access_token": access, "refresh_token": refresh, "token_type": "bearer", "scope": "read" });
    if let Some(seconds) = books.expires_in {
        answer["expires_in"] = seconds.into();
    }
    Json(answer).into_response()
}

async fn user(State(office): State<Office>, headers: HeaderMap) -> Response {
    let token = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer ").map(str::to_owned));
    if office.books().echoes {
        return Json(json!({ "login": token })).into_response();
    }
    match token.is_some_and(|token| office.books().access.contains(&token)) {
        true => Json(json!({ "login": "ada-at-vendor" })).into_response(),
        // Some vendors repeat what they were sent.
        false => (StatusCode::UNAUTHORIZED, Json(json!({ "error": format!("bad token, {PLANTED}") }))).into_response(),
    }
}

fn refused(status: u16, error: &str) -> Response {
    let body = json!({ "error": error, "error_description": format!("no: {PLANTED}") });
    (StatusCode::from_u16(status).expect("a status"), Json(body)).into_response()
}

fn parse(text: &[u8]) -> Form {
    url::form_urlencoded::parse(text).into_owned().collect()
}
