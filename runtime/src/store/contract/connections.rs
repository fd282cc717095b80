//! Connections of users, authorizations on their way, and secrets of sessions.

use serde_json::json;

use super::case::{Case, assert_none, assert_refused, assert_same, at_once, ok, some, time};
use crate::connection::{Authorization, Connection, ConnectionStatus, ConnectionType, SessionSecret};
use crate::id::{OrgId, SessionId};
use crate::limits::{MAX_AUTHORIZATIONS, MAX_CONNECTIONS, MAX_SESSION_SECRETS};
use crate::secret::{Place, Sealed};
use crate::store::{SecretChanges, StoreError};

fn sealed(case: &Case, text: &str) -> Sealed {
    let place = Place { org: case.org, field: "contract", row: case.org.uuid() };
    at_once(case.stores.cipher.seal(&text.into(), &place)).expect("the system has randomness")
}

pub(super) fn connection(case: &Case, subject: &str, provider: &str) -> Connection {
    Connection {
        subject: subject.to_owned(),
        provider: provider.to_owned(),
        connection_type: ConnectionType::OAuth,
        status: ConnectionStatus::Active,
        provider_username: Some("größe".to_owned()),
        provider_metadata: serde_json::Map::from_iter([("plan".to_owned(), json!("free"))]),
        scopes: vec!["read:user".to_owned()],
        credential: sealed(case, "token"),
        expires_at: Some(time(3_600)),
        version: 1,
        connected_at: time(1),
        updated_at: time(2),
    }
}

pub(super) fn authorization(case: &Case, subject: &str, number: u8) -> Authorization {
    Authorization {
        state_hash: [number; 32],
        browser_hash: [number.wrapping_add(1); 32],
        subject: subject.to_owned(),
        provider: "issues".to_owned(),
        verifier: sealed(case, "verifier"),
        redirect_uri: "https://everwit.example/callback".to_owned(),
        return_to: Some("/settings".to_owned()),
        expires_at: time(600),
    }
}

pub(super) fn secret(case: &Case, session: SessionId, name: &str) -> SessionSecret {
    SessionSecret { session, name: name.to_owned(), value: sealed(case, name) }
}

/// Adds or replaces secrets.
pub(super) fn putting(put: Vec<SessionSecret>) -> SecretChanges {
    SecretChanges { put, remove: Vec::new() }
}

pub(super) async fn reads_back_every_field(case: &Case) {
    let store = &case.stores.connection_store;
    let full = connection(case, "ada", "issues");
    let sparse = Connection {
        connection_type: ConnectionType::ApiKey,
        status: ConnectionStatus::Expired,
        provider_username: None,
        provider_metadata: serde_json::Map::new(),
        scopes: Vec::new(),
        expires_at: None,
        ..connection(case, "ada", "wiki")
    };
    for stored in [&full, &sparse] {
        assert_eq!(ok(store.put_connection(case.org, stored.clone()).await), 1);
        assert_eq!(&some(store.get_connection(case.org, "ada", &stored.provider).await), stored);
    }
    assert_same(&ok(store.list_connections(case.org, "ada").await), &[full, sparse]);
}

pub(super) async fn a_user_has_one_connection_with_a_provider(case: &Case) {
    let store = &case.stores.connection_store;
    ok(store.put_connection(case.org, connection(case, "ada", "issues")).await);
    let again = Connection { credential: sealed(case, "new"), connected_at: time(9), ..connection(case, "ada", "issues") };
    assert_eq!(ok(store.put_connection(case.org, again.clone()).await), 2);
    assert_same(&ok(store.list_connections(case.org, "ada").await), &[Connection { version: 2, ..again }]);
}

pub(super) async fn an_update_of_an_old_version_or_of_nothing_is_refused(case: &Case) {
    let store = &case.stores.connection_store;
    let first = connection(case, "ada", "issues");
    ok(store.put_connection(case.org, first.clone()).await);
    let changed = Connection { status: ConnectionStatus::Expired, credential: sealed(case, "new"), version: 2, ..first.clone() };
    ok(store.update_connection(case.org, changed.clone()).await);
    assert_eq!(some(store.get_connection(case.org, "ada", "issues").await), changed);
    for version in [0, 1, 2, 4] {
        let late = Connection { version, ..first.clone() };
        assert_refused!(store.update_connection(case.org, late).await, StoreError::Stale { what: "connection", .. });
    }
    let absent = Connection { version: 2, ..connection(case, "ada", "wiki") };
    assert_refused!(store.update_connection(case.org, absent).await, StoreError::NotFound { what: "connection", .. });
    assert_eq!(some(store.get_connection(case.org, "ada", "issues").await), changed);
}

