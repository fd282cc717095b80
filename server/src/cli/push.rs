//! `everwit push`: a component to a server, and what it asks for to the person who decides, before it is active.

use std::path::PathBuf;

use clap::Args;
use everwit_runtime::component::Digest;
use serde_json::{Value, json};

use super::client::{Server, ServerArgs};
use super::output::{Failure, Style, confirmed, harmless, note, print};
use super::signing_key::read_key;
use super::workbench::{only_component, read_wasm};
use crate::api::components::CHANGED_TEXT;

const HELP: &str = "\
The component is stored first, and is used only with --activate or --channel: what it asks for beyond the active version is shown, and needs consent. At a
terminal that is a question; elsewhere it is --accept-permissions, and --accept-changed-text if models would read something else than before.

The key is read from --api-key-file or EVERWIT_API_KEY. Without both, none is sent.

Exit codes: 0 it is stored, and active or in its channel if that was asked for; 1 it is not; 2 wrong usage.";

/// Options of `everwit push`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct PushArgs {
    /// The component; the only one in the current directory if absent.
    #[arg(value_name = "FILE.wasm")]
    file: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
    /// Sign it with the private key in this file: Ed25519, PKCS8, PEM. `everwit signing-key` makes one.
    #[arg(long, value_name = "FILE")]
    sign: Option<PathBuf>,
    /// Let new turns use it.
    #[arg(long, group = "use")]
    activate: bool,
    /// Let a channel point to it, for example "beta": agents that ask for the channel use it, and no others.
    #[arg(long, value_name = "CHANNEL", group = "use")]
    channel: Option<String>,
    /// Grant all that it asks for.
    #[arg(long, requires = "use")]
    accept_permissions: bool,
    /// Accept that models read something else than from the active version, or from the one in the channel.
    #[arg(long, requires = "use")]
    accept_changed_text: bool,
    /// Print the server's answer as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: PushArgs) -> Result<(), Failure> {
    let file = args.file.clone().map_or_else(only_component, Ok)?;
    let wasm = read_wasm(&file)?;
    let server = Server::at(&args.server)?;
    let mut path = "v1/components?activate=false".to_owned();
    if let Some(channel) = &args.channel {
        path.push_str(&format!("&channel={}", encoded(channel)));
    }
    let signature = args.sign.as_deref().map(|file| Ok::<_, Failure>(read_key(file)?.sign(Digest::of(&wasm)))).transpose()?;
    let signature = signature.map(|signature| ("component-signature".to_owned(), signature));
    let uploaded = server.post_with(&path, "application/wasm", signature, wasm).await?;
    tell(&uploaded);
    let answer = match (args.activate || args.channel.is_some(), &uploaded["activate"]) {
        // It was in use before, or nobody asked for that.
        (false, _) | (true, Value::Null) => uploaded,
        (true, call) => {
            consent(&args, &uploaded, &call["body"])?;
            let path = call["path"].as_str().ok_or_else(|| Failure::failed("the server's answer has no path of an activation"))?;
            let version = server.post(path.trim_start_matches('/'), "application/json", call["body"].to_string().into_bytes()).await?;
            json!({ "uploaded": uploaded, "activated": version })
        }
    };
    if args.json {
        return print(&answer.to_string());
    }
    let is_used = answer.get("activated").is_some() || answer["activate"].is_null();
    note(&match args.channel {
        Some(channel) if is_used => format!("in channel {}: new turns that ask for it use it", harmless(&channel)),
        _ if is_used => "active: new turns use it".to_owned(),
        _ => "stored, and not active".to_owned(),
    });
    let uploaded = answer.get("uploaded").unwrap_or(&answer);
    let (name, version) = (&uploaded["inspection"]["description"]["id"], &uploaded["version"]["version"]);
    print(&format!("{} {version}", harmless(name.as_str().unwrap_or_default())))
}

/// A text as a part of a query.
pub(super) fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
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
    if confirmed("Activate it with all of this?")? == Some(true) {
        return Ok(());
    }
    Err(Failure::failed(format!("it is stored, and not active: it needs consent to what is new\nto fix it: add {}", lacking.join(" "))))
}
