//! Requests that must have one effect.

use uuid::Uuid;

use super::case::{Case, assert_refused, ok, time};
use crate::id::{OrgId, SessionId};
use crate::store::{NewRequest, RememberedRequest, StoreError};

/// A request at a second, with a thing of its own.
pub(super) fn request(case: &Case, key: &str, second: i64) -> NewRequest {
    NewRequest {
        route: "POST /v1/sessions".to_owned(),
        key: key.to_owned(),
        fingerprint: [7; 32],
        id: case.id(SessionId::from_uuid).uuid(),
        now: time(second),
        forget_before: time(second - 100),
    }
}

async fn remember(case: &Case, request: &NewRequest) -> RememberedRequest {
    ok(case.stores.request_store.remember_request(case.org, request.clone()).await)
}

fn remembered(request: &NewRequest, first: bool) -> RememberedRequest {
    RememberedRequest { id: request.id, fingerprint: request.fingerprint, first }
}

pub(super) async fn a_repeated_request_is_the_first_one(case: &Case) {
    let first = request(case, "größe", 0);
    assert_eq!(remember(case, &first).await, remembered(&first, true));
    let again = NewRequest { fingerprint: [8; 32], ..request(case, "größe", 1) };
    assert_eq!(remember(case, &again).await, remembered(&first, false));
}

pub(super) async fn routes_and_keys_tell_requests_apart(case: &Case) {
    let first = request(case, "a", 0);
    remember(case, &first).await;
    let other_key = request(case, "b", 0);
    assert_eq!(remember(case, &other_key).await, remembered(&other_key, true));
    let other_route = NewRequest { route: "POST /v1/agents".to_owned(), ..request(case, "a", 0) };
    assert_eq!(remember(case, &other_route).await, remembered(&other_route, true));
    assert_eq!(remember(case, &first).await, remembered(&first, false));
}

pub(super) async fn old_requests_are_forgotten(case: &Case) {
    let first = request(case, "a", 0);
    remember(case, &first).await;
    let last_moment = request(case, "a", 100);
    assert_eq!(remember(case, &last_moment).await, remembered(&first, false));
    let later = request(case, "a", 101);
    assert_eq!(remember(case, &later).await, remembered(&later, true));
}

pub(super) async fn a_request_needs_its_org(case: &Case) {
    let nobody = case.id(OrgId::from_uuid);
    let result = case.stores.request_store.remember_request(nobody, request(case, "a", 0)).await;
    assert_refused!(result, StoreError::NotFound { what: "org", .. });
}

pub(super) async fn of_many_at_once_one_is_first(case: &Case) {
    let requests: Vec<NewRequest> = (0..8).map(|_| request(case, "a", 0)).collect();
    let answers = futures::future::join_all(requests.iter().map(|request| remember(case, request))).await;
    assert_eq!(answers.iter().filter(|answer| answer.first).count(), 1);
    let ids: std::collections::BTreeSet<Uuid> = answers.iter().map(|answer| answer.id).collect();
    assert_eq!(ids.len(), 1);
}
