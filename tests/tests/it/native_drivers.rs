//! The native drivers against stub vendors: what they make of answers, of failures and of what is
//! neither, what they ask for, and whole turns on them.

mod answers;
mod failures;
mod keys;
mod models;
mod requests;
mod turns;

use std::sync::Arc;

use everwit_runtime::clock::SystemClock;
use everwit_runtime::driver::{Answer, ChatRequest, ChatStream, DriverConfig, DriverContext, DriverError, DriverHost, OfferedTool};
use everwit_runtime::egress::{Gateway, GatewayConfig, PrivateTarget};
use everwit_runtime::id::{MessageId, OrgId, RandomIds};
use everwit_runtime::message::{ContentPart, Message, Role};
use everwit_runtime::{DriverId, DriverRegistry, drivers};
use everwit_tests::vendor::{StubVendor, Wire};
use futures::StreamExt;
use serde_json::{Value, json};

fn registry() -> DriverRegistry {
    let mut registry = DriverRegistry::new();
    drivers::register_all(&mut registry);
    registry
}

fn id(wire: Wire) -> DriverId {
    wire.driver_id().parse().expect("drivers have ids")
}

/// A gateway that reaches one stub vendor and nothing else.
pub(crate) fn gateway(vendor: &StubVendor) -> Gateway {
    let address = vendor.address();
    let target = PrivateTarget::net(address.ip().into(), address.port());
    crate::support::mutation::apply();
    Gateway::new(GatewayConfig { private_targets: vec![target], ..GatewayConfig::default() }).expect("the configuration is valid")
}

pub(crate) fn context(gateway: Gateway) -> DriverContext {
    let clock = Arc::new(SystemClock);
    let host = DriverHost::new(Arc::new(gateway), clock.clone(), Arc::new(RandomIds::new(clock)));
    DriverContext::new(OrgId::from_uuid(uuid::Uuid::from_u128(1)), Arc::new(host))
}

pub(crate) fn config(vendor: &StubVendor) -> DriverConfig {
    DriverConfig { api_key: Some(vendor.wire().key().into()), base_url: Some(vendor.base_url()), metadata: None }
}

/// Begins a completion.
async fn begin(vendor: &StubVendor, request: ChatRequest) -> Result<ChatStream, DriverError> {
    let driver = registry().create(&id(vendor.wire()), &config(vendor)).expect("the driver is registered");
    driver.complete(request, context(gateway(vendor))).await
}

/// Reads a completion to its end.
async fn complete(vendor: &StubVendor, request: ChatRequest) -> Result<Answer, DriverError> {
    let mut stream = begin(vendor, request).await?;
    let mut answer = Answer::of(&id(vendor.wire()));
    while let Some(event) = stream.next().await {
        answer.push(event?)?;
    }
    assert!(answer.finish().is_some(), "{:?}: a stream without an error has an end", vendor.wire());
    Ok(answer)
}

fn message(role: Role, content: Vec<ContentPart>) -> Arc<Message> {
    let metadata = serde_json::Map::new();
    let created_at = jiff::Timestamp::UNIX_EPOCH;
    Arc::new(Message { id: MessageId::from_uuid(uuid::Uuid::nil()), role, content, metadata, controls: None, created_at })
}

fn user(text: &str) -> Arc<Message> {
    message(Role::User, vec![ContentPart::text(text)])
}

fn result(call: &str, text: &str) -> Arc<Message> {
    let part = ContentPart::ToolResult { tool_call_id: call.to_owned(), result: Some(text.into()), error: None };
    message(Role::ToolResult, vec![part])
}

fn tool(name: &str) -> OfferedTool {
    let input_schema = json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] });
    OfferedTool { name: name.to_owned(), description: format!("Tells the {name}."), input_schema }
}

/// A question to a model that has two tools.
pub(crate) fn question(wire: Wire) -> ChatRequest {
    ChatRequest {
        model: wire.model().to_owned(),
        system_prompt: "You are brief.".to_owned(),
        messages: vec![user("How is it there?")],
        tools: vec![tool("weather"), tool("population")],
        ..ChatRequest::default()
    }
}

/// The bodies that a vendor received.
fn bodies(vendor: &StubVendor) -> Vec<Value> {
    vendor.received().into_iter().map(|request| request.body).collect()
}
