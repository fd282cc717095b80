//! `everwit test`: cases of a component, each in the sandbox of a real call.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use everwit_runtime::capability::LogLine;
use everwit_runtime::egress::PrivateTarget;
use everwit_runtime::limits::Budget;
use serde::Serialize;
use serde_json::Value;

use super::call::tell_logs;
use super::cases::{self, Case};
use super::output::{Failure, Style, harmless, note, print};
use super::recordings::Recordings;
use super::workbench::{Workbench, grant, objection, only_component, read_wasm};
use crate::components::Admission;

const HELP: &str = "\
A file of cases:

  [[case]]
  name = \"counts words\"                      # what it shows
  tool = \"count\"
  arguments = { text = \"one two\" }
  result = { words = 2 }                     # or: text = \"…\", schema = { … }, failure = { kind = \"…\", code = \"…\", message = \"part of it\" }
  max_fuel = 500_000                         # optional, as are config = { … }, locale = \"de\", allow_http = [\"host\"], files = { \"/a.txt\" = \"text\" }

Each case runs in an instance, an org and a session of its own; buckets and files that the component asks for are granted, and empty but for what the case puts there.

--record lets requests leave and writes what comes back into cases/NAME.http.json, one file for each NAME.toml. Cases with a recording are answered
from it afterwards, and nothing of them leaves; a request that it does not have fails. Commit the files: they hold whole responses, but for credentials: cookies, fields
and parameters of that kind, and what the schema of the configuration marks as secret.

Exit codes: 0 all passed, 1 some did not, 2 wrong usage.";

/// Options of `everwit test`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct TestArgs {
    /// The component; the only one in the current directory if absent.
    #[arg(value_name = "FILE.wasm")]
    file: Option<PathBuf>,
    /// File or folder of cases.
    #[arg(long, default_value = cases::FOLDER)]
    cases: PathBuf,
    /// Record the HTTP of the cases anew; their hosts are those in `allow_http`.
    #[arg(long)]
    record: bool,
    /// Private address or name that requests may go to although it is private. Repeatable.
    #[arg(long, value_name = "HOST:PORT")]
    allow_private_target: Vec<PrivateTarget>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// How one case went.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    file: String,
    name: String,
    /// What differs from what is expected; empty if it passed.
    problems: Vec<String>,
    /// Fuel of the call; none if it was not made.
    fuel: Option<u64>,
    max_fuel: Option<u64>,
    /// Time in guest and host, in microseconds.
    micros: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logs: Vec<LogLine>,
}

impl Outcome {
    fn passed(&self) -> bool {
        self.problems.is_empty()
    }
}

pub(crate) async fn run(args: TestArgs) -> Result<(), Failure> {
    let cases = cases::read(&args.cases)?;
    let file = args.file.map_or_else(only_component, Ok)?;
    let wasm = read_wasm(&file)?;
    let mut recordings = Recordings::beside(&args.cases, args.record);
    let bench = Workbench::taped(args.allow_private_target, recordings.tape())?;
    let admission = bench.accept(&file, wasm.clone()).await?;
    let outcomes = run_cases(&bench, &wasm, &admission, &cases, &mut recordings).await?;
    recordings.save(cases.iter().map(|(file, _)| file.clone()))?;
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    if args.json {
        let json = serde_json::json!({ "passed": outcomes.len() - failed, "failed": failed, "cases": outcomes });
        print(&json.to_string())?;
    } else {
        tell(&outcomes, false)?;
    }
    if failed == 0 { Ok(()) } else { Err(Failure::silent()) }
}

/// Prints how cases went, with the logs on stderr: of all, or only of those that failed.
pub(super) fn tell(outcomes: &[Outcome], all_logs: bool) -> Result<(), Failure> {
    for outcome in outcomes {
        print(&line(outcome, Style::stdout()))?;
        if all_logs || !outcome.passed() {
            tell_logs(&outcome.logs);
        }
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    note(&format!("{} passed, {failed} failed", outcomes.len() - failed));
    Ok(())
}

fn line(outcome: &Outcome, style: Style) -> String {
    let verdict = if outcome.passed() { "ok    ".to_owned() } else { style.red("FAILED") };
    let mut text = format!("{verdict}  {}: {}", harmless(&outcome.file), harmless(&outcome.name));
    if let (Some(fuel), Some(micros)) = (outcome.fuel, outcome.micros) {
        let most = outcome.max_fuel.map(|most| format!(" of {most}")).unwrap_or_default();
        let _ = write!(text, "  {}", style.dim(&format!("fuel {fuel}{most}, {micros} µs")));
    }
    for problem in &outcome.problems {
        let _ = write!(text, "\n        {}", harmless(problem));
    }
    text
}

/// Runs cases one after the other.
pub(super) async fn run_cases(
    bench: &Workbench,
    wasm: &[u8],
    admission: &Admission,
    cases: &[(String, Case)],
    recordings: &mut Recordings,
) -> Result<Vec<Outcome>, Failure> {
    let mut outcomes = Vec::with_capacity(cases.len());
    for (file, case) in cases {
        recordings.begin(file, case, &admission.description.config_schema)?;
        outcomes.push(run_case(bench, wasm, admission, (file, case)).await?);
        recordings.end(file, &case.name)?;
    }
    Ok(outcomes)
}

async fn run_case(bench: &Workbench, wasm: &[u8], admission: &Admission, (file, case): (&str, &Case)) -> Result<Outcome, Failure> {
    let mut outcome = Outcome {
        file: file.to_owned(),
        name: case.name.clone(),
        problems: Vec::new(),
        fuel: None,
        max_fuel: case.max_fuel,
        micros: None,
        logs: Vec::new(),
    };
    let asked = &admission.description.permissions;
    let grant = match grant(asked, &case.allow_http, &asked.kv, asked.files) {
        Ok(grant) => grant,
        Err(problem) => {
            outcome.problems.push(problem);
            return Ok(outcome);
        }
    };
    let capability = bench.capability(wasm.to_vec(), admission, grant, Budget::TOOL_CALL).await?;
    if let Some(objection) = objection(&*capability, &case.tool, &case.arguments, &case.config) {
        outcome.problems.push(objection);
        return Ok(outcome);
    }
    let context = bench.context(case.config.clone(), case.locale.clone());
    for (path, text) in &case.files {
        if let Err(problem) = bench.put_file(&context, path, text.clone().into_bytes()).await {
            outcome.problems.push(format!("file {path:?}: {problem}"));
            return Ok(outcome);
        }
    }
    let called = capability.call_tool(&context, &case.tool, Value::Object(case.arguments.clone())).await;
    outcome.problems = case.judge(&called);
    outcome.logs = called.logs;
    if let Some(receipt) = called.receipt {
        outcome.fuel = Some(receipt.usage.fuel);
        outcome.micros = Some(receipt.usage.guest_micros + receipt.usage.host_micros);
    }
    Ok(outcome)
}

/// The cases of a project; none if it has no folder for them.
pub(super) fn cases_of(dir: &Path) -> Result<Vec<(String, Case)>, Failure> {
    let folder = dir.join(cases::FOLDER);
    if folder.is_dir() { cases::read(&folder) } else { Ok(Vec::new()) }
}
