//! The guide: what is on, and what the guest likes.

use std::fmt::Write as _;

use async_trait::async_trait;
use everwit_runtime::capability::{CallError, Capability, Failure, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use everwit_runtime::file::FilePath;
use serde_json::{Value, json};

/// Where the host puts what it knows about the guest.
const PREFERENCES: &str = "/guest/preferences.md";

/// An outing, with its price in euros.
pub(crate) struct Outing {
    name: &'static str,
    price: u32,
}

/// What the host knows and the model does not, until it asks.
pub(crate) const OUTINGS: &[Outing] = &[
    Outing { name: "lighthouse walk", price: 0 },
    Outing { name: "tide pools", price: 12 },
    Outing { name: "night market", price: 25 },
    Outing { name: "sailing lesson", price: 130 },
];

/// Outings as CSV with a header.
pub(crate) fn table<'a>(outings: impl IntoIterator<Item = &'a Outing>) -> String {
    outings.into_iter().fold("name,price".to_owned(), |mut table, Outing { name, price }| {
        // Writing to a text cannot fail.
        let _ = write!(table, "\n{name},{price}");
        table
    })
}

/// The capability.
pub(crate) struct WeekendGuide {
    tools: [ToolDefinition; 2],
}

impl Default for WeekendGuide {
    fn default() -> Self {
        let tool = |name: &str, title: &str, description: &str, properties: Value| {
            let arguments = json!({ "type": "object", "properties": properties, "additionalProperties": false });
            ToolDefinition::new(name, description, arguments).with_title(title).read_only()
        };
        let max_price = json!({ "max_price": { "type": "integer", "minimum": 0, "description": "Euros; any price if absent." } });
        Self {
            tools: [
                tool("list_outings", "List outings", "Lists what is on this weekend, as CSV.", max_price),
                tool("guest_preferences", "Preferences", "Tells what the guest likes.", json!({})),
            ],
        }
    }
}

#[async_trait]
impl Capability for WeekendGuide {
    fn id(&self) -> &str {
        "weekend-guide"
    }

    fn name(&self) -> &str {
        "Weekend guide"
    }

    fn description(&self) -> &str {
        "Knows what is on this weekend, and what the guest likes."
    }

    fn system_prompt_addition(&self) -> Option<&str> {
        Some("Prices are in euros.")
    }

    fn tools(&self) -> &[ToolDefinition] {
        &self.tools
    }

    async fn call_tool(&self, call: &ToolCallContext, tool: &str, arguments: Value) -> ToolOutcome {
        ToolOutcome::native(match tool {
            "list_outings" => Ok(ToolOutput::text(affordable(arguments["max_price"].as_u64()))),
            _ => preferences(call).await.map(ToolOutput::text),
        })
    }
}

fn affordable(max_price: Option<u64>) -> String {
    table(OUTINGS.iter().filter(|outing| max_price.is_none_or(|most| u64::from(outing.price) <= most)))
}

/// Reads the file of the session that the call belongs to.
async fn preferences(call: &ToolCallContext) -> Result<String, CallError> {
    let failed = |code: &str, message: String| Failure::new("unavailable", code, message);
    let path = FilePath::parse(PREFERENCES).map_err(|error| failed("bad_path", error.to_string()))?;
    let file = call.services.backends.file_store.read_file(call.org_id, call.session_id, &path).await;
    match file.map_err(|error| failed("store", error.to_string()))? {
        Some(file) => Ok(String::from_utf8_lossy(&file.content).into_owned()),
        None => Ok("Nothing is known about the guest.".to_owned()),
    }
}
