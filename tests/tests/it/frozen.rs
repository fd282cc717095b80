//! Components that were built when their contract was released: every later host accepts them and they work.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use everwit_runtime::component::Digest;
use everwit_runtime::limits::MAX_COMPONENT_BYTES;
use flate2::read::GzDecoder;
use serde_json::Value;

use crate::support::everwit;
use crate::support::guests::{root, sandbox, target};
use crate::tidy::files_below;

/// Checks of `everwit conformance`. One that is added must pass for these too, or ask which version it is of.
const CHECKS: u64 = 17;

fn folder() -> PathBuf {
    root().join("tests/guests/frozen")
}

fn components() -> Vec<PathBuf> {
    files_below(&folder()).into_iter().filter(|path| path.extension().is_some_and(|end| end == "wasm" || end == "gz")).collect()
}

#[test]
fn they_are_what_they_were() {
    let sums = std::fs::read_to_string(folder().join("SHA256SUMS")).expect("a file of the checkout");
    let found: String = components()
        .iter()
        .map(|path| {
            let digest = Digest::of(&std::fs::read(path).expect("a file of the checkout")).to_string();
            let name = path.strip_prefix(folder()).expect("it was found there").display();
            format!("{}  {name}\n", digest.trim_start_matches("sha256:"))
        })
        .collect();
    assert_eq!(found, sums, "frozen guests are never built again");
}

/// The repository stays small: nobody would clone twenty megabytes of CPython for each version of a contract.
#[test]
fn they_take_no_more_than_their_place() {
    const MAX_BYTES: u64 = 20 << 20;
    let taken: u64 = components().iter().map(|path| path.metadata().expect("a file of the checkout").len()).sum();
    assert!(taken <= MAX_BYTES, "{taken} bytes of {MAX_BYTES}");
}

async fn conforms(component: &Path) {
    let mut command = everwit();
    command.args(["conformance", "--json"]).arg(component).env("XDG_CACHE_HOME", target().join("test-artifacts/authors"));
    let output = command.output().await.expect("the command runs");
    let judged: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!((&judged["failed"], &judged["passed"]), (&Value::from(0), &Value::from(CHECKS)), "{}: {judged:#}", component.display());
}

#[tokio::test]
async fn capabilities_of_1_0_0_work() {
    for language in ["c", "js", "rust"] {
        conforms(&folder().join("capability-1.0.0").join(language).with_extension("wasm")).await;
    }
}

#[tokio::test]
async fn large_capabilities_of_1_0_0_work() {
    let place = tempfile::tempdir().expect("a temporary directory");
    for language in ["go", "python"] {
        let packed = folder().join("capability-1.0.0").join(language).with_extension("wasm.gz");
        let packed = std::fs::File::open(packed).expect("a file of the checkout");
        let mut wasm = Vec::new();
        GzDecoder::new(packed).take(MAX_COMPONENT_BYTES as u64).read_to_end(&mut wasm).expect("it is whole");
        let component = place.path().join(language).with_extension("wasm");
        std::fs::write(&component, wasm).expect("it is written");
        conforms(&component).await;
    }
}

/// The exchanges that they carry are replayed on the way in.
#[tokio::test]
async fn drivers_of_1_0_0_answer_as_recorded() {
    for (language, exchanges) in [("js", 4), ("rust", 5)] {
        let wasm = std::fs::read(folder().join("driver-1.0.0").join(language).with_extension("wasm")).expect("a file of the checkout");
        let admission = sandbox().admit(wasm).await.unwrap_or_else(|error| panic!("{language}: {error:?}"));
        assert_eq!(admission.exchanges.len(), exchanges, "{language}");
        assert!(admission.exchanges.iter().all(|replayed| replayed.runs == 1), "{language}: {:?}", admission.exchanges);
    }
}
