//! Versions after their upload: channels, archiving, and the deletion of bytes that nobody needs.

use std::collections::BTreeMap;

use super::case::{Case, assert_none, assert_refused, ok, some, time};
use crate::component::{Component, ComponentVersion, Grant};
use crate::event::PinnedCapability;
use crate::id::{ComponentId, SessionId};
use crate::limits::Budget;
use crate::store::{Activation, Claim, Collected, MAX_CHANNELS, NewVersion, StoreError, StoredVersion, TurnEnd};

async fn upload(case: &Case, name: &str, wasm: &str) -> StoredVersion {
    ok(case.stores.component_store.add_version(case.org, case.upload(name, wasm.as_bytes())).await)
}

fn activation(channel: Option<&str>) -> Activation {
    let grant = Grant { kv: vec!["main".to_owned()], ..Grant::default() };
    Activation { channel: channel.map(str::to_owned), grant, budget: Budget::TOOL_CALL, now: time(90) }
}

async fn version(case: &Case, id: ComponentId, number: u32) -> ComponentVersion {
    some(case.stores.component_store.get_version(case.org, id, number).await)
}

/// Deletes what was archived up to `seconds`.
async fn collect(case: &Case, seconds: i64) -> Collected {
    ok(case.stores.component_store.collect(case.org, time(seconds), 100).await)
}

fn collected(versions: u32, bytes: u64) -> Collected {
    Collected { versions, bytes }
}

/// Versions 1 and 2, of 3 and 4 bytes; 2 is active and 1 archived since second 40.
async fn one_archived(case: &Case) -> ComponentId {
    let store = &case.stores.component_store;
    let id = upload(case, "lens", "one").await.component.id;
    upload(case, "lens", "four").await;
    ok(store.activate(case.org, id, 1, activation(None)).await);
    ok(store.activate(case.org, id, 2, activation(None)).await);
    ok(store.archive_version(case.org, id, 1, time(40)).await);
    id
}

pub(super) async fn a_channel_points_beside_the_active_version(case: &Case) {
    let store = &case.stores.component_store;
    let id = upload(case, "lens", "1").await.component.id;
    let second = upload(case, "lens", "2").await;
    assert!(!second.version.is_usable(), "nobody has agreed to it");
    ok(store.activate(case.org, id, 1, activation(None)).await);
    let pointed = ok(store.activate(case.org, id, 2, activation(Some("beta"))).await);
    let channels = BTreeMap::from([("beta".to_owned(), 2)]);
    let expected = Component { active_version: Some(1), channels, updated_at: time(90), ..second.component };
    assert_eq!(pointed, expected);
    assert_eq!(some(store.get_component(case.org, id).await), expected);
    let Activation { grant, budget, now, .. } = activation(None);
    let granted = ComponentVersion { grant, budget, granted_at: Some(now), ..second.version };
    assert_eq!(version(case, id, 2).await, granted);
    assert!(version(case, id, 2).await.activated_at.is_none(), "it was never the active one");
    ok(store.activate(case.org, id, 1, activation(Some("beta"))).await);
    assert_eq!(some(store.get_component(case.org, id).await).channels["beta"], 1);
    assert!(ok(store.remove_channel(case.org, id, "beta").await));
    assert!(!ok(store.remove_channel(case.org, id, "beta").await));
    assert_eq!(some(store.get_component(case.org, id).await).channels, BTreeMap::new());
    let absent = case.id(ComponentId::from_uuid);
    assert_refused!(store.remove_channel(case.org, absent, "beta").await, StoreError::NotFound { what: "component", .. });
}

pub(super) async fn a_component_has_so_many_channels(case: &Case) {
    let store = &case.stores.component_store;
    let id = upload(case, "lens", "1").await.component.id;
    for at in 0..MAX_CHANNELS {
        ok(store.activate(case.org, id, 1, activation(Some(&format!("c{at}")))).await);
    }
    assert_refused!(store.activate(case.org, id, 1, activation(Some("more"))).await, StoreError::Limit(_));
    ok(store.activate(case.org, id, 1, activation(Some("c0"))).await);
    assert_eq!(some(store.get_component(case.org, id).await).channels.len(), MAX_CHANNELS);
}

