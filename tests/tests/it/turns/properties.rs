//! Properties: folding a log in pieces is folding it at once, and whatever happens to turns, in
//! whatever order, their log keeps its invariants.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use everwit_runtime::capability::{Capability, CapabilityRegistry, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use everwit_runtime::component::Effects;
use everwit_runtime::driver::{ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverContext, DriverError, DriverRegistry};
use everwit_runtime::engine::TurnKey;
use everwit_runtime::event::{Event, EventContext, EventData, NewEvent, TokenUsage, ToolCompleted, ToolStatus};
use everwit_runtime::harness::CapabilityConfig;
use everwit_runtime::id::{EventId, HarnessId, IdSource, MessageId, OrgId, SessionId, TurnId};
use everwit_runtime::message::{ContentPart, Message, Role, ToolCall};
use everwit_runtime::messages_from_events;
use everwit_runtime::store::{RuntimeBackends, SessionLog};
use everwit_runtime::turn::{History, TurnPlatform, TurnSignals, TurnState, session_messages};
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::faults::{Fault, FaultyLog};
use super::rig::Rig;

fn turn(n: usize) -> TurnId {
    TurnId::from_uuid(Uuid::from_u128(n as u128 + 1))
}

fn message(id: u64, role: Role, content: Vec<ContentPart>) -> Message {
    let id = MessageId::from_uuid(Uuid::from_u128(id.into()));
    Message { id, role, content, metadata: Default::default(), controls: None, created_at: Timestamp::UNIX_EPOCH }
}

/// The payload of an event of some kind. Calls and results name each other often enough.
fn data(kind: u8, sequence: u64, turn: TurnId) -> EventData {
    let call = || ToolCall::new(format!("call_{}", sequence % 5), "look", json!({"n": sequence}));
    let harness_id = HarnessId::from_uuid(Uuid::nil());
    let input_message_id = MessageId::from_uuid(Uuid::from_u128(sequence.into()));
    let usage = TokenUsage { input_tokens: sequence, ..TokenUsage::default() };
    match kind {
        0 => EventData::InputMessage { message: message(sequence, Role::User, vec![ContentPart::text(format!("input {sequence}"))]) },
        1 => EventData::TurnStarted { turn_id: turn, input_message_id, capabilities: Vec::new(), driver: None },
        2 => EventData::SessionActivated { turn_id: turn, input_message_id },
        3 => EventData::ReasonStarted { harness_id, agent_id: None, iteration: 1 },
        4 => {
            let content = vec![ContentPart::text("calling"), ContentPart::ToolCall(call())];
            EventData::OutputMessageCompleted { message: message(sequence, Role::Agent, content), usage }
        }
        5 => EventData::OutputMessageCompleted { message: message(sequence, Role::Agent, vec![ContentPart::text("done")]), usage },
        6 => EventData::ActStarted { tool_calls: vec![call()] },
        7 => EventData::ToolStarted { tool_call: call(), capability_id: None },
        8 => EventData::ToolCompleted(ToolCompleted {
            tool_call_id: call().id,
            tool_name: "look".to_owned(),
            success: sequence.is_multiple_of(2),
            status: ToolStatus::Success,
            result: vec![ContentPart::text(format!("result {sequence}"))],
            structured: None,
            error: None,
            error_kind: None,
            duration_ms: 0,
            capability_id: None,
            receipt: None,
        }),
        9 => EventData::LlmGeneration {
            turn_id: turn,
            model: "m".to_owned(),
            provider: "p".to_owned(),
            messages_to_sequence: sequence,
            tools: Vec::new(),
            success: true,
            error: None,
            finish_reason: None,
            response_id: None,
            retry: None,
            duration_ms: 0,
            time_to_first_token_ms: None,
            usage,
            receipt: None,
        },
        10 => EventData::TurnCancelled { turn_id: turn, usage },
        _ => EventData::SessionIdled { turn_id: turn },
    }
}

/// A log of four turns whose events come in any order, but that each turn begins with its input.
fn log_of(choices: &[(usize, u8)]) -> Vec<Event> {
    let mut seen = [false; 4];
    let events = choices.iter().zip(1..).map(|(&(n, kind), sequence)| {
        let kind = if std::mem::replace(&mut seen[n], true) { kind } else { 0 };
        let ts = Timestamp::UNIX_EPOCH + SignedDuration::from_millis(i64::try_from(sequence * 7).expect("a short log"));
        let context = EventContext { turn_id: Some(turn(n)), input_message_id: None };
        let id = EventId::from_uuid(Uuid::from_u128(sequence.into()));
        NewEvent { id, ts, context, data: data(kind, sequence, turn(n)) }.at(SessionId::from_uuid(Uuid::nil()), Some(sequence))
    });
    events.collect()
}

fn choices() -> impl Strategy<Value = Vec<(usize, u8)>> {
    prop::collection::vec((0..4_usize, 0..12_u8), 0..60)
}

