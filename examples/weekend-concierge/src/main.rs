//! A host program with an agent in it: an own capability over data that only the host has, a file
//! that the session starts with, a component, and a conversation in a loop.
//!
//! ```sh
//! cargo xtask components
//! cargo run --manifest-path examples/weekend-concierge/Cargo.toml -- target/components/data-lens.wasm
//! ```
//!
//! Without the component it runs too; the last question is left out then.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod guide;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use everwit_runtime::component::Grant;
use everwit_runtime::driver::llmsim::{LlmSimConfig, SimToolCall, SimTurn};
use everwit_runtime::event::EventData;
use everwit_runtime::harness::Harness;
use everwit_runtime::id::SessionId;
use everwit_runtime::limits::Budget;
use everwit_runtime::session::Session;
use everwit_runtime::{InProcessRuntime, InProcessRuntimeBuilder};
use guide::{OUTINGS, WeekendGuide};
use serde_json::json;

fn main() -> ExitCode {
    // Components are compiled in a process of this same program.
    if let Some(code) = everwit_runtime::sandbox::compile_child() {
        return code;
    }
    let component = std::env::args_os().nth(1).map(PathBuf::from);
    match run(component) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weekend-concierge: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(component: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    let mut questions = vec!["What do I like?", "What is on for less than 40 euros?"];
    let mut harness =
        Harness::new("concierge", "You plan weekends. Ask the guide before you propose anything.").with_capability("weekend-guide");
    if component.is_some() {
        questions.push("What do all outings cost on average?");
        harness = harness.with_capability("data-lens");
    }
    let session = Session::new(harness.id).with_title("The weekend");
    let id = session.id;
    let mut builder = InProcessRuntimeBuilder::new()
        .capability(WeekendGuide::default())
        .llm_sim(script())
        .harness(harness)
        .session(session)
        .seed_text_file(id, "/guest/preferences.md", "Likes the sea and quiet places. Dislikes queues.");
    if let Some(path) = component {
        // It asks for nothing, so that it is granted nothing.
        builder = builder.component_file(path, Grant::default(), Budget::TOOL_CALL);
    }
    let runtime = builder.build().await?;
    for question in questions {
        println!("you        {question}");
        let turn = runtime.run_text_turn(id, question).await?;
        show_tools(&runtime, id, turn.turn_id);
        match turn.error {
            None => println!("concierge  {}\n", turn.response),
            Some(error) => return Err(error.into()),
        }
    }
    runtime.shutdown().await;
    Ok(())
}

/// In place of a model, so that the example needs no key: what it calls, and what it says then.
fn script() -> LlmSimConfig {
    let call = |tool: &str, arguments| SimTurn::ToolCalls(vec![SimToolCall::new(tool, arguments)]);
    let say = |text: &str| SimTurn::Assistant(text.to_owned());
    let mean = json!([{ "op": "mean", "column": "price" }]);
    LlmSimConfig::scripted([
        call("guest_preferences", json!({})),
        say("The sea and quiet places; no queues."),
        call("list_outings", json!({ "max_price": 40 })),
        say("The lighthouse walk, the tide pools and the night market."),
        call("data_lens__aggregate", json!({ "data": guide::table(OUTINGS), "aggregates": mean })),
        say("A little over 40 euros."),
    ])
}

/// The tool calls of a turn, as the session's log has them.
fn show_tools(runtime: &InProcessRuntime, session: SessionId, turn: everwit_runtime::id::TurnId) {
    let events = runtime.events().into_iter().filter(|event| event.session_id == session && event.context.turn_id == Some(turn));
    for event in events {
        let EventData::ToolCompleted(completed) = event.data else { continue };
        let used = completed.receipt.map(|receipt| format!(", {} fuel in the sandbox", receipt.usage.fuel)).unwrap_or_default();
        println!("           [{} → {:?}{used}]", completed.tool_name, completed.status);
    }
}
