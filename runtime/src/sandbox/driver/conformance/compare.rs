//! What is compared of a replay: the request, and the events with the error that ends them.

use serde_json::{Map, Value};

use super::Difference;
use crate::component::{RecordedExchange, RecordedHttp};
use crate::driver::{CodecRequest, DriverError};
use crate::sandbox::gate::quoted_up_to;

/// Characters of a value in a finding.
const SHOWN_CHARS: usize = 300;

/// Compares the request.
///
/// # Errors
/// The first difference.
pub(super) fn check_http(expected: &RecordedHttp, sent: &CodecRequest) -> Result<(), Difference> {
    let differ = |place: &str, expected: &str, sent: &str| {
        let detail = format!("the driver sends {}; recorded is {}", shown(sent), shown(expected));
        Err((format!("/http/{place}"), detail))
    };
    if expected.method != sent.method {
        return differ("method", &expected.method, &sent.method);
    }
    if expected.url != sent.url {
        return differ("url", &expected.url, &sent.url);
    }
    for (name, value) in &expected.headers {
        let values: Vec<&str> =
            sent.headers.iter().filter(|(sent, _)| sent.eq_ignore_ascii_case(name)).map(|(_, value)| &**value).collect();
        if values != [value.as_str()] {
            return differ(&format!("headers/{name}"), value, &values.join(", "));
        }
    }
    match &expected.body {
        None => Ok(()),
        Some(Value::String(text)) if text.as_bytes() == &*sent.body => Ok(()),
        Some(Value::String(text)) => differ("body", text, &String::from_utf8_lossy(&sent.body)),
        Some(value) if serde_json::from_slice::<Value>(&sent.body).is_ok_and(|sent| sent == *value) => Ok(()),
        Some(value) => differ("body", &value.to_string(), &String::from_utf8_lossy(&sent.body)),
    }
}

/// What a completion came to.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    events: Vec<Value>,
    error: Option<String>,
    /// For the message only.
    said: Said,
}

/// The text of an error; two of them never make outcomes differ.
#[derive(Debug)]
struct Said(Option<String>);

impl PartialEq for Said {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Outcome {
    pub(super) fn new(events: Vec<Value>, error: Option<&DriverError>) -> Self {
        let kind = error.map(|error| error.kind.as_str().to_owned());
        Self { events: joined(events), error: kind, said: Said(error.map(ToString::to_string)) }
    }

    pub(super) fn recorded(exchange: &RecordedExchange) -> Self {
        Self { events: joined(exchange.events.clone()), error: exchange.error.clone(), said: Said(None) }
    }

    /// Where they differ first.
    pub(super) fn first_difference(&self, recorded: &Self) -> String {
        match self.differing_event(recorded) {
            Some(at) => format!("events/{at}"),
            None => "error".to_owned(),
        }
    }

    /// The difference in words.
    pub(super) fn explain(&self, recorded: &Self, how: &str) -> String {
        let event =
            |outcome: &Self, at: usize| outcome.events.get(at).map_or_else(|| "nothing".to_owned(), |event| shown(&event.to_string()));
        let (got, wanted) = match self.differing_event(recorded) {
            Some(at) => (event(self, at), event(recorded, at)),
            None => {
                let end = |outcome: &Self| outcome.error.clone().unwrap_or_else(|| "no error".to_owned());
                (end(self), end(recorded))
            }
        };
        let said = self.said.0.as_deref().map(|said| format!("; it fails with {}", shown(said))).unwrap_or_default();
        format!("with the answer arriving {how}, the driver gives {got}; recorded is {wanted}{said}")
    }

    fn differing_event(&self, recorded: &Self) -> Option<usize> {
        let most = self.events.len().max(recorded.events.len());
        (0..most).find(|&at| self.events.get(at) != recorded.events.get(at))
    }
}

fn shown(text: &str) -> String {
    quoted_up_to(text, SHOWN_CHARS)
}

/// Joins the pieces of one text, of one block of reasoning, and of the arguments of one call: how
/// they are cut is not part of what is said.
fn joined(events: Vec<Value>) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for event in events {
        if !all.last_mut().is_some_and(|last| join(last, &event)) {
            all.push(event);
        }
    }
    all
}

/// Whether `event` was joined to `last`.
fn join(last: &mut Value, event: &Value) -> bool {
    if let (Some(so_far), Some(more)) = (last["text"].as_str(), event["text"].as_str()) {
        last["text"] = format!("{so_far}{more}").into();
        return true;
    }
    let block = |value: &Value, name: &str| -> Option<Map<String, Value>> { value.get(name)?.as_object().cloned() };
    if let (Some(mut so_far), Some(more)) = (block(last, "reasoning"), block(event, "reasoning"))
        && !so_far.contains_key("opaque")
    {
        append(&mut so_far, "text", &more);
        so_far.extend(more.into_iter().filter(|(name, _)| name == "opaque"));
        last["reasoning"] = so_far.into();
        return true;
    }
    if let (Some(mut so_far), Some(more)) = (block(last, "tool_call_delta"), block(event, "tool_call_delta"))
        && so_far.get("index") == more.get("index")
    {
        append(&mut so_far, "arguments", &more);
        last["tool_call_delta"] = so_far.into();
        return true;
    }
    false
}

fn append(to: &mut Map<String, Value>, name: &str, from: &Map<String, Value>) {
    let text = |members: &Map<String, Value>| members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let joined = text(to) + &text(from);
    to.insert(name.to_owned(), joined.into());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pieces_of_the_same_are_joined_and_nothing_else() {
        let delta = |index: u32, text: &str| json!({ "tool_call_delta": { "index": index, "arguments": text } });
        let thought = |text: &str| json!({ "reasoning": { "text": text } });
        let signed = json!({ "reasoning": { "text": "b", "opaque": "s" } });
        let events = vec![
            json!({"text": "a"}),
            json!({"text": "b"}),
            thought("a"),
            signed,
            thought("c"),
            delta(0, "{"),
            delta(0, "}"),
            delta(1, "{}"),
        ];
        let expected = [
            json!({ "text": "ab" }),
            json!({ "reasoning": { "text": "ab", "opaque": "s" } }),
            thought("c"),
            delta(0, "{}"),
            delta(1, "{}"),
        ];
        assert_eq!(joined(events), expected);
    }
}
