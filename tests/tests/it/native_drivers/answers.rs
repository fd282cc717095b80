//! Answers, as they are streamed and cut.

use everwit_runtime::driver::ChatRequest;
use everwit_runtime::event::TokenUsage;
use everwit_runtime::message::{ContentPart, Role, ToolCall};
use everwit_tests::vendor::{Answer, Chunks, Counts, Reply, Stop, StubVendor, Wire};
use serde_json::json;

use super::{bodies, complete, message, question, result, user};

fn rich() -> Answer {
    let calls = [("call_A1", "weather", json!({ "city": "Oslo" })), ("call_B2", "population", json!({ "city": "Bergen ☂" }))];
    let counts = Counts { input: 120, output: 40, cache_read: 300, cache_write: 17, reasoning: 9 };
    Answer::new().then_thinking(&["Two places, ", "zwei Fragen."]).then_text(&["Let me ", "look. 🌍"]).then_calls(&calls).counting(counts)
}

/// The parts without what only the driver understands.
fn plain(parts: &[ContentPart]) -> Vec<ContentPart> {
    let plain = |part: &ContentPart| match part.clone() {
        // A signature that came after everything else stands alone.
        ContentPart::Reasoning { text, .. } if text.is_empty() => None,
        ContentPart::Reasoning { text, .. } => Some(ContentPart::Reasoning { text, opaque: None }),
        ContentPart::ToolCall(call) => Some(ContentPart::ToolCall(ToolCall { opaque: None, ..call })),
        part => Some(part),
    };
    parts.iter().filter_map(plain).collect()
}

#[tokio::test]
async fn thoughts_text_and_parallel_calls_arrive_whole_wherever_the_body_is_cut() {
    for wire in Wire::ALL {
        for chunks in [Chunks::Events, Chunks::Bytes(1), Chunks::Bytes(7), Chunks::One] {
            let vendor = StubVendor::start(wire).await;
            vendor.play(Reply::answer(rich()).chunks(chunks));
            let answer = complete(&vendor, question(wire)).await.unwrap_or_else(|error| panic!("{wire:?} {chunks:?}: {error}"));
            let mut expected = vec![
                ContentPart::Reasoning { text: "Two places, zwei Fragen.".to_owned(), opaque: None },
                ContentPart::text("Let me look. 🌍"),
                ContentPart::ToolCall(ToolCall::new("call_A1", "weather", json!({ "city": "Oslo" }))),
                ContentPart::ToolCall(ToolCall::new("call_B2", "population", json!({ "city": "Bergen ☂" }))),
            ];
            if !wire.shows_thinking() {
                expected.remove(0);
            }
            assert_eq!(plain(answer.content()), expected, "{wire:?} {chunks:?}");
            assert_eq!(answer.finish().map(|finish| finish.reason.as_str()), Some("tool-calls"), "{wire:?}");
        }
    }
}

#[tokio::test]
async fn token_counts_are_in_disjoint_buckets() {
    for wire in Wire::ALL {
        let vendor = StubVendor::start(wire).await;
        vendor.play(Reply::answer(rich()));
        let answer = complete(&vendor, question(wire)).await.expect("it is an answer");
        let mut expected =
            TokenUsage { input_tokens: 120, output_tokens: 40, cache_read_tokens: 300, cache_creation_tokens: 17, reasoning_tokens: 9 };
        match wire {
            // It does not tell what it wrote into its cache.
            Wire::Gemini => expected.cache_creation_tokens = 0,
            // It does not count reasoning apart.
            Wire::Bedrock => expected.reasoning_tokens = 0,
            _ => {}
        }
        assert_eq!(answer.usage(), expected, "{wire:?}");
    }
}

