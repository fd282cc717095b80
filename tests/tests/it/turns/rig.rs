//! A platform with a memory store, a scripted model and a capability whose tools do what the
//! tests need; time and ids are predictable.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use everwit_runtime::capability::{
    CallError, Capability, CapabilityRegistry, Failure, StopKind, Stopped, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput,
};
use everwit_runtime::clock::Clock;
use everwit_runtime::component::Effects;
use everwit_runtime::driver::llmsim::{self, LlmSimConfig, SimToolCall, SimTurn};
use everwit_runtime::driver::{ChatDriver, DriverHost, DriverId, DriverRegistry, ResolvedModel};
use everwit_runtime::engine::{Executor, TurnKey};
use everwit_runtime::event::{Event, EventContext, EventData, NewEvent, ToolCompleted};
use everwit_runtime::harness::{CapabilityConfig, Harness, ResourceStatus};
use everwit_runtime::id::{EventId, HarnessId, IdSource, MessageId, OrgId, SessionId, TurnId};
use everwit_runtime::message::{ContentPart, Controls, Message, Role};
use everwit_runtime::session::{Session, SessionStatus};
use everwit_runtime::store::{Claim, RuntimeBackends, SessionLog};
use everwit_runtime::turn::{Conversation, TurnPlatform, TurnRun, TurnSignals};
use everwit_runtime::usage::OrgAllowance;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, broadcast};
use uuid::Uuid;

/// How long turns wait for somebody.
pub(super) const WAIT_LIMIT: Duration = Duration::from_secs(3_600);

pub(crate) struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

#[derive(Default)]
pub(crate) struct CountingIds(AtomicU64);

impl IdSource for CountingIds {
    fn next(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed) + 1))
    }
}

/// A capability with a tool for each case.
pub(super) struct Desk {
    tools: Vec<ToolDefinition>,
    /// Executed calls: tool and idempotency key.
    pub(super) calls: Mutex<Vec<(String, String)>>,
    /// Lets `gate` return.
    pub(super) gate: Semaphore,
}

impl Default for Desk {
    fn default() -> Self {
        let read_only = Effects { read_only: true, ..Effects::default() };
        let tool = |name: &str, effects| ToolDefinition {
            name: name.to_owned(),
            title: name.to_owned(),
            description: format!("Does {name}"),
            input_schema: json!({"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": false}),
            effects,
        };
        let names = ["order", "fail", "stop", "boom", "big", "gate", "polite", "deaf"];
        let mut tools: Vec<ToolDefinition> = names.into_iter().map(|name| tool(name, Effects::default())).collect();
        tools.push(tool("look", read_only));
        Self { tools, calls: Mutex::default(), gate: Semaphore::new(0) }
    }
}

impl Desk {
    pub(super) fn executed(&self, tool: &str) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(name, _)| name == tool).map(|(_, key)| key.clone()).collect()
    }
}

#[async_trait]
impl Capability for Desk {
    fn id(&self) -> &str {
        "desk"
    }

    fn name(&self) -> &str {
        "Desk"
    }

    fn description(&self) -> &str {
        "Tools for tests"
    }

    fn system_prompt_addition(&self) -> Option<&str> {
        Some("Use the desk.")
    }

    fn tools(&self) -> &[ToolDefinition] {
        &self.tools
    }

    async fn call_tool(&self, call: &ToolCallContext, tool: &str, arguments: Value) -> ToolOutcome {
        self.calls.lock().unwrap().push((tool.to_owned(), call.idempotency_key.clone()));
        let stopped = |kind| CallError::Stopped(Stopped::new(kind, "secret detail"));
        ToolOutcome::native(match tool {
            "fail" => Err(CallError::Failed(Failure::new("not-found", "no_row", "there is no such row"))),
            "stop" => Err(stopped(StopKind::Fuel)),
            "boom" => panic!("the tool is broken"),
            "big" => Ok(ToolOutput::text("ä".repeat(50_000))),
            "gate" => {
                self.gate.acquire().await.unwrap().forget();
                Ok(ToolOutput::text("through"))
            }
            "polite" => {
                call.sink.progress(1, None, "waiting");
                call.cancel.cancelled().await;
                Err(stopped(StopKind::Cancelled))
            }
            "deaf" => std::future::pending().await,
            _ => Ok(ToolOutput::json(json!({"tool": tool, "arguments": arguments}))),
        })
    }
}

pub(super) struct Rig {
    pub(super) platform: TurnPlatform,
    pub(super) desk: Arc<Desk>,
    pub(super) org: OrgId,
    pub(super) session: SessionId,
    pub(super) ids: Arc<CountingIds>,
}

impl Rig {
    /// A session whose harness has the desk, and a simulated model.
    pub(super) async fn new(config: LlmSimConfig) -> Self {
        let mut drivers = DriverRegistry::new();
        llmsim::register_driver(&mut drivers, config);
        Self::bare(drivers).await
    }

