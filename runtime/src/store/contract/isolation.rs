//! Isolation of orgs: every method that takes an org is called with everything that belongs to
//! an org, once for its owner, once for another org and once for an org without any data.

use std::fmt::Debug;

use super::case::{Case, FIRST_PAGE, ok, time};
use super::connections::{authorization, connection, putting, secret};
use super::files::path;
use super::members::{changed, member};
use super::methods::{ADDING_METHODS, CHANGING_METHODS, READING_METHODS};
use super::orgs::{api_key, audit_entry};
use super::requests::request;
use super::secrets::org_secret;
use super::setup::seed;
use super::usage::{account, budget, reservation, top_up};
use crate::agent::Agent;
use crate::component::{Digest, Grant};
use crate::connection::{Authorization, Connection, SessionSecret};
use crate::event::NewEvent;
use crate::file::{Deletion, Expected, FileWrite, GrepQuery, InitialFile};
use crate::harness::Harness;
use crate::id::{OrgId, SessionId, TurnId};
use crate::limits::Budget;
use crate::provider::{Model, Provider};
use crate::secret::OrgSecret;
use crate::session::Session;
use crate::store::{
    Activation, ApiKey, Append, AuditEntry, Fence, KvScope, Member, MessageBatch, NewRequest, NewVersion, Role, Scope, Seed, SeedKind,
    TurnAnswer, TurnFilter,
};
use crate::usage::{BudgetSubject, Reservation, TopUp, UsageBudget};

/// Everything that belongs to an org, and what somebody else would need to reach for it.
struct Belongings {
    harness: Harness,
    agent: Agent,
    session: Session,
    /// Another session, and its turn that waits for somebody.
    parked: (SessionId, TurnId),
    started: NewEvent,
    turn: TurnId,
    input: NewEvent,
    step: NewEvent,
    fence: Fence,
    upload: NewVersion,
    digest: Digest,
    key: ApiKey,
    audit: AuditEntry,
    request: NewRequest,
    seed: Seed,
    provider: Provider,
    model: Model,
    seeded: (Provider, Model),
    connection: Connection,
    authorization: Authorization,
    secret: SessionSecret,
    org_secret: OrgSecret,
    member: Member,
    budget: UsageBudget,
    top_up: TopUp,
    /// What is set aside, and what is settled.
    reservations: [Reservation; 3],
}

/// Whose chat session is asked for.
const SUBJECT: &str = "somebody";

