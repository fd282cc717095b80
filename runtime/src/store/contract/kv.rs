//! Key-value data.

use super::case::{Case, assert_none, assert_refused, assert_same, ok, some};
use crate::limits::{MAX_KV_BUCKET_BYTES, MAX_KV_KEY_BYTES, MAX_KV_KEYS, MAX_KV_VALUE_BYTES};
use crate::store::{KvEntry, KvScope, StoreError};

async fn put(case: &Case, scope: &KvScope, key: &str, value: &str) -> u64 {
    ok(case.stores.kv.put(scope, key, value.as_bytes().to_vec(), None).await)
}

async fn keys(case: &Case, scope: &KvScope, prefix: &str, after: Option<&str>, limit: u32) -> Vec<String> {
    ok(case.stores.kv.keys(scope, prefix, after, limit).await)
}

pub(super) async fn reads_what_was_written(case: &Case) {
    let scope = case.scope();
    assert_none(case.stores.kv.get(&scope, "key").await);
    for (number, value) in (1..).zip([b"\0\xff".to_vec(), Vec::new(), vec![7; MAX_KV_VALUE_BYTES]]) {
        ok(case.stores.kv.put(&scope, "key", value.clone(), None).await);
        let entry = some(case.stores.kv.get(&scope, "key").await);
        assert!(entry == KvEntry { value, version: number }, "version {} of {} bytes", entry.version, entry.value.len());
    }
}

pub(super) async fn versions_count_writes(case: &Case) {
    let scope = case.scope();
    assert_eq!(put(case, &scope, "key", "a").await, 1);
    assert_eq!(put(case, &scope, "key", "a").await, 2);
    assert_eq!(put(case, &scope, "other", "a").await, 1);
    ok(case.stores.kv.remove(&scope, "key", None).await);
    assert_none(case.stores.kv.get(&scope, "key").await);
}

pub(super) async fn a_version_never_comes_back(case: &Case) {
    let scope = case.scope();
    let mut seen = std::collections::BTreeSet::new();
    // Each life of the key is as long as the one before, so that counting anew would repeat it.
    for _ in 0..3 {
        let first = ok(case.stores.kv.put(&scope, "key", Vec::new(), Some(0)).await);
        assert!(seen.insert(first) && seen.insert(put(case, &scope, "key", "b").await), "{seen:?}");
        put(case, &scope, "other", "a").await;
        ok(case.stores.kv.remove(&scope, "other", None).await);
        ok(case.stores.kv.remove(&scope, "key", None).await);
        for &version in &seen {
            assert_refused!(case.stores.kv.put(&scope, "key", Vec::new(), Some(version)).await, StoreError::Stale { .. });
        }
        put(case, &scope, "key", "c").await;
        for &version in &seen {
            assert_refused!(case.stores.kv.put(&scope, "key", Vec::new(), Some(version)).await, StoreError::Stale { .. });
            assert_refused!(case.stores.kv.remove(&scope, "key", Some(version)).await, StoreError::Stale { .. });
        }
        seen.insert(some(case.stores.kv.get(&scope, "key").await).version);
        ok(case.stores.kv.remove(&scope, "key", None).await);
    }
    // Another bucket counts by itself.
    assert_eq!(put(case, &KvScope { bucket: "other".to_owned(), ..scope }, "key", "a").await, 1);
}

pub(super) async fn a_write_over_another_version_is_stale(case: &Case) {
    let scope = case.scope();
    let write = async |value: &str, expected| case.stores.kv.put(&scope, "key", value.as_bytes().to_vec(), Some(expected)).await;
    for expected in [1, u64::MAX] {
        assert_refused!(write("early", expected).await, StoreError::Stale { .. });
    }
    assert_eq!(ok(write("one", 0).await), 1);
    assert_refused!(write("again", 0).await, StoreError::Stale { .. });
    assert_eq!(ok(write("two", 1).await), 2);
    for expected in [0, 1, 3, u64::MAX] {
        assert_refused!(write("late", expected).await, StoreError::Stale { .. });
    }
    assert_eq!(some(case.stores.kv.get(&scope, "key").await), KvEntry { value: b"two".to_vec(), version: 2 });
}

