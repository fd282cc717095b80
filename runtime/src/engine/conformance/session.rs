//! What cases work with: sessions with scripted turns, seen from outside of the engine.

use std::sync::Arc;
use std::time::Duration;

use super::Site;
use super::script::{answered, held, notes, released, scope};
use crate::clock::{Clock, SystemClock};
use crate::engine::{Engine, TurnKey};
use crate::event::{EventContext, EventData, NewEvent};
use crate::id::{EventId, HarnessId, IdSource, MessageId, OrgId, RandomIds, SessionId, TurnId};
use crate::limits::MAX_EVENTS_PER_PAGE;
use crate::message::{ContentPart, Message, Role};
use crate::session::{Session, SessionStatus};
use crate::store::{RuntimeBackends, StoreResult};

/// How often something is looked at that is to come.
const LOOK: Duration = Duration::from_millis(10);
/// After how long it does not come any more; machines may be busy, and workers die.
const PATIENCE: Duration = Duration::from_secs(60);

/// One case at work, in an org of its own. Its methods panic if a store or the engine refuses what they ask, or if
/// what they wait for does not come.
pub struct Bench<'a, S: Site + ?Sized> {
    /// Where.
    pub site: &'a mut S,
    org: OrgId,
    ids: RandomIds,
}

fn ok<T>(result: StoreResult<T>) -> T {
    result.unwrap_or_else(|error| panic!("the store refused: {error}"))
}

impl<'a, S: Site + ?Sized> Bench<'a, S> {
    /// A case on a site.
    pub async fn new(site: &'a mut S) -> Self {
        let ids = RandomIds::new(Arc::new(SystemClock));
        let org = OrgId::from_uuid(ids.next());
        ok(site.stores().org_store.add_org(org, &format!("conformance-{org}"), SystemClock.now()).await);
        Self { site, org, ids }
    }

    /// The site's engine.
    pub fn engine(&self) -> Arc<dyn Engine> {
        self.site.engine()
    }

    /// The site's stores.
    pub fn stores(&self) -> RuntimeBackends {
        self.site.stores()
    }

    /// A new session.
    pub async fn session(&self) -> SessionId {
        let (now, harness_id) = (SystemClock.now(), HarnessId::from_uuid(self.ids.next()));
        let session = Session {
            id: SessionId::from_uuid(self.ids.next()),
            harness_id,
            agent_id: None,
            owner: None,
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
            created_at: now,
            updated_at: now,
        };
        let id = session.id;
        let started = self.event(None, EventData::SessionStarted { harness_id, agent_id: None });
        ok(self.stores().session_store.add_session(self.org, session, started).await);
        id
    }

    fn event(&self, turn_id: Option<TurnId>, data: EventData) -> NewEvent {
        let context = EventContext { turn_id, input_message_id: None };
        NewEvent { id: EventId::from_uuid(self.ids.next()), ts: SystemClock.now(), context, data }
    }

    /// Opens a turn in the store, and tells nobody.
    pub async fn open(&self, session: SessionId, script: &str) -> TurnKey {
        let turn = TurnId::from_uuid(self.ids.next());
        let message = Message {
            id: MessageId::from_uuid(self.ids.next()),
            role: Role::User,
            content: vec![ContentPart::text(script)],
            metadata: serde_json::Map::new(),
            controls: None,
            created_at: SystemClock.now(),
        };
        let input = self.event(Some(turn), EventData::InputMessage { message });
        ok(self.stores().log.submit_turn(self.org, session, turn, input).await);
        TurnKey { org: self.org, session, turn }
    }

    /// Opens a turn and submits it.
    pub async fn submit(&self, session: SessionId, script: &str) -> TurnKey {
        let key = self.open(session, script).await;
        self.engine().submit(key).await.expect("the engine takes it");
        key
    }

    /// Opens a turn in a session of its own and submits it.
    pub async fn begin(&self, script: &str) -> TurnKey {
        self.submit(self.session().await, script).await
    }

    /// The notes of a session, with their turns.
    pub async fn log(&self, session: SessionId) -> Vec<(TurnId, String)> {
        notes(&ok(self.stores().log.read_events(self.org, session, 0, MAX_EVENTS_PER_PAGE).await))
    }

    /// The notes of a turn, joined.
    pub async fn notes(&self, key: TurnKey) -> String {
        let notes = self.log(key.session).await.into_iter().filter(|(turn, _)| *turn == key.turn);
        notes.map(|(_, note)| note).collect::<Vec<_>>().join(" ")
    }

    /// Waits until a step of the turn is held; it can be held once more after that.
    pub async fn held(&self, key: TurnKey) {
        let (scope, name, stores) = (scope(key.org, key.session), held(key.turn), self.stores());
        until("a step is held", async || ok(stores.kv.get(&scope, &name).await).is_some()).await;
        ok(stores.kv.remove(&scope, &name, None).await);
    }

    /// Whether a step of the turn is held.
    pub async fn is_held(&self, key: TurnKey) -> bool {
        ok(self.stores().kv.get(&scope(key.org, key.session), &held(key.turn)).await).is_some()
    }

    /// Lets the steps of the turn go on that are held.
    pub async fn release(&self, key: TurnKey) {
        ok(self.stores().kv.put(&scope(key.org, key.session), &released(key.turn), Vec::new(), None).await);
    }

    /// Stores the answer that the turn waits for, and tells nobody.
    pub async fn store_answer(&self, key: TurnKey) {
        ok(self.stores().kv.put(&scope(key.org, key.session), &answered(key.turn), Vec::new(), None).await);
    }

    /// Answers what the turn waits for, and tells the engine.
    pub async fn answer(&self, key: TurnKey) {
        self.store_answer(key).await;
        self.engine().signal(key).await.expect("the engine takes it");
    }

    /// Waits until the turn has ended; returns its notes.
    pub async fn ended(&self, key: TurnKey) -> String {
        let stores = self.stores();
        let open = async || ok(stores.log.open_turns(key.org, key.session).await);
        until("the turn ends", async || !open().await.contains(&key.turn)).await;
        self.notes(key).await
    }

    /// Waits until the word of a turn at hand has been begun: it waits then, or is about to.
    pub async fn begun(&self, key: TurnKey) {
        let (scope, prefix, stores) = (scope(key.org, key.session), format!("begun/{}/", key.turn), self.stores());
        until("the wait begins", async || !ok(stores.kv.keys(&scope, &prefix, None, 1).await).is_empty()).await;
    }
}

/// Waits until something is so.
///
/// # Panics
/// If it does not become so within a minute.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(LOOK).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what}: not within {} s", PATIENCE.as_secs());
}
