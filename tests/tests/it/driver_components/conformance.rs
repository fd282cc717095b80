//! The replay of recorded exchanges at upload.

use std::sync::{Arc, Mutex};

use everwit_runtime::clock::SystemClock;
use everwit_runtime::driver::{ChatDriver, CodecDriver, DriverConfig, DriverContext, DriverHost, ExchangeRecorder, RecordedExchange};
use everwit_runtime::id::{OrgId, RandomIds};
use futures::StreamExt;
use serde_json::{Value, json};

use super::{PLANTED, admit, asking, config, open, patched};
use crate::egress::support::{Pipe, public};
use crate::support::guests::guest;

/// Where the host cuts the frames, every way of cutting gives the same ones, and the driver runs once.
#[tokio::test]
async fn shipped_drivers_answer_as_recorded_however_the_answer_is_cut() {
    for (name, exchanges) in [("ollama-driver", 5), ("codex-gateway-driver", 3), ("openai-compatible-driver", 4), ("driver-python", 4)] {
        let admission = admit(guest(name)).await.unwrap_or_else(|findings| panic!("{name}: {findings:#?}"));
        assert_eq!((admission.exchanges.len(), admission.warnings.len()), (exchanges, 0), "{name}: {:?}", admission.warnings);
        for replayed in &admission.exchanges {
            assert!(replayed.cuts > 30, "{name}: {replayed:?}");
            assert_eq!(replayed.runs, 1, "{name}: {replayed:?}");
        }
        assert!(admission.imports.iter().all(|import| !import.contains("client") && !import.contains("kv")), "{:?}", admission.imports);
    }
}

#[tokio::test]
async fn a_driver_that_answers_otherwise_than_recorded_is_refused() {
    let ollama = guest("ollama-driver");
    for (from, to, pointer, detail) in [
        ("Rayleigh scattering.", "Rayleigh scattering!", "/exchanges/0/events/0", "Rayleigh scattering."),
        ("\"num_ctx\": 8192, \"temperature\"", "\"num_ctx\": 8193, \"temperature\"", "/exchanges/0/http/body", "8193"),
        ("\"Bearer key-recorded\"", "\"Bearer key-Recorded\"", "/exchanges/1/http/headers/authorization", "key-Recorded"),
        ("\"error\": \"model_not_available\"", "\"error\": \"model_not_awailable\"", "/exchanges/2/error", "model_not_awailable"),
    ] {
        let findings = admit(patched(ollama.clone(), from, to)).await.expect_err("it answers otherwise");
        let finding = &findings[0];
        assert_eq!(
            (findings.len(), finding.code.as_str(), finding.pointer.as_deref()),
            (1, "exchange_differs", Some(pointer)),
            "{findings:#?}"
        );
        assert!(finding.detail.contains(detail), "{}", finding.detail);
    }
}

#[tokio::test]
async fn a_driver_that_depends_on_how_the_network_cuts_is_refused() {
    let findings = admit(guest("driver-pieces")).await.expect_err("it loses the spaces where it is cut");
    assert_eq!((findings.len(), findings[0].code.as_str()), (1, "exchange_differs"), "{findings:#?}");
    assert!(findings[0].detail.contains("pieces"), "{}", findings[0].detail);
}

#[tokio::test]
async fn a_section_that_is_none_is_told() {
    let broken = patched(guest("driver-pieces"), "{\"exchanges\": [{", "{\"exchanges\": [[");
    let findings = admit(broken).await.expect_err("the section is not JSON");
    assert_eq!(findings[0].code, "exchanges_invalid", "{findings:#?}");
}

#[tokio::test]
async fn a_driver_without_exchanges_is_warned_about() {
    let admission = admit(guest("driver-frames")).await.expect("it is admitted");
    assert_eq!(admission.warnings.iter().map(|warning| warning.code.as_str()).collect::<Vec<_>>(), ["no_exchanges"]);
}

/// A driver that could store or send what it is told would be a way out.
#[tokio::test]
async fn a_driver_that_imports_a_power_is_refused() {
    let findings = admit(guest("driver-powers")).await.expect_err("it imports the key-value store");
    assert_eq!(findings[0].code, "import_not_for_drivers", "{findings:#?}");
    assert!(findings[0].detail.contains("everwit:kv/store"), "{}", findings[0].detail);
}

/// Keeps what it is given.
#[derive(Default)]
struct Tape(Mutex<Vec<RecordedExchange>>);

impl ExchangeRecorder for Tape {
    fn record(&self, exchange: RecordedExchange) {
        self.0.lock().expect("nothing panics while it holds the lock").push(exchange);
    }
}

/// A component with one more custom section.
fn with_section(mut wasm: Vec<u8>, name: &str, content: &[u8]) -> Vec<u8> {
    let leb = |mut number: usize| {
        let mut bytes = Vec::new();
        loop {
            let (low, rest) = ((number & 0x7f) as u8, number >> 7);
            bytes.push(if rest == 0 { low } else { low | 0x80 });
            if rest == 0 {
                return bytes;
            }
            number = rest;
        }
    };
    let named = [leb(name.len()), name.as_bytes().to_vec(), content.to_vec()].concat();
    wasm.extend([vec![0], leb(named.len()), named].concat());
    wasm
}

/// What a completion leaves at the recorder is a fixture that the same driver passes, without the key.
#[tokio::test]
async fn a_recorded_exchange_is_a_fixture_of_the_driver() {
    let body = ": an answer of no events\n\n";
    let pipe =
        Pipe::answering(format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    let tape = Arc::new(Tape::default());
    let clock = Arc::new(SystemClock);
    let host = DriverHost::new(Arc::new(public(pipe)), clock.clone(), Arc::new(RandomIds::new(clock))).with_recorder(tape.clone());
    let context = DriverContext::new(OrgId::from_uuid(uuid::Uuid::from_u128(1)), Arc::new(host));
    let provider = DriverConfig { base_url: Some("http://vendor.example".to_owned()), ..config() };
    let driver = CodecDriver::new(Arc::new(open("driver-requests").await), provider);
    let mut stream = driver.complete(asking("good"), context).await.expect("it begins");
    while let Some(event) = stream.next().await {
        event.expect("the driver says no more than its end");
    }
    drop(stream);
    let recorded = tape.0.lock().expect("nothing panics while it holds the lock").pop().expect("it was recorded");
    let fixture = recorded.to_fixture("recorded").expect("it is a whole exchange");
    assert_eq!(
        (&fixture["http"]["headers"]["authorization"], &fixture["config"]["api_key"]),
        (&json!("Bearer [redacted]"), &json!("[redacted]"))
    );
    let section = |fixture: &Value| json!({ "exchanges": [fixture] }).to_string();
    assert!(!section(&fixture).contains(PLANTED), "{fixture:#}");
    let replayed = admit(with_section(guest("driver-requests"), "everwit:exchanges", section(&fixture).as_bytes())).await;
    let replayed = replayed.expect("it passes its own recording").exchanges;
    assert_eq!((replayed.len(), replayed[0].name.as_str()), (1, "recorded"));
    let mut other = fixture.clone();
    other["events"] = json!([{ "finish": { "reason": "length" } }]);
    let findings = admit(with_section(guest("driver-requests"), "everwit:exchanges", section(&other).as_bytes())).await;
    assert_eq!(findings.expect_err("it says something else")[0].code, "exchange_differs");
    let cut = RecordedExchange { is_complete: false, ..recorded };
    assert_eq!(cut.to_fixture("cut"), Err("there is no whole answer".to_owned()));
}
