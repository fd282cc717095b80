//! Credentials come from the configuration alone.

use std::process::Command;
use std::sync::Arc;

use everwit_runtime::driver::{DriverConfig, DriverErrorKind};
use everwit_runtime::egress::{Gateway, GatewayConfig};
use everwit_tests::vendor::{Answer, Failure, Reply, StubVendor, Wire};

use super::{complete, config, context, gateway, id, question, registry};
use crate::egress::support::{Names, NeverDial, PUBLIC};

/// What the vendors' own programs read.
const VARIABLES: [&str; 24] = [
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_ORG_ID",
    "OPENROUTER_API_KEY",
    "AZURE_OPENAI_API_KEY",
    "AZURE_OPENAI_ENDPOINT",
    "AZURE_API_KEY",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_REGION",
    "AWS_PROFILE",
    "AWS_ENDPOINT_URL",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
];

#[tokio::test]
async fn without_a_key_nothing_is_sent() {
    for wire in Wire::ALL {
        for key in [None, Some(""), Some("  ")] {
            let base_url = Some("https://vendor.example".to_owned());
            let config = DriverConfig { api_key: key.map(Into::into), base_url, metadata: None };
            let names = Names::new(&[&[PUBLIC]]);
            let gateway = Gateway::with_transport(GatewayConfig::default(), names.clone(), Arc::new(NeverDial)).unwrap();
            let driver = registry().create(&id(wire), &config).expect("it is registered");
            let error = driver.complete(question(wire), context(gateway)).await.err().expect("there is no key");
            assert_eq!(error.kind, DriverErrorKind::Configuration, "{wire:?}: {error}");
            assert!(error.message.contains("no API key"), "{wire:?}: {error}");
            assert_eq!(names.asked(), [""; 0], "{wire:?}: no name was looked up, and no address dialled");
        }
    }
}

/// Runs the test before this one in a process that every vendor's program would find keys in.
#[test]
fn keys_in_the_environment_are_not_looked_for() {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "native_drivers::keys::without_a_key_nothing_is_sent"]);
    child.envs(VARIABLES.map(|name| (name, "http://planted-key.test")));
    let output = child.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
}

#[tokio::test]
async fn azure_and_bedrock_have_no_place_of_their_own() {
    for wire in [Wire::AzureOpenAi, Wire::Bedrock] {
        let vendor = StubVendor::start(wire).await;
        let config = DriverConfig { base_url: None, ..config(&vendor) };
        let driver = registry().create(&id(wire), &config).expect("it is registered");
        let error = driver.complete(question(wire), context(gateway(&vendor))).await.err().expect("there is no base URL");
        assert_eq!((error.kind, vendor.received().len()), (DriverErrorKind::Configuration, 0), "{wire:?}: {error}");
    }
}

#[tokio::test]
async fn a_key_is_in_no_url_and_no_error() {
    for wire in Wire::ALL {
        let vendor = StubVendor::start(wire).await;
        let echo = Failure::Invalid("no".to_owned());
        vendor.play(Reply::answer(Answer::text(&["Yes."]))).play(Reply::failure(echo));
        complete(&vendor, question(wire)).await.expect("it is an answer");
        let error = complete(&vendor, question(wire)).await.expect_err("the vendor refuses");
        assert!(!format!("{error:?}").contains(wire.key()), "{wire:?}: {error:?}");
        for request in vendor.received() {
            let elsewhere = format!("{} {} {}", request.path, request.query, request.body);
            assert!(!elsewhere.contains(wire.key()), "{wire:?}: {elsewhere}");
            let carriers = request.headers.values().filter(|value| value.as_bytes().ends_with(wire.key().as_bytes())).count();
            assert_eq!(carriers, 1, "{wire:?}");
        }
    }
}
