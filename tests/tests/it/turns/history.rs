//! What turns read of the log, what they see of what others wrote, and what an embedder's copy
//! of the messages is to them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use everwit_runtime::driver::llmsim::{LlmSimConfig, ToolCallConfig};
use everwit_runtime::driver::{ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverContext, DriverError, DriverRegistry};
use everwit_runtime::event::EventData;
use everwit_runtime::id::{OrgId, SessionId};
use everwit_runtime::message::{ContentPart, Message, Role, ToolCall};
use everwit_runtime::store::memory::MemoryMessageStore;
use everwit_runtime::store::{LogMessages, MessageBatch, RuntimeBackends, RuntimeMessageStore, SessionMessages};
use everwit_runtime::store::{StoreError, StoreResult, TurnEnd, contract};
use everwit_runtime::turn::{HistoryCache, TurnPlatform, TurnRun, TurnSignals, inspect_turn_context, session_messages};
use everwit_runtime::{engine::TurnKey, messages_from_events};
use futures::{StreamExt, stream};
use serde_json::json;

use super::faults::{Fault, FaultyLog};
use super::rig::{Rig, call};

/// Says "ok", and remembers what it was asked.
#[derive(Clone, Default)]
pub(super) struct Recording(Arc<Mutex<Vec<ChatRequest>>>);

impl Recording {
    /// What it was asked.
    pub(super) fn requests(&self) -> Vec<ChatRequest> {
        self.0.lock().unwrap().clone()
    }

    /// The texts of the conversation that was sent last.
    pub(super) fn last(&self) -> Vec<String> {
        let requests = self.0.lock().unwrap();
        requests.last().expect("a model call").messages.iter().map(|message| message.text()).collect()
    }
}

#[async_trait]
impl ChatDriver for Recording {
    async fn complete(&self, request: ChatRequest, _context: DriverContext) -> Result<ChatStream, DriverError> {
        self.0.lock().unwrap().push(request);
        Ok(stream::iter([Ok(ChatEvent::Text("ok".to_owned())), Ok(ChatEvent::finish("stop"))]).boxed())
    }
}

/// Puts a log under the rig that counts.
fn counted(rig: &mut Rig) -> Arc<FaultyLog> {
    let log = FaultyLog::new(rig.log(), Fault::None);
    rig.platform.backends = rig.platform.backends.clone().with_log(log.clone());
    log
}

/// What is spent on a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    /// Calls of it.
    calls: usize,
    /// Events that were read.
    read: usize,
    /// Events that were folded.
    folded: u64,
}

impl Cost {
    /// All so far.
    fn so_far(log: &FaultyLog, folds: &HistoryCache) -> Self {
        let (calls, read) = (log.calls.load(Ordering::Relaxed), log.events_read.load(Ordering::Relaxed));
        Self { calls, read, folded: folds.events_folded() }
    }

    fn since(self, before: Self) -> Self {
        Self { calls: self.calls - before.calls, read: self.read - before.read, folded: self.folded - before.folded }
    }
}

/// What `work` spends on a log of the rig.
async fn cost(rig: &Rig, log: &FaultyLog, work: impl Future<Output = ()>) -> Cost {
    let folds = rig.platform.backends.history_cache.clone();
    let before = Cost::so_far(log, &folds);
    work.await;
    Cost::so_far(log, &folds).since(before)
}

#[tokio::test]
async fn the_hundredth_turn_reads_calls_and_folds_as_much_as_the_second() {
    let config = LlmSimConfig::fixed("done").with_tool_calls(ToolCallConfig::Fixed(vec![call("look")]));
    let mut rig = Rig::new(config).await;
    let log = counted(&mut rig);
    let mut costs = Vec::new();
    for turn in 0..100 {
        let ask = async { assert_eq!(rig.ask(&format!("message {turn}")).await, TurnRun::Ended(TurnEnd::Completed)) };
        costs.push(cost(&rig, &log, ask).await);
    }
    let events = rig.log().last_sequence(rig.org, rig.session).await.unwrap();
    assert_eq!(costs[0].read, 2, "the first turn reads the start of the session and its input");
    assert_eq!(costs[1].read, 1, "the second turn reads its input");
    assert_eq!(costs[0].calls, costs[1].calls);
    assert_eq!(costs.iter().map(|cost| cost.folded).sum::<u64>(), events, "each event is folded once");
    assert!(costs[1..].iter().all(|cost| *cost == costs[1]), "{costs:?}");
    let (org, session) = (rig.org, rig.session);
    let inspect = async {
        let context = inspect_turn_context(rig.platform.sources(), org, session).await.unwrap();
        assert_eq!(context.messages.len(), 400);
    };
    let look = cost(&rig, &log, inspect).await;
    assert_eq!(look, Cost { calls: 1, read: 0, folded: 0 }, "nor does a look at the context read or fold it again");
}