pub(super) async fn a_version_that_turns_are_given_is_not_archived(case: &Case) {
    let store = &case.stores.component_store;
    let id = upload(case, "lens", "1").await.component.id;
    upload(case, "lens", "2").await;
    ok(store.activate(case.org, id, 1, activation(None)).await);
    ok(store.activate(case.org, id, 2, activation(Some("beta"))).await);
    for number in [1, 2] {
        let refused = store.archive_version(case.org, id, number, time(40)).await;
        assert_refused!(refused, StoreError::InUse { what: "component version", .. });
        assert_eq!(version(case, id, number).await.archived_at, None);
    }
    ok(store.remove_channel(case.org, id, "beta").await);
    assert_eq!(ok(store.archive_version(case.org, id, 2, time(40)).await).archived_at, Some(time(40)));
    assert_eq!(ok(store.archive_version(case.org, id, 2, time(50)).await), version(case, id, 2).await);
    assert_eq!(version(case, id, 2).await.archived_at, Some(time(40)));
    // Agreeing to it brings it back.
    ok(store.activate(case.org, id, 2, activation(None)).await);
    assert_eq!(version(case, id, 2).await.archived_at, None);
    for (of, number) in [(id, 3), (id, 0), (case.id(ComponentId::from_uuid), 1)] {
        assert_refused!(store.archive_version(case.org, of, number, time(40)).await, StoreError::NotFound { .. });
    }
}

pub(super) async fn bytes_of_archived_versions_are_deleted_and_come_back(case: &Case) {
    let store = &case.stores.component_store;
    let id = one_archived(case).await;
    assert_eq!(collect(case, 39).await, Collected::default());
    assert_eq!(collect(case, 40).await, collected(1, 3));
    assert_eq!(collect(case, 40).await, Collected::default());
    let gone = version(case, id, 1).await;
    assert_eq!((gone.stored_at, gone.is_usable(), version(case, id, 2).await.is_usable()), (None, false, true));
    assert_none(store.read_wasm(case.org, gone.digest).await);
    let refused = store.activate(case.org, id, 1, activation(None)).await;
    assert_refused!(refused, StoreError::NotFound { what: "component version", .. });
    let again = NewVersion { now: time(70), ..case.upload("lens", b"one") };
    let back = ok(store.add_version(case.org, again).await);
    assert_eq!((back.created, back.version.version, back.version.stored_at), (false, 1, Some(time(70))));
    assert_eq!(back.version, version(case, id, 1).await);
    assert_eq!((back.version.archived_at, back.version.is_usable()), (None, true));
    assert_eq!(some(store.read_wasm(case.org, gone.digest).await), b"one");
}

pub(super) async fn so_many_versions_are_collected_at_once(case: &Case) {
    let id = one_archived(case).await;
    upload(case, "lens", "three").await;
    ok(case.stores.component_store.archive_version(case.org, id, 3, time(40)).await);
    for expected in [collected(1, 3), collected(1, 5), Collected::default()] {
        assert_eq!(ok(case.stores.component_store.collect(case.org, time(40), 1).await), expected);
    }
}

pub(super) async fn bytes_that_another_version_has_stay(case: &Case) {
    let store = &case.stores.component_store;
    let id = one_archived(case).await;
    upload(case, "other", "one").await;
    ok(store.add_version(case.other, case.upload("lens", b"one")).await);
    let digest = version(case, id, 1).await.digest;
    assert_eq!(collect(case, 40).await, collected(1, 3));
    // The same org has them under another name.
    assert_eq!(some(store.read_wasm(case.org, digest).await), b"one");
    assert_eq!(some(store.read_wasm(case.other, digest).await), b"one");
    let other = some(store.find_component(case.org, "other").await);
    ok(store.archive_component(case.org, other.id, time(41)).await);
    assert_eq!(collect(case, 41).await, collected(1, 3));
    assert_none(store.read_wasm(case.org, digest).await);
    assert_eq!(some(store.read_wasm(case.other, digest).await), b"one");
}

