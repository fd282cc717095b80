//! Models, and what providers and models have beyond other resources.

use super::case::{Case, FIRST_PAGE, assert_none, assert_refused, assert_same, ok, refusal, some, time};
use crate::id::ProviderId;
use crate::provider::{Model, ModelSource, Provider};
use crate::store::{Page, Seeded, StoreError};

/// A stored provider without models.
async fn provider(case: &Case, name: &str) -> ProviderId {
    let provider = case.provider(name);
    ok(case.stores.provider_store.add_provider(case.org, provider.clone()).await);
    provider.id
}

/// A stored model of a provider.
async fn model(case: &Case, provider: ProviderId, name: &str, is_default: bool) -> Model {
    let model = Model { is_default, ..case.model(provider, name) };
    ok(case.stores.provider_store.add_model(case.org, model.clone()).await);
    model
}

async fn read(case: &Case, model: &Model) -> Model {
    some(case.stores.provider_store.get_model(case.org, model.id).await)
}

pub(super) async fn reads_back_every_field(case: &Case) {
    let provider = provider(case, "first").await;
    let full = model(case, provider, "vendor/model:1", true).await;
    assert_eq!(read(case, &full).await, full);
    let sparse = Model {
        capabilities: Vec::new(),
        profile: serde_json::Map::new(),
        enabled: false,
        is_favorite: false,
        source: ModelSource::Predefined,
        ..case.model(provider, "")
    };
    ok(case.stores.provider_store.add_model(case.org, sparse.clone()).await);
    assert_eq!(read(case, &sparse).await, sparse);
    assert_none(case.stores.provider_store.get_model(case.org, case.model(provider, "absent").id).await);
}

pub(super) async fn a_model_needs_its_provider(case: &Case) {
    let absent = case.provider("absent").id;
    let orphan = case.model(absent, "orphan");
    let refused = case.stores.provider_store.add_model(case.org, orphan.clone()).await;
    assert_refused!(refused, StoreError::NotFound { what: "provider", .. });
    assert_none(case.stores.provider_store.get_model(case.org, orphan.id).await);
    let moved = Model { provider_id: absent, version: 2, ..model(case, provider(case, "first").await, "m", false).await };
    assert_refused!(case.stores.provider_store.update_model(case.org, moved).await, StoreError::NotFound { what: "provider", .. });
}

pub(super) async fn a_taken_name_or_id_is_a_duplicate(case: &Case) {
    let (one, two) = (provider(case, "one").await, provider(case, "two").await);
    let first = model(case, one, "m", false).await;
    for (again, taken) in
        [(case.model(one, "m"), "m".to_owned()), (Model { id: first.id, ..case.model(two, "other") }, first.id.to_string())]
    {
        match refusal(case.stores.provider_store.add_model(case.org, again).await) {
            StoreError::Duplicate { what, id } => assert_eq!((what, id), ("model", taken)),
            other => panic!("{other:?}"),
        }
    }
    model(case, two, "m", false).await;
    let second = model(case, one, "n", false).await;
    let renamed = Model { model_id: "m".to_owned(), version: 2, ..second.clone() };
    assert_refused!(case.stores.provider_store.update_model(case.org, renamed).await, StoreError::Duplicate { what: "model", .. });
    assert_eq!(read(case, &second).await, second);
}

pub(super) async fn an_update_replaces_every_field(case: &Case) {
    let (one, two) = (provider(case, "one").await, provider(case, "two").await);
    let first = model(case, one, "m", true).await;
    let changed = Model {
        provider_id: two,
        model_id: "renamed".to_owned(),
        display_name: "changed".to_owned(),
        capabilities: Vec::new(),
        profile: serde_json::Map::new(),
        enabled: false,
        is_favorite: false,
        is_default: false,
        source: ModelSource::Manual,
        version: 2,
        created_at: time(100),
        updated_at: time(101),
        ..first.clone()
    };
    ok(case.stores.provider_store.update_model(case.org, changed.clone()).await);
    assert_eq!(read(case, &first).await, changed);
}

