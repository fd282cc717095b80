//! The replay of recorded exchanges at upload.

use super::{admit, patched};
use crate::support::guests::guest;

/// Where the host cuts the frames, every way of cutting gives the same ones, and the driver runs once.
#[tokio::test]
async fn shipped_drivers_answer_as_recorded_however_the_answer_is_cut() {
    for (name, exchanges) in [("ollama-driver", 5), ("codex-gateway-driver", 3), ("openai-compatible-driver", 4)] {
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
