//! Members of orgs and their keys.

use super::case::{Case, FIRST_PAGE, assert_none, assert_refused, assert_same, ok, some, time};
use super::concurrency::all;
use super::orgs::api_key;
use crate::id::{MemberId, OrgId};
use crate::limits::{MAX_KEYS, MAX_MEMBERS};
use crate::store::{ApiKey, Member, Page, Role, Scope, StoreError};

/// A member that is not stored yet.
pub(super) fn member(case: &Case, role: Role) -> Member {
    Member {
        id: case.id(MemberId::from_uuid),
        name: "Größe 日本".to_owned(),
        email: Some("a@b.test".to_owned()),
        role,
        version: 1,
        created_at: time(3),
        updated_at: time(3),
    }
}

async fn stored(case: &Case, role: Role) -> Member {
    let member = member(case, role);
    ok(case.stores.member_store.add_member(case.org, member.clone()).await);
    member
}

async fn key_of(case: &Case, member: &Member) -> ApiKey {
    let key = ApiKey { member: Some(member.id), ..api_key(case, case.org, Scope::Admin) };
    ok(case.stores.org_store.add_key(key.clone()).await);
    key
}

pub(super) fn changed(member: &Member, role: Role) -> Member {
    Member { role, email: None, version: member.version + 1, created_at: time(9), updated_at: time(9), ..member.clone() }
}

pub(super) async fn members_are_listed_in_order_and_belong_to_one_org(case: &Case) {
    let store = &case.stores.member_store;
    let mut members = Vec::new();
    for role in [Role::Owner, Role::Admin, Role::Member] {
        let member = stored(case, role).await;
        assert_eq!(some(store.get_member(case.org, member.id).await), member);
        assert_none(store.get_member(case.other, member.id).await);
        members.push(member);
    }
    assert_same(&ok(store.list_members(case.org, FIRST_PAGE).await).items, &members);
    let part = ok(store.list_members(case.org, Page { offset: 1, limit: 1 }).await);
    assert_eq!((part.items, part.total), (vec![members[1].clone()], 3));
    assert_eq!(ok(store.list_members(case.other, FIRST_PAGE).await).total, 0);
    assert_refused!(store.add_member(case.org, members[0].clone()).await, StoreError::Duplicate { what: "member", .. });
    let nowhere = store.add_member(case.id(OrgId::from_uuid), member(case, Role::Member)).await;
    assert_refused!(nowhere, StoreError::NotFound { what: "org", .. });
    assert!(!ok(store.remove_member(case.other, members[2].id).await), "it is not theirs");
    assert_refused!(store.update_member(case.other, changed(&members[2], Role::Admin)).await, StoreError::NotFound { what: "member", .. });
}

pub(super) async fn a_member_is_changed_by_version(case: &Case) {
    let store = &case.stores.member_store;
    let first = stored(case, Role::Member).await;
    let second = changed(&first, Role::Admin);
    ok(store.update_member(case.org, second.clone()).await);
    assert_eq!(some(store.get_member(case.org, first.id).await), Member { created_at: first.created_at, ..second.clone() });
    assert_refused!(store.update_member(case.org, second).await, StoreError::Stale { what: "member", .. });
    let absent = changed(&member(case, Role::Member), Role::Member);
    assert_refused!(store.update_member(case.org, absent).await, StoreError::NotFound { what: "member", .. });
}

pub(super) async fn an_org_that_has_an_owner_keeps_one(case: &Case) {
    let store = &case.stores.member_store;
    let first = stored(case, Role::Owner).await;
    assert_refused!(store.update_member(case.org, changed(&first, Role::Admin)).await, StoreError::LastOwner { .. });
    assert_refused!(store.remove_member(case.org, first.id).await, StoreError::LastOwner { .. });
    assert_eq!(some(store.get_member(case.org, first.id).await), first, "nothing has changed");
    let first = {
        ok(store.update_member(case.org, changed(&first, Role::Owner)).await);
        changed(&first, Role::Owner)
    };
    let second = stored(case, Role::Owner).await;
    ok(store.update_member(case.org, changed(&first, Role::Member)).await);
    assert_refused!(store.remove_member(case.org, second.id).await, StoreError::LastOwner { .. });
    assert!(ok(store.remove_member(case.org, first.id).await), "it is no owner any more");
}

pub(super) async fn one_of_parallel_owners_stays(case: &Case) {
    let org = case.org;
    let mut owners = Vec::new();
    for _ in 0..4 {
        owners.push(stored(case, Role::Owner).await);
    }
    let outcomes = all(owners.iter().enumerate().map(|(at, owner)| {
        let (stores, owner) = (case.stores.clone(), owner.clone());
        async move {
            match at % 2 {
                0 => stores.member_store.update_member(org, changed(&owner, Role::Admin)).await,
                _ => stores.member_store.remove_member(org, owner.id).await.map(drop),
            }
        }
    }))
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::LastOwner { .. }))).count(), 1, "{outcomes:?}");
    let left = ok(case.stores.member_store.list_members(org, FIRST_PAGE).await).items;
    assert_eq!(left.iter().filter(|member| member.role == Role::Owner).count(), 1);
}

pub(super) async fn a_key_has_the_role_of_its_member_at_this_moment(case: &Case) {
    let (members, keys) = (&case.stores.member_store, &case.stores.org_store);
    let admin = stored(case, Role::Admin).await;
    let key = key_of(case, &admin).await;
    let found = some(keys.find_key(&key.secret_hash).await);
    assert_eq!((&found.key, found.role, found.scope()), (&key, Some(Role::Admin), Some(Scope::Admin)));
    ok(members.update_member(case.org, changed(&admin, Role::Member)).await);
    let found = some(keys.find_key(&key.secret_hash).await);
    assert_eq!((found.role, found.scope()), (Some(Role::Member), Some(Scope::Write)));
    let (of_service, of_other) = (api_key(case, case.org, Scope::Read), key_of(case, &stored(case, Role::Member).await).await);
    ok(keys.add_key(of_service.clone()).await);
    assert!(ok(members.remove_member(case.org, admin.id).await));
    assert_none(keys.find_key(&key.secret_hash).await);
    assert_same(&ok(keys.list_keys(case.org).await), &[of_other, of_service]);
    for (org, member) in [(case.org, admin.id), (case.other, stored(case, Role::Member).await.id)] {
        let key = ApiKey { member: Some(member), ..api_key(case, org, Scope::Read) };
        assert_refused!(keys.add_key(key).await, StoreError::NotFound { what: "member", .. });
    }
}

pub(super) async fn an_org_has_so_many_members_and_each_so_many_keys(case: &Case) {
    let first = stored(case, Role::Member).await;
    for _ in 1..MAX_MEMBERS {
        stored(case, Role::Member).await;
    }
    let one_more = case.stores.member_store.add_member(case.org, member(case, Role::Member)).await;
    assert_refused!(one_more, StoreError::Limit(_));
    for _ in 0..MAX_KEYS {
        key_of(case, &first).await;
    }
    let key = api_key(case, case.org, Scope::Read);
    let one_more = case.stores.org_store.add_key(ApiKey { member: Some(first.id), ..key.clone() }).await;
    assert_refused!(one_more, StoreError::Limit(_));
    ok(case.stores.org_store.add_key(key).await);
}
