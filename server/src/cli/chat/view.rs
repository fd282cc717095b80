//! A turn as it is shown: words to stdout as they are written, everything else to stderr.

use std::io::IsTerminal as _;

use serde_json::Value;

use super::text;
use crate::cli::output::{Failure, Style, harmless, note, print, print_piece};

/// Characters of a call's arguments in its line.
const MAX_SHOWN: usize = 100;

/// What is shown of a turn.
pub(super) struct View {
    json: bool,
    /// Whether stdout and stderr are the same terminal.
    shared: bool,
    message: String,
    /// Bytes of the message that were printed.
    printed: usize,
    /// Whether the last line of stdout is not ended.
    open: bool,
}

impl View {
    pub(super) fn new(json: bool) -> Self {
        let shared = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
        Self { json, shared, message: String::new(), printed: 0, open: false }
    }

    /// Shows what is to be seen of an event.
    pub(super) fn show(&mut self, event: &Value) -> Result<(), Failure> {
        if self.json {
            return print(&event.to_string());
        }
        let data = &event["data"];
        match event["type"].as_str().unwrap_or_default() {
            "output.message.delta" => self.piece(data),
            "output.message.completed" => self.message(&data["message"]),
            "tool.started" => {
                let call = &data["tool_call"];
                self.aside(&format!("{} {}", text(&call["name"]), cut(&call["arguments"].to_string())));
                Ok(())
            }
            "tool.progress" => {
                let total = data["total"].as_u64().map(|total| format!("/{total}")).unwrap_or_default();
                self.aside(&format!("  {}{total} {}", data["done"], text(&data["message"])));
                Ok(())
            }
            "tool.completed" => {
                self.aside(&format!("  {}", ended(data)));
                Ok(())
            }
            "reason.recovered" => {
                self.aside("taken up again after an interruption");
                Ok(())
            }
            "budget.warning" => {
                self.aside(&text(&data["message"]));
                Ok(())
            }
            "loop.detected" => {
                self.aside(&text(&data["note"]));
                Ok(())
            }
            "context.compacted" => {
                self.aside(&format!("{} earlier messages were summarised", data["messages_dropped"]));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A piece of an answer. One that does not continue what was printed waits for the whole answer.
    fn piece(&mut self, data: &Value) -> Result<(), Failure> {
        self.turn_to(&data["message_id"]);
        let delta = data["delta"].as_str().unwrap_or_default();
        if data["offset"].as_u64() == Some(self.printed as u64) { self.print(delta) } else { Ok(()) }
    }

    /// The whole answer: what is missing of it.
    fn message(&mut self, message: &Value) -> Result<(), Failure> {
        self.turn_to(&message["id"]);
        let parts = message["content"].as_array().into_iter().flatten();
        let all: String = parts.filter_map(|part| part["text"].as_str()).collect();
        if let Some(rest) = all.get(self.printed..) {
            self.print(rest)?;
        }
        self.end_line();
        Ok(())
    }

    fn turn_to(&mut self, message: &Value) {
        let id = message.as_str().unwrap_or_default();
        if self.message != id {
            self.end_line();
            (self.message, self.printed) = (id.to_owned(), 0);
        }
    }

    fn print(&mut self, piece: &str) -> Result<(), Failure> {
        self.printed += piece.len();
        if !piece.is_empty() {
            self.open = !piece.ends_with('\n');
        }
        print_piece(&harmless(piece))
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.open) {
            // If stdout is gone, the next piece says so.
            let _ = print_piece("\n");
        }
    }

    /// A line about what is not the answer.
    fn aside(&mut self, line: &str) {
        if self.shared {
            self.end_line();
        }
        note(&Style::stderr().dim(line));
    }
}

/// How a call ended, and what it used.
fn ended(data: &Value) -> String {
    let mut parts = vec![text(&data["status"])];
    if let Some(error) = data["error"].as_str() {
        parts.push(harmless(error));
    }
    parts.push(format!("{} ms", data["duration_ms"]));
    if let Some(receipt) = data["receipt"].as_object() {
        let peak = receipt["peak_memory_bytes"].as_u64().unwrap_or_default();
        parts.push(format!("{} fuel, {} KiB", receipt["fuel"], peak / 1_024));
    }
    parts.join(", ")
}

fn cut(arguments: &str) -> String {
    let cut = &arguments[..arguments.floor_char_boundary(MAX_SHOWN)];
    let more = if cut.len() < arguments.len() { "…" } else { "" };
    format!("{}{more}", harmless(cut))
}
