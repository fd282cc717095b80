//! Model and tools in one, on which a case is played: each model call and each tool call lets happen
//! what the case says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use everwit_runtime::capability::{Capability, CapabilityRegistry, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use everwit_runtime::client_tool::ClientTool;
use everwit_runtime::component::Effects;
use everwit_runtime::driver::{ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverContext, DriverError, DriverRegistry};
use everwit_runtime::harness::CapabilityConfig;
use everwit_runtime::id::{IdSource, OrgId, SessionId};
use everwit_runtime::message::ToolCall;
use everwit_runtime::store::SessionLog;
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::rig::{Rig, input};

/// Most messages of one case.
const MAX_MESSAGES: usize = 8;
/// The tools that answers ask for, over and over: one that must not be repeated, one that may be,
/// and one that the client executes.
const CALLED: [&str; 3] = ["step", "peek", "ask"];

/// What happens while a model or a tool is at work.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum Meanwhile {
    Nothing,
    FollowUp,
    Cancel,
}

/// See the module.
pub(in super::super) struct Stage {
    tools: Vec<ToolDefinition>,
    pub(super) state: Mutex<StageState>,
}

pub(in super::super) struct StageState {
    meanwhile: VecDeque<Meanwhile>,
    /// How many calls each answer asks for; none ends the turn.
    answers: VecDeque<usize>,
    /// Executed calls: tool and id.
    pub(super) executed: Vec<(String, String)>,
    /// Cancels the turn that runs.
    pub(super) cancel: CancellationToken,
    submitted: usize,
}

/// A stage, and where it submits follow-up messages.
#[derive(Clone)]
pub(in super::super) struct Actor {
    pub(super) stage: Arc<Stage>,
    log: Arc<dyn SessionLog>,
    ids: Arc<dyn IdSource>,
    org: OrgId,
    session: SessionId,
}

impl Actor {
    async fn act(&self) {
        let next = self.stage.state.lock().unwrap().meanwhile.pop_front();
        match next.unwrap_or(Meanwhile::Nothing) {
            Meanwhile::Nothing => {}
            Meanwhile::Cancel => self.stage.state.lock().unwrap().cancel.cancel(),
            Meanwhile::FollowUp => self.submit().await,
        }
    }

    /// Submits a message, unless there were enough.
    pub(super) async fn submit(&self) {
        {
            let mut state = self.stage.state.lock().unwrap();
            if state.submitted == MAX_MESSAGES {
                return;
            }
            state.submitted += 1;
        }
        let (turn, input) = input(&*self.ids, "go on");
        self.log.submit_turn(self.org, self.session, turn, input).await.unwrap();
    }
}

#[async_trait]
impl ChatDriver for Actor {
    async fn complete(&self, _request: ChatRequest, _context: DriverContext) -> Result<ChatStream, DriverError> {
        self.act().await;
        let calls = self.stage.state.lock().unwrap().answers.pop_front().unwrap_or(0);
        let call = |n: usize| {
            let name = CALLED[n % CALLED.len()].to_owned();
            // Vendors count from one in each answer.
            Ok(ChatEvent::ToolCall(ToolCall::new(format!("call_{n}"), name, json!({}))))
        };
        let mut events = vec![Ok(ChatEvent::Text("so".to_owned()))];
        events.extend((0..calls).map(call));
        events.push(Ok(ChatEvent::finish("stop")));
        Ok(stream::iter(events).boxed())
    }
}

#[async_trait]
impl Capability for Actor {
    fn id(&self) -> &str {
        "stage"
    }

    fn name(&self) -> &str {
        "Stage"
    }

    fn description(&self) -> &str {
        "Tools of a case"
    }

    fn tools(&self) -> &[ToolDefinition] {
        &self.stage.tools
    }

    async fn call_tool(&self, call: &ToolCallContext, tool: &str, _arguments: Value) -> ToolOutcome {
        self.stage.state.lock().unwrap().executed.push((tool.to_owned(), call.idempotency_key.clone()));
        self.act().await;
        ToolOutcome::native(Ok(ToolOutput::text("done")))
    }
}

fn tool(name: &str, read_only: bool) -> ToolDefinition {
    let (name, title, description) = (name.to_owned(), name.to_owned(), name.to_owned());
    let effects = Effects { read_only, ..Effects::default() };
    ToolDefinition { name, title, description, input_schema: json!({"type": "object"}), effects }
}

/// A rig with a session that has the stage, a client-side tool, and one message.
pub(in super::super) async fn staged(meanwhile: Vec<Meanwhile>, answers: Vec<usize>) -> (Rig, Actor) {
    let mut rig = Rig::with_driver(super::super::history::Recording::default()).await;
    let store = rig.platform.backends.harness_store.clone();
    let mut harness = store.find_harness(rig.org, "base").await.unwrap().unwrap();
    harness.capabilities = vec![CapabilityConfig::new("stage")];
    harness.version += 1;
    store.update_harness(rig.org, harness.clone()).await.unwrap();
    let ask = ClientTool::new("ask", "Asks the client.", json!({"type": "object"}));
    rig.session = rig.add_session(harness.id, |session| session.tools = vec![ask]).await;

    let state = StageState {
        meanwhile: meanwhile.into(),
        answers: answers.into(),
        executed: Vec::new(),
        cancel: CancellationToken::new(),
        submitted: 0,
    };
    let stage = Arc::new(Stage { tools: vec![tool("step", false), tool("peek", true)], state: Mutex::new(state) });
    let actor = Actor { stage, log: rig.log(), ids: rig.platform.ids.clone(), org: rig.org, session: rig.session };
    let mut registry = CapabilityRegistry::new();
    registry.register_arc(Arc::new(actor.clone()));
    rig.platform.capabilities = Arc::new(registry);
    let driver = actor.clone();
    let id = rig.platform.default_model.provider_type.clone();
    let mut drivers = DriverRegistry::new();
    drivers.register(id, move |_| Box::new(driver.clone()));
    rig.platform.drivers = Arc::new(drivers);
    actor.submit().await;
    (rig, actor)
}