/// Has a turn say that it uses a version.
async fn start(case: &Case, session: SessionId, claim: &Claim, version: &ComponentVersion) {
    let pin = PinnedCapability { id: "lens".to_owned(), version: Some(version.version), digest: Some(version.digest) };
    ok(case.append(session, claim.fence, vec![case.turn_started(claim.turn_id, vec![pin])], None).await);
}

pub(super) async fn bytes_stay_while_an_open_turn_uses_them(case: &Case) {
    let id = one_archived(case).await;
    let (session, claim) = case.claimed().await;
    assert_eq!(collect(case, 90).await, Collected::default(), "it may be about to start with any version");
    start(case, session, &claim, &version(case, id, 1).await).await;
    assert_eq!(collect(case, 90).await, Collected::default());
    ok(case.append(session, claim.fence, case.steps(1), Some((claim.turn_id, TurnEnd::Completed))).await);
    // Another turn uses another version, and one waits for it.
    case.open_turn(session).await;
    let next = case.claim(session).await;
    start(case, session, &next, &version(case, id, 2).await).await;
    case.open_turn(session).await;
    assert_eq!(collect(case, 90).await, collected(1, 3));
}

pub(super) async fn what_is_archived_makes_room(case: &Case) {
    let store = &case.stores.component_store;
    let new = case.upload("lens", &[b'a'; 1_000]);
    let rest = serde_json::to_string(&new.description).expect("it is JSON").chars().count() as u64;
    let quota_bytes = 1_000 + rest + 10;
    let with = |name: &str, wasm: &[u8]| NewVersion { quota_bytes, quota_components: 1, ..case.upload(name, wasm) };
    let id = ok(store.add_version(case.org, with("lens", &[b'a'; 1_000])).await).component.id;
    assert_refused!(store.add_version(case.org, with("lens", &[b'b'; 1_000])).await, StoreError::Limit(_));
    assert_refused!(store.add_version(case.org, with("other", b"b")).await, StoreError::Limit(_));
    ok(store.archive_component(case.org, id, time(40)).await);
    assert_refused!(store.add_version(case.org, with("other", b"b")).await, StoreError::Limit(_));
    assert_eq!(collect(case, 40).await, collected(1, 1_000));
    // The description of what is gone still takes room.
    assert_refused!(store.add_version(case.org, with("other", &[b'b'; 1_011])).await, StoreError::Limit(_));
    ok(store.add_version(case.org, with("other", &[b'b'; 1_010])).await);
    assert_refused!(store.add_version(case.org, with("lens", &[b'a'; 1_000])).await, StoreError::Limit(_));
    assert_eq!(version(case, id, 1).await.stored_at, None);
}

pub(super) async fn one_that_came_back_is_not_taken_at_once(case: &Case) {
    let store = &case.stores.component_store;
    let id = upload(case, "lens", "1").await.component.id;
    ok(store.archive_component(case.org, id, time(40)).await);
    assert_eq!(collect(case, 50).await, collected(1, 1));
    ok(store.add_version(case.org, NewVersion { now: time(70), ..case.upload("lens", b"1") }).await);
    assert_eq!(collect(case, 69).await, Collected::default());
    assert_eq!(collect(case, 70).await, collected(1, 1));
}

pub(super) async fn a_signature_is_kept_and_can_come_later(case: &Case) {
    let store = &case.stores.component_store;
    let with = |wasm: &str, signature: Option<&str>| NewVersion {
        signature: signature.map(str::to_owned),
        ..case.upload("lens", wasm.as_bytes())
    };
    let mut signatures = Vec::new();
    for (wasm, signature) in [("1", Some("first")), ("2", None), ("2", Some("late")), ("1", None), ("1", Some("new"))] {
        let stored = ok(store.add_version(case.org, with(wasm, signature)).await);
        assert_eq!(stored.version, version(case, stored.component.id, stored.version.version).await);
        signatures.push(stored.version.signature);
    }
    let expected = [Some("first"), None, Some("late"), Some("first"), Some("new")];
    assert_eq!(signatures.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
}