pub(super) async fn a_removal_of_another_version_is_stale(case: &Case) {
    let scope = case.scope();
    let remove = async |expected| case.stores.kv.remove(&scope, "key", expected).await;
    for expected in [None, Some(0)] {
        ok(remove(expected).await);
    }
    assert_refused!(remove(Some(1)).await, StoreError::Stale { .. });
    put(case, &scope, "key", "a").await;
    for expected in [Some(0), Some(2)] {
        assert_refused!(remove(expected).await, StoreError::Stale { .. });
    }
    assert_eq!(some(case.stores.kv.get(&scope, "key").await).version, 1);
    ok(remove(Some(1)).await);
    assert_none(case.stores.kv.get(&scope, "key").await);
}

pub(super) async fn scopes_never_meet(case: &Case) {
    let places = [
        ("a:b", "c"),
        ("a", "b:c"),
        ("a", "b"),
        ("", "a:b:c"),
        ("a:b:c", ""),
        ("a/b", "c"),
        ("a", "b/c"),
        ("..", "a"),
        ("a", ".."),
        ("a\u{1}b", "c"),
        ("a", "\u{1}"),
        ("A", "b"),
        ("é", "b"),
        ("e\u{301}", "b"),
    ];
    for org in [case.org, case.other] {
        for (component, bucket) in places {
            let scope = KvScope { org, component: component.to_owned(), bucket: bucket.to_owned() };
            assert_none(case.stores.kv.get(&scope, "key").await);
            assert_eq!(put(case, &scope, "key", &format!("{scope:?}")).await, 1);
        }
    }
    for org in [case.org, case.other] {
        for (component, bucket) in places {
            let scope = KvScope { org, component: component.to_owned(), bucket: bucket.to_owned() };
            assert_eq!(some(case.stores.kv.get(&scope, "key").await).value, format!("{scope:?}").into_bytes());
            assert_same(&keys(case, &scope, "", None, 10).await, &["key".to_owned()]);
            ok(case.stores.kv.remove(&scope, "key", Some(1)).await);
        }
    }
}

pub(super) async fn keys_are_listed_in_byte_order(case: &Case) {
    let scope = case.scope();
    let mut all = ["b", "B", "a", "aa", "ä", "z", "\u{ffff}", "\u{10000}", "", "a\0", "_", "日本", "日"].map(str::to_owned);
    for key in &all {
        put(case, &scope, key, "x").await;
    }
    all.sort_unstable();
    assert_same(&keys(case, &scope, "", None, 100).await, &all);
}

pub(super) async fn a_prefix_is_no_pattern(case: &Case) {
    let scope = case.scope();
    let all = ["a%b", "a_b", "axb", "a*b", "a[b", "ab", "ä", "ä1", "\u{10ffff}", "\u{10ffff}x"].map(str::to_owned);
    for key in &all {
        put(case, &scope, key, "x").await;
    }
    for prefix in ["", "a", "a%", "a_", "a*", "a[", "ä", "\u{10ffff}", "b", "a%b", "a%bc", "A"] {
        let mut expected: Vec<String> = all.iter().filter(|key| key.starts_with(prefix)).cloned().collect();
        expected.sort_unstable();
        assert_same(&keys(case, &scope, prefix, None, 100).await, &expected);
    }
}

pub(super) async fn keys_are_listed_in_parts(case: &Case) {
    let scope = case.scope();
    for key in ["a1", "a2", "a3", "b1"] {
        put(case, &scope, key, "x").await;
    }
    let check = async |prefix: &str, after: Option<&str>, limit: u32, expected: &[&str]| {
        let expected: Vec<String> = expected.iter().map(|&key| key.to_owned()).collect();
        assert_same(&keys(case, &scope, prefix, after, limit).await, &expected);
    };
    check("", None, 2, &["a1", "a2"]).await;
    check("", Some("a2"), 2, &["a3", "b1"]).await;
    check("", Some("b1"), 2, &[]).await;
    check("", Some(""), 9, &["a1", "a2", "a3", "b1"]).await;
    check("a", Some("a1"), 9, &["a2", "a3"]).await;
    check("a", Some("a15"), 9, &["a2", "a3"]).await;
    check("b", Some("a1"), 9, &["b1"]).await;
    check("a", Some("b"), 9, &[]).await;
    check("", None, 0, &[]).await;
    check("", None, u32::MAX, &["a1", "a2", "a3", "b1"]).await;
}