#[tokio::test]
async fn reasons_for_the_end_have_our_words() {
    for wire in Wire::ALL {
        for (stop, expected) in [(Stop::Done, "stop"), (Stop::Length, "length"), (Stop::Filter, "content-filter")] {
            let vendor = StubVendor::start(wire).await;
            vendor.play(Reply::answer(Answer::text(&["So"]).stopping(stop)));
            let answer = complete(&vendor, question(wire)).await.expect("it is an answer");
            assert_eq!(answer.finish().map(|finish| finish.reason.as_str()), Some(expected), "{wire:?}");
        }
    }
}

/// The conversation after an answer that asked for tools.
fn settled(wire: Wire, content: Vec<ContentPart>) -> ChatRequest {
    let mut request = question(wire);
    request.messages.push(message(Role::Agent, content));
    request.messages.push(result("call_A1", "Wet."));
    request.messages.push(result("call_B2", "290,000"));
    request
}

#[tokio::test]
async fn what_the_vendor_signed_goes_back_as_it_was() {
    for wire in Wire::ALL {
        let vendor = StubVendor::start(wire).await;
        vendor.play(Reply::answer(rich())).play(Reply::answer(Answer::text(&["Wet, and many."])));
        let first = complete(&vendor, question(wire)).await.expect("it is an answer").into_content();
        let signed = first.iter().any(|part| match part {
            ContentPart::Reasoning { opaque, .. } | ContentPart::ToolCall(ToolCall { opaque, .. }) => opaque.is_some(),
            _ => false,
        });
        assert_eq!(signed, wire.signs_thinking(), "{wire:?}");
        // The stub refuses a signature that it did not make, and a call without its result.
        let second = complete(&vendor, settled(wire, first)).await.unwrap_or_else(|error| panic!("{wire:?}: {error}"));
        assert_eq!(second.content(), [ContentPart::text("Wet, and many.")], "{wire:?}");
        if wire.signs_thinking() {
            assert!(bodies(&vendor)[1].to_string().contains("c2ln"), "{wire:?}: the signature is in the request");
        }
    }
}

#[tokio::test]
async fn a_changed_signature_is_refused_by_the_stub() {
    for wire in Wire::ALL.into_iter().filter(|wire| wire.signs_thinking()) {
        let vendor = StubVendor::start(wire).await;
        vendor.play(Reply::answer(rich())).play(Reply::answer(Answer::text(&["never"])));
        let mut first = complete(&vendor, question(wire)).await.expect("it is an answer").into_content();
        for part in &mut first {
            if let ContentPart::Reasoning { opaque: Some(opaque), .. } | ContentPart::ToolCall(ToolCall { opaque: Some(opaque), .. }) = part
            {
                opaque.data = opaque.data.replace("c2ln", "c2lm");
            }
        }
        complete(&vendor, settled(wire, first)).await.expect_err("the signature is another");
        assert_eq!(vendor.unplayed(), 1, "{wire:?}");
    }
}

#[tokio::test]
async fn a_conversation_goes_on_at_another_vendor() {
    let source = StubVendor::start(Wire::Anthropic).await;
    source.play(Reply::answer(rich()));
    let first = complete(&source, question(Wire::Anthropic)).await.expect("it is an answer").into_content();
    for wire in Wire::ALL.into_iter().filter(|wire| !matches!(wire, Wire::Anthropic | Wire::Gemini)) {
        let vendor = StubVendor::start(wire).await;
        vendor.play(Reply::answer(Answer::text(&["Wet."])));
        let mut request = settled(wire, first.clone());
        request.messages.push(message(Role::System, vec![ContentPart::text("You repeat yourself.")]));
        request.messages.push(user("Go on."));
        request.keep_opaque_of(&super::id(wire));
        complete(&vendor, request).await.unwrap_or_else(|error| panic!("{wire:?}: {error}"));
        let body = bodies(&vendor)[0].to_string();
        assert!(body.contains("You repeat yourself."), "{wire:?}: a note of the platform is never dropped");
        assert!(!body.contains("c2ln"), "{wire:?}: another vendor's signature is none of its business");
    }
}
