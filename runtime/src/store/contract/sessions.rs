//! Sessions and their status.

use super::case::{Case, FIRST_PAGE, assert_none, assert_refused, assert_same, ok, some, time};
use super::files::path;
use crate::event::NewEvent;
use crate::file::FileWrite;
use crate::id::{SessionId, TurnId};
use crate::session::{Session, SessionStatus};
use crate::store::{KvScope, Page, StoreError, TurnEnd};

pub(super) async fn reads_back_every_field(case: &Case) {
    let full = case.session();
    let sparse = Session {
        agent_id: None,
        owner: None,
        title: None,
        model_id: None,
        locale: None,
        initial_files: Vec::new(),
        tags: Vec::new(),
        capabilities: Vec::new(),
        system_prompt: Some("\u{1}".to_owned()),
        max_iterations: Some(7),
        ..case.session()
    };
    for session in [full, sparse] {
        ok(case.stores.session_store.add_session(case.org, session.clone(), case.started(&session)).await);
        assert_eq!(some(case.stores.session_store.get_session(case.org, session.id).await), session);
    }
}

pub(super) async fn starts_its_log_with_the_first_event(case: &Case) {
    let session = case.session();
    let started = case.started(&session);
    let event = ok(case.stores.session_store.add_session(case.org, session.clone(), started.clone()).await);
    assert_eq!(event, started.at(session.id, Some(1)));
    assert_same(&case.events(session.id).await, &[event]);
    assert_eq!(case.last_sequence(session.id).await, 1);
}

pub(super) async fn a_taken_id_is_a_duplicate(case: &Case) {
    let session = case.session();
    ok(case.stores.session_store.add_session(case.org, session.clone(), case.started(&session)).await);
    let again = Session { id: session.id, title: None, ..case.session() };
    let started = case.started(&again);
    assert_refused!(case.stores.session_store.add_session(case.org, again, started).await, StoreError::Duplicate { what: "session", .. });
    assert_eq!(some(case.stores.session_store.get_session(case.org, session.id).await), session);
    assert_eq!(case.last_sequence(session.id).await, 1);
}

pub(super) async fn an_update_keeps_the_status(case: &Case) {
    let (id, claim) = case.claimed().await;
    let session = some(case.stores.session_store.get_session(case.org, id).await);
    ok(case.stores.session_store.update_session(case.org, Session { status: SessionStatus::Idle, version: 2, ..session.clone() }).await);
    assert_eq!(case.status(id).await, SessionStatus::Active);
    // Nor does it touch the log or its owner.
    ok(case.append(id, claim.fence, case.steps(1), None).await);
}

pub(super) async fn an_update_replaces_every_other_field(case: &Case) {
    let id = case.stored_session().await;
    let other = case.session();
    let changed = Session {
        id,
        title: None,
        model_id: None,
        locale: None,
        agent_id: None,
        system_prompt: Some("changed".to_owned()),
        capabilities: Vec::new(),
        max_iterations: Some(3),
        initial_files: Vec::new(),
        tags: Vec::new(),
        version: 2,
        created_at: time(50),
        updated_at: time(51),
        ..other
    };
    ok(case.stores.session_store.update_session(case.org, changed.clone()).await);
    assert_eq!(some(case.stores.session_store.get_session(case.org, id).await), changed);
}

pub(super) async fn an_update_of_an_old_version_is_stale(case: &Case) {
    let id = case.stored_session().await;
    let session = some(case.stores.session_store.get_session(case.org, id).await);
    for version in [0, 1, 3] {
        let late = Session { version, title: None, ..session.clone() };
        assert_refused!(case.stores.session_store.update_session(case.org, late).await, StoreError::Stale { what: "session", .. });
    }
    assert_eq!(some(case.stores.session_store.get_session(case.org, id).await), session);
}

pub(super) async fn an_update_of_nothing_is_not_found(case: &Case) {
    let absent = Session { version: 2, ..case.session() };
    assert_refused!(case.stores.session_store.update_session(case.org, absent).await, StoreError::NotFound { what: "session", .. });
}

pub(super) async fn lists_pages_in_order_of_creation(case: &Case) {
    let mut sessions: Vec<Session> = (0..4).map(|_| case.session()).collect();
    sessions.reverse();
    for session in &sessions {
        ok(case.stores.session_store.add_session(case.org, session.clone(), case.started(session)).await);
    }
    assert_same(&ok(case.stores.session_store.list_sessions(case.org, FIRST_PAGE).await).items, &sessions);
    let part = ok(case.stores.session_store.list_sessions(case.org, Page { offset: 1, limit: 2 }).await);
    assert_same(&part.items, &sessions[1..3]);
    assert_eq!(part.total, 4);
}

pub(super) async fn is_started_then_active_then_idle(case: &Case) {
    let session = case.stored_session().await;
    assert_eq!(case.status(session).await, SessionStatus::Started);
    let turn = case.open_turn(session).await;
    assert_eq!(case.status(session).await, SessionStatus::Active);
    let claim = case.claim(session).await;
    ok(case.append(session, claim.fence, case.steps(1), None).await);
    assert_eq!(case.status(session).await, SessionStatus::Active);
    ok(case.append(session, claim.fence, case.steps(1), Some((turn, TurnEnd::Completed))).await);
    assert_eq!(case.status(session).await, SessionStatus::Idle);
    // The owner may still write, which opens no turn.
    ok(case.append(session, claim.fence, case.steps(1), None).await);
    assert_eq!(case.status(session).await, SessionStatus::Idle);
    case.open_turn(session).await;
    assert_eq!(case.status(session).await, SessionStatus::Active);
}

