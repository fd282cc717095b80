//! `everwit inspect`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use everwit_runtime::component::{
    ConnectionDescription, ConnectionMethodDescription, DriverDescription, Effects, FileAccess, Permissions, ReplayedExchange,
};
use serde_json::{Value, json};

use super::output::{Failure, Style, harmless, print};
use super::workbench::{Workbench, read_wasm, tell_rejection};
use crate::components::{Admission, Rejection};

/// Options of `everwit inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 the component would be accepted, 1 it would be rejected, 2 wrong usage.")]
pub(crate) struct InspectArgs {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: InspectArgs) -> Result<(), Failure> {
    let wasm = read_wasm(&args.file)?;
    match Workbench::start(Vec::new())?.examine(wasm).await? {
        Ok(admission) if args.json => print(&accepted(&admission).to_string()),
        Ok(admission) => print(&sheet(&admission, Style::stdout())),
        Err(rejection) => {
            if args.json {
                print(&rejected(&rejection).to_string())?;
            } else {
                tell_rejection(&args.file, &rejection);
            }
            Err(Failure::silent())
        }
    }
}

fn accepted(admission: &Admission) -> Value {
    json!({
        "accepted": true,
        "kind": admission.description.kind(),
        "id": admission.description.id,
        "version": admission.description.version,
        "digest": admission.digest,
        "size": admission.size,
        "imports": admission.imports,
        "description": admission.description,
        "exchanges": admission.exchanges,
        "warnings": admission.warnings,
        "checks": admission.checks(),
    })
}

fn rejected(rejection: &Rejection) -> Value {
    json!({
        "accepted": false,
        "digest": rejection.digest,
        "size": rejection.size,
        "producers": rejection.producers,
        "errors": rejection.findings,
        "checks": rejection.checks(),
    })
}

/// The inspection sheet for people.
fn sheet(admission: &Admission, style: Style) -> String {
    let about = &admission.description;
    let mut text = format!("{} {}  {}\n", style.bold(&harmless(&about.id)), harmless(&about.version), harmless(&about.title));
    let _ = writeln!(text, "  {}", harmless(&about.summary));
    let _ = writeln!(text, "  digest    {}", admission.digest);
    let _ = writeln!(text, "  size      {} bytes", admission.size);
    let imports = if admission.imports.is_empty() { "nothing".to_owned() } else { harmless(&admission.imports.join(", ")) };
    let _ = writeln!(text, "  imports   {imports}");
    let asked = asked(&about.permissions);
    if asked.is_empty() {
        text.push_str("  asks for  nothing\n");
    }
    for (at, permission) in asked.iter().enumerate() {
        let _ = writeln!(text, "  {}  {}", if at == 0 { "asks for" } else { "        " }, harmless(permission));
    }
    if let Some(driver) = &about.driver {
        text.push_str(&of_driver(driver, &admission.exchanges));
    }
    if let Some(connection) = &about.connection {
        text.push_str(&of_connection(connection));
    }
    for tool in &about.tools {
        let _ = writeln!(text, "\n{}  {}", style.bold(&harmless(&tool.name)), style.dim(&effects(tool.effects)));
        let _ = writeln!(text, "  {}", indented(&tool.description));
        for line in arguments(&tool.input_schema) {
            let _ = writeln!(text, "    {}", indented(&line));
        }
    }
    for warning in &admission.warnings {
        let _ = writeln!(text, "\nwarning: {} ({})\n  fix: {}", harmless(&warning.detail), warning.code, harmless(&warning.fix));
    }
    text
}

/// Where a driver goes, with what, and what was tried of it.
fn of_driver(driver: &DriverDescription, replayed: &[ReplayedExchange]) -> String {
    let mut text = format!("  base url  {}\n", harmless(driver.default_base_url.as_deref().unwrap_or("the provider's")));
    for credential in &driver.credentials {
        let need = if credential.required { "" } else { ", optional" };
        let _ = writeln!(text, "  {} in {}{need}", harmless(&credential.name), harmless(&credential.place));
    }
    for ReplayedExchange { name, cuts, runs } in replayed {
        let _ = writeln!(text, "  replayed  {}: answer cut in {cuts} ways, driver run {runs} times", harmless(name));
    }
    text
}

