//! What must hold when several tasks write at once. No case sleeps: each waits for its tasks.

use std::collections::HashSet;
use std::future::Future;

use tokio::task::JoinSet;

use super::case::{Case, assert_same, ok, some, time};
use crate::event::Event;
use crate::id::{OrgId, SessionId, TurnId};
use crate::session::Session;
use crate::store::{Append, Claim, RuntimeBackends, StoreError, StoreResult, StoredVersion, Submitted};

/// Runs tasks at once and returns what they returned, in no order.
pub(super) async fn all<T: Send + 'static>(tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>) -> Vec<T> {
    tasks.into_iter().collect::<JoinSet<T>>().join_all().await
}

fn sequences(events: &[Event]) -> Vec<u64> {
    events.iter().filter_map(|event| event.sequence).collect()
}

pub(super) async fn parallel_submissions_of_a_turn_have_one_effect(case: &Case) {
    let (org, session, turn) = (case.org, case.stored_session().await, case.id(TurnId::from_uuid));
    let submitted: Vec<Submitted> = all((0..20).map(|number| {
        let (stores, input) = (case.stores.clone(), case.input(turn, &format!("{number}")));
        async move { ok(stores.log.submit_turn(org, session, turn, input).await) }
    }))
    .await;
    assert_eq!(submitted.iter().filter(|submitted| submitted.created).count(), 1);
    let events = case.events(session).await;
    assert_eq!(sequences(&events), [1, 2]);
    assert!(submitted.iter().all(|submitted| submitted.event == events[1]), "{submitted:#?}");
    assert_same(&ok(case.stores.log.open_turns(org, session).await), &[turn]);
}

pub(super) async fn parallel_submissions_of_many_turns_leave_no_gap(case: &Case) {
    let (org, session) = (case.org, case.stored_session().await);
    let submitted: Vec<Submitted> = all((0..20).map(|_| {
        let turn = case.id(TurnId::from_uuid);
        let (stores, input) = (case.stores.clone(), case.input(turn, "hello"));
        async move { ok(stores.log.submit_turn(org, session, turn, input).await) }
    }))
    .await;
    assert!(submitted.iter().all(|submitted| submitted.created), "{submitted:#?}");
    let events = case.events(session).await;
    assert_same(&sequences(&events), &(1..=21).collect::<Vec<_>>());
    let in_log: Vec<TurnId> = events.iter().filter_map(|event| event.context.turn_id).collect();
    assert_same(&ok(case.stores.log.open_turns(org, session).await), &in_log);
}

pub(super) async fn one_of_parallel_appends_wins(case: &Case) {
    let org = case.org;
    let (session, claim) = case.claimed().await;
    let results: Vec<StoreResult<Vec<Event>>> = all((0..20).map(|_| {
        let stores = case.stores.clone();
        let append = Append { expected_sequence: 2, fence: claim.fence, events: case.steps(3), ends_turn: None, parks_turn: None };
        async move { stores.log.append(org, session, append).await }
    }))
    .await;
    let won: Vec<&Vec<Event>> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    assert_eq!(won.len(), 1, "{won:#?}");
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        assert!(matches!(error, StoreError::SequenceConflict { expected: 2, actual: 5 }), "{error:?}");
    }
    assert_same(&case.events(session).await[2..], won[0]);
}

/// Appends behind the end of the log until it succeeds, as often as others were faster.
async fn append_until_stored(stores: &RuntimeBackends, org: OrgId, session: SessionId, mut append: Append) -> Vec<Event> {
    loop {
        match stores.log.append(org, session, append.clone()).await {
            Err(StoreError::SequenceConflict { actual, .. }) => append.expected_sequence = actual,
            outcome => return ok(outcome),
        }
    }
}

pub(super) async fn writers_that_retry_leave_no_gap(case: &Case) {
    const WRITERS: u32 = 8;
    const APPENDS: u32 = 5;
    let org = case.org;
    let (session, claim) = case.claimed().await;
    let stored: Vec<Vec<Event>> = all((0..WRITERS).map(|_| {
        let stores = case.stores.clone();
        let appends: Vec<Append> = (0..APPENDS)
            .map(|_| Append { expected_sequence: 2, fence: claim.fence, events: case.steps(2), ends_turn: None, parks_turn: None })
            .collect();
        async move {
            let mut stored = Vec::new();
            for append in appends {
                stored.extend(append_until_stored(&stores, org, session, append).await);
            }
            stored
        }
    }))
    .await;
    let events = case.events(session).await;
    let last = 2 + u64::from(WRITERS * APPENDS * 2);
    assert_same(&sequences(&events), &(1..=last).collect::<Vec<_>>());
    for stored in stored.iter().flatten() {
        assert!(events.contains(stored), "{stored:?} was acknowledged and is not in the log");
    }
}

