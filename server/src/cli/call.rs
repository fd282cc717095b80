//! `everwit call`: the sandbox without a server.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use everwit_runtime::capability::{Capability, NoSink, ToolCallContext, ToolOutcome, ToolOutput};
use everwit_runtime::component::{ComponentKind, Grant, HttpPermission, Permissions, Receipt};
use everwit_runtime::egress::PrivateTarget;
use everwit_runtime::id::{OrgId, SessionId, TurnId};
use everwit_runtime::limits::Budget;
use everwit_runtime::message::ContentPart;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::output::{Failure, Style, harmless, note, print};
use super::workbench::{Workbench, read_wasm, tell_rejection};
use crate::api::components::CallOutcome;
use crate::components::{Admission, Terms};

/// Options of `everwit call`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 the tool returned a result, 1 it failed or was stopped, 2 wrong usage.")]
pub(crate) struct CallArgs {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Name of the tool.
    tool: String,
    /// Arguments as a JSON object.
    #[arg(value_name = "JSON", default_value = "{}", value_parser = object)]
    arguments: Map<String, Value>,
    /// Configuration of the capability as a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = object)]
    config: Map<String, Value>,
    /// Print result, receipt and logs as one JSON object.
    #[arg(long)]
    json: bool,
    /// Allow requests to a host that the component asks for. Repeatable.
    #[arg(long, value_name = "HOST")]
    allow_http: Vec<String>,
    /// Allow a key-value bucket that the component asks for; it is empty. Repeatable.
    #[arg(long, value_name = "BUCKET")]
    allow_kv: Vec<String>,
    /// Private address or name that requests may go to although it is private. Repeatable.
    #[arg(long, value_name = "HOST:PORT")]
    allow_private_target: Vec<PrivateTarget>,
}

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
}

pub(crate) async fn run(args: CallArgs) -> Result<(), Failure> {
    let wasm = read_wasm(&args.file)?;
    let bench = Workbench::start(args.allow_private_target.clone())?;
    let admission = match bench.examine(wasm.clone()).await? {
        Ok(admission) => admission,
        Err(rejection) => {
            tell_rejection(&args.file, &rejection);
            return Err(Failure::silent());
        }
    };
    match admission.description.kind() {
        ComponentKind::Capability => {}
        ComponentKind::Driver => {
            return Err(Failure::usage("this is a model driver, which has no tools; `everwit inspect` replays its recorded exchanges"));
        }
        ComponentKind::ConnectionProvider => {
            return Err(Failure::usage("this is a connection provider, which has no tools; users connect with it once it is uploaded"));
        }
    }
    let grant = grant(&args, &admission.description.permissions)?;
    let terms = Terms { version: None, grant, budget: Budget::TOOL_CALL };
    let Admission { digest, description, .. } = admission;
    let capability = bench.sandbox.component(digest, description, terms, || async { Ok(wasm) }).await?;
    check(&args, &capability)?;
    let context = ToolCallContext {
        org_id: OrgId::from_uuid(bench.moments.uuid()),
        session_id: SessionId::from_uuid(bench.moments.uuid()),
        turn_id: TurnId::from_uuid(bench.moments.uuid()),
        idempotency_key: format!("call_{}", bench.moments.uuid().simple()),
        config: Value::Object(args.config),
        locale: None,
        cancel: CancellationToken::new(),
        sink: Arc::new(NoSink),
        services: bench.services.clone(),
    };
    let outcome = capability.call_tool(&context, &args.tool, Value::Object(args.arguments)).await;
    report(outcome, args.json)
}

/// What the user allows of what the component asks for.
fn grant(args: &CallArgs, asked: &Permissions) -> Result<Grant, Failure> {
    let mut grant = Grant::default();
    for host in &args.allow_http {
        let permissions: Vec<HttpPermission> = asked.http.iter().filter(|permission| permission.host == *host).cloned().collect();
        if permissions.is_empty() {
            let hosts = list(asked.http.iter().map(|permission| permission.host.as_str()));
            return Err(Failure::usage(format!("--allow-http {host}: the component does not ask for it; it asks for {hosts}")));
        }
        grant.http.extend(permissions);
    }
    for bucket in &args.allow_kv {
        if !asked.kv.contains(bucket) {
            let buckets = list(asked.kv.iter().map(String::as_str));
            return Err(Failure::usage(format!("--allow-kv {bucket}: the component does not ask for it; it asks for {buckets}")));
        }
        grant.kv.push(bucket.clone());
    }
    Ok(grant)
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "nothing".to_owned() } else { harmless(&names.join(", ")) }
}

/// The tool exists, and its schema accepts the arguments.
fn check(args: &CallArgs, capability: &dyn Capability) -> Result<(), Failure> {
    let Some(tool) = capability.tools().iter().find(|tool| tool.name == args.tool) else {
        let names = list(capability.tools().iter().map(|tool| tool.name.as_str()));
        return Err(Failure::usage(format!("there is no tool {:?}; there is {names}", args.tool)));
    };
    judge("the arguments", &tool.input_schema, &args.arguments)?;
    capability.config_schema().map_or(Ok(()), |schema| judge("--config", schema, &args.config))
}

fn judge(what: &str, schema: &Value, value: &Map<String, Value>) -> Result<(), Failure> {
    let findings = crate::schema::violations(schema, &Value::Object(value.clone()));
    if findings.is_empty() {
        return Ok(());
    }
    let place = |pointer: &str| if pointer.is_empty() { String::new() } else { format!("{pointer}: ") };
    let lines: Vec<String> = findings.iter().map(|finding| format!("\n  {}{}", place(&finding.pointer), finding.detail)).collect();
    let fix = "everwit inspect FILE.wasm shows the schema";
    Err(Failure::usage(format!("{what} do not match the schema:{}\nto fix it: {fix}", harmless(&lines.concat()))))
}

fn report(outcome: ToolOutcome, json: bool) -> Result<(), Failure> {
    let failed = outcome.result.is_err();
    if json {
        let outcome = serde_json::to_string(&CallOutcome::from(outcome)).map_err(|error| Failure::failed(error.to_string()))?;
        print(&outcome)?;
        return if failed { Err(Failure::silent()) } else { Ok(()) };
    }
    for line in &outcome.logs {
        note(&format!("{} {}", Style::stderr().dim(&format!("[{}]", line.level)), harmless(&line.message)));
    }
    if let Some(receipt) = &outcome.receipt {
        note(&Style::stderr().dim(&receipt_line(receipt)));
    }
    match outcome.result {
        Ok(output) => print(&text_of(&output)),
        Err(error) => Err(Failure::failed(harmless(&error.to_string()))),
    }
}

/// Programs read stdout, so that it is not altered; escape sequences are for `less` to judge.
fn text_of(output: &ToolOutput) -> String {
    let parts = output.parts.iter().map(|part| match part {
        ContentPart::Text { text } => text.clone(),
        other => serde_json::to_string(other).unwrap_or_default(),
    });
    let text = parts.collect::<Vec<_>>().join("\n");
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) { harmless(&text) } else { text }
}

fn receipt_line(receipt: &Receipt) -> String {
    let usage = &receipt.usage;
    format!(
        "{} {}  fuel {} of {} · peak memory {} KiB · guest {} µs · host {} µs · {} host calls · {} bytes in, {} out · {} requests",
        receipt.component,
        receipt.digest,
        usage.fuel,
        usage.fuel_limit,
        usage.peak_memory_bytes.div_ceil(1024),
        usage.guest_micros,
        usage.host_micros,
        usage.host_calls,
        usage.bytes_in,
        usage.bytes_out,
        usage.http_requests,
    )
}
