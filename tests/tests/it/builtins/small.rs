//! `session`, `stateless_todo_list`, `noop`, `test_math` and `test_weather`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use everwit_runtime::capability::{CallError, Capability, NoSink, ToolCallContext, ToolServices};
use everwit_runtime::driver::llmsim::{LlmSimConfig, SimToolCall, SimTurn};
use everwit_runtime::event::{Event, NewEvent};
use everwit_runtime::id::{OrgId, SessionId};
use everwit_runtime::session::Session;
use everwit_runtime::store::{Listing, Page, RuntimeSessionStore, StoreResult};
use everwit_runtime::{
    InProcessRuntime, InProcessRuntimeBuilder, NoopCapability, SessionCapability, StatelessTodoListCapability, TestMathCapability,
    TestWeatherCapability,
};
use serde_json::{Value, json};

use super::Bench;
use crate::support::guests::{call_context, tool_services};

/// Sessions that somebody else tags just before each of so many updates.
struct Busy {
    inner: Arc<dyn RuntimeSessionStore>,
    changes_left: AtomicUsize,
}

#[async_trait]
impl RuntimeSessionStore for Busy {
    async fn add_session(&self, org: OrgId, session: Session, started: NewEvent) -> StoreResult<Event> {
        self.inner.add_session(org, session, started).await
    }

    async fn get_session(&self, org: OrgId, id: SessionId) -> StoreResult<Option<Session>> {
        self.inner.get_session(org, id).await
    }

    async fn update_session(&self, org: OrgId, session: Session) -> StoreResult<()> {
        let left = self.changes_left.load(Ordering::SeqCst);
        if left > 0 {
            self.changes_left.store(left - 1, Ordering::SeqCst);
            let mut other = self.inner.get_session(org, session.id).await?.expect("a session").with_tag(left.to_string());
            other.version += 1;
            self.inner.update_session(org, other).await?;
        }
        self.inner.update_session(org, session).await
    }

    async fn delete_session(&self, org: OrgId, id: SessionId, expected: Option<u64>) -> StoreResult<()> {
        self.inner.delete_session(org, id, expected).await
    }

    async fn list_sessions(&self, org: OrgId, page: Page) -> StoreResult<Listing<Session>> {
        self.inner.list_sessions(org, page).await
    }
}

async fn runtime(script: LlmSimConfig) -> InProcessRuntime {
    let builder = InProcessRuntimeBuilder::new().llm_sim(script);
    builder.single_session(|session| session.with_capability("session").locale("de-AT")).build().await.expect("a runtime")
}

/// A session of a runtime that others change so often while its title is written.
fn bench(runtime: &InProcessRuntime, changes: usize) -> Bench<SessionCapability> {
    let (mut backends, before) = (runtime.backends().clone(), tool_services());
    backends.session_store = Arc::new(Busy { inner: backends.session_store, changes_left: AtomicUsize::new(changes) });
    let (egress, clock, ids) = (before.egress.clone(), before.clock.clone(), before.ids.clone());
    let services = ToolServices { backends, egress, clock, ids, allowance: before.allowance };
    let call = ToolCallContext {
        org_id: runtime.org_id(),
        session_id: runtime.default_session_id().expect("a session"),
        sink: Arc::new(NoSink),
        services: Arc::new(services),
        ..call_context()
    };
    Bench { capability: SessionCapability, call }
}

async fn stored(runtime: &InProcessRuntime) -> Session {
    let id = runtime.default_session_id().expect("a session");
    runtime.backends().session_store.get_session(runtime.org_id(), id).await.expect("an answer").expect("a session")
}

/// Whether the schema of a tool accepts these arguments.
fn accepts(capability: &impl Capability, tool: &str, arguments: &Value) -> bool {
    let definition = capability.tools().iter().find(|definition| definition.name == tool).expect("the tool exists");
    jsonschema::validator_for(&definition.input_schema).expect("a schema").is_valid(arguments)
}

