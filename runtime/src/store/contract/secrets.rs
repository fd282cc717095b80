//! Secrets that orgs store for their components.

use super::case::{Case, FIRST_PAGE, assert_none, assert_refused, assert_same, at_once, ok, some, time};
use crate::id::OrgId;
use crate::limits::MAX_ORG_SECRETS;
use crate::secret::OrgSecret;
use crate::store::{Page, StoreError};

/// A secret of the case's org.
pub(super) fn org_secret(case: &Case, name: &str) -> OrgSecret {
    at_once(OrgSecret::seal(&case.stores.cipher, case.org, name, &"planted".into(), time(1))).expect("the system has randomness")
}

pub(super) async fn secrets_are_added_replaced_and_removed_by_name(case: &Case) {
    let store = &case.stores.secret_store;
    let [b, a] = ["b", "a"].map(|name| org_secret(case, name));
    assert!(!ok(store.replace_secret(case.org, a.clone()).await), "there is none yet");
    for secret in [&b, &a] {
        assert_none(store.get_secret(case.org, &secret.name).await);
        ok(store.add_secret(case.org, secret.clone()).await);
        assert_eq!(&some(store.get_secret(case.org, &secret.name).await), secret);
    }
    assert_refused!(store.add_secret(case.org, org_secret(case, "a")).await, StoreError::Duplicate { what: "secret", .. });
    assert_same(&ok(store.list_secrets(case.org, FIRST_PAGE).await).items, &[a.clone(), b.clone()]);
    let part = ok(store.list_secrets(case.org, Page { offset: 1, limit: 1 }).await);
    assert_eq!((part.items, part.total), (vec![b], 2));
    let new = OrgSecret { updated_at: time(9), ..org_secret(case, "a") };
    assert!(ok(store.replace_secret(case.org, OrgSecret { created_at: time(9), ..new.clone() }).await));
    assert_eq!(some(store.get_secret(case.org, "a").await), new, "it stays as old as it is");
    assert!(!ok(store.swap_secret(case.org, &a, a.clone()).await), "it has changed since");
    assert!(ok(store.swap_secret(case.org, &new, a.clone()).await));
    assert_eq!(some(store.get_secret(case.org, "a").await), OrgSecret { value: a.value, ..new });
    assert!(ok(store.remove_secret(case.org, "a").await));
    assert!(!ok(store.remove_secret(case.org, "a").await));
    assert_none(store.get_secret(case.org, "a").await);
    let nowhere = store.add_secret(case.id(OrgId::from_uuid), org_secret(case, "a")).await;
    assert_refused!(nowhere, StoreError::NotFound { what: "org", .. });
}

pub(super) async fn an_org_has_so_many_secrets(case: &Case) {
    let store = &case.stores.secret_store;
    let one = org_secret(case, "s");
    for number in 0..MAX_ORG_SECRETS {
        ok(store.add_secret(case.org, OrgSecret { name: format!("s{number}"), ..one.clone() }).await);
    }
    assert_refused!(store.add_secret(case.org, one).await, StoreError::Limit(_));
    ok(store.add_secret(case.other, org_secret(case, "s")).await);
}

/// The database may be shared with other cases, so that others' rows are among them.
pub(super) async fn sealed_org_secrets_are_found_in_parts(case: &Case) {
    let store = &case.stores.secret_store;
    let mut expected = Vec::new();
    for org in [case.org.min(case.other), case.org.max(case.other)] {
        for name in ["a", "b"] {
            let secret = org_secret(case, name);
            ok(store.add_secret(org, secret.clone()).await);
            expected.push((org, secret));
        }
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let part = ok(store.sealed_secrets(after, 3).await);
        let Some((org, last)) = part.last() else { break };
        after = Some((*org, last.name.clone()));
        found.extend(part.into_iter().filter(|(org, _)| *org == case.org || *org == case.other));
    }
    assert_same(&found, &expected);
}