/// How accounts are connected, and where credentials go.
fn of_connection(connection: &ConnectionDescription) -> String {
    let mut text = match &connection.method {
        ConnectionMethodDescription::ApiKey(form) => {
            let fields: Vec<&str> = form.fields.iter().map(|field| field.name.as_str()).collect();
            format!("  connects  with a form: {}\n", harmless(&fields.join(", ")))
        }
        ConnectionMethodDescription::OAuth(oauth) => {
            let (url, client) = (harmless(&oauth.authorize_url), harmless(&oauth.client_id));
            format!("  connects  over OAuth at {url} as {client}, scopes {}\n", harmless(&oauth.scopes.join(" ")))
        }
    };
    let _ = writeln!(text, "  origin    {}", harmless(&connection.origin));
    for credential in &connection.credentials {
        let _ = writeln!(text, "  {} in {}", harmless(&credential.name), harmless(&credential.place));
    }
    text
}

fn indented(text: &str) -> String {
    harmless(text).replace('\n', "\n  ")
}

/// One line for each argument; the whole schema is in the JSON form.
fn arguments(schema: &Value) -> Vec<String> {
    let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name));
    let properties = schema["properties"].as_object();
    let line = |(name, property): (&String, &Value)| {
        let need = if required(name) { "" } else { ", optional" };
        let about = property["description"].as_str().map(|text| format!(": {text}")).unwrap_or_default();
        format!("{name} ({}{need}){about}", kind(property))
    };
    properties.into_iter().flatten().map(line).collect()
}

/// The type of a schema in a word.
fn kind(schema: &Value) -> String {
    match &schema["type"] {
        Value::String(name) if name == "array" => format!("list of {}", kind(&schema["items"])),
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.collect::<Vec<_>>().join(" or ")
        }
        _ if schema["enum"].is_array() => "one of a few".to_owned(),
        _ => "any".to_owned(),
    }
}

fn effects(effects: Effects) -> String {
    let named = [
        (effects.read_only, "read-only"),
        (effects.destructive, "destructive"),
        (effects.idempotent, "idempotent"),
        (effects.open_world, "open-world"),
    ];
    let words: Vec<&str> = named.into_iter().filter_map(|(set, word)| set.then_some(word)).collect();
    if words.is_empty() { "changes things".to_owned() } else { words.join(", ") }
}

fn asked(permissions: &Permissions) -> Vec<String> {
    let mut asked = Vec::new();
    for http in &permissions.http {
        let methods = if http.methods.is_empty() { "GET, HEAD".to_owned() } else { http.methods.join(", ") };
        let path = http.path_prefix.as_deref().map(|path| format!(", paths under {path}")).unwrap_or_default();
        let reason = if http.reason.is_empty() { String::new() } else { format!(": {}", http.reason) };
        asked.push(format!("http {} ({methods}{path}){reason}", http.host));
    }
    for secret in &permissions.secrets {
        let need = if secret.required { "" } else { ", optional" };
        asked.push(format!("secret {} for {} in {}{need}", secret.name, secret.host, secret.place));
    }
    match permissions.files {
        FileAccess::None => {}
        FileAccess::Read => asked.push("files of the session, reading".to_owned()),
        FileAccess::Write => asked.push("files of the session, reading and writing".to_owned()),
    }
    asked.extend(permissions.kv.iter().map(|bucket| format!("key-value bucket {bucket}")));
    asked.extend(permissions.tools.iter().map(|tool| format!("tool {tool}")));
    asked.extend(permissions.extra.iter().map(|(name, value)| format!("{name} {value}")));
    asked
}