    /// As [`Self::new`], with another model.
    pub(super) async fn with_driver(driver: impl ChatDriver + Clone + 'static) -> Self {
        let mut drivers = DriverRegistry::new();
        drivers.register(DriverId::LlmSim, move |_| Box::new(driver.clone()));
        Self::bare(drivers).await
    }

    async fn bare(drivers: DriverRegistry) -> Self {
        crate::support::mutation::apply();
        let desk = Arc::new(Desk::default());
        let mut registry = CapabilityRegistry::new();
        registry.register_arc(desk.clone());
        let ids = Arc::new(CountingIds::default());
        let backends = RuntimeBackends::in_memory();
        let org = OrgId::from_uuid(Uuid::from_u128(0xa));
        backends.org_store.add_org(org, "tests", Timestamp::UNIX_EPOCH).await.unwrap();
        let harness = harness(0xb, "base");
        let harness_id = harness.id;
        backends.harness_store.add_harness(org, Harness { capabilities: vec![CapabilityConfig::new("desk")], ..harness }).await.unwrap();
        let egress = crate::support::guests::tool_services().egress.clone();
        let platform = TurnPlatform {
            backends,
            capabilities: Arc::new(registry),
            drivers: Arc::new(drivers),
            default_model: ResolvedModel {
                model: "sim".to_owned(),
                provider_type: DriverId::LlmSim,
                api_key: None,
                base_url: None,
                provider_metadata: None,
            },
            clock: Arc::new(StandingClock),
            ids: ids.clone(),
            driver_host: Arc::new(DriverHost::new(egress.clone(), Arc::new(StandingClock), ids.clone())),
            egress,
            wait_limit: WAIT_LIMIT,
            allowance: OrgAllowance::default(),
        };
        let mut rig = Self { platform, desk, org, session: SessionId::from_uuid(Uuid::nil()), ids };
        rig.session = rig.add_session(harness_id, |_| {}).await;
        rig
    }

    /// Gives the harness further capabilities, with their configurations.
    pub(super) async fn equip(&mut self, capabilities: impl IntoIterator<Item = (Arc<dyn Capability>, Value)>) {
        let mut registry = CapabilityRegistry::new();
        registry.register_arc(self.desk.clone());
        let mut entries = vec![CapabilityConfig::new("desk")];
        for (capability, config) in capabilities {
            entries.push(CapabilityConfig { config: Some(config), ..CapabilityConfig::new(capability.id()) });
            registry.register_arc(capability);
        }
        self.platform.capabilities = Arc::new(registry);
        let store = &self.platform.backends.harness_store;
        let harness = store.find_harness(self.org, "base").await.unwrap().unwrap();
        let version = harness.version + 1;
        store.update_harness(self.org, Harness { capabilities: entries, version, ..harness }).await.unwrap();
    }

    pub(super) async fn add_session(&self, harness_id: HarnessId, change: impl FnOnce(&mut Session)) -> SessionId {
        let id = SessionId::from_uuid(self.ids.next());
        let mut session = Session {
            id,
            harness_id,
            owner: None,
            agent_id: None,
            title: None,
            status: SessionStatus::Started,
            system_prompt: None,
            capabilities: Vec::new(),
            tools: Vec::new(),
            model_id: None,
            locale: None,
            max_iterations: None,
            initial_files: Vec::new(),
            tags: Vec::new(),
            version: 1,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        };
        change(&mut session);
        let data = EventData::SessionStarted { harness_id, agent_id: session.agent_id };
        let started = self.event(EventContext::default(), data);
        self.platform.backends.session_store.add_session(self.org, session, started).await.unwrap();
        id
    }

    pub(super) fn event(&self, context: EventContext, data: EventData) -> NewEvent {
        NewEvent { id: EventId::from_uuid(self.ids.next()), ts: Timestamp::UNIX_EPOCH, context, data }
    }

    pub(super) async fn submit(&self, text: &str) -> TurnKey {
        self.submit_to(self.session, text).await
    }

    pub(super) async fn submit_to(&self, session: SessionId, text: &str) -> TurnKey {
        let (turn, input) = input(&*self.ids, text);
        self.log().submit_turn(self.org, session, turn, input).await.unwrap();
        TurnKey { org: self.org, session, turn }
    }

    /// Submits a message that no running turn takes in, because it has controls of its own.
    pub(super) async fn submit_apart(&self, text: &str) -> TurnKey {
        let (turn, mut input) = input(&*self.ids, text);
        if let EventData::InputMessage { message } = &mut input.data {
            message.controls = Some(Controls { locale: Some(format!("x-{}", turn.uuid().simple())), ..Controls::default() });
        }
        self.log().submit_turn(self.org, self.session, turn, input).await.unwrap();
        TurnKey { org: self.org, session: self.session, turn }
    }

    pub(super) async fn claim(&self) -> Claim {
        self.log().claim_turn(self.org, self.session).await.unwrap().expect("a turn is open")
    }

    /// Claims the oldest turn and runs it on this platform.
    pub(super) async fn run(&self) -> TurnRun {
        let claim = self.claim().await;
        let key = TurnKey { org: self.org, session: self.session, turn: claim.turn_id };
        self.platform.run_turn(key, claim, TurnSignals::default()).await.unwrap()
    }

