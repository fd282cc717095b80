//! Orgs, their keys and the secrets of the installation.

use secrecy::{ExposeSecret, SecretString};

use super::case::{Case, FIRST_PAGE, assert_none, assert_refused, assert_same, ok, some, time};
use crate::component::Digest;
use crate::id::{AuditEntryId, KeyId, OrgId};
use crate::store::{ApiKey, AuditEntry, FoundKey, Page, Scope, StoreError};

/// A key with a secret of its own: its id, hashed badly.
pub(super) fn api_key(case: &Case, org: OrgId, scope: Scope) -> ApiKey {
    let id = case.id(KeyId::from_uuid);
    let mut secret_hash = [0; 32];
    secret_hash[..16].copy_from_slice(id.uuid().as_bytes());
    ApiKey { id, org, name: "Größe 日本".to_owned(), scope, member: None, secret_hash, created_at: time(3) }
}

pub(super) async fn the_default_org_stays(case: &Case) {
    let first = ok(case.stores.org_store.default_org(case.id(OrgId::from_uuid), time(0)).await);
    let again = ok(case.stores.org_store.default_org(case.id(OrgId::from_uuid), time(1)).await);
    assert_eq!(first, again);
    assert!(first != case.org && first != case.other);
    // It can have keys, as any org.
    let key = api_key(case, first, Scope::Admin);
    ok(case.stores.org_store.add_key(key.clone()).await);
    assert!(ok(case.stores.org_store.remove_key(first, key.id).await));
}

pub(super) async fn a_taken_name_or_id_is_a_duplicate(case: &Case) {
    let name = format!("Größe {}", case.org);
    ok(case.stores.org_store.add_org(case.id(OrgId::from_uuid), &name, time(0)).await);
    let again = case.stores.org_store.add_org(case.id(OrgId::from_uuid), &name, time(0)).await;
    assert_refused!(again, StoreError::Duplicate { what: "org", .. });
    let again = case.stores.org_store.add_org(case.org, &format!("new {}", case.org), time(0)).await;
    assert_refused!(again, StoreError::Duplicate { what: "org", .. });
}

pub(super) async fn keys_are_found_by_their_hash(case: &Case) {
    for scope in [Scope::Read, Scope::Write, Scope::Admin, Scope::Operator] {
        let key = api_key(case, case.org, scope);
        assert_none(case.stores.org_store.find_key(&key.secret_hash).await);
        ok(case.stores.org_store.add_key(key.clone()).await);
        assert_eq!(some(case.stores.org_store.find_key(&key.secret_hash).await), FoundKey { key, role: None });
    }
}

pub(super) async fn keys_are_listed_in_order_of_creation(case: &Case) {
    let mut keys = [Scope::Read, Scope::Write, Scope::Admin, Scope::Operator].map(|scope| api_key(case, case.org, scope));
    keys.reverse();
    for key in &keys {
        ok(case.stores.org_store.add_key(key.clone()).await);
    }
    ok(case.stores.org_store.add_key(api_key(case, case.other, Scope::Read)).await);
    assert_same(&ok(case.stores.org_store.list_keys(case.org).await), &keys);
}

/// An entry of an audit log.
pub(super) fn audit_entry(case: &Case, actor: &str) -> AuditEntry {
    AuditEntry {
        id: case.id(AuditEntryId::from_uuid),
        at: time(5),
        actor: actor.to_owned(),
        action: "POST /v1/components/{component}/rollback".to_owned(),
        target: "/v1/components/Größe/rollback".to_owned(),
        status: 200,
        before: Some(Digest::of(b"before")),
        after: None,
    }
}

pub(super) async fn what_was_done_is_listed_newest_first(case: &Case) {
    let store = &case.stores.org_store;
    let entries = ["first", "second", "third"].map(|actor| audit_entry(case, actor));
    for entry in &entries {
        ok(store.add_audit_entry(case.org, entry.clone()).await);
    }
    let [first, second, third] = entries;
    let part = ok(store.list_audit_entries(case.org, Page { offset: 1, limit: 1 }).await);
    assert_eq!((part.items, part.total), (vec![second.clone()], 3));
    let again = store.add_audit_entry(case.org, first.clone()).await;
    assert_refused!(again, StoreError::Duplicate { what: "audit entry", .. });
    let whole = ok(store.list_audit_entries(case.org, FIRST_PAGE).await);
    assert_eq!((whole.items, whole.total), (vec![third, second, first], 3));
    assert_eq!(ok(store.list_audit_entries(case.other, FIRST_PAGE).await).total, 0);
    let nowhere = store.add_audit_entry(case.id(OrgId::from_uuid), audit_entry(case, "nobody")).await;
    assert_refused!(nowhere, StoreError::NotFound { what: "org", .. });
}

pub(super) async fn a_removed_key_is_gone(case: &Case) {
    let [key, kept] = [(); 2].map(|()| api_key(case, case.org, Scope::Read));
    for key in [&key, &kept] {
        ok(case.stores.org_store.add_key(key.clone()).await);
    }
    assert!(ok(case.stores.org_store.remove_key(case.org, key.id).await));
    assert!(!ok(case.stores.org_store.remove_key(case.org, key.id).await));
    assert_none(case.stores.org_store.find_key(&key.secret_hash).await);
    assert_same(&ok(case.stores.org_store.list_keys(case.org).await), &[kept]);
}

pub(super) async fn a_taken_key_is_a_duplicate(case: &Case) {
    let key = api_key(case, case.org, Scope::Read);
    ok(case.stores.org_store.add_key(key.clone()).await);
    let same_id = ApiKey { id: key.id, ..api_key(case, case.org, Scope::Admin) };
    // A secret identifies one key in the whole installation.
    let same_secret = ApiKey { secret_hash: key.secret_hash, ..api_key(case, case.other, Scope::Admin) };
    for clash in [same_id, same_secret] {
        assert_refused!(case.stores.org_store.add_key(clash).await, StoreError::Duplicate { what: "API key", .. });
    }
    assert_eq!(some(case.stores.org_store.find_key(&key.secret_hash).await).key, key);
}

pub(super) async fn a_key_needs_its_org(case: &Case) {
    let key = api_key(case, case.id(OrgId::from_uuid), Scope::Read);
    assert_refused!(case.stores.org_store.add_key(key.clone()).await, StoreError::NotFound { what: "org", .. });
    assert_none(case.stores.org_store.find_key(&key.secret_hash).await);
}

pub(super) async fn an_installation_secret_is_made_once(case: &Case) {
    let name = format!("contract-{}", case.org);
    let read = async |name: &str, value: &str| {
        let secret = ok(case.stores.org_store.installation_secret(name, SecretString::from(value.to_owned())).await);
        secret.expose_secret().to_owned()
    };
    assert_eq!(read(&name, "Größe \u{1}").await, "Größe \u{1}");
    assert_eq!(read(&name, "second").await, "Größe \u{1}");
    assert_eq!(read(&format!("{name}2"), "second").await, "second");
}

/// The database may be shared with other cases, so that only the presence of a key is certain.
pub(super) async fn the_installation_knows_whether_it_has_keys(case: &Case) {
    ok(case.stores.org_store.add_key(api_key(case, case.org, Scope::Read)).await);
    assert!(ok(case.stores.org_store.has_keys().await));
}
