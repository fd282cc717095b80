//! What orgs are set up with.

use super::case::{Case, assert_none, assert_refused, assert_same, ok, some, time};
use crate::capability::RiskLevel;
use crate::component::{Digest, SignaturePolicy, SignatureSettings, TrustedKey};
use crate::harness::{Harness, ResourceStatus};
use crate::id::{AgentId, HarnessId, OrgId, SessionId};
use crate::session::Session;
use crate::store::{Org, Page, Seed, SeedKind, StoreError};

/// A seed of a harness that does not exist.
pub(super) fn seed(case: &Case, key: &str) -> Seed {
    let resource = case.id(HarnessId::from_uuid).uuid();
    Seed { kind: SeedKind::Harness, key: key.to_owned(), resource, digest: Digest::of(key.as_bytes()), archived: false }
}

async fn org(case: &Case) -> Org {
    some(case.stores.setup_store.get_org(case.org).await)
}

pub(super) async fn a_new_org_has_no_settings(case: &Case) {
    let expected = Org {
        id: case.org,
        name: format!("contract-{}", case.org),
        base_harness_id: None,
        default_harness_id: None,
        default_is_seeded: false,
        signatures: SignatureSettings::default(),
        max_risk: RiskLevel::High,
        version: 1,
        created_at: time(0),
        updated_at: time(0),
    };
    assert_eq!(org(case).await, expected);
    assert_none(case.stores.setup_store.get_org(case.id(OrgId::from_uuid)).await);
}

pub(super) async fn all_orgs_are_listed(case: &Case) {
    let store = &case.stores.setup_store;
    let (mut found, mut offset) = (Vec::new(), 0);
    loop {
        let listing = ok(store.list_orgs(Page { offset, limit: 1 }).await);
        found.extend(listing.items.into_iter().map(|org| org.id));
        offset += 1;
        if u64::from(offset) >= listing.total {
            break;
        }
    }
    let position = |org: OrgId| found.iter().position(|found| *found == org).expect("the org is in the list");
    assert!(position(case.org) < position(case.other), "in order of creation");
}

pub(super) async fn settings_are_replaced_by_version(case: &Case) {
    let store = &case.stores.setup_store;
    let [base, default] = [(); 2].map(|()| Some(case.id(HarnessId::from_uuid)));
    let before = org(case).await;
    let changed = Org {
        name: "ignored".to_owned(),
        base_harness_id: base,
        default_harness_id: default,
        default_is_seeded: true,
        max_risk: RiskLevel::Medium,
        signatures: SignatureSettings {
            policy: SignaturePolicy::Warn,
            keys: vec![TrustedKey { name: "ci".to_owned(), public_key: "AA==".to_owned() }],
        },
        version: 2,
        updated_at: time(9),
        created_at: time(8),
        ..before.clone()
    };
    ok(store.update_org(changed.clone()).await);
    assert_eq!(org(case).await, Org { name: before.name, created_at: before.created_at, ..changed.clone() });
    assert_refused!(store.update_org(changed.clone()).await, StoreError::Stale { what: "org", .. });
    let absent = Org { id: case.id(OrgId::from_uuid), ..changed };
    assert_refused!(store.update_org(absent).await, StoreError::NotFound { what: "org", .. });
}

pub(super) async fn seeds_are_kept_by_kind_and_key(case: &Case) {
    let store = &case.stores.setup_store;
    let [a, b] = ["a", "b"].map(|key| seed(case, key));
    let agent = Seed { kind: SeedKind::Agent, ..seed(case, "a") };
    for seed in [&agent, &b, &a] {
        assert!(ok(store.put_seed(case.org, seed.clone()).await));
    }
    assert_same(&ok(store.list_seeds(case.org).await), &[a.clone(), b, agent.clone()]);
    let changed = Seed { digest: Digest::of(b"other"), archived: true, ..a };
    assert!(!ok(store.put_seed(case.org, changed.clone()).await));
    assert_eq!(some(store.find_seed(case.org, SeedKind::Harness, "a").await), changed);
    assert_eq!(some(store.find_seed(case.org, SeedKind::Agent, "a").await), agent);
    assert_none(store.find_seed(case.org, SeedKind::Agent, "b").await);
    assert_refused!(store.put_seed(case.id(OrgId::from_uuid), agent).await, StoreError::NotFound { what: "org", .. });
}