pub(super) async fn users_never_meet(case: &Case) {
    let store = &case.stores.connection_store;
    let (ada, bob) = (connection(case, "ada", "issues"), connection(case, "bob", "issues"));
    ok(store.put_connection(case.org, ada.clone()).await);
    assert_none(store.get_connection(case.org, "bob", "issues").await);
    assert!(!ok(store.remove_connection(case.org, "bob", "issues").await));
    ok(store.put_connection(case.org, bob.clone()).await);
    assert_same(&ok(store.list_connections(case.org, "ada").await), std::slice::from_ref(&ada));
    assert!(ok(store.remove_connection(case.org, "ada", "issues").await));
    assert_none(store.get_connection(case.org, "ada", "issues").await);
    assert_eq!(some(store.get_connection(case.org, "bob", "issues").await), bob);
}

pub(super) async fn a_user_has_so_many_connections(case: &Case) {
    let store = &case.stores.connection_store;
    for number in 0..MAX_CONNECTIONS {
        ok(store.put_connection(case.org, connection(case, "ada", &format!("p{number}"))).await);
    }
    assert_refused!(store.put_connection(case.org, connection(case, "ada", "one-more")).await, StoreError::Limit(_));
    assert_none(store.get_connection(case.org, "ada", "one-more").await);
    assert_eq!(ok(store.put_connection(case.org, connection(case, "ada", "p0")).await), 2, "one in the place of another is not more");
    ok(store.put_connection(case.org, connection(case, "bob", "one-more")).await);
}

pub(super) async fn an_authorization_is_taken_once(case: &Case) {
    let store = &case.stores.connection_store;
    let (one, two) = (authorization(case, "ada", 1), Authorization { return_to: None, ..authorization(case, "ada", 2) });
    for begun in [&one, &two] {
        ok(store.add_authorization(case.org, begun.clone(), time(0)).await);
    }
    assert_refused!(store.add_authorization(case.org, one.clone(), time(0)).await, StoreError::Duplicate { what: "authorization", .. });
    assert_none(store.take_authorization(case.org, &[3; 32]).await);
    assert_none(store.take_authorization(case.other, &one.state_hash).await);
    for begun in [one, two] {
        assert_eq!(some(store.take_authorization(case.org, &begun.state_hash).await), begun);
        assert_none(store.take_authorization(case.org, &begun.state_hash).await);
    }
}

pub(super) async fn old_authorizations_make_room(case: &Case) {
    let store = &case.stores.connection_store;
    let most = u8::try_from(MAX_AUTHORIZATIONS).expect("a small number");
    ok(store.add_authorization(case.org, authorization(case, "bob", 200), time(0)).await);
    for number in 0..=most {
        ok(store.add_authorization(case.org, authorization(case, "ada", number), time(0)).await);
    }
    assert_none(store.take_authorization(case.org, &[0; 32]).await);
    some(store.take_authorization(case.org, &[1; 32]).await);
    some(store.take_authorization(case.org, &[200; 32]).await);
    let late = Authorization { expires_at: time(1_200), ..authorization(case, "ada", 100) };
    ok(store.add_authorization(case.org, late, time(600)).await);
    assert_none(store.take_authorization(case.org, &[2; 32]).await);
    some(store.take_authorization(case.org, &[100; 32]).await);
}

