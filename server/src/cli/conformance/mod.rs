//! `everwit conformance`: whether a language's SDK keeps the contract, by a guest whose tools do what is asked of them here.
//!
//! The guest is a component with the tools that the help lists, written as an author of that language would write them. One
//! suite for all languages, so that none can be right in its own way.

mod checks;
mod stub;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use everwit_runtime::capability::{CallError, NoSink, ToolCallContext, ToolOutcome, ToolOutput, ToolSink};
use everwit_runtime::component::Grant;
use everwit_runtime::limits::Budget;
use serde_json::{Value, json};

use super::output::{Failure, Style, harmless, note, print};
use super::workbench::{Workbench, read_wasm};
use crate::components::Admission;

const HELP: &str = "\
The guest has the id \"conformance\" or \"conformance-…\", asks for http \"conformance.test:80\" and kv \"notes\", and has these tools;
note only if it asks for files \"write\", too:

  echo {value}          the structured result {\"value\": value}, for every kind of JSON value
  measure {text}        the structured result {\"bytes\": length of the text in UTF-8}
  repeat {bytes}        a text of so many letters \"x\"
  fail {}               a failure: kind \"not-found\", code \"no_such_thing\", message \"there is no such thing\", retryable after 1500 ms
  crash {}              what the language does on a bug, an exception or a panic, with the text \"on purpose\"
  spin {}               an endless loop
  wait {}               reports progress of 1 of 3 with the note \"waiting\" until it should stop; returns \"cancelled\" or \"deadline\"
  stream {}             emits \"one\", then returns \"two\"
  remember {value}      writes \"last\" in the bucket \"notes\"; returns {\"before\": what it was, or null}
  note {text}           writes \"/notes/last.txt\" in the session's files; returns {\"before\": its text before, or null}
  fetch {path}          GET http://conformance.test with that path; returns {\"status\", \"body\"}; the SDK's own failure if denied
  environment {names}   {\"found\": those names that are environment variables, \"arguments\": number of arguments}
  chance {}             {\"number\": a random float, \"now_ms\": milliseconds since 1970}, both by the language's own library
  log {}                logs \"a warning\" as a warning by the language's own logger; returns \"logged\"

Exit codes: 0 it conforms, 1 it does not, 2 wrong usage.";

/// Options of `everwit conformance`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct ConformanceArgs {
    /// The guest.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: ConformanceArgs) -> Result<(), Failure> {
    let wasm = read_wasm(&args.file)?;
    let bench = Workbench::over(Arc::new(stub::gateway()?))?;
    let admission = bench.accept(&args.file, wasm.clone()).await?;
    let guest = Guest { bench, wasm, admission };
    let outcomes = checks::all(&guest).await;
    let failed = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).count();
    if args.json {
        let checks: Vec<Value> =
            outcomes.iter().map(|(name, outcome)| json!({ "name": name, "problem": outcome.as_ref().err() })).collect();
        print(&json!({ "passed": outcomes.len() - failed, "failed": failed, "checks": checks }).to_string())?;
    } else {
        let style = Style::stdout();
        for (name, outcome) in &outcomes {
            match outcome {
                Ok(()) => print(&format!("ok      {name}"))?,
                Err(problem) => print(&format!("{}  {name}: {}", style.red("FAILED"), harmless(problem)))?,
            }
        }
        note(&format!("{} passed, {failed} failed", outcomes.len() - failed));
    }
    if failed == 0 { Ok(()) } else { Err(Failure::silent()) }
}

/// The component that is judged.
struct Guest {
    bench: Workbench,
    wasm: Vec<u8>,
    admission: Admission,
}

/// How a call differs from one without grants and with the budget of tools.
struct Circumstances {
    grant: Grant,
    budget: Budget,
    context: ToolCallContext,
}

impl Guest {
    /// A call in an org and a session of its own.
    fn circumstances(&self) -> Circumstances {
        let context = self.bench.context(serde_json::Map::new(), None);
        Circumstances { grant: Grant::default(), budget: Budget::TOOL_CALL, context }
    }

    /// Everything that it asks for, granted.
    fn granted(&self) -> Circumstances {
        Circumstances { grant: Grant::everything_asked(&self.admission.description.permissions), ..self.circumstances() }
    }

    async fn call_in(&self, circumstances: &Circumstances, tool: &str, arguments: Value) -> Result<ToolOutcome, String> {
        let Circumstances { grant, budget, context } = circumstances;
        let capability = self.bench.capability(self.wasm.clone(), &self.admission, grant.clone(), *budget).await;
        let capability = capability.map_err(|failure| failure.to_string())?;
        Ok(capability.call_tool(context, tool, arguments).await)
    }

    /// What a tool returns that must not fail.
    async fn call(&self, tool: &str, arguments: Value) -> Result<ToolOutput, String> {
        output(self.call_in(&self.circumstances(), tool, arguments).await?)
    }

    /// How a tool fails that must.
    async fn failure(&self, circumstances: &Circumstances, tool: &str, arguments: Value) -> Result<(CallError, ToolOutcome), String> {
        let outcome = self.call_in(circumstances, tool, arguments).await?;
        match outcome.result.clone() {
            Err(error) => Ok((error, outcome)),
            Ok(output) => Err(format!("{tool} returns {} instead of failing", shown(&output))),
        }
    }
}

impl Circumstances {
    fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    fn with_sink(mut self, sink: Arc<dyn ToolSink>) -> Self {
        self.context.sink = sink;
        self
    }

    /// The same org and session again, as a later call of the same agent.
    fn again(&self) -> Self {
        Self { grant: self.grant.clone(), budget: self.budget, context: ToolCallContext { sink: Arc::new(NoSink), ..self.context.clone() } }
    }
}

fn output(outcome: ToolOutcome) -> Result<ToolOutput, String> {
    outcome.result.map_err(|error| format!("it fails ({}): {error}", error.kind()))
}

fn shown(output: &ToolOutput) -> String {
    serde_json::to_string(output).unwrap_or_default()
}
