//! What a case works with: an org of its own, another org, and values to store.

use super::files::path;
use std::fmt::Debug;
use std::sync::Arc;

use futures::FutureExt as _;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::agent::Agent;
use crate::client_tool::{ClientTool, ClientToolType};
use crate::clock::SystemClock;
use crate::component::{ComponentDescription, Digest, Permissions};
use crate::driver::DriverId;
use crate::event::{EventContext, EventData, NewEvent, PinnedCapability};
use crate::file::InitialFile;
use crate::harness::{CapabilityConfig, Harness, ResourceStatus};
use crate::id::{AgentId, ComponentId, EventId, HarnessId, IdSource, MessageId, ModelId, OrgId, ProviderId, RandomIds, SessionId, TurnId};
use crate::message::{ContentPart, Message, Role};
use crate::provider::{Model, ModelSource, Provider, ProviderStatus};
use crate::session::{Session, SessionStatus};
use crate::store::{Append, Claim, Fence, KvScope, MessageBatch, NewVersion, Page, ParkedFor, RuntimeBackends};
use crate::store::{StoreError, StoreResult, StoredMessage, TurnEnd};
use crate::turn::message_of;

/// The start of time in all cases, in seconds since the epoch: 2026-01-01T00:00:00Z.
const START_SECOND: i64 = 1_767_225_600;

/// The first hundred items.
pub(in crate::store) const FIRST_PAGE: Page = Page { offset: 0, limit: 100 };

/// Fails unless a store refuses with an error of this shape.
macro_rules! assert_refused {
    ($result:expr, $pattern:pat) => {
        match $result {
            Err($pattern) => {}
            other => panic!("expected {}, got {other:?}", stringify!($pattern)),
        }
    };
}
pub(in crate::store) use assert_refused;

/// A time, `seconds` after the start.
pub(in crate::store) fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(START_SECOND + seconds).expect("a time in this century")
}

/// What a method must not refuse.
pub(in crate::store) fn ok<T>(result: StoreResult<T>) -> T {
    result.unwrap_or_else(|error| panic!("the store refused: {error}"))
}

/// What must be there.
pub(in crate::store) fn some<T>(result: StoreResult<Option<T>>) -> T {
    ok(result).expect("the store must have it")
}

/// What must not be there.
pub(in crate::store) fn assert_none<T: Debug>(result: StoreResult<Option<T>>) {
    if let Some(found) = ok(result) {
        panic!("the store must not have {found:?}");
    }
}

/// The items of `found` by their Debug form; messages show both lists.
pub(in crate::store) fn assert_same<T: PartialEq + Debug>(found: &[T], expected: &[T]) {
    assert!(found == expected, "found {found:#?}\nexpected {expected:#?}");
}

/// One case at work.
pub(in crate::store) struct Case {
    pub(in crate::store) stores: RuntimeBackends,
    /// The org that the case is about.
    pub(in crate::store) org: OrgId,
    /// An org that must see nothing of it.
    pub(in crate::store) other: OrgId,
    ids: RandomIds,
}

fn client_tool(name: &str) -> ClientTool {
    ClientTool {
        tool_type: ClientToolType::ClientSide,
        name: name.to_owned(),
        display_name: Some("Größe".to_owned()),
        description: "Does \u{0} it".to_owned(),
        parameters: json!({"type": "object", "properties": {"é": {"enum": [null, 1.5]}}}),
        timeout_seconds: Some(60),
    }
}

impl Case {
    /// A case in two new orgs.
    pub(in crate::store) async fn new(stores: &RuntimeBackends) -> Self {
        let ids = RandomIds::new(Arc::new(SystemClock));
        let [org, other] = [(); 2].map(|()| OrgId::from_uuid(ids.next()));
        for org in [org, other] {
            ok(stores.org_store.add_org(org, &format!("contract-{org}"), time(0)).await);
        }
        Self { stores: stores.clone(), org, other, ids }
    }

    /// A new id.
    pub(in crate::store) fn id<T>(&self, from: fn(Uuid) -> T) -> T {
        from(self.ids.next())
    }

    pub(in crate::store) fn harness(&self, name: &str) -> Harness {
        Harness {
            id: self.id(HarnessId::from_uuid),
            name: name.to_owned(),
            display_name: Some("Größe 日本 \u{1F9F0}".to_owned()),
            description: None,
            system_prompt: Some("Line one\n\"line\" \\two\\ \u{1}".to_owned()),
            parent_harness_id: Some(self.id(HarnessId::from_uuid)),
            default_model_id: Some(self.id(ModelId::from_uuid)),
            capabilities: vec![CapabilityConfig {
                version: Some(3),
                channel: Some("beta".to_owned()),
                ..CapabilityConfig::with_config("data-lens", json!({"depth": {"max": 3}, "é": [null]}))
            }],
            initial_files: vec![InitialFile::text(path("/notes/ü.md"), "Größe\n")],
            tags: vec!["a".to_owned(), "ü".to_owned()],
            is_built_in: true,
            status: ResourceStatus::Active,
            version: 1,
            created_at: time(1),
            updated_at: time(2),
        }
    }