    /// Submits a message and runs its turn.
    pub(super) async fn ask(&self, text: &str) -> TurnRun {
        self.submit(text).await;
        self.run().await
    }

    pub(super) fn engine(&self) -> Executor {
        Executor::new(self.platform.clone(), 4)
    }

    /// Submits a message to an engine and waits until its session is settled.
    pub(super) async fn go(&self, engine: &Executor, text: &str) {
        engine.submit(self.submit(text).await).unwrap();
        engine.settled(self.org, self.session).await;
    }

    /// Waits until all that is open has been taken up and ended by a new engine.
    pub(super) async fn recover(&self) {
        let engine = self.engine();
        engine.recover().await.unwrap();
        engine.settled(self.org, self.session).await;
        assert_eq!(self.log().open_turns(self.org, self.session).await.unwrap(), []);
    }

    pub(super) fn log(&self) -> Arc<dyn SessionLog> {
        self.platform.backends.log.clone()
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<Event>> {
        self.platform.backends.event_bus.subscribe(self.session)
    }

    pub(super) async fn events(&self) -> Vec<Event> {
        self.events_of(self.session).await
    }

    pub(super) async fn events_of(&self, session: SessionId) -> Vec<Event> {
        let events = self.log().read_events(self.org, session, 0, 1_000).await.unwrap();
        let sequences: Vec<u64> = events.iter().filter_map(|event| event.sequence).collect();
        assert_eq!(sequences, (1..=events.len() as u64).collect::<Vec<_>>(), "sequences have no gaps");
        events
    }

    pub(super) async fn names(&self) -> Vec<&'static str> {
        self.events().await.iter().map(|event| event.data.name()).collect()
    }

    pub(super) async fn results(&self) -> Vec<ToolCompleted> {
        let completed = self.events().await.into_iter().filter_map(|event| match event.data {
            EventData::ToolCompleted(completed) => Some(completed),
            _ => None,
        });
        completed.collect()
    }

    /// The conversation as models see it, without ids of messages.
    pub(super) async fn conversation(&self) -> Vec<(Role, Vec<ContentPart>)> {
        let mut conversation = Conversation::of_session();
        for event in self.events().await {
            conversation.fold(&event);
        }
        conversation.messages().iter().map(|message| (message.role, message.content.clone())).collect()
    }

    pub(super) async fn last_text(&self) -> String {
        let conversation = self.conversation().await;
        let parts = conversation.into_iter().next_back().map(|(_, content)| content).unwrap_or_default();
        parts.iter().filter_map(|part| if let ContentPart::Text { text } = part { Some(text.as_str()) } else { None }).collect()
    }

    /// How the last ended turn ended.
    pub(super) async fn end(&self) -> EventData {
        let is_end = |event: &Event| ["turn.completed", "turn.failed", "turn.sealed", "turn.cancelled"].contains(&event.data.name());
        self.events().await.into_iter().rev().find(is_end).expect("a turn ended").data
    }
}

pub(super) fn harness(id: u128, name: &str) -> Harness {
    Harness {
        id: HarnessId::from_uuid(Uuid::from_u128(id)),
        name: name.to_owned(),
        display_name: None,
        description: None,
        system_prompt: Some(format!("Prompt of {name}.")),
        parent_harness_id: None,
        default_model_id: None,
        capabilities: Vec::new(),
        initial_files: Vec::new(),
        tags: Vec::new(),
        is_built_in: false,
        status: ResourceStatus::Active,
        version: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

/// A message with a turn of its own.
pub(super) fn input(ids: &dyn IdSource, text: &str) -> (TurnId, NewEvent) {
    let turn = TurnId::from_uuid(ids.next());
    let id = MessageId::from_uuid(ids.next());
    let (content, created_at) = (vec![ContentPart::text(text)], Timestamp::UNIX_EPOCH);
    let message = Message { id, role: Role::User, content, metadata: Default::default(), controls: None, created_at };
    let context = EventContext { turn_id: Some(turn), input_message_id: Some(id) };
    (turn, NewEvent { id: EventId::from_uuid(ids.next()), ts: created_at, context, data: EventData::InputMessage { message } })
}

/// A call of a desk tool.
pub(super) fn call(tool: &str) -> SimToolCall {
    SimToolCall::new(tool, json!({}))
}

/// A script of one step with calls of desk tools, then "done".
pub(super) fn calling(tools: &[&str]) -> LlmSimConfig {
    LlmSimConfig::scripted([SimTurn::ToolCalls(tools.iter().map(|tool| call(tool)).collect()), SimTurn::Assistant("done".to_owned())])
}

/// Waits for an event of this type.
pub(super) async fn heard(listener: &mut broadcast::Receiver<Arc<Event>>, name: &str) -> Arc<Event> {
    loop {
        let event = listener.recv().await.expect("the bus goes on");
        if event.data.name() == name {
            return event;
        }
    }
}
