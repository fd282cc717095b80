//! Uploaded components.

use std::collections::BTreeMap;

use super::case::{Case, FIRST_PAGE, assert_none, assert_refused, assert_same, ok, some, time};
use crate::component::{Component, ComponentKind, ComponentVersion, Digest, DriverDescription, FileAccess, Grant};
use crate::id::ComponentId;
use crate::limits::Budget;
use crate::store::{Activation, NewVersion, Page, StoreError, StoredVersion};

async fn upload(case: &Case, name: &str, wasm: &str) -> StoredVersion {
    ok(case.stores.component_store.add_version(case.org, case.upload(name, wasm.as_bytes())).await)
}

fn activation() -> Activation {
    Activation {
        channel: None,
        grant: Grant { files: FileAccess::Read, kv: vec!["main".to_owned()], ..Grant::default() },
        budget: Budget { fuel: 7, ..Budget::TOOL_CALL },
        now: time(90),
    }
}

pub(super) async fn reads_back_a_first_version(case: &Case) {
    let new = case.upload("lens", b"\0asm");
    let stored = ok(case.stores.component_store.add_version(case.org, new.clone()).await);
    let component = Component {
        id: new.component_id,
        name: "lens".to_owned(),
        kind: ComponentKind::Capability,
        active_version: None,
        channels: BTreeMap::new(),
        latest_version: 1,
        created_at: new.now,
        updated_at: new.now,
        archived_at: None,
    };
    let version = ComponentVersion {
        component_id: new.component_id,
        version: 1,
        digest: new.digest,
        size: 4,
        description: new.description,
        imports: new.imports,
        grant: Grant::default(),
        budget: Budget::default(),
        created_at: new.now,
        activated_at: None,
        signature: None,
        granted_at: None,
        archived_at: None,
        stored_at: Some(new.now),
    };
    assert_eq!(stored, StoredVersion { component: component.clone(), version: version.clone(), created: true });
    let store = &case.stores.component_store;
    assert_eq!(some(store.get_component(case.org, component.id).await), component);
    assert_eq!(some(store.find_component(case.org, "lens").await), component);
    assert_eq!(some(store.get_version(case.org, component.id, 1).await), version);
    assert_eq!(some(store.read_wasm(case.org, new.digest).await), b"\0asm");
    assert_none(store.get_component(case.org, case.id(ComponentId::from_uuid)).await);
    assert_none(store.find_component(case.org, "Lens").await);
    for number in [0, 2, u32::MAX] {
        assert_none(store.get_version(case.org, component.id, number).await);
    }
    assert_none(store.read_wasm(case.org, Digest::of(b"other")).await);
}

pub(super) async fn the_same_bytes_are_the_same_version(case: &Case) {
    let first = upload(case, "lens", "one").await;
    upload(case, "lens", "two").await;
    let again = NewVersion { now: time(70), imports: Vec::new(), ..case.upload("lens", b"one") };
    let stored = ok(case.stores.component_store.add_version(case.org, again).await);
    assert_eq!((stored.version, stored.created), (first.version, false));
    assert_eq!(stored.component.latest_version, 2);
    assert_eq!(stored.component, some(case.stores.component_store.find_component(case.org, "lens").await));
    assert_eq!(stored.component.updated_at, time(20));
}

pub(super) async fn an_org_stores_so_many_bytes(case: &Case) {
    let store = &case.stores.component_store;
    let with = |name: &str, wasm: &str| NewVersion { quota_bytes: 10, ..case.upload(name, wasm.as_bytes()) };
    ok(store.add_version(case.org, with("lens", "12345")).await);
    ok(store.add_version(case.org, with("other", "12345")).await);
    assert_refused!(store.add_version(case.org, with("third", "1")).await, StoreError::Limit(_));
    assert_none(store.find_component(case.org, "third").await);
    assert_refused!(store.add_version(case.org, with("lens", "x")).await, StoreError::Limit(_));
    let again = ok(store.add_version(case.org, with("lens", "12345")).await);
    assert!(!again.created, "what is stored already takes no more room");
    ok(store.add_version(case.other, with("third", "1")).await);
}

