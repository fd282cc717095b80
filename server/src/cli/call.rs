//! `everwit call`: the sandbox without a server.

use std::path::{Path, PathBuf};

use clap::Args;
use everwit_runtime::capability::{LogLine, ToolOutcome, ToolOutput};
use everwit_runtime::component::Receipt;
use everwit_runtime::message::ContentPart;
use everwit_runtime::turn::NestedCalls;
use serde_json::{Map, Value};

use super::output::{Failure, Style, harmless, note, print};
use super::workbench::{GrantArgs, Opened, is_wasm, objection, only_component, open};
use crate::api::components::CallOutcome;

const HELP: &str = "\
Without FILE.wasm, the only one in the current directory is called.

Exit codes: 0 the tool returned a result, 1 it failed or was stopped, 2 wrong usage.";

/// Options of `everwit call`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct CallArgs {
    /// The component, if not the only one here; name of the tool; arguments as a JSON object.
    #[arg(value_names = ["[FILE.wasm] TOOL", "JSON"], required = true, num_args = 1..=3)]
    words: Vec<String>,
    /// Configuration of the capability as a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = object)]
    config: Map<String, Value>,
    /// Print result, receipt and logs as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    grants: GrantArgs,
}

pub(super) fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))
}

/// What is called, with what.
struct Call {
    file: PathBuf,
    tool: String,
    arguments: Map<String, Value>,
}

impl Call {
    fn of(words: &[String]) -> Result<Self, Failure> {
        let (file, rest) = match words {
            [first, rest @ ..] if is_wasm(Path::new(first)) || first.contains('/') => (PathBuf::from(first), rest),
            all => (only_component()?, all),
        };
        let (tool, arguments) = match rest {
            [tool] => (tool, Map::new()),
            [tool, arguments] => (tool, object(arguments).map_err(|error| Failure::usage(format!("{arguments:?} is {error}")))?),
            [] => return Err(Failure::usage(format!("no tool of {} is named\nto fix it: everwit inspect lists them", file.display()))),
            more => return Err(Failure::usage(format!("too many arguments: {:?}", &more[2..]))),
        };
        Ok(Self { file, tool: tool.clone(), arguments })
    }
}

pub(crate) async fn run(args: CallArgs) -> Result<(), Failure> {
    let call = Call::of(&args.words)?;
    let Opened { bench, capability, tools, .. } = open(&call.file, &args.grants, &args.config).await?;
    if let Some(objection) = objection(&*capability, &call.tool, &call.arguments, &args.config) {
        return Err(Failure::usage(objection));
    }
    let mut context = bench.context(args.config, None);
    context.nested = Some(NestedCalls::new(tools));
    args.grants.put_files(&bench, &context).await?;
    let outcome = capability.call_tool(&context, &call.tool, Value::Object(call.arguments)).await;
    report(outcome, args.json)
}

fn report(outcome: ToolOutcome, json: bool) -> Result<(), Failure> {
    let failed = outcome.result.is_err();
    if json {
        let outcome = serde_json::to_string(&CallOutcome::from(outcome)).map_err(|error| Failure::failed(error.to_string()))?;
        print(&outcome)?;
        return if failed { Err(Failure::silent()) } else { Ok(()) };
    }
    tell_logs(&outcome.logs);
    if let Some(receipt) = &outcome.receipt {
        note(&Style::stderr().dim(&receipt_line(receipt)));
    }
    match outcome.result {
        Ok(output) => print(&shown(&output)),
        Err(error) => Err(Failure::failed(harmless(&error.to_string()))),
    }
}

/// Tells on stderr what a guest logged.
pub(super) fn tell_logs(lines: &[LogLine]) {
    for line in lines {
        note(&format!("{} {}", Style::stderr().dim(&format!("[{}]", line.level)), harmless(&line.message)));
    }
}

/// Programs read stdout, so that it is not altered; escape sequences are for `less` to judge.
fn shown(output: &ToolOutput) -> String {
    let text = text_of(output);
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) { harmless(&text) } else { text }
}

/// What the model would see: its parts, one below the other.
pub(super) fn text_of(output: &ToolOutput) -> String {
    let parts = output.parts.iter().map(|part| match part {
        ContentPart::Text { text } => text.clone(),
        other => serde_json::to_string(other).unwrap_or_default(),
    });
    parts.collect::<Vec<_>>().join("\n")
}

pub(super) fn receipt_line(receipt: &Receipt) -> String {
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