pub(super) async fn stays_active_while_a_turn_is_open(case: &Case) {
    let session = case.stored_session().await;
    let first = case.open_turn(session).await;
    let second = case.open_turn(session).await;
    let claim = case.claim(session).await;
    ok(case.append(session, claim.fence, case.steps(1), Some((first, TurnEnd::Completed))).await);
    assert_eq!(case.status(session).await, SessionStatus::Active);
    let claim = case.claim(session).await;
    ok(case.append(session, claim.fence, case.steps(1), Some((second, TurnEnd::Failed))).await);
    assert_eq!(case.status(session).await, SessionStatus::Idle);
}

pub(super) async fn is_updated_at_its_last_event(case: &Case) {
    let session = case.stored_session().await;
    let updated_at = async || some(case.stores.session_store.get_session(case.org, session).await).updated_at;
    assert_eq!(updated_at().await, time(1));
    case.open_turn(session).await;
    assert_eq!(updated_at().await, time(10));
    let claim = case.claim(session).await;
    assert_eq!(updated_at().await, time(10));
    let events = [30, 40].map(|seconds| NewEvent { ts: time(seconds), ..case.step(1) });
    ok(case.append(session, claim.fence, events.to_vec(), None).await);
    assert_eq!(updated_at().await, time(40));
}

/// A session with an ended turn: its log ends at sequence 3.
async fn talked(case: &Case) -> (SessionId, TurnId) {
    let (session, claim) = case.claimed().await;
    ok(case.append(session, claim.fence, case.steps(1), Some((claim.turn_id, TurnEnd::Completed))).await);
    (session, claim.turn_id)
}

pub(super) async fn a_deletion_leaves_nothing(case: &Case) {
    let (id, turn) = talked(case).await;
    let event = case.events(id).await.remove(1).id;
    let (file, scope) = (path("/notes"), KvScope::of_session(case.org, id));
    ok(case.stores.file_store.write_file(case.org, id, &file, FileWrite::new("text", time(1))).await);
    ok(case.stores.kv.put(&scope, "key", b"value".to_vec(), None).await);
    ok(case.stores.session_store.delete_session(case.org, id, None).await);
    assert_none(case.stores.session_store.get_session(case.org, id).await);
    assert_none(case.stores.file_store.read_file(case.org, id, &file).await);
    assert_none(case.stores.kv.get(&scope, "key").await);
    assert_same(&case.events(id).await, &[]);
    assert_none(case.stores.log.find_event(case.org, id, event).await);
    assert_eq!(case.last_sequence(id).await, 0);
    assert_none(case.stores.log.claim_turn(case.org, id).await);
    let again = case.stores.session_store.delete_session(case.org, id, None).await;
    assert_refused!(again, StoreError::NotFound { what: "session", .. });
    let late = case.stores.log.submit_turn(case.org, id, turn, case.input(turn, "late")).await;
    assert_refused!(late, StoreError::NotFound { what: "session", .. });
    // The ids are free: another session can have the turn.
    let other = case.stored_session().await;
    assert!(ok(case.stores.log.submit_turn(case.org, other, turn, case.input(turn, "hello")).await).created);
}

pub(super) async fn a_deletion_leaves_the_others(case: &Case) {
    let [first, (second, _), third] = [talked(case).await, talked(case).await, talked(case).await];
    let before = (case.events(first.0).await, case.events(third.0).await);
    ok(case.stores.session_store.delete_session(case.org, second, None).await);
    assert_eq!((case.events(first.0).await, case.events(third.0).await), before);
    let listed = ok(case.stores.session_store.list_sessions(case.org, FIRST_PAGE).await);
    assert_eq!(listed.items.iter().map(|session| session.id).collect::<Vec<_>>(), [first.0, third.0]);
    assert_eq!(listed.total, 2);
    for (session, _) in [first, third] {
        assert_eq!(some(case.stores.session_store.get_session(case.org, session).await).id, session);
        case.open_turn(session).await;
        assert_eq!(case.last_sequence(session).await, 4);
    }
}

pub(super) async fn a_deletion_waits_for_open_turns(case: &Case) {
    let id = case.stored_session().await;
    let turn = case.open_turn(id).await;
    let delete = async || case.stores.session_store.delete_session(case.org, id, None).await;
    assert_refused!(delete().await, StoreError::TurnOpen { .. });
    let claim = case.claim(id).await;
    assert_refused!(delete().await, StoreError::TurnOpen { .. });
    assert_eq!(case.last_sequence(id).await, 2);
    ok(case.append(id, claim.fence, case.steps(1), Some((turn, TurnEnd::Cancelled))).await);
    ok(delete().await);
    assert_refused!(case.append(id, claim.fence, case.steps(1), None).await, StoreError::NotFound { what: "session", .. });
}

pub(super) async fn a_deletion_of_another_version_is_stale(case: &Case) {
    let id = case.stored_session().await;
    for version in [0, 2] {
        let late = case.stores.session_store.delete_session(case.org, id, Some(version)).await;
        assert_refused!(late, StoreError::Stale { what: "session", .. });
    }
    assert_eq!(case.last_sequence(id).await, 1);
    ok(case.stores.session_store.delete_session(case.org, id, Some(1)).await);
    assert_none(case.stores.session_store.get_session(case.org, id).await);
}
