//! The way to a server, for commands that ask one.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use everwit_runtime::component::{Grant, HttpPermission};
use everwit_runtime::egress::{EgressError, EgressQuota, EgressRequest, EgressResponse, Gateway, GatewayConfig, Timeouts};
use everwit_runtime::limits::MAX_COMPONENT_BYTES;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use url::Url;

use super::output::{Failure, harmless};
use crate::control_plane::is_local;

/// Longest time of a request: a server compiles what it is sent before it answers.
const TIMEOUT: Duration = Duration::from_secs(180);
/// Longest life of a stream of events; a server ends each after a quarter of an hour.
const STREAM_TIMEOUT: Duration = Duration::from_secs(20 * 60);
/// Silence after which a connection counts as lost; a server gives a sign of life every 15 s.
const IDLE: Duration = Duration::from_secs(60);
/// Bytes of an answer.
const MAX_ANSWER_BYTES: u64 = 4 << 20;
/// Bytes of one stream of events; it is taken up again after that.
const MAX_STREAM_BYTES: u64 = 1 << 30;
/// The status of an answer without a body.
const NO_CONTENT: u16 = 204;
/// Bytes of a file with a key.
const MAX_KEY_BYTES: u64 = 4_096;

/// Options of commands that ask a server.
#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// The server. Plain http is for this machine alone.
    #[arg(long, global = true, env = "EVERWIT_SERVER", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    server: Url,
    /// File with the API key.
    #[arg(long, global = true, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// The API key.
    #[arg(long, global = true, env = "EVERWIT_API_KEY", hide = true, hide_env_values = true)]
    api_key: Option<SecretString>,
}

/// A server, and the way to it.
pub(super) struct Server {
    base: Url,
    key: Option<SecretString>,
    gateway: Gateway,
    grant: Grant,
}

impl Server {
    pub(super) fn at(args: &ServerArgs) -> Result<Self, Failure> {
        let mut base = args.server.clone();
        let wrong = |what: &str| Failure::usage(format!("--server {} {what}", harmless(args.server.as_str())));
        let (Some(host), Some(port)) = (base.host_str().map(str::to_owned), base.port_or_known_default()) else {
            return Err(wrong("is no http or https URL"));
        };
        match (base.scheme(), is_local(&base)) {
            ("https", _) | ("http", true) => {}
            ("http", false) => return Err(wrong("would send the key and the component in the clear\nto fix it: use https")),
            _ => return Err(wrong("is no http or https URL")),
        }
        // What a path is relative to ends with a slash.
        base.set_path(&format!("{}/", base.path().trim_end_matches('/')));
        let place = format!("{host}:{port}");
        // Whoever names a server means it, be it in an own network or not; no other place can be reached.
        let target = place.parse().map_err(|error| wrong(&format!("has no host that can be reached: {error}")))?;
        let timeouts = Timeouts { first_byte: TIMEOUT, idle: IDLE, ..Timeouts::default() };
        let gateway = Gateway::new(GatewayConfig { private_targets: vec![target], timeouts, ..GatewayConfig::default() })?;
        let methods = ["GET", "POST", "PATCH", "DELETE"].map(str::to_owned).to_vec();
        let permission = HttpPermission { host: place, methods, path_prefix: None, reason: String::new() };
        let grant = Grant { http: vec![permission], ..Grant::default() };
        Ok(Self { base, key: key(args)?, gateway, grant })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask("GET", path, Vec::new(), Vec::new()).await
    }

    pub(super) async fn post(&self, path: &str, media_type: &str, body: Vec<u8>) -> Result<Value, Failure> {
        self.post_with(path, media_type, None, body).await
    }