pub(super) async fn an_org_has_so_many_components(case: &Case) {
    let store = &case.stores.component_store;
    let with = |name: &str, wasm: &str| NewVersion { quota_components: 2, ..case.upload(name, wasm.as_bytes()) };
    let first = ok(store.add_version(case.org, with("lens", "1")).await);
    ok(store.add_version(case.org, with("other", "1")).await);
    ok(store.archive_component(case.org, first.component.id, time(50)).await);
    assert_refused!(store.add_version(case.org, with("third", "1")).await, StoreError::Limit(_));
    assert_none(store.find_component(case.org, "third").await);
    ok(store.add_version(case.org, with("lens", "2")).await);
    ok(store.add_version(case.other, with("third", "1")).await);
}

pub(super) async fn version_numbers_grow_by_one(case: &Case) {
    let first = upload(case, "lens", "0").await;
    upload(case, "other", "0").await;
    for number in 2..=4 {
        let new = NewVersion { now: time(20 + i64::from(number)), ..case.upload("lens", format!("{number}").as_bytes()) };
        let stored = ok(case.stores.component_store.add_version(case.org, new).await);
        assert_eq!((stored.version.version, stored.created), (number, true));
        let expected = Component { latest_version: number, updated_at: time(20 + i64::from(number)), ..first.component.clone() };
        assert_eq!(stored.component, expected);
        assert_eq!(stored.version.component_id, first.component.id);
    }
}

pub(super) async fn the_same_bytes_may_have_two_names(case: &Case) {
    let one = upload(case, "one", "same").await;
    let two = upload(case, "two", "same").await;
    assert!(two.created);
    assert_ne!(one.component.id, two.component.id);
    assert_eq!(one.version.digest, two.version.digest);
}

pub(super) async fn a_name_belongs_to_one_kind(case: &Case) {
    let driver = |name: &str, wasm: &[u8]| {
        let mut new = case.upload(name, wasm);
        new.description.driver = Some(DriverDescription::default());
        new
    };
    upload(case, "lens", "one").await;
    let store = &case.stores.component_store;
    assert_refused!(store.add_version(case.org, driver("lens", b"two")).await, StoreError::OtherKind { kind: "capability", .. });
    let stored = ok(store.add_version(case.org, driver("wire", b"two")).await);
    assert_eq!((stored.component.kind, stored.version.budget), (ComponentKind::Driver, Budget::COMPLETION));
    assert_eq!(some(store.find_component(case.org, "wire").await), stored.component);
    assert_refused!(store.add_version(case.org, case.upload("wire", b"three")).await, StoreError::OtherKind { kind: "driver", .. });
}

pub(super) async fn wrong_bytes_for_a_digest_are_refused(case: &Case) {
    let wrong = NewVersion { digest: Digest::of(b"good"), ..case.upload("lens", b"bad") };
    let digest = wrong.digest;
    assert_refused!(case.stores.component_store.add_version(case.org, wrong).await, StoreError::Corrupt(_));
    assert_none(case.stores.component_store.find_component(case.org, "lens").await);
    assert_none(case.stores.component_store.read_wasm(case.org, digest).await);
}

pub(super) async fn a_taken_id_is_a_duplicate(case: &Case) {
    let first = upload(case, "lens", "one").await;
    let clash = NewVersion { component_id: first.component.id, ..case.upload("other", b"two") };
    let digest = clash.digest;
    let result = case.stores.component_store.add_version(case.org, clash).await;
    assert_refused!(result, StoreError::Duplicate { what: "component", .. });
    assert_none(case.stores.component_store.find_component(case.org, "other").await);
    assert_none(case.stores.component_store.read_wasm(case.org, digest).await);
}

pub(super) async fn lists_components_in_order_of_creation(case: &Case) {
    let mut components = Vec::new();
    for name in ["c", "a", "b"] {
        components.push(upload(case, name, name).await.component);
    }
    components[1] = ok(case.stores.component_store.archive_component(case.org, components[1].id, time(30)).await);
    let all = ok(case.stores.component_store.list_components(case.org, FIRST_PAGE).await);
    assert_same(&all.items, &components);
    let part = ok(case.stores.component_store.list_components(case.org, Page { offset: 1, limit: 1 }).await);
    assert_same(&part.items, &components[1..2]);
    assert_eq!((all.total, part.total), (3, 3));
}