/// Asks for a tool as often as it is told to, and notes what the log was asked for until each call.
#[derive(Clone)]
struct Insisting {
    log: Arc<FaultyLog>,
    folds: Arc<HistoryCache>,
    iterations: usize,
    counts: Arc<Mutex<Vec<Cost>>>,
}

#[async_trait]
impl ChatDriver for Insisting {
    async fn complete(&self, request: ChatRequest, _context: DriverContext) -> Result<ChatStream, DriverError> {
        let mut counts = self.counts.lock().unwrap();
        assert_eq!(request.messages.len(), 1 + 2 * counts.len(), "it is sent all that was said");
        counts.push(Cost::so_far(&self.log, &self.folds));
        let said = match counts.len() < self.iterations {
            true => ChatEvent::ToolCall(ToolCall::new("call", "look", json!({}))),
            false => ChatEvent::Text("done".to_owned()),
        };
        Ok(stream::iter([Ok(said), Ok(ChatEvent::finish("stop"))]).boxed())
    }
}

#[tokio::test]
async fn the_ninetieth_iteration_reads_calls_and_folds_as_much_as_the_second() {
    const ITERATIONS: usize = 90;
    let mut rig = Rig::with_driver(Recording::default()).await;
    let log = counted(&mut rig);
    let folds = rig.platform.backends.history_cache.clone();
    let driver = Insisting { log: log.clone(), folds, iterations: ITERATIONS, counts: Arc::default() };
    let counts = driver.counts.clone();
    let id = rig.platform.default_model.provider_type.clone();
    let mut drivers = DriverRegistry::new();
    drivers.register(id, move |_| Box::new(driver.clone()));
    rig.platform.drivers = Arc::new(drivers);
    assert_eq!(rig.ask("go").await, TurnRun::Ended(TurnEnd::Completed));
    let costs: Vec<Cost> = counts.lock().unwrap().windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert_eq!(costs.len(), ITERATIONS - 1);
    assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
    assert_eq!(costs[0].read, 0, "what a turn has appended it does not read");
    let appended = rig.events().await.into_iter().rev().skip_while(|event| event.data.name() != "reason.started").skip(1);
    let appended = appended.take_while(|event| event.data.name() != "reason.started").count() as u64 + 1;
    assert_eq!(costs[0].folded, appended, "an iteration folds what it has appended, and nothing else");
}

#[tokio::test]
async fn turns_that_waited_are_not_read_again() {
    let mut rig = Rig::new(LlmSimConfig::echo()).await;
    let log = counted(&mut rig);
    for n in 0..50 {
        rig.submit_apart(&format!("message {n}")).await;
    }
    let mut read = Vec::new();
    for _ in 0..50 {
        read.push(cost(&rig, &log, async { assert_eq!(rig.run().await, TurnRun::Ended(TurnEnd::Completed)) }).await.read);
    }
    assert_eq!(read[0], 51);
    assert_eq!(read[1..], [0; 49]);
    assert_eq!(rig.last_text().await, "message 49");
}

/// The same database in another process: nothing of this one's memory.
fn elsewhere(rig: &Rig) -> TurnPlatform {
    TurnPlatform { backends: rig.platform.backends.clone().with_log(rig.log()), ..rig.platform.clone() }
}

async fn run_on(rig: &Rig, platform: &TurnPlatform) -> TurnRun {
    let claim = rig.claim().await;
    let key = TurnKey { org: rig.org, session: rig.session, turn: claim.turn_id };
    platform.run_turn(key, claim, TurnSignals::default()).await.unwrap()
}

#[tokio::test]
async fn a_turn_sees_what_another_process_wrote() {
    let driver = Recording::default();
    let rig = Rig::with_driver(driver.clone()).await;
    let other = elsewhere(&rig);
    for (text, platform) in [("one", &rig.platform), ("two", &other), ("three", &rig.platform), ("four", &other)] {
        rig.submit(text).await;
        assert_eq!(run_on(&rig, platform).await, TurnRun::Ended(TurnEnd::Completed));
    }
    assert_eq!(driver.last(), ["one", "ok", "two", "ok", "three", "ok", "four"]);
    for platform in [&rig.platform, &other] {
        let messages = session_messages(&platform.backends, rig.org, rig.session).await.unwrap();
        let messages: Vec<Message> = messages.iter().map(|message| Message::clone(message)).collect();
        assert_eq!(messages, messages_from_events(&rig.events().await));
    }
}

