//! Components of an embedder.

use everwit_runtime::component::{Grant, HttpPermission};
use everwit_runtime::driver::llmsim::LlmSimConfig;
use everwit_runtime::event::EventData;
use everwit_runtime::harness::Harness;
use everwit_runtime::in_process::{BuildError, ComponentCache};
use everwit_runtime::limits::Budget;
use everwit_runtime::{CurrentTimeCapability, InProcessRuntimeBuilder};

use crate::support::guest;
use crate::support::guests::compiler;

fn builder() -> InProcessRuntimeBuilder {
    InProcessRuntimeBuilder::new().llm_sim(LlmSimConfig::interactive())
}

async fn refusal(builder: InProcessRuntimeBuilder) -> String {
    match builder.build().await {
        Err(error @ BuildError::Invalid(_)) => error.to_string(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was built"),
    }
}

#[tokio::test]
async fn an_agent_uses_a_component_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data-lens.wasm");
    std::fs::write(&file, guest("data-lens")).unwrap();
    let cache = ComponentCache { dir: folder.path().join("cache"), key: [3; 32] };
    let runtime = builder()
        .component_compiler(compiler())
        .component_cache(cache)
        .component_file(&file, Grant::default(), Budget::TOOL_CALL)
        .capability(CurrentTimeCapability)
        .single_session(|session| session.with_capability("data-lens"))
        .build()
        .await
        .unwrap();
    let session = runtime.default_session_id().unwrap();
    let call = r#"/call data_lens__aggregate {"data": "price\n2\n4", "aggregates": [{"op": "mean", "column": "price"}]}"#;
    let turn = runtime.run_text_turn(session, call).await.unwrap();
    assert_eq!((turn.success, turn.tool_calls_count), (true, 1), "{turn:?}");
    let completed = runtime.events().into_iter().find_map(|event| match event.data {
        EventData::ToolCompleted(completed) => Some(completed),
        _ => None,
    });
    let completed = completed.unwrap();
    assert!(completed.success, "{completed:?}");
    let receipt = completed.receipt.unwrap();
    assert!(receipt.component == "data-lens" && receipt.usage.fuel > 0, "{receipt:?}");
}

#[tokio::test]
async fn a_program_that_does_not_answer_is_not_started_again() {
    // The test's binary is such a program.
    let refused = refusal(builder().component_bytes(guest("echo"), Grant::default(), Budget::TOOL_CALL)).await;
    assert!(refused.contains("compile_child()"), "{refused}");
}

#[tokio::test]
async fn wrong_components_are_told_all_at_once() {
    let host =
        HttpPermission { host: "example.test".to_owned(), methods: vec!["GET".to_owned()], path_prefix: None, reason: String::new() };
    let no_fuel = Budget { fuel: 0, ..Budget::TOOL_CALL };
    let refused = builder()
        .component_compiler(compiler())
        .component_file("no/such/file.wasm", Grant::default(), Budget::TOOL_CALL)
        .component_bytes(b"not wasm".to_vec(), Grant::default(), Budget::TOOL_CALL)
        .component_bytes(guest("echo"), Grant { http: vec![host], ..Grant::default() }, Budget::TOOL_CALL)
        .component_bytes(guest("minimal"), Grant::default(), no_fuel)
        .harness(Harness::new("base", "").with_capability("may-be-one-of-those"));
    let refused = refusal(refused).await;
    for part in ["no/such/file.wasm", "example.test", "fuel is 0"] {
        assert!(refused.contains(part), "{part} is missing: {refused}");
    }
    assert!(!refused.contains("may-be-one-of-those"), "{refused}");
}

#[tokio::test]
async fn a_component_does_not_take_the_id_of_a_capability() {
    let twice = builder()
        .component_compiler(compiler())
        .component_bytes(guest("echo"), Grant::default(), Budget::TOOL_CALL)
        .component_bytes(guest("echo"), Grant::default(), Budget::TOOL_CALL);
    let refused = refusal(twice).await;
    assert!(refused.contains("\"echo\""), "{refused}");
}
