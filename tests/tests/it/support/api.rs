//! An HTTP client for the server under test.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use super::EventStream;

/// Longer than anything that a test waits for.
const LIMIT: Duration = Duration::from_secs(120);

/// Talks to one server with one key.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    url: String,
    key: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().expect("the header is text")).unwrap_or_default()
    }

    /// The body, if the status is this one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }
}

impl Api {
    pub(crate) fn new(url: &str, key: Option<String>) -> Self {
        let client = Client::builder().no_proxy().timeout(LIMIT).build().expect("a client");
        Self { client, url: url.to_owned(), key }
    }

    /// The same server with other credentials: the whole `Authorization` header.
    pub(crate) fn with_authorization(&self, value: &str) -> Self {
        Self { key: Some(value.to_owned()), ..self.clone() }
    }

    /// The secret of its key.
    pub(crate) fn key(&self) -> &str {
        self.key.as_deref().expect("the client has a key")
    }

    /// A request to be completed.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
        match &self.key {
            Some(key) => request.header(AUTHORIZATION, key),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::PATCH, path).json(body)).await
    }

    /// Uploads a component; `query` begins with a question mark, or is empty.
    pub(crate) async fn upload(&self, query: &str, wasm: Vec<u8>) -> Answer {
        let request = self.request(Method::POST, &format!("/v1/components{query}"));
        send(request.header(CONTENT_TYPE, "application/wasm").body(wasm)).await
    }

    /// A new session on the base harness; returns its id.
    pub(crate) async fn session(&self) -> String {
        self.session_with(&json!({})).await
    }

    /// A new session; returns its id.
    pub(crate) async fn session_with(&self, body: &Value) -> String {
        let session = self.post("/v1/sessions", body).await.expect(201);
        session["id"].as_str().expect("a session has an id").to_owned()
    }

    /// Sends a text; returns the stored message.
    pub(crate) async fn say(&self, session: &str, text: &str) -> Value {
        let body = json!({ "message": { "content": [{ "type": "text", "text": text }] } });
        self.post(&format!("/v1/sessions/{session}/messages"), &body).await.expect(201)
    }

    /// Sends a text that no running turn takes in, because it is to be answered in a language of its own.
    pub(crate) async fn say_apart(&self, session: &str, text: &str, n: usize) {
        let message = json!({ "content": [{ "type": "text", "text": text }] });
        let body = json!({ "message": message, "controls": { "locale": format!("en-x-{n}") } });
        self.post(&format!("/v1/sessions/{session}/messages"), &body).await.expect(201);
    }

    /// The stream of a session's events; `query` begins with a question mark, or is empty.
    pub(crate) async fn stream(&self, session: &str, query: &str) -> EventStream {
        EventStream::open(self.request(Method::GET, &format!("/v1/sessions/{session}/sse{query}"))).await
    }

    /// The capabilities that come from components, in order of their ids.
    pub(crate) async fn component_capabilities(&self) -> Vec<Value> {
        let list = self.get("/v1/capabilities?limit=100").await.expect(200);
        let data = list["data"].as_array().expect("a list");
        data.iter().filter(|capability| capability["kind"] == "component").cloned().collect()
    }

    /// All stored events of a session.
    pub(crate) async fn events(&self, session: &str) -> Vec<Value> {
        let list = self.get(&format!("/v1/sessions/{session}/events?limit=1000")).await.expect(200);
        list["data"].as_array().expect("a list").clone()
    }
}

/// Sends a request and reads the whole answer.
pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("the server answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, bytes: response.bytes().await.expect("the body arrives").to_vec() }
}
