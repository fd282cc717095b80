//! The same turn on every driver.

use std::sync::Arc;

use everwit_runtime::capability::CapabilityRegistry;
use everwit_runtime::component::Grant;
use everwit_runtime::limits::Budget;
use everwit_runtime::{DriverId, InProcessRuntimeBuilder, PlatformDefinition, ResolvedModel, TestWeatherCapability};
use everwit_tests::vendor::{Answer, Reply, StubVendor, Wire};
use serde_json::{Value, json};

use super::{gateway, id, registry};
use crate::support::guests::{compiler, guest};
use crate::turns::rig::{CountingIds, StandingClock};

/// What a log has of the model and of its vendor.
const OF_THE_MODEL: [&str; 4] = ["provider", "opaque", "response_id", "receipt"];

/// What a turn leaves at a vendor, on the native driver or on a component for the same wire.
async fn log_of(wire: Wire, component: Option<&str>) -> Vec<Value> {
    let vendor = StubVendor::start(wire).await;
    let calls = [
        ("call_A1", "get_weather", json!({ "location": "Oslo" })),
        ("call_B2", "get_forecast", json!({ "location": "Bergen", "days": 1 })),
    ];
    vendor.play(Reply::answer(Answer::text(&["I ", "look."]).then_calls(&calls))).play(Reply::answer(Answer::text(&["Wet, ", "both."])));
    let mut capabilities = CapabilityRegistry::new();
    capabilities.register(TestWeatherCapability);
    let model = ResolvedModel {
        model: wire.model().to_owned(),
        provider_type: component.map_or_else(|| id(wire), |component| DriverId::External(component.to_owned())),
        api_key: Some(wire.key().into()),
        base_url: Some(vendor.base_url()),
        provider_metadata: None,
    };
    let mut builder = InProcessRuntimeBuilder::new().component_compiler(compiler());
    if let Some(component) = component {
        builder = builder.component_bytes(guest(&format!("{component}-driver")), Grant::default(), Budget::COMPLETION);
    }
    let runtime = builder
        .platform_definition(PlatformDefinition::new(capabilities, registry()))
        .default_model(model)
        .egress(Arc::new(gateway(&vendor)))
        .clock(Arc::new(StandingClock))
        .ids(Arc::new(CountingIds::default()))
        .single_session(|single| single.harness("helper", "You help.").with_capability("test_weather"))
        .build()
        .await
        .expect("it is built");
    let session = runtime.default_session_id().expect("a session");
    let turn = runtime.run_text_turn(session, "Weather?").await.expect("the turn runs");
    assert_eq!((turn.response.as_str(), turn.error.as_deref()), ("Wet, both.", None), "{wire:?}");
    assert_eq!((turn.iterations, turn.tool_calls_count, vendor.unplayed()), (2, 2, 0), "{wire:?}");
    let events = serde_json::to_value(runtime.events()).expect("events are JSON");
    let Value::Array(events) = events else { panic!("events are a list") };
    let settled = events.iter().filter(|event| event["type"] == "tool.completed" && event["data"]["success"] == true);
    assert_eq!(settled.count(), 2, "{wire:?}: both tools were called");
    let mut ids = Vec::new();
    // What is only shown live depends on how the text was cut.
    let durable = events.into_iter().filter(|event| event["sequence"].is_u64());
    durable.map(|event| neutral(event, &mut ids)).collect()
}

/// Without what is the model's, and with ids counted as they appear.
fn neutral(value: Value, ids: &mut Vec<String>) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(name, _)| !OF_THE_MODEL.contains(&name.as_str()));
            kept.map(|(name, value)| (name, neutral(value, ids))).collect()
        }
        Value::Array(values) => values.into_iter().map(|value| neutral(value, ids)).collect(),
        Value::String(text) => match text.rsplit_once('_') {
            Some((prefix, hex)) if hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                let at = ids.iter().position(|known| *known == text).unwrap_or_else(|| {
                    ids.push(text.clone());
                    ids.len() - 1
                });
                json!(format!("{prefix}_{at}"))
            }
            _ => Value::String(text),
        },
        other => other,
    }
}

#[tokio::test]
async fn the_same_turn_leaves_the_same_log_on_every_driver() {
    let first = log_of(Wire::OpenAi, None).await;
    let others = Wire::ALL.into_iter().skip(1).map(|wire| (wire, None));
    for (wire, component) in others.chain([(Wire::OpenAiCompletions, Some("openai-compatible"))]) {
        let log = log_of(wire, component).await;
        let types = |log: &[Value]| log.iter().map(|event| event["type"].clone()).collect::<Vec<_>>();
        assert_eq!(types(&log), types(&first), "{wire:?}");
        for (event, expected) in log.iter().zip(&first) {
            assert_eq!(event, expected, "{wire:?}");
        }
    }
    insta::assert_json_snapshot!("turn_on_any_driver", first);
}
