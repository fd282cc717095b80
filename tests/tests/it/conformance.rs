//! Every language's SDK by the same checks, and that the checks can fail.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::guests::{root, target};
use crate::support::{everwit, guest};

/// Checks of the suite, without those of files.
const CHECKS: u64 = 17;
/// Checks of files, for the SDKs that have them.
const FILE_CHECKS: u64 = 2;

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

async fn conforms(name: &str, checks: u64) {
    let judged = judge(name).await;
    assert_eq!((&judged["failed"], &judged["passed"]), (&Value::from(0), &Value::from(checks)), "{judged:#}");
}

#[tokio::test]
async fn rust_conforms() {
    conforms("conformance-rust", CHECKS + FILE_CHECKS).await;
}

#[tokio::test]
async fn javascript_conforms() {
    conforms("conformance-js", CHECKS + FILE_CHECKS).await;
}

#[tokio::test]
async fn python_conforms() {
    conforms("conformance-python", CHECKS + FILE_CHECKS).await;
}

#[tokio::test]
async fn c_conforms() {
    conforms("conformance-c", CHECKS).await;
}

#[tokio::test]
async fn go_conforms() {
    conforms("conformance-go", CHECKS).await;
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
    // What makes the bindings of the others is no SDK, nor is the adapter that `everwit wrap` carries.
    for sdk in named(root().join("guest-sdk")).into_iter().filter(|name| name != "bindings" && name != "wrap") {
        guest(&format!("conformance-{sdk}"));
    }
}

/// Runs a shipped component's own cases in the sandbox.
async fn passes_its_cases(component: &str) {
    let mut command = everwit();
    command.arg("test").arg(target().join("components").join(component).with_extension("wasm"));
    command.current_dir(root().join("components").join(component)).env("XDG_CACHE_HOME", cache());
    let output = command.output().await.expect("the command runs");
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_shipped_python_component_passes_its_cases() {
    passes_its_cases("units-and-dates").await;
}

#[tokio::test]
async fn a_shipped_c_component_passes_its_cases() {
    passes_its_cases("compress").await;
}

/// What a C library in the sandbox has written, another program reads.
#[tokio::test]
async fn what_is_compressed_in_the_sandbox_is_read_outside() {
    let text = "Größe zählt. ".repeat(500);
    for (format, window) in [("gzip", 31), ("zlib", 15), ("raw", -15)] {
        let arguments = serde_json::json!({ "text": text, "format": format, "level": 9 });
        let mut call = everwit();
        call.args(["call", "--json"]).arg(target().join("components/compress.wasm")).args(["compress", &arguments.to_string()]);
        let output = call.env("XDG_CACHE_HOME", cache()).output().await.expect("the command runs");
        let called: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
        let result = &called["result"]["structured"];
        assert!(result["bytes_out"].as_u64() < Some(200) && result["bytes_in"] == text.len(), "{called}");
        let program = "import base64, sys, zlib; print(zlib.decompress(base64.b64decode(sys.argv[1]), int(sys.argv[2])).decode(), end='')";
        let mut python = tokio::process::Command::new("python3");
        python.args(["-c", program, result["base64"].as_str().unwrap_or_default(), &window.to_string()]).env("PYTHONIOENCODING", "utf-8");
        let read = python.output().await.expect("python3 runs");
        assert!(String::from_utf8_lossy(&read.stdout) == text, "{format}: {}", String::from_utf8_lossy(&read.stderr));
    }
}