pub(super) async fn parallel_claims_have_distinct_fences(case: &Case) {
    let (org, session) = (case.org, case.stored_session().await);
    let turn = case.open_turn(session).await;
    let claims: Vec<Claim> = all((0..10).map(|_| {
        let stores = case.stores.clone();
        async move { some(stores.log.claim_turn(org, session).await) }
    }))
    .await;
    assert_eq!(claims.iter().map(|claim| claim.fence).collect::<HashSet<_>>().len(), 10, "{claims:#?}");
    assert_eq!(claims.iter().map(|claim| claim.attempt).collect::<HashSet<_>>(), (1..=10).collect());
    let newest = claims.iter().map(|claim| claim.fence).max();
    for claim in &claims {
        assert_eq!(claim.turn_id, turn);
        let result = case.append(session, claim.fence, case.steps(1), None).await;
        assert_eq!(result.is_ok(), Some(claim.fence) == newest, "{result:?}");
    }
}

pub(super) async fn one_of_parallel_updates_wins(case: &Case) {
    let org = case.org;
    let session = case.stored_session().await;
    let read = some(case.stores.session_store.get_session(org, session).await);
    let results: Vec<(Session, StoreResult<()>)> = all((0..10).map(|number| {
        let stores = case.stores.clone();
        let changed = Session { title: Some(format!("{number}")), version: 2, ..read.clone() };
        async move { (changed.clone(), stores.session_store.update_session(org, changed).await) }
    }))
    .await;
    let won: Vec<&Session> = results.iter().filter(|(_, result)| result.is_ok()).map(|(session, _)| session).collect();
    assert_eq!(won.len(), 1, "{results:#?}");
    assert_eq!(&some(case.stores.session_store.get_session(org, session).await), won[0]);
    assert!(results.iter().all(|(_, result)| matches!(result, Ok(()) | Err(StoreError::Stale { .. }))), "{results:#?}");
}

pub(super) async fn parallel_uploads_of_the_same_bytes_are_one_version(case: &Case) {
    let org = case.org;
    let stored: Vec<StoredVersion> = all((0..10).map(|_| {
        let (stores, upload) = (case.stores.clone(), case.upload("lens", b"same"));
        async move { ok(stores.component_store.add_version(org, upload).await) }
    }))
    .await;
    assert_eq!(stored.iter().filter(|stored| stored.created).count(), 1);
    assert!(stored.iter().all(|other| (&other.component, &other.version) == (&stored[0].component, &stored[0].version)), "{stored:#?}");
}

pub(super) async fn parallel_uploads_are_numbered_without_gaps(case: &Case) {
    let org = case.org;
    let stored: Vec<StoredVersion> = all((0..10).map(|number| {
        let (stores, upload) = (case.stores.clone(), case.upload("lens", format!("wasm {number}").as_bytes()));
        async move { ok(stores.component_store.add_version(org, upload).await) }
    }))
    .await;
    let numbers: HashSet<u32> = stored.iter().map(|stored| stored.version.version).collect();
    assert_eq!(numbers, (1..=10).collect());
    assert_eq!(stored.iter().map(|stored| stored.component.id).collect::<HashSet<_>>().len(), 1);
}

pub(super) async fn parallel_increments_are_all_counted(case: &Case) {
    let scope = case.scope();
    let tasks = (0..5).map(|_| {
        let (stores, scope) = (case.stores.clone(), scope.clone());
        async move {
            for _ in 0..5 {
                increment(&stores, &scope).await;
            }
        }
    });
    all(tasks).await;
    let entry = some(case.stores.kv.get(&scope, "count").await);
    assert_eq!((entry.value.as_slice(), entry.version), (&b"25"[..], 25));
}

/// Adds one to a number under a key, as often as it takes.
async fn increment(stores: &RuntimeBackends, scope: &crate::store::KvScope) {
    loop {
        let entry = ok(stores.kv.get(scope, "count").await);
        let (count, version) = entry.map_or((0, 0), |entry| {
            (String::from_utf8_lossy(&entry.value).parse::<u32>().expect("the number that was written"), entry.version)
        });
        match stores.kv.put(scope, "count", (count + 1).to_string().into_bytes(), Some(version)).await {
            Err(StoreError::Stale { .. }) => {}
            outcome => break assert_eq!(ok(outcome), version + 1),
        }
    }
}

pub(super) async fn there_is_one_default_org(case: &Case) {
    let found: Vec<OrgId> = all((0..10).map(|_| {
        let (stores, id) = (case.stores.clone(), case.id(OrgId::from_uuid));
        async move { ok(stores.org_store.default_org(id, time(0)).await) }
    }))
    .await;
    assert_eq!(found.iter().collect::<HashSet<_>>().len(), 1, "{found:?}");
}
