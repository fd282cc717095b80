//! Code that two components share.

use std::fs;
use std::path::Path;

use everwit_runtime::capability::{Capability as _, ToolOutcome};
use everwit_runtime::component::Grant;
use everwit_runtime::limits::Budget;
use everwit_runtime::sandbox::{Admission, AdmitError, Sandbox, Terms};
use serde_json::json;

use super::inputs::script;
use crate::support::guests::{call_context, guest, sandbox_with};

/// A sandbox with a cache of its own, and how often it has started the compiler.
fn counted(directory: &Path) -> (Sandbox, impl Fn() -> usize + use<>) {
    let count = directory.join("count");
    let compiler = script(&format!("echo x >> {}; exec $0", count.display()));
    (sandbox_with(&directory.join("cache"), compiler), move || fs::read_to_string(&count).unwrap_or_default().lines().count())
}

async fn answer(sandbox: &Sandbox, wasm: Vec<u8>, admission: Admission) -> ToolOutcome {
    let terms = Terms { version: Some(1), grant: Grant::default(), budget: Budget::TOOL_CALL };
    let capability = sandbox.component(admission.digest, admission.description, terms, || async { Ok(wasm) }).await;
    capability.expect("it is loaded").call_tool(&call_context(), "echo", json!({ "value": 7 })).await
}

/// The same component before its section was written behind it.
fn bare(described: &[u8]) -> Vec<u8> {
    let name = b"everwit:description";
    let at = described.windows(name.len()).rposition(|bytes| bytes == name).expect("it has the section");
    // Length of the name, length of the section in two or three bytes of seven bits each, id of custom sections.
    let start = [at - 4, at - 5].into_iter().find(|&start| described[start] == 0).expect("a section");
    described[..start].to_vec()
}

#[tokio::test]
async fn a_component_with_its_description_behind_it_needs_no_compiling() {
    let directory = tempfile::tempdir().expect("a directory");
    let (sandbox, compiled) = counted(directory.path());
    let (described, other) = (guest("echo"), guest("minimal"));
    let admission = sandbox.admit(bare(&described)).await.expect("admitted");

    let mut changed = described.clone();
    changed[100] ^= 1;
    let mut longer = described.clone();
    longer.extend_from_slice(b"\0\x01\0");
    let mut says_otherwise = described.clone();
    let id = described.windows(12).rposition(|bytes| bytes == br#"{"id":"echo""#).expect("the section names it");
    says_otherwise[id + 7..id + 11].copy_from_slice(b"ohce");
    for wrong in [bare(&described), other, changed, longer, says_otherwise.clone()] {
        let refused = sandbox.admit_described(admission.clone(), wrong.clone()).await;
        match refused {
            Err(AdmitError::Rejected(_)) => assert_eq!(wrong, says_otherwise),
            Err(AdmitError::Internal(_)) => assert_ne!(wrong, says_otherwise),
            other => panic!("not refused: {other:?}"),
        }
    }

    let named = sandbox.admit_described(admission.clone(), described.clone()).await.expect("admitted");
    assert_eq!((&named.description, named.size), (&admission.description, described.len() as u64));
    assert_ne!(named.digest, admission.digest);
    let outcome = answer(&sandbox, described.clone(), named).await;
    outcome.result.expect("an answer");
    assert_eq!(sandbox.admit(described).await.expect("admitted").description, admission.description);
    assert_eq!(compiled(), 1);
}