    /// With one more header field.
    pub(super) async fn post_with(
        &self,
        path: &str,
        media_type: &str,
        header: Option<(String, String)>,
        body: Vec<u8>,
    ) -> Result<Value, Failure> {
        let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(&body)));
        let mut headers = vec![("content-type".to_owned(), media_type.to_owned()), ("content-digest".to_owned(), digest)];
        headers.extend(header);
        self.ask("POST", path, headers, body).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.ask("DELETE", path, Vec::new(), Vec::new()).await
    }

    pub(super) async fn post_json(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.post(path, "application/json", body.to_string().into_bytes()).await
    }

    pub(super) async fn patch_json(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        self.ask("PATCH", path, headers, body.to_string().into_bytes()).await
    }

    /// A stream of events, from its `connected` on.
    pub(super) async fn stream(&self, path: &str) -> Result<EgressResponse, Failure> {
        let quota = EgressQuota::new(1, MAX_STREAM_BYTES, Instant::now() + STREAM_TIMEOUT);
        let mut response = self.send("GET", path, Vec::new(), Vec::new(), quota).await?;
        if response.status() == 200 {
            return Ok(response);
        }
        let (status, said) = (response.status(), self.read(&mut response).await?);
        Err(refusal(status, &said))
    }

    /// What went wrong on the way.
    pub(super) fn lost(&self, error: &EgressError) -> Failure {
        Failure::failed(format!("{}: {error}", self.base))
    }

    async fn ask(&self, method: &str, path: &str, headers: Vec<(String, String)>, body: Vec<u8>) -> Result<Value, Failure> {
        let quota = EgressQuota::new(1, MAX_COMPONENT_BYTES as u64 + MAX_ANSWER_BYTES, Instant::now() + TIMEOUT);
        let mut response = self.send(method, path, headers, body, quota).await?;
        let said = self.read(&mut response).await?;
        let status = response.status();
        if (200..300).contains(&status) { Ok(said) } else { Err(refusal(status, &said)) }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        mut headers: Vec<(String, String)>,
        body: Vec<u8>,
        mut quota: EgressQuota,
    ) -> Result<EgressResponse, Failure> {
        let url = self.base.join(path).map_err(|error| Failure::failed(format!("{path} is no path of the server: {error}")))?;
        headers.extend(self.key.iter().map(|key| ("authorization".to_owned(), format!("Bearer {}", key.expose_secret()))));
        let request = EgressRequest { method: method.to_owned(), url: url.to_string(), headers, body: body.into(), ..Default::default() };
        self.gateway.send("cli", &self.grant, request, &mut quota).await.map_err(|error| self.lost(&error))
    }

    async fn read(&self, response: &mut EgressResponse) -> Result<Value, Failure> {
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk(MAX_ANSWER_BYTES as usize).await.map_err(|error| self.lost(&error))? {
            answer.extend_from_slice(&piece);
        }
        if response.status() == NO_CONTENT {
            return Ok(Value::Null);
        }
        let no_json = |_| Failure::failed(format!("{} answers {}, and no JSON: is it a server of Everwit?", self.base, response.status()));
        serde_json::from_slice(&answer).map_err(no_json)
    }
}

fn key(args: &ServerArgs) -> Result<Option<SecretString>, Failure> {
    let Some(path) = &args.api_key_file else { return Ok(args.api_key.clone()) };
    let cannot = |error: &dyn std::fmt::Display| Failure::usage(format!("--api-key-file {}: {error}", path.display()));
    if std::fs::metadata(path).map_err(|error| cannot(&error))?.len() > MAX_KEY_BYTES {
        return Err(cannot(&format!("it has more than {MAX_KEY_BYTES} bytes, which is no key")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| cannot(&error))?;
    Ok(Some(SecretString::from(text.trim().to_owned())))
}

/// What the server says against it, with every finding.
fn refusal(status: u16, problem: &Value) -> Failure {
    let text = |value: &Value| harmless(value.as_str().unwrap_or_default());
    let mut message = format!("the server refuses it ({status}): {}", text(&problem["detail"]));
    for finding in problem["errors"].as_array().into_iter().flatten() {
        message.push_str(&format!("\n  {}: {}", text(&finding["code"]), text(&finding["detail"])));
        if finding["fix"].is_string() {
            message.push_str(&format!("\n    fix: {}", text(&finding["fix"])));
        }
    }
    if status == 401 {
        message.push_str("\nto fix it: give a key with --api-key-file or EVERWIT_API_KEY; everwit keys create makes one");
    }
    Failure::failed(message)
}
