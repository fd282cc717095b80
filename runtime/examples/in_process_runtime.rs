//! A conversation inside a program: an own capability, a harness, a session, one turn.
//!
//! ```sh
//! cargo run -p everwit-runtime --example in_process_runtime
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use async_trait::async_trait;
use everwit_runtime::capability::{Capability, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use everwit_runtime::driver::llmsim::{LlmSimConfig, SimToolCall, SimTurn};
use everwit_runtime::{DriverRegistry, InProcessRuntimeBuilder, PlatformDefinition};
use futures::StreamExt;
use serde_json::{Value, json};

/// Knows what is in stock.
struct Stock {
    tools: [ToolDefinition; 1],
}

impl Stock {
    fn new() -> Self {
        let arguments = json!({
            "type": "object",
            "properties": { "article": { "type": "string" } },
            "required": ["article"],
            "additionalProperties": false,
        });
        let count = ToolDefinition::new("count_items", "Tells how many of an article are in stock.", arguments);
        Self { tools: [count.with_title("Count items").read_only()] }
    }
}

#[async_trait]
impl Capability for Stock {
    fn id(&self) -> &str {
        "stock"
    }

    fn name(&self) -> &str {
        "Stock"
    }

    fn description(&self) -> &str {
        "Knows what is in stock."
    }

    fn tools(&self) -> &[ToolDefinition] {
        &self.tools
    }

    async fn call_tool(&self, _call: &ToolCallContext, _tool: &str, arguments: Value) -> ToolOutcome {
        // The arguments are valid against the tool's schema.
        let count = if arguments["article"] == "tea" { 12 } else { 0 };
        ToolOutput::json(json!({ "count": count })).into()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A script in place of a model, so that the example needs no key.
    let script = LlmSimConfig::scripted([
        SimTurn::ToolCalls(vec![SimToolCall::new("count_items", json!({ "article": "tea" }))]),
        SimTurn::Assistant("There are 12 packets of tea.".to_owned()),
    ]);
    let runtime = InProcessRuntimeBuilder::new()
        .platform_definition(PlatformDefinition::new(Default::default(), DriverRegistry::new()))
        .capability(Stock::new())
        .llm_sim(script)
        .single_session(|session| {
            session.harness("shop", "You answer questions about a shop.").with_capability("stock").session_title("Morning shift")
        })
        .build()
        .await?;
    let session = runtime.default_session_id().ok_or("there is a session")?;

    let mut events = runtime.subscribe(session).await?;
    let turn = runtime.run_turn(session, "How much tea is there?").await?;
    println!("{}", turn.response);
    println!("{} model calls, {} tool calls, {:?}", turn.iterations, turn.tool_calls_count, turn.stop_reason);

    while let Some(event) = events.next().await {
        let event = event?;
        println!("{:>4}  {}", event.sequence.map_or("live".to_owned(), |sequence| sequence.to_string()), event.data.name());
        if event.data.name() == "session.idled" {
            break;
        }
    }
    Ok(())
}