pub(super) async fn a_resource_is_used_by_what_needs_it(case: &Case) {
    let stores = &case.stores;
    let used = async |id: HarnessId| ok(stores.setup_store.is_used(case.org, SeedKind::Harness, id.uuid()).await);
    let harness = |name| Harness { parent_harness_id: None, ..case.harness(name) };
    let [agents, parent, sessions, base, default] = ["agents", "parent", "sessions", "base", "default"].map(harness);
    for harness in [&agents, &parent, &sessions, &base, &default] {
        ok(stores.harness_store.add_harness(case.org, harness.clone()).await);
        assert!(!used(harness.id).await, "{}", harness.name);
    }
    let mut agent = case.agent("agent");
    agent.harness_id = agents.id;
    ok(stores.agent_store.add_agent(case.org, agent.clone()).await);
    assert!(!used(agents.id).await, "an archived agent does not count");
    agent.status = ResourceStatus::Active;
    agent.version = 2;
    ok(stores.agent_store.update_agent(case.org, agent).await);
    let by_session = case.id(AgentId::from_uuid);
    let agent_is_used = async || ok(stores.setup_store.is_used(case.org, SeedKind::Agent, by_session.uuid()).await);
    assert!(!agent_is_used().await);
    let child = Harness { parent_harness_id: Some(parent.id), ..case.harness("child") };
    ok(stores.harness_store.add_harness(case.org, child).await);
    let session = Session { harness_id: sessions.id, agent_id: Some(by_session), ..case.session() };
    let started = case.started(&session);
    ok(stores.session_store.add_session(case.org, session, started).await);
    assert!(agent_is_used().await);
    let settings = Org {
        base_harness_id: Some(base.id),
        default_harness_id: Some(default.id),
        default_is_seeded: true,
        version: 2,
        ..org(case).await
    };
    ok(stores.setup_store.update_org(settings.clone()).await);
    assert!(!used(default.id).await, "the platform's choice does not count");
    ok(stores.setup_store.update_org(Org { default_is_seeded: false, version: 3, ..settings }).await);
    for harness in [agents, parent, sessions, base, default] {
        assert!(used(harness.id).await, "{}", harness.name);
    }
}

pub(super) async fn what_nothing_refers_to_can_be_deleted(case: &Case) {
    let stores = &case.stores;
    let delete = async |kind, id, version| stores.setup_store.delete_unused(case.org, kind, id, version).await;
    let harness = |name| Harness { parent_harness_id: None, ..case.harness(name) };
    let [parent, base] = ["parent", "base"].map(harness);
    let child = Harness { parent_harness_id: Some(parent.id), ..case.harness("child") };
    let mut agent = case.agent("agent");
    agent.harness_id = child.id;
    for row in [&parent, &base, &child] {
        ok(stores.harness_store.add_harness(case.org, row.clone()).await);
    }
    ok(stores.agent_store.add_agent(case.org, agent.clone()).await);
    let session = Session { harness_id: parent.id, agent_id: Some(agent.id), ..case.session() };
    ok(stores.session_store.add_session(case.org, session.clone(), case.started(&session)).await);
    ok(stores.setup_store.update_org(Org { base_harness_id: Some(base.id), version: 2, ..org(case).await }).await);
    for (kind, id, by) in [
        (SeedKind::Agent, agent.id.uuid(), "sessions"),
        (SeedKind::Harness, child.id.uuid(), "agents"),
        (SeedKind::Harness, parent.id.uuid(), "harnesses that extend it"),
        (SeedKind::Harness, base.id.uuid(), "the settings of the org"),
    ] {
        match delete(kind, id, 1).await {
            Err(StoreError::InUse { by: found, .. }) => assert_eq!(found, by),
            other => panic!("{by}: {other:?}"),
        }
    }
    ok(stores.session_store.delete_session(case.org, session.id, None).await);
    assert_refused!(delete(SeedKind::Agent, agent.id.uuid(), 2).await, StoreError::Stale { what: "agent", .. });
    assert_refused!(stores.setup_store.delete_unused(case.other, SeedKind::Agent, agent.id.uuid(), 1).await, StoreError::NotFound { .. });
    ok(delete(SeedKind::Agent, agent.id.uuid(), 1).await);
    assert_none(stores.agent_store.get_agent(case.org, agent.id).await);
    assert_refused!(delete(SeedKind::Agent, agent.id.uuid(), 1).await, StoreError::NotFound { what: "agent", .. });
    ok(delete(SeedKind::Harness, child.id.uuid(), 1).await);
    ok(delete(SeedKind::Harness, parent.id.uuid(), 1).await);
    assert_none(stores.harness_store.find_harness(case.org, "parent").await);
    ok(stores.harness_store.add_harness(case.org, harness("parent")).await);
}

pub(super) async fn a_caller_has_one_chat_session(case: &Case) {
    let store = &case.stores.setup_store;
    let [first, second] = [(); 2].map(|()| case.id(SessionId::from_uuid));
    assert_none(store.chat_session(case.org, "größe").await);
    assert_eq!(ok(store.replace_chat_session(case.org, "größe", None, first).await), first);
    assert_eq!(ok(store.replace_chat_session(case.org, "größe", None, second).await), first);
    assert_eq!(ok(store.replace_chat_session(case.org, "größe", Some(first), second).await), second);
    assert_eq!(some(store.chat_session(case.org, "größe").await), second);
    assert_none(store.chat_session(case.org, "other").await);
    let absent = store.replace_chat_session(case.id(OrgId::from_uuid), "größe", None, first).await;
    assert_refused!(absent, StoreError::NotFound { what: "org", .. });
}
