//! The answer of `/api/chat`: one JSON object a line, the last one with `done`.

use everwit_guest::driver::{self, Event, Reasoning};
use everwit_guest::{Failure, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A line.
#[derive(Deserialize)]
pub(crate) struct Line {
    /// Instead of everything else, if the server fails in the middle of an answer.
    error: Option<String>,
    message: Option<Said>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    content: String,
    #[serde(default)]
    thinking: String,
    #[serde(default)]
    tool_calls: Vec<Call>,
}

#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    id: String,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// What was answered so far.
#[derive(Default)]
pub(crate) struct Answer {
    calls: u32,
    complete: bool,
}

impl Answer {
    /// Whether the last line has come.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Takes a line in.
    ///
    /// # Errors
    /// What the server reports in it.
    pub(crate) fn add(&mut self, line: Line) -> Result<Vec<Event>> {
        if let Some(error) = line.error {
            return Err(Failure::upstream("unavailable", error).retryable(true));
        }
        let mut events = Vec::new();
        if let Some(said) = line.message {
            if !said.thinking.is_empty() {
                events.push(Event::Reasoning(Reasoning { text: said.thinking, opaque: None }));
            }
            if !said.content.is_empty() {
                events.push(Event::Text(said.content));
            }
            for Call { id, function } in said.tool_calls {
                events.extend(driver::whole_tool_call(self.calls, id, function.name, Value::Object(function.arguments).to_string()));
                self.calls += 1;
            }
        }
        if line.done {
            self.complete = true;
            if line.prompt_eval_count.is_some() || line.eval_count.is_some() {
                events.push(Event::Usage(driver::usage(line.prompt_eval_count.unwrap_or(0), line.eval_count.unwrap_or(0))));
            }
            events.push(driver::finish(self.reason(line.done_reason.as_deref())));
        }
        Ok(events)
    }

    /// The server says "stop" after tool calls, too.
    fn reason(&self, said: Option<&str>) -> String {
        match said {
            Some("stop") | None if self.calls > 0 => "tool-calls".to_owned(),
            None => "stop".to_owned(),
            Some(other) => other.to_owned(),
        }
    }
}
