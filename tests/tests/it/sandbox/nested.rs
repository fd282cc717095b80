//! Tools that call other tools.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use everwit_runtime::capability::{Failure, OfferedToolInfo, SettledBy, ToolCallContext, ToolDefinition, ToolOutput};
use everwit_runtime::component::{Effects, NestedCall};
use everwit_runtime::message::ContentPart;
use everwit_runtime::turn::{NestedCalls, Toolset};
use tokio::sync::Notify;

use super::*;

/// Fuel of the calling tool.
const CALLER: Budget = Budget { fuel: 500_000_000, ..SMALL };

/// Native tools that keep what they are called with.
struct Desk {
    tools: Vec<ToolDefinition>,
    calls: Mutex<Vec<ToolCallContext>>,
    waits: Notify,
    /// Calls that were given up before they ended.
    dropped: AtomicUsize,
}

impl Desk {
    fn new() -> Arc<Self> {
        let schema = || json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "additionalProperties": false });
        let tool = |name: &str, effects: Effects| ToolDefinition::new(name, name, schema()).with_effects(effects);
        let read_only = Effects { read_only: true, ..Effects::default() };
        let mut tools = vec![
            tool("again", Effects { idempotent: true, ..Effects::default() }),
            tool("once", Effects::default()),
            tool("wreck", Effects { destructive: true, ..Effects::default() }),
        ];
        let plain = ["read", "fail", "large", "panic", "connect", "wait", "gated", "asked", "picture"];
        tools.extend(plain.map(|name| tool(name, read_only)));
        Arc::new(Self { tools, calls: Mutex::default(), waits: Notify::new(), dropped: AtomicUsize::new(0) })
    }

    fn calls(&self) -> Vec<ToolCallContext> {
        self.calls.lock().expect("a lock").clone()
    }
}

/// Counts a call that is dropped.
struct Drops<'a>(&'a AtomicUsize);

impl Drop for Drops<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Capability for Desk {
    fn id(&self) -> &str {
        "desk"
    }

    fn name(&self) -> &str {
        "Desk"
    }

    fn description(&self) -> &str {
        "Keeps what it is called with."
    }

    fn tools(&self) -> &[ToolDefinition] {
        &self.tools
    }

    fn settled_by(&self, tool: &str) -> SettledBy {
        if tool == "asked" { SettledBy::Person } else { SettledBy::Capability }
    }

    fn requires_approval(&self, _config: &Value, tool: &OfferedToolInfo<'_>) -> bool {
        tool.name == "gated"
    }

    async fn call_tool(&self, call: &ToolCallContext, tool: &str, arguments: Value) -> ToolOutcome {
        self.calls.lock().expect("a lock").push(call.clone());
        match tool {
            "fail" => Failure { retryable: true, ..Failure::new("not-found", "no_city", "there is no such city") }.into(),
            "large" => ToolOutput::text("x".repeat(5 << 20)).into(),
            "panic" => panic!("the desk fell over"),
            "connect" => Err(CallError::ConnectionRequired { provider: "tracker".to_owned() }).into(),
            "picture" => {
                let picture = ContentPart::Image { url: None, base64: Some("AQI=".to_owned()), media_type: Some("image/png".to_owned()) };
                ToolOutput { parts: vec![picture], structured: None }.into()
            }
            "wait" => {
                let _drops = Drops(&self.dropped);
                self.waits.notify_one();
                std::future::pending().await
            }
            _ => ToolOutput::json(arguments).into(),
        }
    }
}

/// A turn whose agent has the caller and other capabilities.
struct Turn {
    caller: Arc<ComponentCapability>,
    desk: Arc<Desk>,
    call: ToolCallContext,
}

fn everything() -> Vec<String> {
    let desk = Desk::new();
    let desk = desk.tools.iter().map(|tool| format!("desk/{}", tool.name));
    let others = ["caller/dive", "echo/echo", "echo/wait", "counter/put", "spin/spin", "elsewhere/tool"];
    desk.chain(others.map(str::to_owned)).collect()
}

impl Turn {
    async fn new(granted: Vec<String>) -> Self {
        Self::over(sandbox(), granted).await
    }

    async fn over(sandbox: everwit_runtime::sandbox::Sandbox, granted: Vec<String>) -> Self {
        let open = async |name: &str, grant: Grant, budget: Budget| {
            let terms = Terms { version: Some(1), grant, budget };
            Arc::new(sandbox.open(guest(name), terms).await.expect("the guest is admitted"))
        };
        let caller = open("caller", Grant { tools: granted, ..Grant::default() }, CALLER).await;
        let echo = open("echo", Grant::default(), SMALL).await;
        let counter = open("counter", Grant { kv: vec!["counter".to_owned()], ..Grant::default() }, SMALL).await;
        let spin = open("spin", Grant::default(), SMALL).await;
        let desk = Desk::new();
        let others: [(Arc<dyn Capability>, Value); 5] = [
            (caller.clone(), json!({})),
            (echo, json!({ "unit": "m" })),
            (counter, json!({})),
            (spin, json!({})),
            (desk.clone(), json!({ "drawer": 3 })),
        ];
        let tools = Toolset::of(others).expect("a toolset");
        let call = ToolCallContext { nested: Some(NestedCalls::new(Arc::new(tools))), ..call_context() };
        Self { caller, desk, call }
    }

