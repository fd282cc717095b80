//! Own stores and buses in place of those in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use everwit_runtime::bus::InMemoryEventBus;
use everwit_runtime::driver::llmsim::LlmSimConfig;
use everwit_runtime::event::Event;
use everwit_runtime::file::{Deletion, FilePath, FileStat, FileWrite, SessionFile};
use everwit_runtime::harness::Harness;
use everwit_runtime::id::{OrgId, SessionId};
use everwit_runtime::session::Session;
use everwit_runtime::store::memory::{MemoryMessageStore, MemoryStore};
use everwit_runtime::store::{MessageBatch, SessionMessages, StoreError, StoreResult, contract};
use everwit_runtime::{
    EventBus, EventEmitter, InProcessRuntimeBuilder, RuntimeAgentStore, RuntimeBackends, RuntimeFileStore, RuntimeHarnessStore,
    RuntimeMessageStore, RuntimeProviderStore, RuntimeSessionStore,
};
use jiff::Timestamp;
use tokio::sync::broadcast;
use uuid::Uuid;

/// Delivers and keeps nothing, as a bus for production does.
#[derive(Default)]
struct Wire(InMemoryEventBus);

impl EventEmitter for Wire {
    fn emit(&self, event: Event) {
        self.0.emit(event);
    }
}

impl EventBus for Wire {
    fn subscribe(&self, session_id: SessionId) -> broadcast::Receiver<Arc<Event>> {
        self.0.subscribe(session_id)
    }
}

/// Files of an embedder: nothing is written below `/locked`, and every write is counted. What it is
/// not about, it leaves to the store behind it.
#[derive(Default)]
struct Guarded {
    files: MemoryStore,
    writes: AtomicUsize,
}

#[async_trait]
impl RuntimeFileStore for Guarded {
    async fn read_file(&self, org: OrgId, session: SessionId, path: &FilePath) -> StoreResult<Option<SessionFile>> {
        self.files.read_file(org, session, path).await
    }

    async fn stat_file(&self, org: OrgId, session: SessionId, path: &FilePath) -> StoreResult<Option<FileStat>> {
        self.files.stat_file(org, session, path).await
    }

    async fn list_directory(&self, org: OrgId, session: SessionId, path: &FilePath, recursive: bool) -> StoreResult<Vec<FileStat>> {
        self.files.list_directory(org, session, path, recursive).await
    }

    async fn write_file(&self, org: OrgId, session: SessionId, path: &FilePath, write: FileWrite) -> StoreResult<FileStat> {
        if path.as_str().starts_with("/locked/") {
            return Err(StoreError::Invalid("the embedder keeps /locked to itself".to_owned()));
        }
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.files.write_file(org, session, path, write).await
    }

    async fn create_directory(&self, org: OrgId, session: SessionId, path: &FilePath, now: Timestamp) -> StoreResult<FileStat> {
        self.files.create_directory(org, session, path, now).await
    }

    async fn delete_file(&self, org: OrgId, session: SessionId, path: &FilePath, how: Deletion) -> StoreResult<u64> {
        self.files.delete_file(org, session, path, how).await
    }

    async fn move_file(&self, org: OrgId, session: SessionId, from: &FilePath, to: &FilePath, now: Timestamp) -> StoreResult<FileStat> {
        self.files.move_file(org, session, from, to, now).await
    }
}

/// Messages of an embedder, which counts what it is told.
#[derive(Default)]
struct Counted {
    messages: MemoryMessageStore,
    told: AtomicUsize,
}

#[async_trait]
impl RuntimeMessageStore for Counted {
    async fn record_messages(&self, org: OrgId, session: SessionId, batch: MessageBatch) -> StoreResult<()> {
        self.told.fetch_add(batch.messages.len(), Ordering::Relaxed);
        self.messages.record_messages(org, session, batch).await
    }

    async fn load_messages(&self, org: OrgId, session: SessionId) -> StoreResult<SessionMessages> {
        self.messages.load_messages(org, session).await
    }
}