#[tokio::test]
async fn a_turn_titles_its_session() {
    let title = SimToolCall::new("write_session_title", json!({ "title": " Bicycles \n" }));
    let script = LlmSimConfig::scripted([SimTurn::ToolCalls(vec![title]), SimTurn::Assistant("done".to_owned())]);
    let runtime = runtime(script).await;
    let session = runtime.default_session_id().expect("a session");
    assert!(runtime.run_text_turn(session, "hello").await.expect("a turn").success);
    assert_eq!(stored(&runtime).await.title.as_deref(), Some("Bicycles"));

    let info = bench(&runtime, 0).ok("get_session_info", json!({})).await;
    let shown = (&info["session_id"], &info["title"], &info["status"], &info["locale"]);
    assert_eq!(shown, (&json!(session), &json!("Bicycles"), &json!("idle"), &json!("de-AT")));
    assert_eq!(info["harness_id"], json!(stored(&runtime).await.harness_id));
}

#[tokio::test]
async fn a_title_keeps_what_others_change_meanwhile() {
    let runtime = runtime(LlmSimConfig::echo()).await;
    let busy = bench(&runtime, 4);
    let written = busy.ok("write_session_title", json!({ "title": "one" })).await;
    assert_eq!((&written["title"], &written["previous_title"]), (&json!("one"), &Value::Null));
    let session = stored(&runtime).await;
    assert_eq!((session.title.as_deref(), session.tags), (Some("one"), ["4", "3", "2", "1"].map(str::to_owned).to_vec()));

    let again = busy.ok("write_session_title", json!({ "title": "one" })).await;
    assert_eq!((&again["previous_title"], stored(&runtime).await.version), (&json!("one"), session.version), "nothing is written");
    bench(&runtime, 5).refuses("write_session_title", json!({ "title": "two" }), "changed", &["5 times"]).await;
    assert_eq!(stored(&runtime).await.title.as_deref(), Some("one"));
}

#[tokio::test]
async fn bad_titles_and_lost_sessions_are_refused() {
    let runtime = runtime(LlmSimConfig::echo()).await;
    let bench = bench(&runtime, 0);
    bench.refuses("write_session_title", json!({ "title": "ü".repeat(129) }), "invalid_title", &["256 bytes", "258"]).await;
    bench.ok("write_session_title", json!({ "title": "ü".repeat(128) })).await;
    assert!(!accepts(&SessionCapability, "write_session_title", &json!({ "title": " \n" })));
    let lost = Bench::new(SessionCapability);
    lost.refuses("get_session_info", json!({}), "no_session", &["session_"]).await;
    lost.refuses("write_session_title", json!({ "title": "x" }), "no_session", &["session_"]).await;
}

#[tokio::test]
async fn todos_come_back_counted() {
    let list = Bench::new(StatelessTodoListCapability);
    let todo = |content: &str, status: &str| json!({ "content": content, "activeForm": "Doing", "status": status });
    let todos = json!([todo("a", "completed"), todo("b", "in_progress"), todo("c", "pending"), todo("d", "pending")]);
    let written = list.ok("write_todos", json!({ "todos": todos })).await;
    assert_eq!(written, json!({ "total": 4, "completed": 1, "in_progress": 1, "pending": 2, "todos": todos, "note": null }));
    let empty = list.ok("write_todos", json!({ "todos": [] })).await;
    assert_eq!((&empty["total"], &empty["todos"]), (&json!(0), &json!([])));
    let two = list.ok("write_todos", json!({ "todos": [todo("a", "in_progress"), todo("b", "in_progress")] })).await;
    assert!(two["note"].as_str().is_some_and(|note| note.contains("2 tasks")), "{two}");
    let large = vec![todo(&"ü".repeat(500), "pending"); 100];
    list.refuses("write_todos", json!({ "todos": large }), "list_too_large", &["at most 49152"]).await;
    for bad in [todo("a", "done"), todo(" ", "pending"), json!({ "content": "a", "status": "pending" })] {
        assert!(!accepts(&list.capability, "write_todos", &json!({ "todos": [bad] })), "{bad}");
    }
    assert!(!accepts(&list.capability, "write_todos", &json!({ "todos": vec![todo("a", "pending"); 101] })));
}