pub(super) async fn lists_versions_newest_first(case: &Case) {
    let mut versions = Vec::new();
    for wasm in ["1", "2", "3"] {
        versions.insert(0, upload(case, "lens", wasm).await.version);
    }
    upload(case, "other", "1").await;
    let id = versions[0].component_id;
    for (offset, limit, expected) in [(0, 100, 0..3), (0, 2, 0..2), (2, 2, 2..3), (3, 2, 3..3)] {
        let listing = ok(case.stores.component_store.list_versions(case.org, id, Page { offset, limit }).await);
        assert_same(&listing.items, &versions[expected]);
        assert_eq!(listing.total, 3);
    }
    let absent = ok(case.stores.component_store.list_versions(case.org, case.id(ComponentId::from_uuid), FIRST_PAGE).await);
    assert_eq!((absent.items.len(), absent.total), (0, 0));
}

pub(super) async fn activation_sets_grant_and_budget_of_one_version(case: &Case) {
    let first = upload(case, "lens", "1").await;
    let second = upload(case, "lens", "2").await;
    let id = first.component.id;
    let Activation { grant, budget, now, .. } = activation();
    let active = ok(case.stores.component_store.activate(case.org, id, 1, activation()).await);
    assert_eq!(active, Component { active_version: Some(1), updated_at: now, ..second.component });
    assert_eq!(some(case.stores.component_store.get_component(case.org, id).await), active);
    let granted = some(case.stores.component_store.get_version(case.org, id, 1).await);
    assert_eq!(granted, ComponentVersion { grant, budget, activated_at: Some(now), granted_at: Some(now), ..first.version });
    assert_eq!(some(case.stores.component_store.get_version(case.org, id, 2).await), second.version);
    // Going on to another version keeps what was granted to the first.
    let other = Activation { grant: Grant::default(), ..activation() };
    assert_eq!(ok(case.stores.component_store.activate(case.org, id, 2, other).await).active_version, Some(2));
    assert_eq!(some(case.stores.component_store.get_version(case.org, id, 1).await), granted);
}

pub(super) async fn activation_needs_component_and_version(case: &Case) {
    let stored = upload(case, "lens", "1").await;
    for number in [0, 2, u32::MAX] {
        let result = case.stores.component_store.activate(case.org, stored.component.id, number, activation()).await;
        assert_refused!(result, StoreError::NotFound { what: "component version", .. });
    }
    let absent = case.id(ComponentId::from_uuid);
    let result = case.stores.component_store.activate(case.org, absent, 1, activation()).await;
    assert_refused!(result, StoreError::NotFound { what: "component", .. });
    assert_eq!(some(case.stores.component_store.get_component(case.org, stored.component.id).await), stored.component);
}

pub(super) async fn an_upload_activates_nothing(case: &Case) {
    let id = upload(case, "lens", "1").await.component.id;
    ok(case.stores.component_store.activate(case.org, id, 1, activation()).await);
    let stored = upload(case, "lens", "2").await;
    assert_eq!((stored.component.active_version, stored.component.latest_version), (Some(1), 2));
    assert_eq!(stored.version.grant, Grant::default());
}

pub(super) async fn archives_and_brings_back(case: &Case) {
    let stored = upload(case, "lens", "1").await;
    let id = stored.component.id;
    let store = &case.stores.component_store;
    let archived = ok(store.archive_component(case.org, id, time(30)).await);
    assert_eq!(archived, Component { archived_at: Some(time(30)), ..stored.component });
    assert_eq!(ok(store.archive_component(case.org, id, time(40)).await), archived);
    assert_eq!(some(store.get_component(case.org, id).await), archived);
    // A new upload stays archived with its component; activation brings it back.
    assert_eq!(upload(case, "lens", "2").await.component.archived_at, Some(time(30)));
    assert_eq!(ok(store.activate(case.org, id, 2, activation()).await).archived_at, None);
    let absent = case.id(ComponentId::from_uuid);
    assert_refused!(store.archive_component(case.org, absent, time(30)).await, StoreError::NotFound { what: "component", .. });
}

pub(super) async fn bytes_are_shared_and_found_by_their_uploaders_only(case: &Case) {
    let store = &case.stores.component_store;
    let first = upload(case, "lens", "same").await;
    assert_none(store.read_wasm(case.other, first.version.digest).await);
    let other = ok(store.add_version(case.other, case.upload("lens", b"same")).await);
    assert!(other.created);
    assert_eq!(other.version.version, 1);
    assert!(ok(store.is_stored(first.version.digest).await));
    assert!(!ok(store.is_stored(Digest::of(b"nobody's")).await));
    for org in [case.org, case.other] {
        assert_eq!(some(store.read_wasm(org, first.version.digest).await), b"same");
    }
}
