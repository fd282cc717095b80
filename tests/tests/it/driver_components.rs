//! Driver components: what they may do, what becomes of hostile ones, what is tried of them at
//! upload, and turns that run on them.

mod conformance;
mod hostile;
mod turns;
mod vendors;

use everwit_runtime::driver::{ChatRequest, DriverConfig};
use everwit_runtime::limits::Budget;
use everwit_runtime::sandbox::{Admission, AdmitError, ComponentDriver, Finding, Terms};

use crate::support::guests::{guest, sandbox};

/// Text that is in every credential of these tests, and may be nowhere but in its place.
const PLANTED: &str = "planted-8d1e";

/// Small enough that each limit is reached soon.
const SMALL: Budget = Budget { fuel: 500_000_000, memory_bytes: 32 << 20, output_bytes: 8 << 20, ..Budget::COMPLETION };

async fn open(name: &str) -> ComponentDriver {
    open_with(name, SMALL).await
}

async fn open_with(name: &str, budget: Budget) -> ComponentDriver {
    let terms = Terms { budget, ..Terms::default() };
    sandbox().open_driver(guest(name), terms).await.expect("the driver is admitted")
}

async fn admit(wasm: Vec<u8>) -> Result<Admission, Vec<Finding>> {
    match sandbox().admit(wasm).await {
        Ok(admission) => Ok(admission),
        Err(AdmitError::Rejected(rejection)) => Err(rejection.findings.clone()),
        Err(other) => panic!("{other}"),
    }
}

fn config() -> DriverConfig {
    DriverConfig { api_key: Some(format!("sk_{PLANTED}").into()), base_url: Some("https://vendor.example".to_owned()), metadata: None }
}

fn asking(model: &str) -> ChatRequest {
    ChatRequest { model: model.to_owned(), ..ChatRequest::default() }
}

/// The same component with another text of the same length in it.
fn patched(mut wasm: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> = (0..wasm.len() - from.len()).filter(|&at| wasm[at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "{from:?} is not in the component");
    for at in places {
        wasm[at..at + from.len()].copy_from_slice(to.as_bytes());
    }
    wasm
}