pub(super) async fn session_secrets_are_changed_at_once(case: &Case) {
    let store = &case.stores.connection_store;
    let session = case.stored_session().await;
    let (a, b) = (secret(case, session, "A"), secret(case, session, "B"));
    assert_eq!(ok(store.change_session_secrets(case.org, session, putting(vec![b.clone(), a.clone()])).await), 2);
    assert_eq!(ok(store.list_session_secrets(case.org, session).await), ["A", "B"]);
    assert_eq!(some(store.get_session_secret(case.org, session, "A").await), a);
    let new = SessionSecret { value: sealed(case, "new"), ..b.clone() };
    let changes = SecretChanges { put: vec![new.clone(), secret(case, session, "C")], remove: vec!["A".to_owned(), "Z".to_owned()] };
    assert_eq!(ok(store.change_session_secrets(case.org, session, changes).await), 1);
    assert_eq!(ok(store.list_session_secrets(case.org, session).await), ["B", "C"]);
    assert_eq!(some(store.get_session_secret(case.org, session, "B").await), new);
    assert!(!ok(store.swap_session_secret(case.org, &b, b.clone()).await), "it has changed since");
    assert!(ok(store.swap_session_secret(case.org, &new, b.clone()).await));
    assert_eq!(some(store.get_session_secret(case.org, session, "B").await), b);
    let absent = case.id(SessionId::from_uuid);
    let nowhere = store.change_session_secrets(case.org, absent, putting(vec![secret(case, absent, "A")])).await;
    assert_refused!(nowhere, StoreError::NotFound { what: "session", .. });
}

pub(super) async fn a_session_has_so_many_secrets(case: &Case) {
    let store = &case.stores.connection_store;
    let session = case.stored_session().await;
    let all = |count: usize| putting((0..count).map(|number| secret(case, session, &format!("S{number}"))).collect());
    assert_refused!(store.change_session_secrets(case.org, session, all(MAX_SESSION_SECRETS + 1)).await, StoreError::Limit(_));
    assert_eq!(ok(store.list_session_secrets(case.org, session).await), Vec::<String>::new());
    ok(store.change_session_secrets(case.org, session, all(MAX_SESSION_SECRETS)).await);
    let exchange = SecretChanges { put: vec![secret(case, session, "NEW")], remove: vec!["S0".to_owned()] };
    assert_eq!(ok(store.change_session_secrets(case.org, session, exchange).await), 1);
}

pub(super) async fn session_secrets_go_with_the_session(case: &Case) {
    let store = &case.stores.connection_store;
    let (gone, kept) = (case.stored_session().await, case.stored_session().await);
    for session in [gone, kept] {
        ok(store.change_session_secrets(case.org, session, putting(vec![secret(case, session, "A")])).await);
    }
    ok(case.stores.session_store.delete_session(case.org, gone, None).await);
    assert_none(store.get_session_secret(case.org, gone, "A").await);
    some(store.get_session_secret(case.org, kept, "A").await);
}

pub(super) async fn sealed_rows_are_found_in_parts(case: &Case) {
    let store = &case.stores.connection_store;
    let (mut connections, mut secrets) = (Vec::new(), Vec::new());
    for (org, subject, provider) in [(case.org, "b", "x"), (case.other, "a", "x"), (case.org, "a", "y"), (case.org, "b", "a")] {
        let row = connection(case, subject, provider);
        ok(store.put_connection(org, row.clone()).await);
        connections.push((org, row));
    }
    connections.sort_by_key(|(org, row)| (*org, row.subject.clone(), row.provider.clone()));
    for names in [["A", "B"], ["A", "C"]] {
        let session = case.stored_session().await;
        let rows = names.map(|name| secret(case, session, name));
        ok(store.change_session_secrets(case.org, session, putting(rows.to_vec())).await);
        secrets.extend(rows.map(|row| (case.org, row)));
    }
    // Other cases may share the database: only what belongs to this one counts.
    let own = |org: &OrgId| [case.org, case.other].contains(org);
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let part = ok(store.sealed_connections(after, 2).await);
        let Some((org, last)) = part.last() else { break };
        after = Some((*org, last.subject.clone(), last.provider.clone()));
        found.extend(part.into_iter().filter(|(org, _)| own(org)));
    }
    assert_same(&found, &connections);
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let part = ok(store.sealed_session_secrets(after, 3).await);
        let Some((org, last)) = part.last() else { break };
        after = Some((*org, last.session, last.name.clone()));
        found.extend(part.into_iter().filter(|(org, _)| own(org)));
    }
    assert_same(&found, &secrets);
}
