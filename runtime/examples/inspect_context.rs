//! What a model will be told, before anything is said and after.
//!
//! ```sh
//! cargo run -p everwit-runtime --example inspect_context
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use async_trait::async_trait;
use everwit_runtime::agent::Agent;
use everwit_runtime::capability::{ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use everwit_runtime::driver::llmsim::LlmSimConfig;
use everwit_runtime::harness::Harness;
use everwit_runtime::id::SessionId;
use everwit_runtime::session::Session;
use everwit_runtime::turn::SectionKind;
use everwit_runtime::{Capability, InProcessRuntime, InProcessRuntimeBuilder};
use serde_json::{Value, json};

/// Knows when the shop is open.
struct OpeningHours {
    tools: [ToolDefinition; 1],
}

impl OpeningHours {
    fn new() -> Self {
        let none = json!({ "type": "object", "properties": {}, "additionalProperties": false });
        let hours = ToolDefinition::new("opening_hours", "Tells when the shop is open.", none);
        Self { tools: [hours.with_title("Opening hours").read_only()] }
    }
}

#[async_trait]
impl Capability for OpeningHours {
    fn id(&self) -> &str {
        "opening_hours"
    }

    fn name(&self) -> &str {
        "Opening hours"
    }

    fn description(&self) -> &str {
        "Knows when the shop is open."
    }

    fn system_prompt_addition(&self) -> Option<&str> {
        Some("Never promise a repair outside the opening hours.")
    }

    fn tools(&self) -> &[ToolDefinition] {
        &self.tools
    }

    async fn call_tool(&self, _call: &ToolCallContext, _tool: &str, _arguments: Value) -> ToolOutcome {
        ToolOutput::text("Monday to Saturday, 9 to 18").into()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let base = Harness::new("base", "You are a helpful assistant.");
    let support = Harness::new("support", "You answer customers of a bicycle shop.").with_parent(base.id).with_capability("opening_hours");
    let agent = Agent::new("repairs", "You know about repairs.", support.id).with_max_iterations(5);
    let session = Session::new(support.id).with_agent(agent.id).with_title("A flat tyre").with_locale("pt-PT");
    let id = session.id;
    let runtime = InProcessRuntimeBuilder::new()
        .capability(OpeningHours::new())
        .llm_sim(LlmSimConfig::echo())
        .harness(base)
        .harness(support)
        .agent(agent)
        .session(session)
        .build()
        .await?;

    show("before the first message", &runtime, id).await?;
    runtime.run_text_turn(id, "My tyre is flat.").await?;
    show("after one turn", &runtime, id).await
}

async fn show(when: &str, runtime: &InProcessRuntime, session: SessionId) -> Result<(), Box<dyn std::error::Error>> {
    let context = runtime.load_context(session).await?;
    let chain: Vec<&str> = context.harness_chain.iter().map(|harness| harness.name.as_str()).collect();
    println!("{when}");
    println!("  harnesses = {}", chain.join(" → "));
    println!("  messages = {}", context.messages.len());
    println!("  model = {}", context.runtime_agent.model);
    println!("  tools = {:?}", context.runtime_agent.tools.iter().map(|tool| &tool.name).collect::<Vec<_>>());
    println!("  locale = {:?}", context.resolved_locale);
    println!("  prompt = {:?}", context.runtime_agent.system_prompt);
    let report = context.report();
    println!("  about {} tokens", report.estimated_input_tokens);
    for part in report.contributions.iter().filter(|part| part.section != SectionKind::Messages) {
        println!("    {:?}: {} tokens by {:?}", part.section, part.estimated_tokens, part.contributor);
    }
    Ok(())
}