fn folded(events: &[Event]) -> History {
    let mut history = History::default();
    for event in events {
        history.fold(event);
    }
    history
}

proptest! {
    #[test]
    fn folding_in_pieces_is_folding_at_once(choices in choices(), cuts in prop::collection::vec(0..60_usize, 0..4)) {
        let log = log_of(&choices);
        let mut pieces = History::default();
        for cut in cuts.iter().map(|&cut| cut.min(log.len())).chain([log.len()]) {
            // Each piece begins at the start again: what is folded is skipped.
            for event in &log[..cut] {
                pieces.fold(event);
            }
        }
        prop_assert_eq!(&pieces, &folded(&log));
        let messages: Vec<Message> = pieces.conversation().messages().iter().map(|message| Message::clone(message)).collect();
        prop_assert_eq!(messages, messages_from_events(&log));
    }

    #[test]
    fn a_turn_that_goes_on_from_a_history_is_the_turn_from_the_start(choices in choices(), cut in 0..60_usize) {
        let log = log_of(&choices);
        let cut = cut.min(log.len());
        for own in (0..4).map(turn) {
            let mut whole = TurnState::new(own);
            log.iter().for_each(|event| whole.fold(event));
            let mut resumed = TurnState::resume(own, folded(&log[..cut]));
            let behind = resumed.last_sequence();
            log.iter().filter(|event| event.sequence > Some(behind)).for_each(|event| resumed.fold(event));
            prop_assert_eq!(&resumed, &whole);
            let seen: Vec<u64> = whole.messages().iter().map(|message| message.id.uuid().as_u128() as u64).collect();
            prop_assert_eq!(whole.message_sequence(), seen.iter().copied().max().unwrap_or(0));
        }
    }
}

/// What happens while a model or a tool is at work.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    Nothing,
    FollowUp,
    Cancel,
}

/// One process that takes up the oldest turn.
#[derive(Debug, Clone, Copy)]
struct Process {
    fault: Fault,
    /// Whether it is the process of before, with its memory.
    is_the_same: bool,
    /// Which of the open turns is cancelled first.
    cancels: Option<usize>,
}

/// Model and tools in one: both let happen what the case says.
struct Stage {
    tools: Vec<ToolDefinition>,
    state: Mutex<StageState>,
}

struct StageState {
    meanwhile: VecDeque<Meanwhile>,
    /// How many calls each answer asks for; none ends the turn.
    answers: VecDeque<usize>,
    /// Executed calls: tool and id.
    executed: Vec<(String, String)>,
    cancel: CancellationToken,
    submitted: usize,
}

/// Where the stage submits follow-up messages.
#[derive(Clone)]
struct Actor {
    stage: Arc<Stage>,
    log: Arc<dyn SessionLog>,
    ids: Arc<dyn IdSource>,
    org: OrgId,
    session: SessionId,
}

/// Most messages of one case.
const MAX_MESSAGES: usize = 8;

impl Actor {
    async fn act(&self) {
        let next = self.stage.state.lock().unwrap().meanwhile.pop_front();
        match next.unwrap_or(Meanwhile::Nothing) {
            Meanwhile::Nothing => {}
            Meanwhile::Cancel => self.stage.state.lock().unwrap().cancel.cancel(),
            Meanwhile::FollowUp => self.submit().await,
        }
    }

    async fn submit(&self) {
        {
            let mut state = self.stage.state.lock().unwrap();
            if state.submitted == MAX_MESSAGES {
                return;
            }
            state.submitted += 1;
        }
        let turn = TurnId::from_uuid(self.ids.next());
        let id = MessageId::from_uuid(self.ids.next());
        let message = Message { id, ..message(0, Role::User, vec![ContentPart::text("go on")]) };
        let context = EventContext { turn_id: Some(turn), input_message_id: Some(id) };
        let data = EventData::InputMessage { message };
        let input = NewEvent { id: EventId::from_uuid(self.ids.next()), ts: Timestamp::UNIX_EPOCH, context, data };
        self.log.submit_turn(self.org, self.session, turn, input).await.unwrap();
    }
}

