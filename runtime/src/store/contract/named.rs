//! Harnesses, agents and providers: the same cases for all.

use std::fmt::Debug;

use jiff::Timestamp;

use super::case::{Case, FIRST_PAGE, assert_none, assert_refused, assert_same, ok, refusal, some, time};
use super::files::path;
use crate::agent::Agent;
use crate::driver::DriverId;
use crate::file::InitialFile;
use crate::harness::{Harness, ResourceStatus};
use crate::limits::MAX_PAGE;
use crate::provider::{Provider, ProviderStatus};
use crate::store::{Listing, Page, StoreError, StoreResult};

/// A resource with a name and a version.
pub(super) trait Named: Clone + PartialEq + Debug + Sized {
    /// Kind of thing in errors.
    const WHAT: &'static str;

    /// One with this name, version 1.
    fn make(case: &Case, name: &str) -> Self;
    /// The same with every field but the id changed, and this name and version.
    fn changed(&self, case: &Case, name: &str, version: u64) -> Self;
    /// The same with these times.
    fn at(self, created_at: Timestamp, updated_at: Timestamp) -> Self;
    /// The same with the id of another.
    fn with_id_of(self, other: &Self) -> Self;
    fn id_text(&self) -> String;
    fn times(&self) -> (Timestamp, Timestamp);

    async fn add(self, case: &Case) -> StoreResult<()>;
    async fn get(&self, case: &Case) -> StoreResult<Option<Self>>;
    async fn find(case: &Case, name: &str) -> StoreResult<Option<Self>>;
    async fn update(self, case: &Case) -> StoreResult<()>;
    async fn list(case: &Case, page: Page) -> StoreResult<Listing<Self>>;
}

macro_rules! named {
    ($type:ident, $what:literal, $make:ident, $store:ident, $add:ident $get:ident $find:ident $update:ident $list:ident, $changed:expr) => {
        impl Named for $type {
            const WHAT: &'static str = $what;

            fn make(case: &Case, name: &str) -> Self {
                case.$make(name)
            }

            fn changed(&self, case: &Case, name: &str, version: u64) -> Self {
                let change: fn($type, &Case) -> $type = $changed;
                let changed = Self { name: name.to_owned(), version, created_at: time(100), updated_at: time(101), ..self.clone() };
                change(changed, case)
            }

            fn at(self, created_at: Timestamp, updated_at: Timestamp) -> Self {
                Self { created_at, updated_at, ..self }
            }

            fn with_id_of(self, other: &Self) -> Self {
                Self { id: other.id, ..self }
            }

            fn id_text(&self) -> String {
                self.id.to_string()
            }

            fn times(&self) -> (Timestamp, Timestamp) {
                (self.created_at, self.updated_at)
            }

            async fn add(self, case: &Case) -> StoreResult<()> {
                case.stores.$store.$add(case.org, self).await
            }

            async fn get(&self, case: &Case) -> StoreResult<Option<Self>> {
                case.stores.$store.$get(case.org, self.id).await
            }

            async fn find(case: &Case, name: &str) -> StoreResult<Option<Self>> {
                case.stores.$store.$find(case.org, name).await
            }

            async fn update(self, case: &Case) -> StoreResult<()> {
                case.stores.$store.$update(case.org, self).await
            }

            async fn list(case: &Case, page: Page) -> StoreResult<Listing<Self>> {
                case.stores.$store.$list(case.org, page).await
            }
        }
    };
}

named!(Harness, "harness", harness, harness_store, add_harness get_harness find_harness update_harness list_harnesses, |harness, _| {
    Harness {
        display_name: None,
        description: Some("changed".to_owned()),
        system_prompt: None,
        parent_harness_id: None,
        default_model_id: None,
        capabilities: Vec::new(),
        initial_files: vec![InitialFile::text(path("/changed"), "")],
        tags: vec!["changed".to_owned()],
        is_built_in: false,
        status: ResourceStatus::Archived,
        ..harness
    }
});

named!(Agent, "agent", agent, agent_store, add_agent get_agent find_agent update_agent list_agents, |agent, case| {
    Agent {
        display_name: Some("changed".to_owned()),
        description: None,
        system_prompt: String::new(),
        harness_id: case.harness("other").id,
        default_model_id: None,
        capabilities: Vec::new(),
        tools: Vec::new(),
        max_iterations: None,
        initial_files: vec![InitialFile::text(path("/changed"), "")],
        tags: vec!["changed".to_owned()],
        status: ResourceStatus::Active,
        ..agent
    }
});

named!(Provider, "provider", provider, provider_store, add_provider get_provider find_provider update_provider list_providers, |row, _| {
    Provider {
        provider_type: DriverId::OpenAi,
        base_url: None,
        status: ProviderStatus::Disabled,
        provider_metadata: row.api_key,
        api_key: None,
        ..row
    }
});

async fn reads_back_every_field<T: Named>(case: &Case) {
    let row = T::make(case, "first");
    ok(row.clone().add(case).await);
    assert_eq!(some(row.get(case).await), row);
    assert_eq!(some(T::find(case, "first").await), row);
    let changed = row.changed(case, "second", 1);
    let other = T::make(case, "second");
    ok(changed.clone().with_id_of(&other).add(case).await);
    assert_eq!(some(T::find(case, "second").await), changed.with_id_of(&other));
}

