//! What every language must do alike.

use std::sync::{Arc, Mutex};

use everwit_runtime::capability::{CallError, StopKind, ToolSink};
use everwit_runtime::component::FileAccess;
use everwit_runtime::file::FilePath;
use everwit_runtime::limits::{Budget, MAX_JSON_BYTES};
use everwit_runtime::message::ContentPart;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Guest, output, shown, stub};
use crate::cli::call::text_of;

/// Bytes of the big text that goes in, and of the one that comes out.
const BIG_BYTES: usize = 500_000;
/// How far the guest's clock may be from ours, in milliseconds: a call takes less.
const CLOCK_SLACK_MS: i64 = 60_000;
/// Wall time of a call that is to meet its deadline, in milliseconds.
const SHORT_MS: u64 = 500;
/// Fuel of a call that is to run out of it. An interpreter has started by then.
const LITTLE_FUEL: u64 = 50_000_000;

type Outcome = Result<(), String>;

/// All checks with their outcomes, in order.
pub(super) async fn all(guest: &Guest) -> Vec<(&'static str, Outcome)> {
    let mut outcomes = vec![
        ("describes itself", describe(guest)),
        ("hands over every kind of argument", kinds(guest).await),
        ("hands over big texts in both directions", big(guest).await),
        ("fails for the model in its own words", model_failure(guest).await),
        ("tells where it crashed", crash(guest).await),
        ("is told that it was cancelled", cancelled(guest).await),
        ("is told that its time is up", deadline(guest).await),
        ("is ended at its deadline", ended(guest).await),
        ("is ended when its fuel is used up", fuel(guest).await),
        ("emits before it returns", emits(guest).await),
        ("remembers through its bucket", remembers(guest).await),
        ("is denied a bucket that is not granted", denied(guest, "remember", json!({ "value": 1 })).await),
        ("fetches what is granted", fetches(guest).await),
        ("is denied a host that is not granted", denied(guest, "fetch", json!({ "path": "/hello" })).await),
        ("sees no environment", environment(guest).await),
        ("draws other numbers in every instance, and knows the time", chance(guest).await),
        ("logs by its own logger", logs(guest).await),
    ];
    if guest.admission.description.permissions.files == FileAccess::Write {
        outcomes.push(("writes and reads the session's files", notes(guest).await));
        outcomes.push(("is denied files that are not granted", denied(guest, "note", json!({ "text": "x" })).await));
    }
    outcomes
}

fn ensure(holds: bool, problem: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(problem()) }
}

fn describe(guest: &Guest) -> Outcome {
    let about = &guest.admission.description;
    ensure(about.id.starts_with("conformance"), || format!("the id is {:?}", about.id))?;
    for tool in &about.tools {
        ensure(!tool.description.is_empty(), || format!("{} has no description", tool.name))?;
    }
    let echo = about.tools.iter().find(|tool| tool.name == "echo").ok_or("there is no tool echo")?;
    ensure(echo.effects.read_only, || "echo is not read-only".to_owned())?;
    ensure(!echo.input_schema["properties"]["value"].is_null(), || format!("the schema of echo is {}", echo.input_schema))?;
    let asked = &about.permissions;
    ensure(asked.http.len() == 1 && asked.kv == ["notes"], || format!("it asks for {asked:?}"))?;
    let foreign: Vec<&String> =
        guest.admission.imports.iter().filter(|name| !name.starts_with("everwit:") && !name.starts_with("wasi:")).collect();
    ensure(foreign.is_empty(), || format!("it imports {foreign:?}"))
}

async fn kinds(guest: &Guest) -> Outcome {
    for value in [
        json!(null),
        json!(true),
        json!(0),
        json!(-9_007_199_254_740_991_i64),
        json!(0.1),
        json!(1e300),
        json!(""),
        json!("Größe 漢字 👩‍🚀 \u{0} \" \\ \u{2028} \u{ffff}"),
        json!([]),
        json!({}),
        json!({ "a": [1, { "b": [null, false, "x"] }], "": 2, "größe": [[[[]]]] }),
    ] {
        let returned = guest.call("echo", json!({ "value": value })).await.map_err(|error| format!("{value}: {error}"))?;
        let found = returned.structured.as_ref().map(|structured| &structured["value"]);
        ensure(found == Some(&value), || format!("{value} comes back as {}", shown(&returned)))?;
    }
    Ok(())
}