#[async_trait]
impl ChatDriver for Actor {
    async fn complete(&self, _request: ChatRequest, _context: DriverContext) -> Result<ChatStream, DriverError> {
        self.act().await;
        let calls = self.stage.state.lock().unwrap().answers.pop_front().unwrap_or(0);
        let call = |n: usize| {
            let name = if n.is_multiple_of(2) { "step" } else { "peek" };
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
    ToolDefinition {
        name,
        title,
        description,
        input_schema: json!({"type": "object"}),
        effects: Effects { read_only, ..Effects::default() },
    }
}

/// A rig whose session has the stage alone, and one message.
async fn staged(meanwhile: Vec<Meanwhile>, answers: Vec<usize>) -> (Rig, Actor) {
    let mut rig = Rig::with_driver(super::history::Recording::default()).await;
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
    let store = &rig.platform.backends.harness_store;
    let mut harness = store.find_harness(rig.org, "base").await.unwrap().unwrap();
    harness.capabilities = vec![CapabilityConfig::new("stage")];
    harness.version += 1;
    store.update_harness(rig.org, harness).await.unwrap();
    actor.submit().await;
    (rig, actor)
}

/// Lets one process take up the oldest turn, if there is any.
async fn live(rig: &Rig, actor: &Actor, process: Process) {
    let open = rig.log().open_turns(rig.org, rig.session).await.unwrap();
    if open.is_empty() {
        return;
    }
    if let Some(n) = process.cancels {
        rig.log().request_cancel(rig.org, rig.session, open[n % open.len()]).await.unwrap();
    }
    let log: Arc<dyn SessionLog> = FaultyLog::new(rig.log(), process.fault);
    let backends = rig.platform.backends.clone();
    let backends = if process.is_the_same { RuntimeBackends { log, ..backends } } else { backends.with_log(log) };
    let platform = TurnPlatform { backends, ..rig.platform.clone() };
    let cancel = CancellationToken::new();
    actor.stage.state.lock().unwrap().cancel = cancel.clone();
    let claim = rig.claim().await;
    let key = TurnKey { org: rig.org, session: rig.session, turn: claim.turn_id };
    let signals = TurnSignals { cancel, drain: CancellationToken::new() };
    // The error of a process that dies is the case's own.
    drop(platform.run_turn(key, claim, signals).await);
}

const ENDS: [&str; 4] = ["turn.completed", "turn.failed", "turn.sealed", "turn.cancelled"];

/// What must hold for the log of a session without open turns.
fn assert_invariants(events: &[Event], executed: &[(String, String)]) {
    let mut submitted = Vec::new();
    let mut ended = Vec::new();
    let mut settled: HashMap<&str, usize> = HashMap::new();
    for event in events {
        let turn = event.context.turn_id;
        let is_over = turn.is_some_and(|turn| ended.contains(&turn));
        assert!(!is_over || event.data.name() == "session.idled", "{event:?} comes after the end of its turn");
        match &event.data {
            EventData::InputMessage { .. } => submitted.extend(turn),
            EventData::OutputMessageCompleted { message, .. } => {
                for call in message.tool_calls() {
                    assert_eq!(settled.insert(&call.id, 0), None, "two calls are called {}", call.id);
                }
            }
            EventData::ToolCompleted(completed) => {
                *settled.get_mut(completed.tool_call_id.as_str()).expect("a result belongs to a call") += 1;
            }
            data if ENDS.contains(&data.name()) => ended.extend(turn),
            _ => {}
        }
    }
    assert_eq!(ended, submitted, "each turn ends once, in order of submission");
    assert!(settled.values().all(|&times| times == 1), "each call is settled once: {settled:?}");
    let mut steps: Vec<&str> = executed.iter().filter(|(tool, _)| tool == "step").map(|(_, id)| id.as_str()).collect();
    let all = steps.len();
    steps.sort_unstable();
    steps.dedup();
    assert_eq!(steps.len(), all, "what must not be repeated is executed once: {executed:?}");
}

async fn check(meanwhile: Vec<Meanwhile>, answers: Vec<usize>, processes: Vec<Process>) {
    let (rig, actor) = staged(meanwhile, answers).await;
    for process in processes {
        live(&rig, &actor, process).await;
    }
    rig.recover().await;
    let events = rig.events().await;
    assert_invariants(&events, &actor.stage.state.lock().unwrap().executed);
    let messages = session_messages(&rig.platform.backends, rig.org, rig.session).await.unwrap();
    let messages: Vec<Message> = messages.iter().map(|message| Message::clone(message)).collect();
    assert_eq!(messages, messages_from_events(&events), "what is cached is what the log says");
}

fn meanwhile() -> impl Strategy<Value = Meanwhile> {
    prop_oneof![4 => Just(Meanwhile::Nothing), 3 => Just(Meanwhile::FollowUp), 1 => Just(Meanwhile::Cancel)]
}

fn process() -> impl Strategy<Value = Process> {
    let fault = prop_oneof![
        2 => Just(Fault::None),
        3 => (0..30_usize).prop_map(Fault::DeadAfter),
        3 => (0..30_usize).prop_map(Fault::SilentAfter),
        1 => (1..4_usize).prop_map(Fault::Outage),
        1 => Just(Fault::LostReply),
    ];
    let cancels = prop_oneof![4 => Just(None), 1 => (0..8_usize).prop_map(Some)];
    (fault, any::<bool>(), cancels).prop_map(|(fault, is_the_same, cancels)| Process { fault, is_the_same, cancels })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_interleaving_keeps_the_invariants(
        meanwhile in prop::collection::vec(meanwhile(), 0..20),
        answers in prop::collection::vec(0..4_usize, 0..12),
        processes in prop::collection::vec(process(), 0..10),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(check(meanwhile, answers, processes));
    }
}
