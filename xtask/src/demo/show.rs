//! Events and receipts as lines for people.

use serde_json::Value;

/// Longest text of one line, in characters.
const WIDTH: usize = 120;

/// What an upload did, in one line.
pub(crate) fn upload(upload: &Value) -> String {
    let inspection = &upload["inspection"];
    let tools: Vec<&str> =
        inspection["description"]["tools"].as_array().into_iter().flatten().filter_map(|tool| tool["name"].as_str()).collect();
    format!(
        "{} version {}, {} KiB, {}: {}",
        text(&upload["component"]["name"]),
        upload["version"]["version"],
        inspection["size"].as_u64().unwrap_or_default().div_ceil(1024),
        short(text(&inspection["digest"])),
        tools.join(", ")
    )
}

/// An event, in one line; tool calls have one more for each part of the result and the receipt.
pub(crate) fn event(event: &Value) -> Vec<String> {
    let kind = text(&event["type"]);
    let data = &event["data"];
    let sequence = event["sequence"].as_u64().map(|sequence| sequence.to_string()).unwrap_or_default();
    let mut lines = vec![cut(&format!("{sequence:>3} {kind:<24} {}", detail(kind, data)))];
    if kind == "tool.completed" {
        lines.extend(parts(&data["result"]).map(|part| indented(&format!("= {part}"))));
        lines.extend(data["error"].as_str().map(|error| indented(&format!("! {error}"))));
        if data["receipt"].is_object() {
            lines.push(format!("{:28} {}", "", receipt(&data["receipt"])));
        }
    }
    lines
}

/// The text of an agent's message, whole; none for other events.
pub(crate) fn answer(event: &Value) -> Option<&str> {
    let message = Some(&event["data"]["message"]).filter(|_| event["type"] == "output.message.completed")?;
    message["content"].as_array()?.iter().find_map(|part| part["text"].as_str())
}

fn detail(kind: &str, data: &Value) -> String {
    match kind {
        "input.message" | "output.message.completed" => {
            let content = &data["message"]["content"];
            let calls = content.as_array().into_iter().flatten().filter(|part| part["type"] == "tool_call");
            let calls = calls.map(|call| format!("calls {}", text(&call["name"])));
            calls.chain(parts(content)).collect::<Vec<_>>().join(" ")
        }
        "output.message.delta" => one_line(text(&data["delta"])),
        "tool.started" => format!("{} {}", text(&data["tool_call"]["name"]), data["tool_call"]["arguments"]),
        "tool.completed" => format!("{} {} in {} ms", text(&data["tool_name"]), text(&data["status"]), data["duration_ms"]),
        "turn.completed" => {
            format!("{} model calls, {} tool calls, {} ms", data["iterations"], data["tool_call_count"], data["duration_ms"])
        }
        "turn.failed" => text(&data["error"]).to_owned(),
        _ => String::new(),
    }
}

/// Who was called and what it used.
fn receipt(receipt: &Value) -> String {
    let milliseconds = |field: &str| receipt[field].as_f64().unwrap_or_default() / 1_000.0;
    format!(
        "receipt: {} version {} ({}), fuel {} of {}, peak memory {} KiB, guest {:.2} ms, host {:.2} ms",
        text(&receipt["component"]),
        receipt["version"],
        short(text(&receipt["digest"])),
        grouped(&receipt["fuel"]),
        grouped(&receipt["fuel_limit"]),
        grouped(&receipt["peak_memory_bytes"].as_u64().unwrap_or_default().div_ceil(1024).into()),
        milliseconds("guest_micros"),
        milliseconds("host_micros"),
    )
}

/// The texts among content parts, line breaks shown as spaces.
fn parts(content: &Value) -> impl Iterator<Item = String> {
    let parts = content.as_array().into_iter().flatten();
    parts.filter_map(|part| part["text"].as_str()).map(one_line)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn indented(line: &str) -> String {
    format!("{:28} {}", "", cut(line))
}

fn cut(line: &str) -> String {
    let line = line.trim_end();
    if line.chars().count() <= WIDTH { line.to_owned() } else { line.chars().take(WIDTH - 1).chain(['…']).collect() }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The beginning of a digest.
fn short(digest: &str) -> String {
    digest.chars().take("sha256:".len() + 8).collect()
}

/// Thousands apart: 1 204 331.
fn grouped(number: &Value) -> String {
    let digits = number.as_u64().unwrap_or_default().to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tool_call_is_shown_with_result_and_receipt() {
        let shown = event(&json!({
            "type": "tool.completed", "sequence": 12, "data": {
                "tool_name": "data_lens__describe", "status": "success", "duration_ms": 4,
                "result": [{"type": "text", "text": "8 rows\n10 columns"}],
                "receipt": {"component": "data-lens", "version": 1, "digest": "sha256:0123456789abcdef", "fuel": 1_204_331, "fuel_limit": 1_000_000_000,
                    "peak_memory_bytes": 1_114_112, "guest_micros": 2_100, "host_micros": 15}
            }
        }));
        let expected = [
            " 12 tool.completed           data_lens__describe success in 4 ms",
            "                             = 8 rows 10 columns",
            "                             receipt: data-lens version 1 (sha256:01234567), fuel 1 204 331 of 1 000 000 000, \
             peak memory 1 088 KiB, guest 2.10 ms, host 0.01 ms",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn an_event_that_is_not_known_is_shown_by_its_name() {
        assert_eq!(event(&json!({"type": "later.added", "data": {"x": 1}})), ["    later.added"]);
    }

    #[test]
    fn long_lines_are_cut() {
        let shown = event(&json!({"type": "turn.failed", "data": {"error": "x".repeat(500)}}));
        assert_eq!(shown[0].chars().count(), WIDTH);
    }
}