async fn big(guest: &Guest) -> Outcome {
    const _: () = assert!(BIG_BYTES < MAX_JSON_BYTES);
    // Two bytes a letter.
    let text = "ä".repeat(BIG_BYTES / 2);
    // What it costs is not judged here: an interpreter that counts letter by letter takes its time.
    let patient = guest.circumstances().with_budget(Budget { fuel: 20_000_000_000, ..Budget::TOOL_CALL });
    let measured = output(guest.call_in(&patient, "measure", json!({ "text": text })).await?)?;
    let bytes = measured.structured.as_ref().map(|structured| &structured["bytes"]);
    ensure(bytes == Some(&json!(BIG_BYTES)), || format!("{BIG_BYTES} bytes are measured as {}", shown(&measured)))?;
    let repeated = text_of(&guest.call("repeat", json!({ "bytes": BIG_BYTES })).await?);
    ensure(repeated.len() == BIG_BYTES && repeated.bytes().all(|byte| byte == b'x'), || format!("{} bytes come back", repeated.len()))
}

async fn model_failure(guest: &Guest) -> Outcome {
    let (error, _) = guest.failure(&guest.circumstances(), "fail", json!({})).await?;
    let CallError::Failed(failure) = &error else { return Err(format!("it is stopped: {error}")) };
    let told = (failure.kind.as_str(), failure.code.as_str(), failure.message.as_str(), failure.retryable, failure.retry_after_ms);
    ensure(told == ("not-found", "no_such_thing", "there is no such thing", true, Some(1_500)), || format!("it is {failure:?}"))
}

/// Exceptions are failures with their text; a panic ends the call, and its text is the host's message. Never a bare trap.
async fn crash(guest: &Guest) -> Outcome {
    let (error, outcome) = guest.failure(&guest.circumstances(), "crash", json!({})).await?;
    let proper = match &error {
        CallError::Failed(failure) => failure.kind == "internal",
        CallError::Stopped(stopped) => stopped.kind == StopKind::Panic,
        CallError::ConnectionRequired { .. } => false,
    };
    ensure(proper && error.to_string().contains("on purpose"), || format!("it is {error:?}"))?;
    // The place is in the message or, where lines are only in a stack, in the log.
    let logged = outcome.logs.iter().map(|line| line.message.as_str());
    let told: String = logged.chain([error.to_string().as_str()]).collect::<Vec<_>>().join("\n");
    let place = [".rs:", ".js:", ".py:", ".go:", ".c:", ".py\"", "at "].iter().any(|mark| told.contains(mark));
    ensure(place, || format!("nothing says where: {told}"))
}

/// Keeps progress and output, and cancels at the first progress if it is told to.
#[derive(Default)]
struct Sink {
    seen: Mutex<Vec<(u64, Option<u64>, String)>>,
    emitted: Mutex<Vec<ContentPart>>,
    cancel: Option<CancellationToken>,
}

impl ToolSink for Sink {
    fn progress(&self, done: u64, total: Option<u64>, note: &str) {
        self.seen.lock().expect("nothing panics with it").push((done, total, note.to_owned()));
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
    }

    fn emit(&self, parts: &[ContentPart]) {
        self.emitted.lock().expect("nothing panics with it").extend_from_slice(parts);
    }
}

/// A guest that asks is told, and one that does not answer in time is ended: both are in order.
async fn cancelled(guest: &Guest) -> Outcome {
    let mut circumstances = guest.circumstances();
    let cancel = CancellationToken::new();
    let sink = Arc::new(Sink { cancel: Some(cancel.clone()), ..Sink::default() });
    circumstances.context.cancel = cancel;
    let outcome = guest.call_in(&circumstances.with_sink(sink.clone()), "wait", json!({})).await?;
    let seen = sink.seen.lock().expect("nothing panics with it").first().cloned();
    ensure(seen == Some((1, Some(3), "waiting".to_owned())), || format!("its progress is {seen:?}"))?;
    match &outcome.result {
        Ok(returned) => ensure(text_of(returned) == "cancelled", || format!("it returns {}", shown(returned))),
        Err(CallError::Stopped(stopped)) => ensure(stopped.kind == StopKind::Cancelled, || format!("it is {stopped:?}")),
        Err(error) => Err(format!("it is {error:?}")),
    }
}

async fn deadline(guest: &Guest) -> Outcome {
    let budget = Budget { wall_ms: SHORT_MS, fuel: Budget::CEILING.fuel, ..Budget::TOOL_CALL };
    let outcome = guest.call_in(&guest.circumstances().with_budget(budget), "wait", json!({})).await?;
    match &outcome.result {
        Ok(returned) => ensure(text_of(returned) == "deadline", || format!("it returns {}", shown(returned))),
        Err(CallError::Stopped(stopped)) => ensure(stopped.kind == StopKind::Deadline, || format!("it is {stopped:?}")),
        Err(error) => Err(format!("it is {error:?}")),
    }
}

async fn ended(guest: &Guest) -> Outcome {
    let budget = Budget { wall_ms: SHORT_MS, fuel: Budget::CEILING.fuel, ..Budget::TOOL_CALL };
    stopped(guest, budget, StopKind::Deadline).await
}

async fn fuel(guest: &Guest) -> Outcome {
    stopped(guest, Budget { fuel: LITTLE_FUEL, ..Budget::TOOL_CALL }, StopKind::Fuel).await
}