#[tokio::test]
async fn math_is_right_or_refused() {
    let math = Bench::new(TestMathCapability);
    let of = |a: f64, b: f64| json!({ "a": a, "b": b });
    for (tool, a, b, result) in [
        ("add", 2.0, 3.0, 5.0),
        ("subtract", 2.0, 3.0, -1.0),
        ("multiply", -2.0, 2.5, -5.0),
        ("divide", 7.0, 2.0, 3.5),
        ("divide", 0.0, 2.0, 0.0),
    ] {
        assert_eq!(math.ok(tool, of(a, b)).await["result"], json!(result), "{tool}({a}, {b})");
    }
    assert_eq!(math.ok("add", json!({ "a": 1, "b": 2 })).await["result"], json!(3.0), "integers are numbers too");
    math.refuses("divide", of(7.0, 0.0), "division_by_zero", &["7"]).await;
    math.refuses("divide", of(7.0, -0.0), "division_by_zero", &["7"]).await;
    math.refuses("multiply", of(1e200, 1e200), "overflow", &["multiply"]).await;
    assert!(!accepts(&math.capability, "add", &json!({ "a": "1", "b": 2 })));
}

#[tokio::test]
async fn weather_depends_on_the_place_alone() {
    let weather = Bench::new(TestWeatherCapability);
    let now = weather.ok("get_weather", json!({ "location": "Lisbon" })).await;
    insta::assert_snapshot!(now, @r#"{"conditions":"thunderstorm","humidity_percent":40,"location":"Lisbon","temperature":16.0,"units":"celsius","wind_kmh":20}"#);
    let same = weather.ok("get_weather", json!({ "location": " LISBON " })).await;
    assert_eq!((&same["temperature"], &same["wind_kmh"]), (&now["temperature"], &now["wind_kmh"]));
    let fahrenheit = weather.ok("get_weather", json!({ "location": "Lisbon", "units": "fahrenheit" })).await;
    let degrees = |value: &Value| value.as_f64().expect("a number");
    assert!((degrees(&fahrenheit["temperature"]) - (degrees(&now["temperature"]) * 1.8 + 32.0)).abs() < 1e-9, "{fahrenheit}");
    assert_eq!(fahrenheit["units"], "fahrenheit");

    let seven = weather.ok("get_forecast", json!({ "location": "Lisbon", "days": 7 })).await;
    let days = seven["days"].as_array().expect("days");
    assert_eq!(days.iter().map(|day| day["day"].as_u64()).collect::<Vec<_>>(), (1..=7).map(Some).collect::<Vec<_>>());
    assert!(days.iter().all(|day| degrees(&day["low"]) < degrees(&day["high"])), "{seven}");
    assert!(days.windows(2).any(|pair| pair[0]["high"] != pair[1]["high"]), "{seven}");
    let three = weather.ok("get_forecast", json!({ "location": "Lisbon" })).await;
    assert_eq!(three["days"].as_array().map(Vec::as_slice), days.get(..3));
    let elsewhere = weather.ok("get_forecast", json!({ "location": "Oslo" })).await;
    assert_ne!(elsewhere["days"], three["days"]);
    for bad in [json!({ "location": "x", "days": 0 }), json!({ "location": "x", "days": 8 }), json!({ "location": " " })] {
        assert!(!accepts(&weather.capability, "get_forecast", &bad), "{bad}");
    }
    assert!(!accepts(&weather.capability, "get_weather", &json!({ "location": "x", "units": "kelvin" })));
}

#[tokio::test]
async fn noop_has_no_tools() {
    assert!(NoopCapability.tools().is_empty());
    let outcome = NoopCapability.call_tool(&call_context(), "anything", json!({})).await;
    assert!(matches!(outcome.result, Err(CallError::Failed(failure)) if failure.code == "unknown_tool"));
}
