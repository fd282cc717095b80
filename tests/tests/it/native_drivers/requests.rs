//! What the drivers ask for, in all that a request can have.

use std::collections::BTreeMap;

use everwit_runtime::driver::{ChatRequest, DriverConfig, DriverErrorKind, PromptCache, ProviderMetadata, ResponseFormat, ToolChoice};
use everwit_runtime::message::{ContentPart, Role, ToolCall};
use everwit_tests::vendor::{Answer, Reply, StubVendor, Wire};
use serde_json::{Map, Value, json};

use super::{begin, bodies, complete, config, context, gateway, id, message, question, registry, result, user};
use crate::vendors::problems_of;

/// One transparent pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

fn image() -> ContentPart {
    ContentPart::Image { url: None, base64: Some(PNG.to_owned()), media_type: Some("image/png".to_owned()) }
}

/// A request that uses everything.
fn everything(wire: Wire) -> ChatRequest {
    let calls = ["call_1", "call_2"].map(|id| ContentPart::ToolCall(ToolCall::new(id, "weather", json!({ "city": "Oslo" }))));
    let mut asked = vec![ContentPart::text("I look.")];
    asked.extend(calls);
    let failed = ContentPart::ToolResult { tool_call_id: "call_2".to_owned(), result: None, error: Some("no such city".to_owned()) };
    let schema =
        json!({ "type": "object", "properties": { "wet": { "type": "boolean" } }, "required": ["wet"], "additionalProperties": false });
    ChatRequest {
        messages: vec![
            message(Role::User, vec![ContentPart::text("How is it there?"), image()]),
            // Gemini wants its own signature on a call.
            message(Role::Agent, if wire == Wire::Gemini { vec![ContentPart::text("I look.")] } else { asked }),
            match wire {
                Wire::Gemini => user("Well?"),
                _ => message(Role::ToolResult, [result("call_1", "Wet.").content.clone(), vec![image()]].concat()),
            },
            if wire == Wire::Gemini { user("So?") } else { message(Role::ToolResult, vec![failed]) },
            message(Role::System, vec![ContentPart::text("You repeat yourself.")]),
            user("Go on."),
        ],
        tool_choice: ToolChoice::Tool("weather".to_owned()),
        // The types of this vendor's newest clients have none, see its driver.
        temperature: (wire != Wire::Anthropic).then_some(0.7),
        max_output_tokens: Some(1_000),
        stop: vec!["END".to_owned()],
        reasoning_effort: Some("low".to_owned()),
        response_format: Some(ResponseFormat { name: "report".to_owned(), schema, strict: true }),
        prompt_cache: Some(PromptCache { key: "cache-key".to_owned() }),
        driver_options: options(wire),
        metadata: BTreeMap::from([("purpose".to_owned(), "test".to_owned())]),
        ..question(wire)
    }
}

fn options(wire: Wire) -> Map<String, Value> {
    let own = match wire {
        Wire::OpenAi => json!({ "verbosity": "low", "service_tier": "flex", "reasoning_summary": "auto", "parallel_tool_calls": false }),
        Wire::OpenAiCompletions | Wire::AzureOpenAi => json!({ "top_p": 0.5, "seed": 7, "verbosity": "low" }),
        Wire::OpenRouter => json!({ "provider": { "order": ["a", "b"] }, "seed": 7 }),
        Wire::Anthropic => json!({ "service_tier": "auto", "cache_ttl": "1h", "betas": ["a-beta-2026-01-01"] }),
        Wire::Gemini => json!({ "top_k": 3, "safety_settings": [{ "category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE" }] }),
        Wire::Bedrock => json!({ "top_p": 0.5, "service_tier": "flex", "additional_model_request_fields": { "top_k": 3 } }),
    };
    let Value::Object(own) = own else { unreachable!() };
    // Another driver's options are none of this one's business.
    let own = own.into_iter().map(|(name, value)| (format!("{}/{name}", wire.driver_id()), value));
    own.chain([("another-driver/url".to_owned(), json!("https://elsewhere.example"))]).collect()
}

