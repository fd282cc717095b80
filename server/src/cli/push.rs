//! `everwit push`: a component to a server, and what it asks for to the person who decides, before it is active.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use everwit_runtime::component::{Grant, HttpPermission};
use everwit_runtime::egress::{EgressQuota, EgressRequest, Gateway, GatewayConfig};
use everwit_runtime::limits::MAX_COMPONENT_BYTES;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use url::Url;

use super::output::{Failure, Style, harmless, note, print};
use super::workbench::{only_component, read_wasm};
use crate::api::components::CHANGED_TEXT;
use crate::control_plane::is_local;

/// Longest time of a request: a server compiles what it is sent before it answers.
const TIMEOUT: Duration = Duration::from_secs(180);
/// Bytes of an answer.
const MAX_ANSWER_BYTES: u64 = 4 << 20;
/// Bytes of a file with a key.
const MAX_KEY_BYTES: u64 = 4_096;

const HELP: &str = "\
The component is stored first, and is active only with --activate: what it asks for beyond the active version is shown, and needs consent. At a
terminal that is a question; elsewhere it is --accept-permissions, and --accept-changed-text if models would read something else than before.

The key is read from --api-key-file or EVERWIT_API_KEY. Without both, none is sent.

Exit codes: 0 it is stored, and active if that was asked for; 1 it is not; 2 wrong usage.";

/// Options of `everwit push`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct PushArgs {
    /// The component; the only one in the current directory if absent.
    #[arg(value_name = "FILE.wasm")]
    file: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
    /// Let new turns use it.
    #[arg(long)]
    activate: bool,
    /// Grant all that it asks for.
    #[arg(long, requires = "activate")]
    accept_permissions: bool,
    /// Accept that models read something else than from the active version.
    #[arg(long, requires = "activate")]
    accept_changed_text: bool,
    /// Print the server's answer as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Options of commands that ask a server.
#[derive(Debug, Args)]
pub(super) struct ServerArgs {
    /// The server. Plain http is for this machine alone.
    #[arg(long, env = "EVERWIT_SERVER", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    server: Url,
    /// File with the API key.
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// The API key.
    #[arg(long, env = "EVERWIT_API_KEY", hide = true, hide_env_values = true)]
    api_key: Option<SecretString>,
}

pub(crate) async fn run(args: PushArgs) -> Result<(), Failure> {
    let file = args.file.clone().map_or_else(only_component, Ok)?;
    let wasm = read_wasm(&file)?;
    let server = Server::at(&args.server)?;
    let uploaded = server.post("v1/components?activate=false", "application/wasm", wasm).await?;
    tell(&uploaded);
    let answer = match (args.activate, &uploaded["activate"]) {
        // It was active before, or nobody asked for that.
        (false, _) | (true, Value::Null) => uploaded,
        (true, call) => {
            consent(&args, &uploaded, &call["body"])?;
            let path = call["path"].as_str().ok_or_else(|| Failure::failed("the server's answer has no path of an activation"))?;
            let version = server.post(path.trim_start_matches('/'), "application/json", call["body"].to_string().into_bytes()).await?;
            json!({ "uploaded": uploaded, "activated": version })
        }
    };
    let active = answer.get("activated").is_some() || answer["active"] == true;
    if args.json {
        return print(&answer.to_string());
    }
    note(if active { "active: new turns use it" } else { "stored, and not active" });
    let uploaded = answer.get("uploaded").unwrap_or(&answer);
    let (name, version) = (&uploaded["inspection"]["description"]["id"], &uploaded["version"]["version"]);
    print(&format!("{} {version}", harmless(name.as_str().unwrap_or_default())))
}