#[tokio::test]
async fn own_backends_are_used() {
    let (my_file_store, my_message_store, my_event_bus) =
        (Arc::new(Guarded::default()), Arc::new(Counted::default()), Arc::new(Wire::default()));
    let session = SessionId::from_uuid(Uuid::from_u128(7));
    let mut wire = my_event_bus.subscribe(session);
    let runtime = InProcessRuntimeBuilder::new()
        .llm_sim(LlmSimConfig::interactive())
        .backends(
            RuntimeBackends::in_memory()
                .with_file_store(my_file_store.clone())
                .with_message_store(my_message_store.clone())
                .with_event_bus(my_event_bus),
        )
        .single_session(|single| single.session_id(session).with_capability("session_file_system"))
        .seed_text_file(session, "/notes/start.md", "Begin here.")
        .build()
        .await
        .unwrap();
    let writes = || my_file_store.writes.load(Ordering::Relaxed);
    assert_eq!(writes(), 1, "the seeded file");
    let seeded = runtime.read_file(session, "/notes/start.md").await.unwrap().unwrap();
    assert_eq!(seeded.content, b"Begin here.");
    assert_eq!(runtime.read_file(session, "/notes/other.md").await.unwrap(), None);

    let write = |path: &str| format!("/call write_file {{\"path\": \"{path}\", \"content\": \"Noted.\"}}");
    assert_eq!(runtime.run_text_turn(session, write("/notes/new.md")).await.unwrap().tool_calls_count, 1);
    assert_eq!(writes(), 2, "tools write to it");
    runtime.run_text_turn(session, write("/locked/new.md")).await.unwrap();
    assert_eq!(writes(), 2);
    let told = runtime.messages(session).await.unwrap();
    let refusal = serde_json::to_string(&*told[told.len() - 2]).unwrap();
    assert!(refusal.contains("keeps /locked to itself"), "the model is told why: {refusal}");
    assert_eq!(my_message_store.told.load(Ordering::Relaxed), told.len(), "every message once");

    assert_eq!(wire.recv().await.unwrap().data.name(), "session.started");
    assert!(Wire::default().collected_events().is_empty(), "which is the trait's default");
    assert!(runtime.events().is_empty(), "a bus for production keeps no events");
}

#[tokio::test]
async fn an_embedder_holds_own_stores_to_the_contract() {
    let stores =
        RuntimeBackends::in_memory().with_file_store(Arc::new(Guarded::default())).with_message_store(Arc::new(Counted::default()));
    let mine = |case: &&&str| ["files::", "messages::", "isolation::"].iter().any(|group| case.starts_with(group));
    let cases: Vec<&&str> = contract::CASES.iter().filter(mine).collect();
    assert!(cases.len() > 20, "{cases:?}");
    for case in cases {
        contract::run(case, &stores).await;
    }
}

#[tokio::test]
async fn each_store_can_be_replaced_alone() {
    let [harnesses, agents, sessions, providers] = [(); 4].map(|()| Arc::new(MemoryStore::default()));
    let backends = RuntimeBackends::in_memory()
        .with_harness_store(harnesses.clone())
        .with_agent_store(agents.clone())
        .with_provider_store(providers.clone());
    let runtime = InProcessRuntimeBuilder::new()
        .llm_sim(LlmSimConfig::echo())
        .backends(backends)
        .single_session(|single| single.harness("mine", "").agent("helper", ""))
        .build()
        .await
        .unwrap();
    let org = runtime.org_id();
    assert!(harnesses.find_harness(org, "mine").await.unwrap().is_some());
    assert!(agents.find_agent(org, "helper").await.unwrap().is_some());
    assert_eq!(runtime.run_text_turn(runtime.default_session_id().unwrap(), "back").await.unwrap().response, "back");
    assert!(providers.default_model(org).await.unwrap().is_none(), "nobody chose a model in it");

    // A log and the sessions that it is of are one thing in two traits.
    let backends = RuntimeBackends::in_memory().with_session_store(sessions.clone()).with_log(sessions.clone());
    let harness = Harness::new("mine", "");
    let session = Session::new(harness.id);
    let id = session.id;
    let builder = InProcessRuntimeBuilder::new().llm_sim(LlmSimConfig::echo()).backends(backends).harness(harness).session(session);
    let runtime = builder.build().await.unwrap();
    assert_eq!(runtime.run_text_turn(id, "again").await.unwrap().response, "again");
    assert!(sessions.get_session(runtime.org_id(), id).await.unwrap().is_some());
}
