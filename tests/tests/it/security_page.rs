//! `docs/security.md` promises tests: each that it names exists.

use std::collections::BTreeSet;
use std::fs;

use crate::tidy::{files_below, root};

/// Names of all test functions of the host's crates.
fn test_functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["runtime/src", "server/src", "tests/tests", "engines/temporal/server/tests"] {
        for path in files_below(&root().join(folder)).into_iter().filter(|path| path.extension().is_some_and(|it| it == "rs")) {
            let text = fs::read_to_string(&path).expect("a source is text");
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                    is_test = true;
                } else if let Some((name, _)) = line.strip_prefix("pub(super) async fn ").and_then(|rest| rest.split_once("(case: &Case)"))
                {
                    // A case of the stores' contract, which is a test of each store.
                    names.insert(name.to_owned());
                } else if let Some(rest) = line.strip_prefix("async fn ").or(line.strip_prefix("fn "))
                    && std::mem::take(&mut is_test)
                {
                    names.insert(rest.chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect());
                }
            }
        }
    }
    names
}

/// Tests that the page names: what has underscores and stands between backquotes.
fn named(page: &str) -> impl Iterator<Item = &str> {
    let quoted = page.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.contains('_') && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let page = fs::read_to_string(root().join("docs/security.md")).expect("the page is there");
    let tests = test_functions();
    let missing: Vec<&str> = named(&page).filter(|name| !tests.contains(*name)).collect();
    assert!(missing.is_empty(), "there are no such tests: {missing:?}");
    assert!(named(&page).count() > 100, "the page names its tests between backquotes");
}

#[test]
fn every_row_of_the_security_page_names_a_test() {
    let page = fs::read_to_string(root().join("docs/security.md")).expect("the page is there");
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| id"));
    let without: Vec<&str> = rows.filter(|row| row.split(" | ").nth(3).is_none_or(|tests| named(tests).count() == 0)).collect();
    assert!(without.is_empty(), "rows without a test: {without:#?}");
}