pub(super) async fn an_update_of_an_old_version_or_of_nothing_is_refused(case: &Case) {
    let provider = provider(case, "first").await;
    let first = model(case, provider, "m", false).await;
    for version in [0, 1, 3] {
        let late = Model { version, enabled: false, ..first.clone() };
        assert_refused!(case.stores.provider_store.update_model(case.org, late).await, StoreError::Stale { what: "model", .. });
    }
    assert_eq!(read(case, &first).await, first);
    let absent = Model { version: 2, ..case.model(provider, "absent") };
    assert_refused!(case.stores.provider_store.update_model(case.org, absent).await, StoreError::NotFound { what: "model", .. });
}

pub(super) async fn lists_those_of_a_provider_or_all(case: &Case) {
    let (one, two) = (provider(case, "one").await, provider(case, "two").await);
    let mut models = Vec::new();
    for (provider, name) in [(one, "z"), (two, "y"), (one, "x"), (two, "w"), (one, "v")] {
        models.push(model(case, provider, name, false).await);
    }
    let of_one = [models[0].clone(), models[2].clone(), models[4].clone()];
    for (provider, page, expected, total) in [
        (None, FIRST_PAGE, &models[..], 5),
        (None, Page { offset: 1, limit: 2 }, &models[1..3], 5),
        (Some(one), FIRST_PAGE, &of_one[..], 3),
        (Some(one), Page { offset: 1, limit: 1 }, &of_one[1..2], 3),
        (Some(one), Page { offset: 3, limit: 1 }, &[], 3),
        (Some(case.provider("absent").id), FIRST_PAGE, &[], 0),
    ] {
        let listing = ok(case.stores.provider_store.list_models(case.org, provider, page).await);
        assert_same(&listing.items, expected);
        assert_eq!(listing.total, total);
    }
}

pub(super) async fn at_most_one_is_the_default(case: &Case) {
    let provider = provider(case, "first").await;
    assert_none(case.stores.provider_store.default_model(case.org).await);
    let first = model(case, provider, "one", true).await;
    assert_eq!(some(case.stores.provider_store.default_model(case.org).await), first);
    let second = Model { updated_at: time(50), ..case.model(provider, "two") };
    ok(case.stores.provider_store.add_model(case.org, second.clone()).await);
    let second = Model { is_default: true, version: 2, ..second };
    ok(case.stores.provider_store.update_model(case.org, second.clone()).await);
    assert_eq!(some(case.stores.provider_store.default_model(case.org).await), second);
    assert_eq!(read(case, &first).await, Model { is_default: false, version: 2, updated_at: time(50), ..first });
    let third = model(case, provider, "three", true).await;
    assert_eq!(some(case.stores.provider_store.default_model(case.org).await), third);
    ok(case.stores.provider_store.update_model(case.org, Model { is_default: false, version: 2, ..third }).await);
    assert_none(case.stores.provider_store.default_model(case.org).await);
}

pub(super) async fn a_refused_default_leaves_the_default(case: &Case) {
    let provider = provider(case, "first").await;
    let first = model(case, provider, "one", true).await;
    let second = model(case, provider, "two", false).await;
    let store = &case.stores.provider_store;
    assert_refused!(
        store.add_model(case.org, Model { is_default: true, ..case.model(provider, "two") }).await,
        StoreError::Duplicate { .. }
    );
    let late = Model { is_default: true, version: 7, ..second };
    assert_refused!(store.update_model(case.org, late).await, StoreError::Stale { .. });
    assert_eq!(some(store.default_model(case.org).await), first);
}

pub(super) async fn goes_with_its_provider(case: &Case) {
    let (one, two) = (provider(case, "one").await, provider(case, "two").await);
    let gone = model(case, one, "m", true).await;
    let kept = model(case, two, "m", false).await;
    let store = &case.stores.provider_store;
    ok(store.remove_provider(case.org, one, 1).await);
    assert_none(store.get_provider(case.org, one).await);
    assert_none(store.get_model(case.org, gone.id).await);
    assert_none(store.default_model(case.org).await);
    assert_same(&ok(store.list_models(case.org, None, FIRST_PAGE).await).items, &[kept]);
    provider(case, "one").await;
}

