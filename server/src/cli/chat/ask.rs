//! What a turn asks of the person at the terminal.

use std::io::{BufRead as _, Write as _};

use everwit_runtime::id::SessionId;
use serde_json::{Value, json};

use super::text;
use crate::cli::output::{Failure, note};

/// Characters of a call's arguments that are shown.
const MAX_ARGUMENTS: usize = 2_000;

/// A line that somebody types; none at the end, and after Ctrl-C.
pub(super) async fn line(prompt: &'static str) -> Result<Option<String>, Failure> {
    // A thread of its own, because reading cannot be ended; Ctrl-C must still end the program.
    let reading = tokio::task::spawn_blocking(move || {
        let mut stderr = std::io::stderr().lock();
        write!(stderr, "{prompt}")?;
        stderr.flush()?;
        drop(stderr);
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line)?;
        Ok::<_, std::io::Error>((read > 0).then_some(line))
    });
    let line = tokio::select! {
        read = reading => read.map_err(std::io::Error::other).and_then(|read| read),
        pressed = tokio::signal::ctrl_c() => pressed.map(|()| None),
    };
    let line = line.map_err(|error| Failure::failed(format!("cannot read from the terminal: {error}")))?;
    if line.is_none() {
        note("");
    }
    Ok(line.map(|line| line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// A decision about a call.
pub(super) async fn approval(call: &Value) -> Result<Value, Failure> {
    note(&format!("{} wants to be called with {}", text(&call["name"]), shown(&call["arguments"])));
    let answer = line("Allow it? [y/N/always/never] ").await?.unwrap_or_default();
    let decision = match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => "allow",
        "always" => "allow_always",
        "never" => "reject_always",
        _ => "reject",
    };
    Ok(json!({ "tool_call_id": call["id"], "decision": decision }))
}

/// Answers to the questions of a call. Whoever answers one with nothing declines all of them.
pub(super) async fn questions(call: &Value) -> Result<Value, Failure> {
    let mut answers = Vec::new();
    for (at, question) in call["arguments"]["questions"].as_array().into_iter().flatten().enumerate() {
        note(&format!("{}: {}", text(&question["header"]), text(&question["question"])));
        let options: Vec<&Value> = question["options"].as_array().into_iter().flatten().collect();
        for (number, option) in options.iter().enumerate() {
            note(&format!("  {}  {}: {}", number + 1, text(&option["label"]), text(&option["description"])));
        }
        let prompt = if options.is_empty() { "Your answer (nothing declines): " } else { "Numbers, or an answer (nothing declines): " };
        let given = line(prompt).await?.unwrap_or_default();
        if given.trim().is_empty() {
            return Ok(json!({ "tool_call_id": call["id"], "result": { "status": "declined" } }));
        }
        let id = question["id"].as_str().map_or_else(|| format!("question_{}", at + 1), str::to_owned);
        answers.push(match selected(&given, &options) {
            Some(labels) => json!({ "id": id, "selected": labels }),
            None => json!({ "id": id, "text": given }),
        });
    }
    Ok(json!({ "tool_call_id": call["id"], "result": { "status": "answered", "answers": answers } }))
}

/// The options with these numbers, if they are nothing but that.
fn selected<'a>(given: &str, options: &[&'a Value]) -> Option<Vec<&'a Value>> {
    let numbers = given.split([',', ' ']).filter(|number| !number.is_empty());
    let labels: Option<Vec<&Value>> =
        numbers.map(|number| Some(&options.get(number.parse::<usize>().ok()?.checked_sub(1)?)?["label"])).collect();
    labels.filter(|labels| !labels.is_empty())
}

/// Who settles a call that nobody can settle here.
pub(super) fn elsewhere(call: &Value, session: SessionId) -> String {
    let name = text(&call["name"]);
    let id = text(&call["id"]);
    match call["kind"].as_str().unwrap_or_default() {
        "approval" => {
            format!("the turn waits until {name} is allowed or refused\nto fix it: everwit chat --session {session} at a terminal")
        }
        "question" => format!("the turn waits for an answer of its user\nto fix it: everwit chat --session {session} at a terminal"),
        "connection" => {
            let provider = text(&call["connection_required"]);
            format!("the turn waits for a connection to {provider}, which {name} needs\nto fix it: connect it; the turn goes on by itself")
        }
        _ => {
            let path = format!("/v1/sessions/{session}/tool-results");
            format!("the turn waits for the result of {name}, a tool of its client\nto fix it: send the result of {id} to {path}")
        }
    }
}

/// Arguments, cut where they are endless.
pub(super) fn shown(arguments: &Value) -> String {
    let arguments = arguments.to_string();
    let cut = &arguments[..arguments.floor_char_boundary(MAX_ARGUMENTS)];
    let more = if cut.len() < arguments.len() { "…" } else { "" };
    format!("{}{more}", crate::cli::output::harmless(cut))
}
