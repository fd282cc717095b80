//! The interactive mode: the user's message is the script of its turn.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::config::SimToolCall;
use super::reply::{Reply, last_user_text, plain, step_of_turn};
use crate::driver::ChatRequest;
use crate::message::{ContentPart, Message, Role};

/// Longest excerpt of a result in a summary, in characters.
const EXCERPT_CHARACTERS: usize = 200;

pub(super) fn reply(request: &ChatRequest, position: usize) -> Reply {
    let text = last_user_text(&request.messages);
    let steps = match steps_of(&text) {
        Ok(steps) => steps,
        Err(problem) => return Reply::text(format!("I cannot read that call: {problem}.\n{}", how_to(request))),
    };
    if steps.is_empty() {
        return Reply::text(format!("You said: {}\n\n{}", text.trim(), how_to(request)));
    }
    match steps.get(step_of_turn(&request.messages)) {
        Some(calls) => Reply::calls("", calls, position),
        None => Reply::text(summary(request)),
    }
}

/// The calls of each step; steps without calls are left out.
fn steps_of(text: &str) -> Result<Vec<Vec<SimToolCall>>, String> {
    let mut steps = vec![Vec::new()];
    for line in text.lines().map(str::trim) {
        if line == "/then" {
            steps.push(Vec::new());
        } else if let Some(call) = line.strip_prefix("/call").filter(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace)) {
            let call = call_of(call.trim())?;
            if let Some(step) = steps.last_mut() {
                step.push(call);
            }
        }
    }
    steps.retain(|step| !step.is_empty());
    Ok(steps)
}

fn call_of(call: &str) -> Result<SimToolCall, String> {
    let (name, json) = call.split_once(char::is_whitespace).unwrap_or((call, ""));
    if name.is_empty() {
        return Err("there is no tool name behind /call".to_owned());
    }
    let json = if json.trim().is_empty() { "{}" } else { json };
    let arguments = serde_json::from_str(json).map_err(|error| format!("what stands behind {name} is not JSON ({error})"))?;
    Ok(SimToolCall::new(name, arguments))
}

fn how_to(request: &ChatRequest) -> String {
    let names: Vec<String> = request.tools.iter().map(|tool| format!("`{}`", tool.name)).collect();
    let offered = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    format!(
        "I am a simulated model: write a line `/call TOOL {{\"argument\": \"value\"}}` for each tool call, \
         and `/then` on a line of its own before calls that are to wait for the ones above. Offered tools: {offered}."
    )
}

/// What came of the calls of this turn, one line each.
fn summary(request: &ChatRequest) -> String {
    let mut of_turn: Vec<&Message> =
        request.messages.iter().rev().take_while(|message| message.role != Role::User).map(AsRef::as_ref).collect();
    of_turn.reverse();
    let names: HashMap<&str, &str> =
        of_turn.iter().flat_map(|message| message.tool_calls()).map(|call| (call.id.as_str(), call.name.as_str())).collect();
    let mut lines = String::new();
    let (mut total, mut failed) = (0, 0);
    for part in of_turn.iter().flat_map(|message| &message.content) {
        let ContentPart::ToolResult { tool_call_id, result, error } = part else { continue };
        total += 1;
        failed += usize::from(error.is_some());
        let name = names.get(tool_call_id.as_str()).copied().unwrap_or("unknown tool");
        let (word, told) = match error {
            Some(error) => ("failed", error.clone()),
            None => ("ok", plain(result.as_ref())),
        };
        let _ = write!(lines, "\n- `{name}` {word}: {}", excerpt(&told));
    }
    let noun = if total == 1 { "call" } else { "calls" };
    let verdict = if failed == 0 { "all succeeded".to_owned() } else { format!("{failed} failed") };
    format!("I made {total} tool {noun}; {verdict}.\n{lines}")
}

/// The start of a text on one line.
fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXCERPT_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
