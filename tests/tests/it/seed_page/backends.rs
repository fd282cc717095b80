//! Own stores and buses in place of those in memory.

use std::sync::Arc;

use everwit_runtime::bus::{EventBus, EventEmitter, InMemoryEventBus};
use everwit_runtime::driver::llmsim::LlmSimConfig;
use everwit_runtime::event::Event;
use everwit_runtime::file::FilePath;
use everwit_runtime::id::SessionId;
use everwit_runtime::store::memory::{MemoryMessageStore, MemoryStore};
use everwit_runtime::store::{RuntimeFileStore, RuntimeMessageStore};
use everwit_runtime::{InProcessRuntimeBuilder, RuntimeBackends};
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

#[tokio::test]
async fn own_backends_are_used() {
    let (files, messages, bus) = (Arc::new(MemoryStore::default()), Arc::new(MemoryMessageStore::default()), Arc::new(Wire::default()));
    let session = SessionId::from_uuid(Uuid::from_u128(7));
    let mut wire = bus.subscribe(session);
    let runtime = InProcessRuntimeBuilder::new()
        .llm_sim(LlmSimConfig::fixed("noted"))
        .backends(RuntimeBackends::in_memory().with_file_store(files.clone()).with_message_store(messages.clone()).with_event_bus(bus))
        .single_session(|single| single.session_id(session))
        .seed_text_file(session, "/notes/start.md", "Begin here.")
        .build()
        .await
        .unwrap();
    runtime.run_text_turn(session, "Note this.").await.unwrap();
    runtime.run_text_turn(session, "And this.").await.unwrap();

    let path = FilePath::parse("/notes/start.md").unwrap();
    let stored = files.read_file(runtime.org_id(), session, &path).await.unwrap().unwrap();
    assert_eq!(stored.content, b"Begin here.");
    assert_eq!(runtime.read_file(session, "/notes/start.md").await.unwrap(), Some(stored));
    assert_eq!(runtime.read_file(session, "/notes/other.md").await.unwrap(), None);
    let kept = messages.load_messages(runtime.org_id(), session).await.unwrap();
    assert!(kept.messages.len() >= 2, "the turns were told to the message store: {}", kept.messages.len());
    assert_eq!(wire.recv().await.unwrap().data.name(), "session.started");
    assert!(runtime.events().is_empty(), "a bus for production keeps no events");
}

#[tokio::test]
async fn stores_can_be_replaced_one_by_one() {
    let own = Arc::new(MemoryStore::default());
    let backends = RuntimeBackends::in_memory().with_harness_store(own.clone()).with_agent_store(own.clone());
    let runtime = InProcessRuntimeBuilder::new()
        .llm_sim(LlmSimConfig::echo())
        .backends(backends)
        .single_session(|single| single.harness("mine", "").agent("helper", ""))
        .build()
        .await
        .unwrap();
    use everwit_runtime::store::{RuntimeAgentStore, RuntimeHarnessStore};
    assert!(own.find_harness(runtime.org_id(), "mine").await.unwrap().is_some());
    assert!(own.find_agent(runtime.org_id(), "helper").await.unwrap().is_some());
    assert_eq!(runtime.run_text_turn(runtime.default_session_id().unwrap(), "back").await.unwrap().response, "back");
}