    async fn outcome(&self, tool: &str, arguments: Value) -> ToolOutcome {
        self.caller.call_tool(&self.call, tool, arguments).await
    }

    async fn ok(&self, tool: &str, arguments: Value) -> Value {
        let result = self.outcome(tool, arguments.clone()).await.result;
        result.unwrap_or_else(|error| panic!("{tool} {arguments}: {error}")).structured.expect("structured")
    }

    async fn failure(&self, tool: &str, arguments: Value) -> Failure {
        match self.outcome(tool, arguments.clone()).await.result {
            Err(CallError::Failed(failure)) => failure,
            other => panic!("{tool} {arguments}: expected the tool's failure, got {other:?}"),
        }
    }
}

fn made(outcome: &ToolOutcome) -> Vec<NestedCall> {
    outcome.receipt.as_ref().expect("a receipt").calls.clone()
}

#[tokio::test]
async fn caller_calls_native_tools_and_components() {
    let turn = Turn::new(everything()).await;
    let read = turn.ok("look", json!({ "name": "desk/read", "arguments": { "n": 7 } })).await;
    assert_eq!(read, json!({ "parts": [r#"{"n":7}"#], "structured": { "n": 7 } }));
    let call = turn.desk.calls().remove(0);
    assert_eq!((call.org_id, call.session_id, call.turn_id), (turn.call.org_id, turn.call.session_id, turn.call.turn_id));
    assert_eq!((call.idempotency_key.as_str(), call.config), ("call_1/1", json!({ "drawer": 3 })));

    let echoed = turn.ok("look", json!({ "name": "echo/echo", "arguments": { "value": "größe" }, "times": 3 })).await;
    let echoed = &echoed["structured"];
    assert_eq!((&echoed["value"], &echoed["context"]["config"]), (&json!("größe"), &json!({ "unit": "m" })));
    assert_eq!(echoed["context"]["idempotency_key"], "call_1/3");
    let own = turn.caller.call_tool(&turn.call, "attempt", json!({ "name": "desk/picture" })).await;
    assert_eq!(own.result.expect("it is called").parts, [ContentPart::text("it was called")]);
}

/// THREAT[G25]: the called tool has its own grant, and not that of the calling one, nor the other way round.
#[tokio::test]
async fn the_called_tool_runs_under_its_own_grant_and_limits() {
    let turn = Turn::new(everything()).await;
    turn.ok("wreck", json!({ "name": "counter/put", "arguments": { "key": "a", "value": "1" } })).await;
    let denied =
        turn.failure("wreck", json!({ "name": "counter/put", "arguments": { "bucket": "caller", "key": "a", "value": "1" } })).await;
    assert_eq!((denied.kind.as_str(), denied.code.as_str()), ("denied", "kv_denied"));
    let stopped = turn.outcome("attempt", json!({ "name": "spin/spin" })).await;
    let said = stopped.result.as_ref().expect("the calling tool goes on").parts.clone();
    assert!(format!("{said:?}").contains("50000000"), "{said:?}");
    let calls = made(&stopped);
    assert_eq!((calls[0].tool.as_str(), calls[0].error_kind.as_deref(), calls[0].fuel), ("spin/spin", Some("fuel"), SMALL.fuel));
    assert!(stopped.receipt.expect("a receipt").usage.fuel < SMALL.fuel, "the fuel of the called tool is its own");
}

/// THREAT[G25]
#[tokio::test]
async fn a_tool_is_called_if_it_is_granted_and_the_turn_has_it() {
    let turn = Turn::new(vec!["elsewhere/tool".to_owned()]).await;
    let denied = turn.failure("look", json!({ "name": "desk/read" })).await;
    assert!(denied.code == "tool_denied" && denied.message.contains(r#"{"tools":["desk/read"]}"#), "{denied:?}");
    let absent = turn.failure("look", json!({ "name": "elsewhere/tool" })).await;
    assert!(absent.code == "tool_denied" && absent.message.contains("the turn has no tool"), "{absent:?}");
    assert_eq!(turn.desk.calls().len(), 0);
    let outside = ToolCallContext { nested: None, ..turn.call.clone() };
    let outside = turn.caller.call_tool(&outside, "attempt", json!({ "name": "elsewhere/tool" })).await;
    assert!(format!("{:?}", outside.result).contains("belongs to no turn"), "{:?}", outside.result);
}

/// THREAT[G25]: a crash is settled, and a call approved, by what the calling tool says of itself.
#[tokio::test]
async fn a_tool_does_no_more_than_it_says_of_itself() {
    let turn = Turn::new(everything()).await;
    for (caller, allowed) in [
        ("look", &["read"][..]),
        ("repeat", &["read", "again"]),
        ("once", &["read", "again", "once"]),
        ("wreck", &["read", "again", "once", "wreck"]),
    ] {
        for callee in ["read", "again", "once", "wreck"] {
            let outcome = turn.outcome(caller, json!({ "name": format!("desk/{callee}") })).await;
            assert_eq!(outcome.result.is_ok(), allowed.contains(&callee), "{caller} {callee}: {:?}", outcome.result);
            let told = outcome.result.err().map(|error| error.to_string());
            assert!(told.is_none_or(|told| told.contains("declare the calling tool as what it calls")));
        }
    }
}

/// THREAT[G25]
#[tokio::test]
async fn what_waits_for_somebody_is_not_called() {
    let turn = Turn::new(everything()).await;
    for (tool, says) in [("gated", "needs a person's approval"), ("asked", "asks a person")] {
        let denied = turn.failure("look", json!({ "name": format!("desk/{tool}") })).await;
        assert!(denied.code == "tool_denied" && denied.message.contains(says), "{denied:?}");
    }
    assert_eq!(turn.desk.calls().len(), 0);
    // The calling tool can be executed again once the user has connected, so its turn waits for that.
    let connect = turn.outcome("look", json!({ "name": "desk/connect" })).await;
    assert_eq!(connect.result, Err(CallError::ConnectionRequired { provider: "tracker".to_owned() }));
}

#[tokio::test]
async fn what_a_called_tool_says_reaches_the_calling_one() {
    let turn = Turn::new(everything()).await;
    let failed = turn.failure("look", json!({ "name": "desk/fail" })).await;
    let expected = Failure { retryable: true, ..Failure::new("not-found", "no_city", "there is no such city") };
    assert_eq!(failed, expected);
    let invalid = turn.failure("look", json!({ "name": "desk/read", "arguments": { "n": "seven" } })).await;
    assert!(invalid.code == "tool_arguments" && invalid.message.contains("/n"), "{invalid:?}");
    let large = turn.failure("look", json!({ "name": "desk/large" })).await;
    assert!(large.code == "tool_limit" && large.message.contains("at most 4194304"), "{large:?}");
    let panicked = turn.failure("look", json!({ "name": "desk/panic" })).await;
    assert!(panicked.code == "tool_stopped" && panicked.message.contains("the desk fell over"), "{panicked:?}");
    let again = turn.ok("look", json!({ "name": "desk/read" })).await;
    assert_eq!(again["structured"], json!({}));
}

/// THREAT[G25]
#[tokio::test]
async fn calls_within_a_call_are_so_many_and_so_deep() {
    let turn = async || Turn::new(everything()).await;
    let dived = turn().await.outcome("dive", json!({ "depth": 3 })).await;
    assert_eq!(dived.result.as_ref().expect("within the limit").structured, Some(json!(3)));
    let calls = made(&dived);
    assert_eq!(calls.iter().map(|call| call.tool.as_str()).collect::<Vec<_>>(), ["caller/dive"; 3]);
    assert!(calls.iter().all(|call| call.success && call.fuel > 0 && call.version == Some(1)), "{calls:?}");
    let deeper = turn().await.failure("dive", json!({ "depth": 4 })).await;
    assert!(deeper.code == "tool_limit" && deeper.message.contains("3 levels deep"), "{deeper:?}");

    turn().await.ok("look", json!({ "name": "desk/read", "times": 64 })).await;
    let full = turn().await;
    let more = full.failure("look", json!({ "name": "desk/read", "times": 65 })).await;
    assert!(more.code == "tool_limit" && more.message.contains("at most 64"), "{more:?}");
    assert_eq!(full.desk.calls().len(), 64);
}

#[tokio::test]
async fn a_call_within_a_call_needs_no_place_of_those_around_it() {
    let turn = Turn::over(guests::sandbox_of(1), everything()).await;
    assert_eq!(turn.ok("dive", json!({ "depth": 3 })).await, 3);
}

#[tokio::test]
async fn a_call_that_ends_takes_those_within_it_along() {
    let turn = Arc::new(Turn::new(everything()).await);
    let waiting = {
        let turn = turn.clone();
        tokio::spawn(async move { turn.outcome("look", json!({ "name": "desk/wait" })).await })
    };
    turn.desk.waits.notified().await;
    assert!(!turn.desk.calls()[0].cancel.is_cancelled());
    turn.call.cancel.cancel();
    let outcome = waiting.await.expect("it ends");
    assert_eq!(stop_kind(&outcome), StopKind::Cancelled);
    assert!(turn.desk.calls()[0].cancel.is_cancelled() && turn.desk.dropped.load(Ordering::SeqCst) == 1);
}
