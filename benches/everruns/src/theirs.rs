//! Everruns, as its own example `in_process_runtime` sets it up.

use std::error::Error;
use std::time::{Duration, Instant};

use everruns_core::capabilities::TestMathCapability;
use everruns_core::driver_registry::DriverRegistry;
use everruns_core::llmsim_driver::LlmSimConfig;
use everruns_core::typed_id::SessionId;
use everruns_core::{CapabilityRegistry, DriverId, PlatformDefinition, ResolvedModel, ToolCall};
use everruns_runtime::{HarnessBuilder, InProcessRuntime, InProcessRuntimeBuilder, SessionBuilder};

use crate::subject::{ANSWER, Kind, PROMPT, QUESTION, Subject, WARM_UP};

pub struct Theirs {
    runtime: InProcessRuntime,
    session: SessionId,
    kind: Kind,
}

impl Subject for Theirs {
    async fn new(kind: Kind) -> Result<Self, Box<dyn Error>> {
        let mut capabilities = CapabilityRegistry::new();
        capabilities.register(TestMathCapability);
        let platform = PlatformDefinition::new(capabilities, DriverRegistry::new());
        let mut model = LlmSimConfig::fixed(ANSWER);
        if kind == Kind::Tool {
            let arguments = serde_json::json!({ "a": 6, "b": 7 });
            let call = ToolCall { id: "call_1".into(), name: "multiply".into(), arguments };
            model = model.with_tool_call_sequence(vec![vec![call], Vec::new()]);
        }
        let harness = HarnessBuilder::new("math", PROMPT).capability("test_math");
        let (first, second) = (SessionBuilder::new(harness.harness_id()), SessionBuilder::new(harness.harness_id()));
        let (warm_up, session) = (first.session_id(), second.session_id());
        let runtime = InProcessRuntimeBuilder::new()
            .platform_definition(platform)
            .llm_sim(model)
            .default_model(ResolvedModel {
                model: "llmsim-model".into(),
                provider_type: DriverId::LlmSim,
                api_key: Some("fake-key".into()),
                base_url: None,
                provider_metadata: None,
            })
            .harness(harness.build())
            .session(first.build())
            .session(second.build())
            .build()
            .await?;
        for _ in 0..WARM_UP {
            runtime.run_text_turn(warm_up, QUESTION).await?;
        }
        Ok(Self { runtime, session, kind })
    }

    async fn turn(&mut self) -> Result<Duration, Box<dyn Error>> {
        let started = Instant::now();
        let turn = self.runtime.run_text_turn(self.session, QUESTION).await?;
        let took = started.elapsed();
        self.kind.check(&turn.response, turn.success, turn.tool_calls_count)?;
        Ok(took)
    }
}