#[tokio::test]
async fn a_forgotten_history_is_read_from_the_log() {
    let driver = Recording::default();
    let mut rig = Rig::with_driver(driver.clone()).await;
    let log = counted(&mut rig);
    rig.ask("one").await;
    let first_turn = rig.events().await.len();
    rig.platform.backends.history_cache.forget(rig.org, rig.session);
    let read = cost(&rig, &log, async { assert_eq!(rig.ask("two").await, TurnRun::Ended(TurnEnd::Completed)) }).await.read;
    assert_eq!(read, first_turn + 1);
    assert_eq!(driver.last(), ["one", "ok", "two"]);
}

/// A copy of messages as an embedder would keep it, which can be told to fail.
#[derive(Default)]
struct Copy {
    kept: MemoryMessageStore,
    fails: AtomicBool,
    /// What models are shown instead of the word "secret".
    mask: Option<&'static str>,
}

impl Copy {
    fn check(&self) -> StoreResult<()> {
        if self.fails.load(Ordering::Relaxed) { Err(StoreError::Corrupt("on purpose".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl RuntimeMessageStore for Copy {
    async fn record_messages(&self, org: OrgId, session: SessionId, batch: MessageBatch) -> StoreResult<()> {
        self.check()?;
        self.kept.record_messages(org, session, batch).await
    }

    async fn load_messages(&self, org: OrgId, session: SessionId) -> StoreResult<SessionMessages> {
        let mut loaded = self.kept.load_messages(org, session).await?;
        for part in loaded.messages.iter_mut().flat_map(|stored| &mut stored.message.content) {
            if let (ContentPart::Text { text }, Some(mask)) = (part, self.mask) {
                *text = text.replace("secret", mask);
            }
        }
        Ok(loaded)
    }
}

async fn rig_with_copy(driver: impl ChatDriver + Clone + 'static, copy: &Arc<Copy>) -> Rig {
    let mut rig = Rig::with_driver(driver).await;
    rig.platform.backends = rig.platform.backends.clone().with_message_store(copy.clone());
    rig
}

/// What the copy must have: all messages of the log.
async fn of_log(rig: &Rig) -> SessionMessages {
    LogMessages::new(rig.log()).load_messages(rig.org, rig.session).await.unwrap()
}

async fn of_copy(rig: &Rig, copy: &Copy) -> SessionMessages {
    copy.load_messages(rig.org, rig.session).await.unwrap()
}

#[tokio::test]
async fn a_message_store_is_told_every_message() {
    let copy = Arc::new(Copy::default());
    let mut rig = Rig::new(LlmSimConfig::fixed("done").with_tool_calls(ToolCallConfig::Fixed(vec![call("look")]))).await;
    rig.platform.backends = rig.platform.backends.clone().with_message_store(copy.clone());
    for text in ["one", "two"] {
        assert_eq!(rig.ask(text).await, TurnRun::Ended(TurnEnd::Completed));
        let kept = of_copy(&rig, &copy).await;
        assert_eq!(kept.messages, of_log(&rig).await.messages);
        assert_eq!(
            Some(kept.through),
            kept.messages.last().map(|stored| stored.sequence + 3),
            "with the record of the model call and the end"
        );
    }
    let messages = session_messages(&rig.platform.backends, rig.org, rig.session).await.unwrap();
    let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Agent, Role::ToolResult, Role::Agent].repeat(2));
}

#[tokio::test]
async fn what_a_message_store_returns_is_what_the_model_sees() {
    let copy = Arc::new(Copy { mask: Some("*****"), ..Copy::default() });
    let driver = Recording::default();
    let rig = rig_with_copy(driver.clone(), &copy).await;
    rig.ask("a secret word").await;
    rig.ask("another").await;
    assert_eq!(driver.last(), ["a ***** word", "ok", "another"]);
    let messages = session_messages(&rig.platform.backends, rig.org, rig.session).await.unwrap();
    assert_eq!(messages[0].text(), "a ***** word");
    assert_eq!(of_log(&rig).await.messages[0].message.text(), "a secret word");
}

#[tokio::test]
async fn a_message_store_that_failed_is_told_again() {
    let copy = Arc::new(Copy::default());
    let driver = Recording::default();
    let rig = rig_with_copy(driver.clone(), &copy).await;
    rig.ask("one").await;
    copy.fails.store(true, Ordering::Relaxed);
    assert_eq!(rig.ask("two").await, TurnRun::Ended(TurnEnd::Completed), "the log has the messages");
    assert_eq!(of_copy(&rig, &copy).await.messages.len(), 2);
    copy.fails.store(false, Ordering::Relaxed);
    rig.ask("three").await;
    assert_eq!(driver.last(), ["one", "ok", "two", "ok", "three"]);
    assert_eq!(of_copy(&rig, &copy).await.messages, of_log(&rig).await.messages);
}

#[tokio::test]
async fn a_new_message_store_learns_of_an_old_session() {
    let driver = Recording::default();
    let mut rig = Rig::with_driver(driver.clone()).await;
    rig.ask("one").await;
    let copy = Arc::new(Copy::default());
    rig.platform.backends = rig.platform.backends.clone().with_message_store(copy.clone());
    rig.ask("two").await;
    assert_eq!(driver.last(), ["one", "ok", "two"]);
    assert_eq!(of_copy(&rig, &copy).await.messages, of_log(&rig).await.messages);
}

#[tokio::test]
async fn turns_that_waited_or_were_begun_go_on_with_a_message_store() {
    let copy = Arc::new(Copy::default());
    let driver = Recording::default();
    let rig = rig_with_copy(driver.clone(), &copy).await;
    for text in ["one", "two", "three"] {
        rig.submit(text).await;
    }
    // The owner of the first turn dies before its answer; by then the store knows all inputs.
    let log = FaultyLog::new(rig.log(), Fault::DeadAfter(3));
    let backends = RuntimeBackends { log, ..rig.platform.backends.clone() };
    let claim = rig.claim().await;
    let key = TurnKey { org: rig.org, session: rig.session, turn: claim.turn_id };
    let platform = TurnPlatform { backends, ..rig.platform.clone() };
    tokio::time::pause();
    platform.run_turn(key, claim, TurnSignals::default()).await.unwrap_err();
    rig.recover().await;
    assert_eq!(driver.last(), ["one", "ok", "two", "ok", "three"]);
    assert_eq!(of_copy(&rig, &copy).await.messages, of_log(&rig).await.messages);
}

/// A store that has taken account of everything and returns nothing.
struct Nothing;

#[async_trait]
impl RuntimeMessageStore for Nothing {
    async fn record_messages(&self, _org: OrgId, _session: SessionId, _batch: MessageBatch) -> StoreResult<()> {
        Ok(())
    }

    async fn load_messages(&self, _org: OrgId, _session: SessionId) -> StoreResult<SessionMessages> {
        Ok(SessionMessages { messages: Vec::new(), through: 1_000 })
    }
}

#[tokio::test]
async fn a_turn_whose_input_the_message_store_hides_ends_with_an_explanation() {
    let mut rig = Rig::new(LlmSimConfig::echo()).await;
    rig.platform.backends = rig.platform.backends.clone().with_message_store(Arc::new(Nothing));
    assert_eq!(rig.ask("one").await, TurnRun::Ended(TurnEnd::Failed));
    let EventData::TurnFailed { error_code, .. } = rig.end().await else { panic!("not failed") };
    assert_eq!(error_code, "no_messages");
}

/// Runs the cases that are about messages on backends of which only the message store is ours.
async fn holds_the_contract(store: Arc<dyn RuntimeMessageStore>) {
    let stores = RuntimeBackends::in_memory().with_message_store(store);
    let of_messages = |case: &&&str| case.starts_with("messages::") || case.starts_with("isolation::");
    let cases: Vec<&&str> = contract::CASES.iter().filter(of_messages).collect();
    assert_eq!(cases.len(), 11);
    for case in cases {
        contract::run(case, &stores).await;
    }
}

#[tokio::test]
async fn copies_of_messages_hold_the_contract() {
    holds_the_contract(Arc::new(MemoryMessageStore::default())).await;
    holds_the_contract(Arc::new(Copy::default())).await;
}

#[tokio::test]
#[should_panic = "SequenceConflict"]
async fn the_contract_finds_a_store_that_takes_gaps() {
    contract::run("messages::a_gap_is_refused", &RuntimeBackends::in_memory().with_message_store(Arc::new(Nothing))).await;
}
