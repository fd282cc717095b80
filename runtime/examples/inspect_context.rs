//! What a model will be told, before anything is said and after.
//!
//! ```sh
//! cargo run -p everwit-runtime --features builtins --example inspect_context
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use everwit_runtime::agent::Agent;
use everwit_runtime::driver::llmsim::LlmSimConfig;
use everwit_runtime::harness::Harness;
use everwit_runtime::id::SessionId;
use everwit_runtime::session::Session;
use everwit_runtime::{InProcessRuntime, InProcessRuntimeBuilder};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let base = Harness::new("base", "You are a helpful assistant.");
    let support = Harness::new("support", "You answer customers of a bicycle shop.").with_parent(base.id).with_capability("current_time");
    let agent = Agent::new("repairs", "You know about repairs.", support.id).with_max_iterations(5);
    let session = Session::new(support.id).with_agent(agent.id).with_title("A flat tyre").with_locale("pt-PT");
    let id = session.id;
    let runtime = InProcessRuntimeBuilder::new()
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
    Ok(())
}