#[tokio::test]
async fn a_request_with_everything_is_right_by_the_vendors_own_types() {
    for wire in Wire::ALL {
        let vendor = StubVendor::start(wire).await;
        vendor.play(Reply::answer(Answer::text(&["{\"wet\":true}"])));
        complete(&vendor, everything(wire)).await.unwrap_or_else(|error| panic!("{wire:?}: {error}"));
        let body = bodies(&vendor).remove(0);
        assert_eq!(problems_of(wire, &body).await, "", "{wire:?}");
        insta::assert_json_snapshot!(format!("request_{}", wire.driver_id()), body);
    }
}

#[tokio::test]
async fn an_unknown_option_is_refused_and_named() {
    for wire in Wire::ALL {
        for option in ["url", "base_url", "api_key", "model", "messages", "stream", "headers", "store"] {
            let vendor = StubVendor::start(wire).await;
            let mut request = question(wire);
            request.driver_options = [(format!("{}/{option}", wire.driver_id()), json!("x"))].into_iter().collect();
            let error = begin(&vendor, request).await.err().expect("there is no such option");
            assert_eq!(error.kind, DriverErrorKind::InvalidRequest, "{wire:?} {option}");
            assert!(error.message.contains(option), "{wire:?}: {error}");
            assert_eq!(vendor.received().len(), 0, "{wire:?} {option}");
        }
    }
}

#[tokio::test]
async fn a_model_with_an_odd_name_stays_in_its_place() {
    for wire in Wire::ALL {
        let vendor = StubVendor::start(wire).await;
        let request = ChatRequest { model: "../../../secret?x=1#y".to_owned(), ..question(wire) };
        complete(&vendor, request).await.expect_err("there is no such model");
        // The gateway may refuse such a path as well.
        for received in vendor.received() {
            assert!(!received.query.contains("x=1"), "{wire:?}: {} {}", received.path, received.query);
            assert!(!received.path.starts_with("/secret"), "{wire:?}: {}", received.path);
        }
    }
}

/// The header fields of a request, with these metadata of the provider.
async fn sent(wire: Wire, metadata: ProviderMetadata) -> everwit_tests::vendor::Received {
    let vendor = StubVendor::start(wire).await;
    vendor.play(Reply::answer(Answer::text(&["Yes."])));
    let config = DriverConfig { metadata: Some(metadata), ..config(&vendor) };
    let driver = registry().create(&id(wire), &config).expect("it is registered");
    driver.complete(question(wire), context(gateway(&vendor))).await.map(drop).expect("the answer begins");
    vendor.received().remove(0)
}

#[tokio::test]
async fn settings_of_the_provider_have_their_places() {
    let extra = |extra: Value| ProviderMetadata { extra: Some(extra), ..ProviderMetadata::default() };
    let routed = sent(Wire::OpenRouter, extra(json!({ "http_referer": "https://app.example", "title": "App" }))).await;
    assert_eq!((routed.header("http-referer"), routed.header("x-title")), ("https://app.example", "App"));
    let azure = sent(Wire::AzureOpenAi, extra(json!({ "api_version": "2025-04-01-preview" }))).await;
    assert_eq!(azure.query, "api-version=2025-04-01-preview");
    let account = ProviderMetadata { account_id: Some("org-1".to_owned()), ..extra(json!({ "project": "proj-1" })) };
    let openai = sent(Wire::OpenAi, account).await;
    assert_eq!((openai.header("openai-organization"), openai.header("openai-project")), ("org-1", "proj-1"));
}

#[tokio::test]
async fn without_a_wish_nothing_is_asked_for() {
    for wire in Wire::ALL {
        let vendor = StubVendor::start(wire).await;
        vendor.play(Reply::answer(Answer::text(&["Yes."])));
        let plain = ChatRequest { system_prompt: String::new(), tools: Vec::new(), ..question(wire) };
        complete(&vendor, plain).await.expect("it is an answer");
        let body = bodies(&vendor).remove(0);
        let mut members: Vec<&str> = body.as_object().expect("it is an object").keys().map(String::as_str).collect();
        members.sort_unstable();
        let expected: &[&str] = match wire {
            Wire::OpenAi => &["include", "input", "model", "store", "stream"],
            Wire::OpenAiCompletions | Wire::OpenRouter | Wire::AzureOpenAi => &["messages", "model", "stream", "stream_options"],
            Wire::Anthropic => &["max_tokens", "messages", "model", "stream"],
            Wire::Gemini => &["contents"],
            Wire::Bedrock => &["messages"],
        };
        assert_eq!(members, expected, "{wire:?}");
    }
}