    pub(in crate::store) fn agent(&self, name: &str) -> Agent {
        Agent {
            id: self.id(AgentId::from_uuid),
            name: name.to_owned(),
            display_name: None,
            description: Some("Größe 日本 \u{1F9F0}".to_owned()),
            system_prompt: "Line one\n\"line\" \\two\\ \u{1}".to_owned(),
            harness_id: self.id(HarnessId::from_uuid),
            default_model_id: Some(self.id(ModelId::from_uuid)),
            capabilities: vec![CapabilityConfig::new("notes")],
            tools: vec![client_tool("open_tab")],
            max_iterations: Some(u32::MAX),
            initial_files: vec![InitialFile::text(path("/notes/ü.md"), "Größe\n")],
            tags: Vec::new(),
            status: ResourceStatus::Archived,
            version: 1,
            created_at: time(1),
            updated_at: time(2),
        }
    }

    pub(in crate::store) fn session(&self) -> Session {
        Session {
            id: self.id(SessionId::from_uuid),
            harness_id: self.id(HarnessId::from_uuid),
            agent_id: Some(self.id(AgentId::from_uuid)),
            owner: Some("ada".to_owned()),
            title: Some("Größe 日本".to_owned()),
            status: SessionStatus::Started,
            system_prompt: None,
            capabilities: vec![CapabilityConfig::new("notes")],
            tools: vec![client_tool("read_clipboard")],
            model_id: Some(self.id(ModelId::from_uuid)),
            locale: Some("de-CH".to_owned()),
            max_iterations: None,
            initial_files: vec![InitialFile::text(path("/notes/ü.md"), "Größe\n")],
            tags: vec!["ü".to_owned()],
            version: 1,
            created_at: time(1),
            updated_at: time(1),
        }
    }

    pub(in crate::store) fn provider(&self, name: &str) -> Provider {
        let mut provider = Provider {
            id: self.id(ProviderId::from_uuid),
            name: name.to_owned(),
            provider_type: DriverId::External("some-gateway".to_owned()),
            base_url: Some("https://models.example/v1".to_owned()),
            status: ProviderStatus::Active,
            api_key: None,
            provider_metadata: None,
            version: 1,
            created_at: time(1),
            updated_at: time(2),
        };
        at_once(provider.set_api_key(&self.stores.cipher, self.org, Some(&"sk-contract".into()))).expect("the system has randomness");
        provider
    }

    pub(in crate::store) fn model(&self, provider_id: ProviderId, model_id: &str) -> Model {
        Model {
            id: self.id(ModelId::from_uuid),
            provider_id,
            model_id: model_id.to_owned(),
            display_name: "Größe 日本 \u{1F9F0}".to_owned(),
            capabilities: vec!["vision".to_owned()],
            profile: serde_json::Map::from_iter([("limits".to_owned(), json!({"context": 8_192}))]),
            enabled: true,
            is_favorite: true,
            is_default: false,
            source: ModelSource::Discovered,
            stale: true,
            version: 1,
            created_at: time(1),
            updated_at: time(2),
        }
    }

    pub(in crate::store) fn event(&self, data: EventData) -> NewEvent {
        NewEvent { id: self.id(EventId::from_uuid), ts: time(10), context: EventContext::default(), data }
    }

    /// The first event of a session.
    pub(in crate::store) fn started(&self, session: &Session) -> NewEvent {
        self.event(EventData::SessionStarted { harness_id: session.harness_id, agent_id: session.agent_id })
    }

    /// Some event of a turn.
    pub(in crate::store) fn step(&self, iteration: u32) -> NewEvent {
        self.event(EventData::ReasonStarted { harness_id: self.id(HarnessId::from_uuid), agent_id: None, iteration })
    }

    /// A turn starts with these components.
    pub(in crate::store) fn turn_started(&self, turn_id: TurnId, capabilities: Vec<PinnedCapability>) -> NewEvent {
        let input_message_id = self.id(MessageId::from_uuid);
        let context = EventContext { turn_id: Some(turn_id), input_message_id: Some(input_message_id) };
        NewEvent { context, ..self.event(EventData::TurnStarted { turn_id, input_message_id, capabilities, driver: None }) }
    }

    /// So many of them.
    pub(in crate::store) fn steps(&self, count: u32) -> Vec<NewEvent> {
        (1..=count).map(|iteration| self.step(iteration)).collect()
    }

    /// The input of a turn.
    pub(in crate::store) fn input(&self, turn: TurnId, text: &str) -> NewEvent {
        let id = self.id(MessageId::from_uuid);
        let content = vec![ContentPart::text(text)];
        let metadata = serde_json::Map::new();
        let message = Message { id, role: Role::User, content, metadata, controls: None, created_at: time(5) };
        let context = EventContext { turn_id: Some(turn), input_message_id: Some(id) };
        NewEvent { context, ..self.event(EventData::InputMessage { message }) }
    }