/// Outcomes by method, as text.
type Outcomes = Vec<(&'static str, String)>;

fn outcome<T: Debug>(method: &'static str, result: T) -> (&'static str, String) {
    (method, format!("{result:?}"))
}

impl Belongings {
    async fn stored(case: &Case) -> Self {
        let (stores, org) = (&case.stores, case.org);
        let session = case.session();
        let turn = case.id(TurnId::from_uuid);
        let upload = case.upload("lens", b"\0asm");
        let (parked, waiting) = case.parked().await;
        let (provider, seeded) = (case.provider("first"), case.provider("seeded"));
        let mut own = Self {
            model: Model { is_default: true, ..case.model(provider.id, "first") },
            seeded: (seeded.clone(), case.model(seeded.id, "seeded")),
            provider,
            connection: connection(case, SUBJECT, "issues"),
            authorization: authorization(case, SUBJECT, 7),
            secret: secret(case, session.id, "A"),
            org_secret: org_secret(case, "a"),
            member: member(case, Role::Member),
            budget: budget(case, BudgetSubject::Session(session.id)),
            top_up: top_up(case, 7),
            reservations: [(); 3].map(|()| reservation(case, &[(account("a", 0), 20)])),
            parked: (parked, waiting.turn_id),
            harness: case.harness("first"),
            agent: case.agent("first"),
            started: case.started(&session),
            session,
            turn,
            input: case.input(turn, "hello"),
            step: case.turn_started(turn, Vec::new()),
            fence: Fence(0),
            digest: upload.digest,
            upload,
            key: api_key(case, org, Scope::Read),
            audit: audit_entry(case, "somebody"),
            request: request(case, "key", 0),
            seed: seed(case, "base"),
        };
        ok(stores.harness_store.add_harness(org, own.harness.clone()).await);
        ok(stores.agent_store.add_agent(org, own.agent.clone()).await);
        ok(stores.session_store.add_session(org, own.session.clone(), own.started.clone()).await);
        ok(stores.log.submit_turn(org, own.session.id, turn, own.input.clone()).await);
        own.fence = case.claim(own.session.id).await.fence;
        ok(stores.messages().record_messages(org, own.session.id, case.batch(own.session.id, 0).await).await);
        ok(stores.component_store.add_version(org, own.upload.clone()).await);
        ok(stores.kv.put(&own.scope(org), "key", b"value".to_vec(), None).await);
        for at in ["/a/b", "/d"] {
            ok(stores.file_store.write_file(org, own.session.id, &path(at), FileWrite::new("text", time(1))).await);
        }
        ok(stores.org_store.add_key(own.key.clone()).await);
        ok(stores.org_store.add_audit_entry(org, own.audit.clone()).await);
        ok(stores.request_store.remember_request(org, own.request.clone()).await);
        ok(stores.setup_store.put_seed(org, own.seed.clone()).await);
        ok(stores.setup_store.replace_chat_session(org, SUBJECT, None, own.session.id).await);
        ok(stores.provider_store.add_provider(org, own.provider.clone()).await);
        ok(stores.provider_store.add_model(org, own.model.clone()).await);
        ok(stores.provider_store.seed_provider(org, "provider", own.seeded.0.clone()).await);
        ok(stores.provider_store.seed_model(org, "model", own.seeded.1.clone()).await);
        ok(stores.connection_store.put_connection(org, own.connection.clone()).await);
        ok(stores.connection_store.add_authorization(org, own.authorization.clone(), time(0)).await);
        ok(stores.connection_store.change_session_secrets(org, own.session.id, putting(vec![own.secret.clone()])).await);
        ok(stores.secret_store.add_secret(org, own.org_secret.clone()).await);
        ok(stores.member_store.add_member(org, own.member.clone()).await);
        ok(stores.usage_store.add_budget(org, own.budget.clone()).await);
        for reservation in &own.reservations {
            ok(stores.usage_store.reserve(org, reservation.clone()).await);
        }
        ok(stores.usage_store.settle(org, own.reservations[2].id, vec![10], time(4)).await);
        own
    }

    fn scope(&self, org: OrgId) -> KvScope {
        KvScope { org, component: "notes".to_owned(), bucket: "main".to_owned() }
    }

    /// What `org` reads.
    async fn read_by(&self, case: &Case, org: OrgId) -> Outcomes {
        let stores = &case.stores;
        let (session, component) = (self.session.id, self.upload.component_id);
        let query = GrepQuery { pattern: "text".to_owned(), ..GrepQuery::default() };
        vec![
            outcome("get_harness", stores.harness_store.get_harness(org, self.harness.id).await),
            outcome("find_harness", stores.harness_store.find_harness(org, &self.harness.name).await),
            outcome("list_harnesses", stores.harness_store.list_harnesses(org, FIRST_PAGE).await),
            outcome("get_agent", stores.agent_store.get_agent(org, self.agent.id).await),
            outcome("find_agent", stores.agent_store.find_agent(org, &self.agent.name).await),
            outcome("list_agents", stores.agent_store.list_agents(org, FIRST_PAGE).await),
            outcome("get_session", stores.session_store.get_session(org, session).await),
            outcome("list_sessions", stores.session_store.list_sessions(org, FIRST_PAGE).await),
            outcome("open_turns", stores.log.open_turns(org, session).await),
            outcome("owner", stores.log.owner(org, session, self.turn).await),
            outcome("read_events", stores.log.read_events(org, session, 0, 100).await),
            outcome("last_sequence", stores.log.last_sequence(org, session).await),
            outcome("find_event", stores.log.find_event(org, session, self.input.id).await),
            outcome("get_component", stores.component_store.get_component(org, component).await),
            outcome("find_component", stores.component_store.find_component(org, &self.upload.description.id).await),
            outcome("list_components", stores.component_store.list_components(org, FIRST_PAGE).await),
            outcome("get_version", stores.component_store.get_version(org, component, 1).await),
            outcome("list_versions", stores.component_store.list_versions(org, component, FIRST_PAGE).await),
            outcome("read_wasm", stores.component_store.read_wasm(org, self.digest).await),
            outcome("get", stores.kv.get(&self.scope(org), "key").await),
            outcome("keys", stores.kv.keys(&self.scope(org), "", None, 100).await),
            outcome("list_keys", stores.org_store.list_keys(org).await),
            outcome("read_file", stores.file_store.read_file(org, session, &path("/a/b")).await),
            outcome("stat_file", stores.file_store.stat_file(org, session, &path("/a/b")).await),
            outcome("list_directory", stores.file_store.list_directory(org, session, &path("/"), true).await),
            outcome("grep_files", stores.file_store.grep_files(org, session, &query).await),
            outcome("list_seeds", stores.setup_store.list_seeds(org).await),
            outcome("find_seed", stores.setup_store.find_seed(org, self.seed.kind, &self.seed.key).await),
            outcome("is_used", stores.setup_store.is_used(org, SeedKind::Harness, self.session.harness_id.uuid()).await),
            outcome("chat_session", stores.setup_store.chat_session(org, SUBJECT).await),
            outcome("load_messages", stores.messages().load_messages(org, session).await),
            outcome("get_provider", stores.provider_store.get_provider(org, self.provider.id).await),
            outcome("find_provider", stores.provider_store.find_provider(org, &self.provider.name).await),
            outcome("list_providers", stores.provider_store.list_providers(org, FIRST_PAGE).await),
            outcome("get_model", stores.provider_store.get_model(org, self.model.id).await),
            outcome("list_models", stores.provider_store.list_models(org, Some(self.provider.id), FIRST_PAGE).await),
            outcome("default_model", stores.provider_store.default_model(org).await),
            outcome("list_turns", stores.log.list_turns(org, TurnFilter::default(), FIRST_PAGE).await),
            outcome("waiting_sessions", stores.log.waiting_sessions(org, None, 100).await),
            outcome("log_usage", stores.log.log_usage(org, time(10)).await),
            outcome("list_audit_entries", stores.org_store.list_audit_entries(org, FIRST_PAGE).await),
            outcome("get_connection", stores.connection_store.get_connection(org, SUBJECT, "issues").await),
            outcome("list_connections", stores.connection_store.list_connections(org, SUBJECT).await),
            outcome("get_session_secret", stores.connection_store.get_session_secret(org, session, "A").await),
            outcome("list_session_secrets", stores.connection_store.list_session_secrets(org, session).await),
            outcome("get_budget", stores.usage_store.get_budget(org, self.budget.id).await),
            outcome("list_budgets", stores.usage_store.list_budgets(org, FIRST_PAGE).await),
            outcome("budgets_of", stores.usage_store.budgets_of(org, session, None).await),
            outcome("read_balance", stores.usage_store.read_balance(org, &account("a", 0)).await),
            outcome("list_postings", stores.usage_store.list_postings(org, "a", FIRST_PAGE).await),
            outcome("get_secret", stores.secret_store.get_secret(org, "a").await),
            outcome("list_secrets", stores.secret_store.list_secrets(org, FIRST_PAGE).await),
            outcome("get_member", stores.member_store.get_member(org, self.member.id).await),
            outcome("list_members", stores.member_store.list_members(org, FIRST_PAGE).await),
        ]
    }

    /// What `org` achieves by changing and removing.
    async fn changed_by(&self, case: &Case, org: OrgId) -> Outcomes {
        let stores = &case.stores;
        let (session, component) = (self.session.id, self.upload.component_id);
        let append = Append {
            expected_sequence: 2,
            fence: Fence(self.fence.0 + 2),
            events: vec![self.step.clone()],
            ends_turn: None,
            parks_turn: None,
        };
        let answer = TurnAnswer { turn_id: self.parked.1, expected_sequence: 3, events: case.steps(1), wakes_turn: true };
        let activation = Activation { channel: None, grant: Grant::default(), budget: Budget::default(), now: time(30) };
        let everything = Deletion { recursive: true, over_readonly: true };
        let late = TurnId::from_uuid(self.step.id.uuid());
        vec![
            outcome("claim_turn", stores.log.claim_turn(org, session).await),
            outcome("claim_turn_at", stores.log.claim_turn_at(org, session, Fence(self.fence.0 + 2)).await),
            outcome("request_cancel", stores.log.request_cancel(org, session, self.turn).await),
            outcome("append", stores.log.append(org, session, append).await),
            outcome("answer_turn", stores.log.answer_turn(org, self.parked.0, answer).await),
            outcome("submit_turn", stores.log.submit_turn(org, session, late, NewEvent { ts: time(9), ..self.input.clone() }).await),
            outcome("update_harness", stores.harness_store.update_harness(org, Harness { version: 2, ..self.harness.clone() }).await),
            outcome("update_agent", stores.agent_store.update_agent(org, Agent { version: 2, ..self.agent.clone() }).await),
            outcome("update_session", stores.session_store.update_session(org, Session { version: 2, ..self.session.clone() }).await),
            outcome("delete_session", stores.session_store.delete_session(org, session, None).await),
            outcome("delete_unused", stores.setup_store.delete_unused(org, SeedKind::Agent, self.agent.id.uuid(), 1).await),
            outcome("activate", stores.component_store.activate(org, component, 1, activation).await),
            outcome("remove_channel", stores.component_store.remove_channel(org, component, "beta").await),
            outcome("archive_version", stores.component_store.archive_version(org, component, 1, time(30)).await),
            outcome("archive_component", stores.component_store.archive_component(org, component, time(30)).await),
            outcome("collect", stores.component_store.collect(org, time(30), 100).await),
            outcome("remove", stores.kv.remove(&self.scope(org), "key", Some(1)).await),
            outcome("remove_key", stores.org_store.remove_key(org, self.key.id).await),
            outcome("write_file_if_content_matches", {
                let (hash, write) = (Digest::of(b"text"), FileWrite::new("new", time(30)));
                stores.file_store.write_file_if_content_matches(org, session, &path("/a/b"), hash, write).await
            }),
            outcome("move_file", stores.file_store.move_file(org, session, &path("/a/b"), &path("/a/c"), time(30)).await),
            outcome("delete_file", stores.file_store.delete_file(org, session, &path("/a"), everything).await),
            outcome("record_messages", stores.messages().record_messages(org, session, nothing_behind(2)).await),
            outcome("update_provider", stores.provider_store.update_provider(org, Provider { version: 2, ..self.provider.clone() }).await),
            outcome("update_model", stores.provider_store.update_model(org, Model { version: 2, ..self.model.clone() }).await),
            outcome("remove_model", stores.provider_store.remove_model(org, self.model.id, 2).await),
            outcome("remove_provider", stores.provider_store.remove_provider(org, self.provider.id, 2).await),
            outcome("swap_session_secret", stores.connection_store.swap_session_secret(org, &self.secret, self.secret.clone()).await),
            outcome("update_connection", {
                let changed = Connection { version: 2, ..self.connection.clone() };
                stores.connection_store.update_connection(org, changed).await
            }),
            outcome("remove_connection", stores.connection_store.remove_connection(org, SUBJECT, "issues").await),
            outcome("take_authorization", stores.connection_store.take_authorization(org, &self.authorization.state_hash).await),
            outcome("update_budget", stores.usage_store.update_budget(org, UsageBudget { version: 2, ..self.budget.clone() }).await),
            outcome("settle", stores.usage_store.settle(org, self.reservations[0].id, vec![1], time(30)).await),
            outcome("settle_turn", {
                let Reservation { session, turn, .. } = &self.reservations[1];
                stores.usage_store.settle_turn(org, *session, *turn, time(30)).await
            }),
            outcome("top_up", stores.usage_store.top_up(org, self.budget.id, self.top_up).await),
            outcome("remove_budget", stores.usage_store.remove_budget(org, self.budget.id, 2).await),
            outcome("replace_secret", stores.secret_store.replace_secret(org, self.org_secret.clone()).await),
            outcome("swap_secret", stores.secret_store.swap_secret(org, &self.org_secret, self.org_secret.clone()).await),
            outcome("remove_secret", stores.secret_store.remove_secret(org, "a").await),
            outcome("update_member", stores.member_store.update_member(org, changed(&self.member, Role::Member)).await),
            outcome("remove_member", stores.member_store.remove_member(org, self.member.id).await),
        ]
    }

    /// What `org` achieves by adding the same things. The secret of a key is the exception: it
    /// is unique in the installation, and nobody can choose it.
    async fn added_by(&self, case: &Case, org: OrgId) -> Outcomes {
        let stores = &case.stores;
        let write = FileWrite { expected: Expected::Absent, ..FileWrite::new("text", time(30)) };
        // Below a file of the owner, so that the outcomes differ: a path that is taken is no error.
        let seed = InitialFile::text(path("/d/e"), "text");
        let key = ApiKey { org, secret_hash: api_key(case, org, Scope::Read).secret_hash, ..self.key.clone() };
        let fresh = SessionId::from_uuid(self.step.id.uuid());
        vec![
            outcome("add_harness", stores.harness_store.add_harness(org, self.harness.clone()).await),
            outcome("add_agent", stores.agent_store.add_agent(org, self.agent.clone()).await),
            outcome("add_session", stores.session_store.add_session(org, self.session.clone(), self.started.clone()).await),
            outcome("add_version", stores.component_store.add_version(org, self.upload.clone()).await),
            outcome("put", stores.kv.put(&self.scope(org), "key", b"value".to_vec(), Some(0)).await),
            outcome("add_key", stores.org_store.add_key(key).await),
            outcome("add_audit_entry", stores.org_store.add_audit_entry(org, self.audit.clone()).await),
            outcome("remember_request", stores.request_store.remember_request(org, self.request.clone()).await),
            outcome("write_file", stores.file_store.write_file(org, self.session.id, &path("/a/b"), write).await),
            outcome("create_directory", stores.file_store.create_directory(org, self.session.id, &path("/a"), time(30)).await),
            outcome("seed_initial_file", stores.file_store.seed_initial_file(org, self.session.id, &seed, time(30)).await),
            outcome("put_seed", stores.setup_store.put_seed(org, self.seed.clone()).await),
            outcome("replace_chat_session", stores.setup_store.replace_chat_session(org, SUBJECT, None, fresh).await),
            outcome("add_provider", stores.provider_store.add_provider(org, self.provider.clone()).await),
            outcome("add_model", stores.provider_store.add_model(org, self.model.clone()).await),
            outcome("seed_provider", stores.provider_store.seed_provider(org, "provider", self.seeded.0.clone()).await),
            outcome("seed_model", stores.provider_store.seed_model(org, "model", self.seeded.1.clone()).await),
            outcome("put_connection", stores.connection_store.put_connection(org, self.connection.clone()).await),
            outcome("add_authorization", stores.connection_store.add_authorization(org, self.authorization.clone(), time(0)).await),
            outcome("change_session_secrets", {
                let changes = putting(vec![self.secret.clone()]);
                stores.connection_store.change_session_secrets(org, self.session.id, changes).await
            }),
            outcome("add_budget", stores.usage_store.add_budget(org, self.budget.clone()).await),
            outcome("reserve", stores.usage_store.reserve(org, self.reservations[0].clone()).await),
            outcome("add_secret", stores.secret_store.add_secret(org, self.org_secret.clone()).await),
            outcome("add_member", stores.member_store.add_member(org, self.member.clone()).await),
        ]
    }
}

/// A stretch of a log that has nothing.
fn nothing_behind(after: u64) -> MessageBatch {
    MessageBatch { after, through: after, messages: Vec::new() }
}

async fn empty_org(case: &Case) -> OrgId {
    let org = case.id(OrgId::from_uuid);
    ok(case.stores.org_store.add_org(org, &format!("contract-{org}"), time(0)).await);
    org
}

fn assert_isolated(methods: &[&str], owner: &Outcomes, other: &Outcomes, empty: &Outcomes) {
    assert_eq!(owner.iter().map(|(method, _)| *method).collect::<Vec<_>>(), methods);
    for ((owner, other), empty) in owner.iter().zip(other).zip(empty) {
        let method = owner.0;
        assert_eq!(other.1, empty.1, "{method} tells another org of what it does not own");
        assert_ne!(owner.1, other.1, "{method} is called with nothing that the owner has");
    }
}

pub(super) async fn another_org_sees_what_an_empty_org_sees(case: &Case) {
    let own = Belongings::stored(case).await;
    let empty = empty_org(case).await;
    assert_isolated(
        READING_METHODS,
        &own.read_by(case, case.org).await,
        &own.read_by(case, case.other).await,
        &own.read_by(case, empty).await,
    );
}

pub(super) async fn another_org_changes_nothing(case: &Case) {
    let own = Belongings::stored(case).await;
    let empty = empty_org(case).await;
    let before = own.read_by(case, case.org).await;
    let other = own.changed_by(case, case.other).await;
    let nobody = own.changed_by(case, empty).await;
    assert_eq!(own.read_by(case, case.org).await, before);
    assert_isolated(CHANGING_METHODS, &own.changed_by(case, case.org).await, &other, &nobody);
}

pub(super) async fn the_same_ids_can_exist_in_two_orgs(case: &Case) {
    let own = Belongings::stored(case).await;
    let empty = empty_org(case).await;
    let before = own.read_by(case, case.org).await;
    let nobody = own.added_by(case, empty).await;
    let other = own.added_by(case, case.other).await;
    assert_eq!(own.read_by(case, case.org).await, before);
    assert_isolated(ADDING_METHODS, &own.added_by(case, case.org).await, &other, &nobody);
    // What the owner adds a second time can take the place of the first.
    let before = own.read_by(case, case.org).await;
    // The other org has a row of its own by now: what it changes is not the owner's.
    own.changed_by(case, case.other).await;
    assert_eq!(own.read_by(case, case.org).await, before);
}