/// Shows what was stored, and what its tenant has not agreed to yet.
fn tell(uploaded: &Value) {
    let (inspection, style) = (&uploaded["inspection"], Style::stderr());
    let what = if uploaded["created"] == true { "new" } else { "known already" };
    note(&format!("{} {} bytes, {what}", harmless(inspection["digest"].as_str().unwrap_or_default()), inspection["size"]));
    for warning in inspection["warnings"].as_array().into_iter().flatten() {
        note(&format!("{} {}", style.bold("warning:"), harmless(warning["detail"].as_str().unwrap_or_default())));
    }
    for addition in reviews(uploaded) {
        note(&format!("{} {}", style.red("+"), harmless(addition)));
    }
}

fn reviews(uploaded: &Value) -> Vec<&str> {
    uploaded["needs_review"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// That somebody agrees to all that is new.
fn consent(args: &PushArgs, uploaded: &Value, activation: &Value) -> Result<(), Failure> {
    let mut lacking = Vec::new();
    if !args.accept_permissions && reviews(uploaded).iter().any(|addition| !addition.ends_with(CHANGED_TEXT)) {
        lacking.push("--accept-permissions");
    }
    if !args.accept_changed_text && activation["accept_changed_text"] == true {
        lacking.push("--accept-changed-text");
    }
    if lacking.is_empty() {
        return Ok(());
    }
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        let mut stderr = std::io::stderr().lock();
        let asked = write!(stderr, "Activate it with all of this? [y/N] ").and_then(|()| stderr.flush());
        let mut line = String::new();
        let answered = asked.and_then(|()| std::io::stdin().lock().read_line(&mut line));
        answered.map_err(|error| Failure::failed(format!("cannot ask: {error}")))?;
        if ["y", "yes"].contains(&line.trim().to_lowercase().as_str()) {
            return Ok(());
        }
    }
    Err(Failure::failed(format!("it is stored, and not active: it needs consent to what is new\nto fix it: add {}", lacking.join(" "))))
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
        let gateway = Gateway::new(GatewayConfig { private_targets: vec![target], ..GatewayConfig::default() })?;
        let permission =
            HttpPermission { host: place, methods: vec!["GET".into(), "POST".into()], path_prefix: None, reason: String::new() };
        let grant = Grant { http: vec![permission], ..Grant::default() };
        Ok(Self { base, key: key(args)?, gateway, grant })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask("GET", path, Vec::new(), Vec::new()).await
    }

    pub(super) async fn post(&self, path: &str, media_type: &str, body: Vec<u8>) -> Result<Value, Failure> {
        let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(&body)));
        let headers = vec![("content-type".to_owned(), media_type.to_owned()), ("content-digest".to_owned(), digest)];
        self.ask("POST", path, headers, body).await
    }

    async fn ask(&self, method: &str, path: &str, mut headers: Vec<(String, String)>, body: Vec<u8>) -> Result<Value, Failure> {
        let url = self.base.join(path).map_err(|error| Failure::failed(format!("{path} is no path of the server: {error}")))?;
        headers.extend(self.key.iter().map(|key| ("authorization".to_owned(), format!("Bearer {}", key.expose_secret()))));
        let request = EgressRequest {
            method: method.to_owned(),
            url: url.to_string(),
            headers,
            body: body.into(),
            timeout: Some(TIMEOUT),
            ..Default::default()
        };
        let failed = |error: everwit_runtime::egress::EgressError| Failure::failed(format!("{}: {error}", self.base));
        let mut quota = EgressQuota::new(1, MAX_COMPONENT_BYTES as u64 + MAX_ANSWER_BYTES, Instant::now() + TIMEOUT);
        let mut response = self.gateway.send("cli", &self.grant, request, &mut quota).await.map_err(failed)?;
        let mut answer = Vec::new();
        while let Some(piece) = response.chunk(MAX_ANSWER_BYTES as usize).await.map_err(failed)? {
            answer.extend_from_slice(&piece);
        }
        let status = response.status();
        let said: Value = serde_json::from_slice(&answer)
            .map_err(|_| Failure::failed(format!("{} answers {status}, and no JSON: is it a server of Everwit?", self.base)))?;
        if (200..300).contains(&status) { Ok(said) } else { Err(refusal(status, &said)) }
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
