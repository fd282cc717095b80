//! Every language's SDK by the same checks, and that the checks can fail.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::guests::{root, target};
use crate::support::{everwit, guest};

/// Checks of the suite.
const CHECKS: u64 = 17;

async fn judge(name: &str) -> Value {
    let file = tempfile::Builder::new().suffix(".wasm").tempfile().expect("a temporary file");
    std::fs::write(file.path(), guest(name)).expect("it is written");
    let mut command = everwit();
    // What the guest must not see; and a cache, because interpreters take long to compile.
    command.args(["conformance", "--json"]).arg(file.path()).envs([("PATH", "canary"), ("HOME", "canary"), ("LANG", "canary")]);
    command.env("XDG_CACHE_HOME", cache());
    let output = command.output().await.expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

fn cache() -> PathBuf {
    target().join("test-artifacts/authors")
}

async fn conforms(name: &str) {
    let judged = judge(name).await;
    assert_eq!((&judged["failed"], &judged["passed"]), (&Value::from(0), &Value::from(CHECKS)), "{judged:#}");
}

#[tokio::test]
async fn rust_conforms() {
    conforms("conformance-rust").await;
}

#[tokio::test]
async fn javascript_conforms() {
    conforms("conformance-js").await;
}

#[tokio::test]
async fn python_conforms() {
    conforms("conformance-python").await;
}

/// All checks but those of what never happens: a capability of another kind fails them.
#[tokio::test]
async fn another_capability_does_not_conform() {
    let judged = judge("counter").await;
    assert_eq!(judged["passed"], Value::from(0), "{judged:#}");
}

#[test]
fn every_sdk_has_its_guest() {
    let named = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).expect("a folder of the checkout").map(|entry| entry.expect("an entry").file_name());
        entries.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    for sdk in named(root().join("guest-sdk")) {
        guest(&format!("conformance-{sdk}"));
    }
}

/// The answers are the component's own tests' business; here it is the sandbox that runs them.
#[tokio::test]
async fn a_shipped_python_component_passes_its_cases() {
    let mut command = everwit();
    command.arg("test").arg(target().join("components/units-and-dates.wasm")).current_dir(root().join("components/units-and-dates"));
    let output = command.env("XDG_CACHE_HOME", cache()).output().await.expect("the command runs");
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}