pub(super) async fn any_text_is_a_key(case: &Case) {
    let scope = case.scope();
    let all = ["", "..", "../x", "a/b", "a:b", "a\0b", "a\0c", "'; DROP TABLE kv; --", "é", "e\u{301}", "\u{1F9F0}", " ", "\n"];
    for key in all {
        assert_eq!(put(case, &scope, key, key).await, 1);
    }
    for key in all {
        assert_eq!(some(case.stores.kv.get(&scope, key).await).value, key.as_bytes());
    }
}

pub(super) async fn long_keys_and_values_are_refused(case: &Case) {
    let scope = case.scope();
    // The limits count bytes: each of these characters has two.
    let longest = "é".repeat(MAX_KV_KEY_BYTES / 2);
    let too_long = format!("{longest}x");
    put(case, &scope, &longest, "x").await;
    assert_refused!(case.stores.kv.put(&scope, &too_long, Vec::new(), None).await, StoreError::Limit(_));
    assert_refused!(case.stores.kv.put(&scope, &longest, vec![0; MAX_KV_VALUE_BYTES + 1], None).await, StoreError::Limit(_));
    assert_eq!(some(case.stores.kv.get(&scope, &longest).await).version, 1);
    // What cannot be written is simply absent.
    assert_none(case.stores.kv.get(&scope, &too_long).await);
    ok(case.stores.kv.remove(&scope, &too_long, None).await);
}

pub(super) async fn a_bucket_has_so_many_keys(case: &Case) {
    let scope = case.scope();
    for number in 0..MAX_KV_KEYS {
        put(case, &scope, &format!("{number}"), "").await;
    }
    assert_refused!(case.stores.kv.put(&scope, "more", Vec::new(), None).await, StoreError::Limit(_));
    assert_none(case.stores.kv.get(&scope, "more").await);
    // A key that exists can still be written, another bucket is another matter, and a removal
    // makes room.
    assert_eq!(put(case, &scope, "7", "x").await, 2);
    put(case, &KvScope { bucket: "other".to_owned(), ..scope.clone() }, "more", "").await;
    ok(case.stores.kv.remove(&scope, "7", None).await);
    put(case, &scope, "more", "").await;
}

pub(super) async fn a_bucket_has_so_many_bytes(case: &Case) {
    let scope = case.scope();
    // Two-byte keys fill the bucket up to the last byte, keys included.
    let full = usize::try_from(MAX_KV_BUCKET_BYTES).expect("a size in memory") / (MAX_KV_VALUE_BYTES / 2);
    let value = vec![0; MAX_KV_VALUE_BYTES / 2 - 2];
    for number in 0..full {
        ok(case.stores.kv.put(&scope, &format!("{number:02x}"), value.clone(), None).await);
    }
    assert_refused!(case.stores.kv.put(&scope, "", vec![0], None).await, StoreError::Limit(_));
    assert_refused!(case.stores.kv.put(&scope, "00", vec![0; value.len() + 1], None).await, StoreError::Limit(_));
    // The same size over the old value fits, and so does what a smaller value leaves.
    ok(case.stores.kv.put(&scope, "00", value.clone(), None).await);
    ok(case.stores.kv.put(&scope, "00", vec![0; value.len() - 3], None).await);
    ok(case.stores.kv.put(&scope, "xy", vec![0], None).await);
    assert_refused!(case.stores.kv.put(&scope, "z", Vec::new(), None).await, StoreError::Limit(_));
}