pub(super) async fn a_removal_needs_the_version(case: &Case) {
    let id = provider(case, "one").await;
    let model = model(case, id, "m", false).await;
    let store = &case.stores.provider_store;
    for version in [0, 2] {
        assert_refused!(store.remove_model(case.org, model.id, version).await, StoreError::Stale { what: "model", .. });
        assert_refused!(store.remove_provider(case.org, id, version).await, StoreError::Stale { what: "provider", .. });
    }
    ok(store.remove_model(case.org, model.id, 1).await);
    assert_refused!(store.remove_model(case.org, model.id, 1).await, StoreError::NotFound { what: "model", .. });
    ok(store.remove_provider(case.org, id, 1).await);
    assert_refused!(store.remove_provider(case.org, id, 1).await, StoreError::NotFound { what: "provider", .. });
}

pub(super) async fn a_seed_is_added_once(case: &Case) {
    let store = &case.stores.provider_store;
    let seed = case.provider("seeded");
    let model = case.model(seed.id, "m");
    assert_eq!(ok(store.seed_provider(case.org, "p", seed.clone()).await), Seeded::Added(seed.id));
    assert_eq!(ok(store.seed_model(case.org, "p/m", model.clone()).await), Seeded::Added(model.id));
    let renamed = Provider { name: "renamed".to_owned(), version: 2, ..seed.clone() };
    ok(store.update_provider(case.org, renamed.clone()).await);
    assert_eq!(ok(store.seed_provider(case.org, "p", case.provider("seeded")).await), Seeded::Before(seed.id));
    assert_eq!(some(store.get_provider(case.org, seed.id).await), renamed);
    ok(store.remove_provider(case.org, seed.id, 2).await);
    assert_eq!(ok(store.seed_provider(case.org, "p", case.provider("seeded")).await), Seeded::Before(seed.id));
    assert_eq!(ok(store.seed_model(case.org, "p/m", case.model(seed.id, "m")).await), Seeded::Before(model.id));
    assert_eq!(ok(store.list_providers(case.org, FIRST_PAGE).await).total, 0);
}

pub(super) async fn a_refused_seed_stays_free(case: &Case) {
    let store = &case.stores.provider_store;
    let own = provider(case, "taken").await;
    assert_refused!(store.seed_provider(case.org, "p", case.provider("taken")).await, StoreError::Duplicate { .. });
    assert_refused!(store.seed_model(case.org, "m", case.model(case.provider("absent").id, "m")).await, StoreError::NotFound { .. });
    ok(store.remove_provider(case.org, own, 1).await);
    let seed = case.provider("taken");
    assert_eq!(ok(store.seed_provider(case.org, "p", seed.clone()).await), Seeded::Added(seed.id));
}

pub(super) async fn sealed_providers_are_found_in_parts(case: &Case) {
    let store = &case.stores.provider_store;
    let mut expected = Vec::new();
    for (org, name) in [(case.org, "one"), (case.other, "two"), (case.org, "three"), (case.other, "four")] {
        let provider = case.provider(name);
        ok(store.add_provider(org, provider.clone()).await);
        expected.push((org, provider));
    }
    let metadata_only = case.provider("five");
    let metadata_only = Provider { provider_metadata: metadata_only.api_key, api_key: None, ..metadata_only };
    ok(store.add_provider(case.org, metadata_only.clone()).await);
    expected.push((case.org, metadata_only));
    ok(store.add_provider(case.org, Provider { api_key: None, ..case.provider("without") }).await);
    expected.sort_by_key(|(org, provider)| (*org, provider.id));
    // Other cases may share the database: only what belongs to this one counts.
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let part = ok(store.sealed_providers(after, 2).await);
        assert!(part.len() <= 2);
        let Some((org, last)) = part.last() else { break };
        after = Some((*org, last.id));
        found.extend(part.into_iter().filter(|(org, _)| [case.org, case.other].contains(org)));
    }
    assert_same(&found, &expected);
}
