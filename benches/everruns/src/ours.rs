//! Everwit, with the same harness, capability, model and question.

use std::error::Error;
use std::time::{Duration, Instant};

use everwit_runtime::capability::{CapabilityRegistry, TestMathCapability};
use everwit_runtime::driver::DriverRegistry;
use everwit_runtime::driver::llmsim::{LlmSimConfig, SimToolCall, ToolCallConfig};
use everwit_runtime::harness::Harness;
use everwit_runtime::id::SessionId;
use everwit_runtime::session::Session;
use everwit_runtime::{InProcessRuntime, InProcessRuntimeBuilder, PlatformDefinition};

use crate::subject::{ANSWER, Kind, PROMPT, QUESTION, Subject, WARM_UP};

pub struct Ours {
    runtime: InProcessRuntime,
    session: SessionId,
    kind: Kind,
}

impl Subject for Ours {
    async fn new(kind: Kind) -> Result<Self, Box<dyn Error>> {
        let mut capabilities = CapabilityRegistry::new();
        capabilities.register(TestMathCapability);
        let platform = PlatformDefinition::new(capabilities, DriverRegistry::new());
        let mut model = LlmSimConfig::fixed(ANSWER);
        if kind == Kind::Tool {
            let call = SimToolCall::new("multiply", serde_json::json!({ "a": 6, "b": 7 }));
            model = model.with_tool_calls(ToolCallConfig::Fixed(vec![call]));
        }
        let harness = Harness::new("math", PROMPT).with_capability("test_math");
        let (first, second) = (Session::new(harness.id), Session::new(harness.id));
        let (warm_up, session) = (first.id, second.id);
        let runtime = InProcessRuntimeBuilder::new()
            .platform_definition(platform)
            .llm_sim(model)
            .harness(harness)
            .session(first)
            .session(second)
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
        self.kind.check(&turn.response, turn.success, turn.tool_calls_count as usize)?;
        Ok(took)
    }
}