async fn stopped(guest: &Guest, budget: Budget, kind: StopKind) -> Outcome {
    let (error, _) = guest.failure(&guest.circumstances().with_budget(budget), "spin", json!({})).await?;
    ensure(matches!(&error, CallError::Stopped(stopped) if stopped.kind == kind), || format!("it is {error:?}"))
}

async fn emits(guest: &Guest) -> Outcome {
    let sink = Arc::new(Sink::default());
    let outcome = guest.call_in(&guest.circumstances().with_sink(sink.clone()), "stream", json!({})).await?;
    let emitted = sink.emitted.lock().expect("nothing panics with it").clone();
    ensure(emitted == [ContentPart::text("one")], || format!("it emits {emitted:?}"))?;
    let text = text_of(&output(outcome)?);
    ensure(text.ends_with("two"), || format!("it returns {text:?}"))
}

async fn remembers(guest: &Guest) -> Outcome {
    let first = guest.granted();
    for (circumstances, value, before) in [(&first, json!({ "n": [1] }), Value::Null), (&first.again(), json!("two"), json!({ "n": [1] }))]
    {
        let returned = output(guest.call_in(circumstances, "remember", json!({ "value": value })).await?)?;
        let found = returned.structured.as_ref().map(|structured| structured["before"].clone());
        ensure(found.as_ref() == Some(&before), || format!("it was {before}, and it returns {}", shown(&returned)))?;
    }
    let other = output(guest.call_in(&guest.granted(), "remember", json!({ "value": 3 })).await?)?;
    ensure(other.structured.as_ref().is_some_and(|structured| structured["before"].is_null()), || "it sees another org's values".to_owned())
}

async fn notes(guest: &Guest) -> Outcome {
    let first = guest.granted();
    for (circumstances, text, before) in [(&first, "größe", Value::Null), (&first.again(), "two", json!("größe"))] {
        let returned = output(guest.call_in(circumstances, "note", json!({ "text": text })).await?)?;
        let expected = json!({ "before": before });
        ensure(returned.structured.as_ref() == Some(&expected), || format!("it was {before}, and it returns {}", shown(&returned)))?;
        let (context, path) = (&circumstances.context, FilePath::parse("/notes/last.txt").map_err(|error| error.to_string())?);
        let kept = context.services.backends.file_store.read_file(context.org_id, context.session_id, &path).await;
        let kept = kept.map_err(|error| error.to_string())?.map(|file| file.content);
        ensure(kept.as_deref() == Some(text.as_bytes()), || format!("the file has {kept:?}"))?;
    }
    Ok(())
}

async fn denied(guest: &Guest, tool: &str, arguments: Value) -> Outcome {
    let (error, _) = guest.failure(&guest.circumstances(), tool, arguments).await?;
    ensure(matches!(&error, CallError::Failed(failure) if failure.kind == "denied"), || format!("it is {error:?}"))
}

async fn fetches(guest: &Guest) -> Outcome {
    for (path, expected) in
        [("/hello", json!({ "status": 200, "body": stub::BODY })), ("/none", json!({ "status": 404, "body": "nothing here" }))]
    {
        let returned = output(guest.call_in(&guest.granted(), "fetch", json!({ "path": path })).await?)?;
        ensure(returned.structured.as_ref() == Some(&expected), || format!("{path} gives {}", shown(&returned)))?;
    }
    Ok(())
}

async fn environment(guest: &Guest) -> Outcome {
    let returned = guest.call("environment", json!({ "names": ["PATH", "HOME", "PWD", "USER", "LANG"] })).await?;
    let empty = json!({ "found": [], "arguments": 0 });
    ensure(returned.structured.as_ref() == Some(&empty), || format!("it sees {}", shown(&returned)))
}

async fn chance(guest: &Guest) -> Outcome {
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let returned = guest.call("chance", json!({})).await?;
        let structured = returned.structured.clone().unwrap_or_default();
        let now = guest.bench.moments.clock.now().as_millisecond();
        let told = structured["now_ms"].as_f64().unwrap_or_default() as i64;
        ensure((now - told).abs() < CLOCK_SLACK_MS, || format!("it is {now} ms since 1970, and it says {}", structured["now_ms"]))?;
        numbers.push(structured["number"].as_f64().ok_or_else(|| format!("it returns {}", shown(&returned)))?);
    }
    let same = numbers[0] == numbers[1] || numbers[1] == numbers[2] || numbers[0] == numbers[2];
    ensure(!same, || format!("instances draw the same numbers: {numbers:?}"))
}

async fn logs(guest: &Guest) -> Outcome {
    let outcome = guest.call_in(&guest.circumstances(), "log", json!({})).await?;
    let found = outcome.logs.iter().any(|line| line.level == "warn" && line.message.starts_with("a warning"));
    ensure(found, || format!("its log is {:?}", outcome.logs))
}
