//! Asking vendors which models they have.

use everwit_runtime::driver::{DriverConfig, DriverError, DriverErrorKind, ModelInfo};
use everwit_tests::vendor::{StubVendor, Wire};

use super::{config, context, gateway, id, registry};

async fn models(vendor: &StubVendor, key: Option<&str>) -> Result<Option<Vec<ModelInfo>>, DriverError> {
    let config = DriverConfig { api_key: key.map(Into::into), ..config(vendor) };
    let driver = registry().create(&id(vendor.wire()), &config).expect("it is registered");
    driver.list_models(context(gateway(vendor))).await
}

fn model(title: &str, context: Option<u64>, output: Option<u64>, features: &[&str]) -> ModelInfo {
    let features = features.iter().map(|&feature| feature.to_owned()).collect();
    ModelInfo { id: "stub-model".to_owned(), title: title.to_owned(), context_tokens: context, output_tokens: output, features }
}

#[tokio::test]
async fn a_list_tells_what_the_vendor_tells() {
    for wire in Wire::ALL {
        let vendor = StubVendor::start(wire).await;
        let expected = match wire {
            Wire::OpenAi | Wire::OpenAiCompletions => Some(model("stub-model", None, None, &[])),
            Wire::OpenRouter => Some(model("Stub", Some(128_000), Some(16_384), &["tools", "images", "reasoning"])),
            Wire::Anthropic => Some(model("Stub", Some(200_000), Some(64_000), &["tools", "images", "reasoning"])),
            // Its models that do not chat are left out.
            Wire::Gemini => Some(model("Stub", Some(1_048_576), Some(65_536), &["reasoning"])),
            // Deployments, regions and accounts decide here.
            Wire::AzureOpenAi | Wire::Bedrock => None,
        };
        assert_eq!(models(&vendor, Some(wire.key())).await, Ok(expected.map(|model| vec![model])), "{wire:?}");
    }
}

#[tokio::test]
async fn a_list_needs_the_key_of_the_provider() {
    for wire in Wire::ALL.into_iter().filter(|wire| !matches!(wire, Wire::AzureOpenAi | Wire::Bedrock)) {
        let vendor = StubVendor::start(wire).await;
        let kind = async |key| models(&vendor, key).await.map_err(|error| error.kind);
        assert_eq!(kind(Some("another-key")).await, Err(DriverErrorKind::Authentication), "{wire:?}");
        let asked = vendor.received().len();
        assert_eq!(kind(None).await, Err(DriverErrorKind::Configuration), "{wire:?}");
        assert_eq!((asked, vendor.received().len()), (1, 1), "{wire:?}");
    }
}
