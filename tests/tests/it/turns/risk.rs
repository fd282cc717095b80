//! The risk that an org allows its turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use everwit_runtime::capability::{Capability, RiskLevel, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use everwit_runtime::component::Effects;
use everwit_runtime::driver::llmsim::{LlmSimConfig, SimTurn};
use everwit_runtime::event::EventData;
use everwit_runtime::id::OrgId;
use everwit_runtime::store::{RuntimeBackends, TurnEnd};
use everwit_runtime::turn::{NestedError, TurnRun};
use serde_json::{Value, json};

use super::rig::{Rig, call};

/// Has a risk, and three tools: `act`; `lower`, after which the org allows low risk only; and `relay`, which calls `act`, lowers,
/// and calls it again, and tells what became of both.
struct Risky {
    level: RiskLevel,
    tools: Vec<ToolDefinition>,
    acted: AtomicU32,
}

impl Risky {
    fn new(level: RiskLevel) -> Arc<Self> {
        let tool = |name: &str| ToolDefinition::new(name, "Does it", json!({ "type": "object" }));
        Arc::new(Self { level, tools: vec![tool("act"), tool("lower"), tool("relay")], acted: AtomicU32::default() })
    }

    fn acted(&self) -> u32 {
        self.acted.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Capability for Risky {
    fn id(&self) -> &str {
        "risky"
    }

    fn name(&self) -> &str {
        "Risky"
    }

    fn description(&self) -> &str {
        "Tools for tests"
    }

    fn tools(&self) -> &[ToolDefinition] {
        &self.tools
    }

    fn risk_level(&self) -> RiskLevel {
        self.level
    }

    async fn call_tool(&self, call: &ToolCallContext, tool: &str, _arguments: Value) -> ToolOutcome {
        match tool {
            "lower" => allow(&call.services.backends, call.org_id, RiskLevel::Low).await,
            "relay" => {
                let nested = call.nested.as_ref().expect("tools that a model calls can call others");
                let act = async |number| nested.call(call, Effects::default(), number, ("risky/act", json!({}))).await;
                let before = act(1).await;
                allow(&call.services.backends, call.org_id, RiskLevel::Low).await;
                let told = [before, act(2).await].map(|outcome| match outcome {
                    Ok(_) => "called".to_owned(),
                    Err(NestedError::Denied(text)) => text,
                    Err(other) => format!("{other:?}"),
                });
                return ToolOutcome::native(Ok(ToolOutput::json(json!(told))));
            }
            _ => _ = self.acted.fetch_add(1, Ordering::Relaxed),
        }
        ToolOutcome::native(Ok(ToolOutput::text("done")))
    }
}

async fn allow(backends: &RuntimeBackends, org: OrgId, most: RiskLevel) {
    let mut org = backends.setup_store.get_org(org).await.unwrap().unwrap();
    (org.max_risk, org.version) = (most, org.version + 1);
    backends.setup_store.update_org(org).await.unwrap();
}

async fn rig(level: RiskLevel, turns: impl IntoIterator<Item = SimTurn>) -> (Rig, Arc<Risky>) {
    crate::support::mutation::apply();
    let mut rig = Rig::new(LlmSimConfig::scripted(turns)).await;
    let risky = Risky::new(level);
    rig.equip([(risky.clone() as Arc<dyn Capability>, json!({}))]).await;
    (rig, risky)
}

fn calls(tool: &str) -> SimTurn {
    SimTurn::ToolCalls(vec![call(tool)])
}

fn answer() -> SimTurn {
    SimTurn::Assistant("done".to_owned())
}

#[tokio::test]
async fn a_turn_has_nothing_beyond_what_its_org_allows() {
    use RiskLevel::{High, Low, Medium};
    for (level, most, goes) in [(High, High, true), (High, Medium, false), (Medium, Medium, true), (Medium, Low, false), (Low, Low, true)] {
        let (rig, risky) = rig(level, [calls("act"), answer()]).await;
        allow(&rig.platform.backends, rig.org, most).await;
        let end = if goes { TurnEnd::Completed } else { TurnEnd::Failed };
        assert_eq!(rig.ask("go").await, TurnRun::Ended(end), "{level:?} where {most:?} is allowed");
        assert_eq!(risky.acted(), u32::from(goes));
        if let EventData::TurnFailed { error, error_code, .. } = rig.end().await {
            assert_eq!(error_code, "risk_too_high");
            let said = format!("\"risky\" has risk level {}, and this org allows {} at most", level.as_str(), most.as_str());
            assert!(error.contains(&said) && error.contains("an admin of the org can change that"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_limit_that_comes_during_a_turn_holds_for_its_next_call() {
    let (rig, risky) = rig(RiskLevel::Medium, [calls("act"), calls("lower"), calls("act"), answer()]).await;
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Completed), "the model is told, and answers");
    assert_eq!(risky.acted(), 1);
    let results = rig.results().await;
    assert_eq!(results.iter().map(|result| result.success).collect::<Vec<_>>(), [true, true, false]);
    let refused = results[2].error.as_deref().unwrap();
    assert_eq!(results[2].error_kind.as_deref(), Some("denied"));
    assert!(refused.contains("allows low at most") && refused.ends_with("the tool was not called"), "{refused}");
    assert_eq!(rig.ask("go on").await, TurnRun::Ended(TurnEnd::Failed), "what was assigned earlier does not go on");
    assert_eq!(risky.acted(), 1);
}

#[tokio::test]
async fn a_limit_that_comes_during_a_call_holds_for_the_calls_within_it() {
    let (rig, risky) = rig(RiskLevel::Medium, [calls("relay"), answer()]).await;
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Completed));
    assert_eq!(risky.acted(), 1);
    let told = rig.results().await[0].structured.clone().expect("a result");
    assert_eq!(told[0], "called", "{told}");
    let refused = told[1].as_str().expect("a text");
    assert!(refused.contains("allows low at most") && refused.ends_with("the tool was not called"), "{refused}");
}