async fn absent_is_none<T: Named>(case: &Case) {
    ok(T::make(case, "first").add(case).await);
    assert_none(T::make(case, "first").get(case).await);
    for name in ["", "First", "first ", "firs", "%", "'"] {
        assert_none(T::find(case, name).await);
    }
}

async fn a_taken_name_or_id_is_a_duplicate<T: Named>(case: &Case) {
    let row = T::make(case, "first");
    ok(row.clone().add(case).await);
    for (again, taken) in [(T::make(case, "first"), "first".to_owned()), (T::make(case, "second").with_id_of(&row), row.id_text())] {
        match refusal(again.add(case).await) {
            StoreError::Duplicate { what, id } => assert_eq!((what, id), (T::WHAT, taken)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(some(row.get(case).await), row);
    assert_eq!(ok(T::list(case, FIRST_PAGE).await).total, 1);
}

async fn an_update_replaces_every_field<T: Named>(case: &Case) {
    let row = T::make(case, "first");
    ok(row.clone().add(case).await);
    let changed = row.changed(case, "renamed", 2);
    ok(changed.clone().update(case).await);
    assert_eq!(some(row.get(case).await), changed);
    assert_eq!(some(T::find(case, "renamed").await), changed);
    assert_none(T::find(case, "first").await);
    ok(T::make(case, "first").add(case).await);
}

async fn an_update_of_an_old_version_is_stale<T: Named>(case: &Case) {
    let row = T::make(case, "first");
    ok(row.clone().add(case).await);
    let second = row.changed(case, "first", 2);
    ok(second.clone().update(case).await);
    for version in [0, 1, 2, 4] {
        assert_refused!(row.changed(case, "late", version).update(case).await, StoreError::Stale { .. });
    }
    assert_eq!(some(row.get(case).await), second);
}

async fn an_update_of_nothing_is_not_found<T: Named>(case: &Case) {
    let row = T::make(case, "first");
    match refusal(row.changed(case, "first", 2).update(case).await) {
        StoreError::NotFound { what, id } => assert_eq!((what, id), (T::WHAT, row.id_text())),
        other => panic!("{other:?}"),
    }
    assert_none(row.get(case).await);
}

async fn an_update_to_a_taken_name_is_a_duplicate<T: Named>(case: &Case) {
    let row = T::make(case, "first");
    ok(row.clone().add(case).await);
    ok(T::make(case, "second").add(case).await);
    match refusal(row.changed(case, "second", 2).update(case).await) {
        StoreError::Duplicate { what, id } => assert_eq!((what, id.as_str()), (T::WHAT, "second")),
        other => panic!("{other:?}"),
    }
    assert_eq!(some(row.get(case).await), row);
}

async fn lists_pages_in_order_of_creation<T: Named>(case: &Case) {
    // Ids, names and times all contradict the order in which the rows are stored.
    let mut rows: Vec<T> = (0..5).map(|number| T::make(case, &format!("name-{}", 9 - number)).at(time(9 - number), time(9))).collect();
    rows.reverse();
    for row in &rows {
        ok(row.clone().add(case).await);
    }
    for (offset, limit, expected) in [(0, 100, 0..5), (0, 2, 0..2), (2, 2, 2..4), (4, 2, 4..5), (5, 1, 5..5), (u32::MAX, 1, 5..5)] {
        let listing = ok(T::list(case, Page { offset, limit }).await);
        assert_same(&listing.items, &rows[expected]);
        assert_eq!(listing.total, 5);
    }
    for number in 5..=MAX_PAGE {
        ok(T::make(case, &format!("more-{number}")).add(case).await);
    }
    let listing = ok(T::list(case, Page { offset: 0, limit: u32::MAX }).await);
    assert_eq!((listing.items.len(), listing.total), (MAX_PAGE as usize, u64::from(MAX_PAGE) + 1));
}

async fn keeps_times_to_the_microsecond<T: Named>(case: &Case) {
    let nanos = |nanos| Timestamp::new(time(0).as_second(), nanos).expect("a time in this century");
    let row = T::make(case, "first").at(nanos(123_456_789), Timestamp::MIN);
    ok(row.clone().add(case).await);
    let stored = some(row.get(case).await);
    assert_eq!(stored.times(), (nanos(123_456_000), Timestamp::MIN));
}

/// A module with all cases for one kind of resource.
macro_rules! cases {
    ($module:ident of $type:ident: $($case:ident)*) => {
        pub(super) mod $module {
            use super::{Case, $type};

            $(pub(in super::super) async fn $case(case: &Case) {
                super::$case::<$type>(case).await;
            })*
        }
    };
    ($($module:ident of $type:ident),*) => {$(
        cases! { $module of $type:
            reads_back_every_field
            absent_is_none
            a_taken_name_or_id_is_a_duplicate
            an_update_replaces_every_field
            an_update_of_an_old_version_is_stale
            an_update_of_nothing_is_not_found
            an_update_to_a_taken_name_is_a_duplicate
            lists_pages_in_order_of_creation
            keeps_times_to_the_microsecond
        }
    )*};
}

cases!(harnesses of Harness, agents of Agent, providers of Provider);