    /// Stores a session.
    pub(in crate::store) async fn stored_session(&self) -> SessionId {
        let session = self.session();
        let id = session.id;
        let started = self.started(&session);
        ok(self.stores.session_store.add_session(self.org, session, started).await);
        id
    }

    /// Opens a turn.
    pub(in crate::store) async fn open_turn(&self, session: SessionId) -> TurnId {
        let turn = self.id(TurnId::from_uuid);
        ok(self.stores.log.submit_turn(self.org, session, turn, self.input(turn, "hello")).await);
        turn
    }

    /// Claims the oldest turn, which must exist.
    pub(in crate::store) async fn claim(&self, session: SessionId) -> Claim {
        some(self.stores.log.claim_turn(self.org, session).await)
    }

    /// A session with one claimed turn: its log ends at sequence 2.
    pub(in crate::store) async fn claimed(&self) -> (SessionId, Claim) {
        let session = self.stored_session().await;
        self.open_turn(session).await;
        (session, self.claim(session).await)
    }

    /// A session whose one turn waits for somebody: its log ends at sequence 3.
    pub(in crate::store) async fn parked(&self) -> (SessionId, Claim) {
        let (session, claim) = self.claimed().await;
        let events = vec![self.turn_started(claim.turn_id, Vec::new())];
        let append = Append {
            expected_sequence: 2,
            fence: claim.fence,
            events,
            ends_turn: None,
            parks_turn: Some((claim.turn_id, ParkedFor::Answer)),
        };
        ok(self.stores.log.append(self.org, session, append).await);
        (session, claim)
    }

    /// Appends behind the end of the log.
    pub(in crate::store) async fn append(
        &self,
        session: SessionId,
        fence: Fence,
        events: Vec<NewEvent>,
        ends_turn: Option<(TurnId, TurnEnd)>,
    ) -> StoreResult<Vec<crate::event::Event>> {
        let expected_sequence = self.last_sequence(session).await;
        self.stores.log.append(self.org, session, Append { expected_sequence, fence, events, ends_turn, parks_turn: None }).await
    }

    pub(in crate::store) async fn last_sequence(&self, session: SessionId) -> u64 {
        ok(self.stores.log.last_sequence(self.org, session).await)
    }

    /// The whole log, which must be short.
    pub(in crate::store) async fn events(&self, session: SessionId) -> Vec<crate::event::Event> {
        ok(self.stores.log.read_events(self.org, session, 0, 1_000).await)
    }

    /// What the log has behind a sequence, as a message store is told of it.
    pub(in crate::store) async fn batch(&self, session: SessionId, after: u64) -> MessageBatch {
        let events = ok(self.stores.log.read_events(self.org, session, after, 1_000).await);
        let through = events.last().and_then(|event| event.sequence).unwrap_or(after);
        let stored = |event: &crate::event::Event| {
            Some(StoredMessage { sequence: event.sequence?, turn_id: event.context.turn_id, message: message_of(event)? })
        };
        MessageBatch { after, through, messages: events.iter().filter_map(stored).collect() }
    }

    pub(in crate::store) async fn status(&self, session: SessionId) -> SessionStatus {
        some(self.stores.session_store.get_session(self.org, session).await).status
    }

    /// A bucket that no other case uses.
    pub(in crate::store) fn scope(&self) -> KvScope {
        KvScope { org: self.org, component: "notes".to_owned(), bucket: "main".to_owned() }
    }

    /// An upload of `wasm` under a name.
    pub(in crate::store) fn upload(&self, name: &str, wasm: &[u8]) -> NewVersion {
        NewVersion {
            component_id: self.id(ComponentId::from_uuid),
            digest: Digest::of(wasm),
            wasm: wasm.to_vec(),
            description: ComponentDescription {
                id: name.to_owned(),
                title: "Größe 日本".to_owned(),
                version: "1.2.3".to_owned(),
                summary: "Says \"hello\"".to_owned(),
                instructions: None,
                config_schema: json!({"type": "object"}),
                tools: Vec::new(),
                driver: None,
                connection: None,
                dependencies: vec!["notes".to_owned()],
                features: Vec::new(),
                permissions: Permissions { kv: vec!["main".to_owned()], ..Permissions::default() },
                extra: vec![("k".to_owned(), "v".to_owned())],
            },
            imports: vec!["everwit:kv/store@1.0.0".to_owned()],
            signature: None,
            now: time(20),
            quota_bytes: 1 << 20,
            quota_components: 1 << 20,
        }
    }
}

/// The error of a refusal, for a look at its text.
pub(in crate::store) fn refusal<T: Debug>(result: StoreResult<T>) -> StoreError {
    match result {
        Err(error) => error,
        Ok(accepted) => panic!("the store must refuse, but returned {accepted:?}"),
    }
}

/// What a cipher with master keys of its own answers: it waits for nobody.
pub(in crate::store) fn at_once<T>(sealing: impl Future<Output = T>) -> T {
    sealing.now_or_never().expect("it waits for nobody")
}
