use std::sync::Arc;

use futures::TryStreamExt;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::clock::SystemClock;
use crate::driver::{Answer, DriverHost, OfferedTool};
use crate::egress::{Gateway, GatewayConfig};
use crate::id::{MessageId, OrgId, RandomIds};
use crate::message::{ContentPart, Message, Role, ToolCall};

fn message(role: Role, content: Vec<ContentPart>) -> Arc<Message> {
    let id = MessageId::from_uuid(Uuid::nil());
    Arc::new(Message { id, role, content, metadata: Default::default(), controls: None, created_at: jiff::Timestamp::UNIX_EPOCH })
}

fn user(text: &str) -> Arc<Message> {
    message(Role::User, vec![ContentPart::text(text)])
}

fn agent(text: &str) -> Arc<Message> {
    message(Role::Agent, vec![ContentPart::text(text)])
}

fn result(id: &str, result: Result<&str, &str>) -> Arc<Message> {
    let part = ContentPart::ToolResult {
        tool_call_id: id.to_owned(),
        result: result.ok().map(Into::into),
        error: result.err().map(str::to_owned),
    };
    message(Role::ToolResult, vec![part])
}

fn request(messages: &[Arc<Message>]) -> ChatRequest {
    let tool =
        OfferedTool { name: "clock__now".to_owned(), description: "Tells the time".to_owned(), input_schema: json!({"type": "object"}) };
    ChatRequest {
        model: "sim".to_owned(),
        system_prompt: "Be brief.".to_owned(),
        messages: messages.to_vec(),
        tools: vec![tool],
        ..ChatRequest::default()
    }
}

/// The simulator needs nothing of it.
fn nowhere() -> DriverContext {
    let egress = Gateway::new(GatewayConfig::default()).expect("the defaults are valid");
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(RandomIds::new(Arc::new(SystemClock))));
    DriverContext::new(OrgId::from_uuid(Uuid::nil()), Arc::new(DriverHost::new(Arc::new(egress), clock, ids)))
}

async fn ask(config: &LlmSimConfig, messages: &[Arc<Message>]) -> Result<(String, Vec<ToolCall>), DriverError> {
    let answer = answer(config, messages).await?;
    assert!(answer.usage().input_tokens > 0);
    assert_eq!(answer.finish().unwrap().reason, if answer.calls() == 0 { "stop" } else { "tool-calls" });
    let (mut text, mut calls) = (String::new(), Vec::new());
    for part in answer.into_content() {
        match part {
            ContentPart::Text { text: more } => text.push_str(&more),
            ContentPart::ToolCall(call) => calls.push(call),
            other => panic!("unexpected: {other:?}"),
        }
    }
    Ok((text, calls))
}

async fn answer(config: &LlmSimConfig, messages: &[Arc<Message>]) -> Result<Answer, DriverError> {
    let mut answer = Answer::of(&DriverId::LlmSim);
    for event in events(config, messages).await? {
        answer.push(event)?;
    }
    Ok(answer)
}

async fn events(config: &LlmSimConfig, messages: &[Arc<Message>]) -> Result<Vec<ChatEvent>, DriverError> {
    LlmSim::new(config.clone()).complete(request(messages), nowhere()).await?.try_collect().await
}

async fn text(config: &LlmSimConfig, messages: &[Arc<Message>]) -> String {
    ask(config, messages).await.unwrap().0
}

#[tokio::test]
async fn plain_modes_answer_as_they_are_called() {
    let hello = [user("hello there")];
    assert_eq!(text(&LlmSimConfig::fixed("always"), &hello).await, "always");
    assert_eq!(text(&LlmSimConfig::echo(), &hello).await, "hello there");
    assert_eq!(text(&LlmSimConfig::lorem(21), &hello).await.split(' ').count(), 21);
    let sequence = LlmSimConfig::sequence(["a", "b"]);
    assert_eq!(text(&sequence, &[user("1"), agent("a"), user("2")]).await, "b");
    assert_eq!(text(&sequence, &[user("1"), agent("a"), user("2"), agent("b"), user("3")]).await, "a");
    assert_eq!(text(&ResponseConfig::Empty.into(), &hello).await, "");
}

#[tokio::test]
async fn errors_have_their_kinds() {
    let hello = [user("hello")];
    for (error, kind) in [
        (SimError::RateLimit { retry_after_ms: Some(7) }, DriverErrorKind::RateLimited),
        (SimError::Timeout, DriverErrorKind::Timeout),
        (SimError::Authentication, DriverErrorKind::Authentication),
        (SimError::QuotaExhausted, DriverErrorKind::QuotaExhausted),
        (SimError::ContextTooLong, DriverErrorKind::ContextTooLong),
        (SimError::InvalidRequest, DriverErrorKind::InvalidRequest),
        (SimError::InvalidResponse, DriverErrorKind::InvalidResponse),
        (SimError::Other("down".to_owned()), DriverErrorKind::Unavailable),
    ] {
        let config = LlmSimConfig::scripted([SimTurn::Error(error)]);
        assert_eq!(ask(&config, &hello).await.unwrap_err().kind, kind);
    }
    assert_eq!(ask(&LlmSimConfig::error("down"), &hello).await.unwrap_err().message, "down");
    let unknown = LlmSimConfig::fixed("x").with_model("other");
    assert_eq!(ask(&unknown, &hello).await.unwrap_err().kind, DriverErrorKind::ModelNotAvailable);
    assert_eq!(ask(&LlmSimConfig::model_not_available(), &hello).await.unwrap_err().kind, DriverErrorKind::ModelNotAvailable);
    let cut = LlmSimConfig::scripted([SimTurn::CutOff("never to be completed".to_owned())]);
    assert_eq!(ask(&cut, &hello).await.unwrap_err().kind, DriverErrorKind::InvalidResponse);
}

#[tokio::test]
async fn the_place_in_a_script_follows_from_the_conversation() {
    let turns = || ["a", "b"].map(|text| SimTurn::Assistant(text.to_owned()));
    let third = [user("1"), agent("a"), user("2"), agent("b"), user("3")];
    let script = LlmSimConfig::scripted(turns());
    assert_eq!(text(&script, &third).await, "b");
    assert_eq!(text(&script.clone().with_on_exhausted(OnExhausted::Loop), &third).await, "a");
    let error = ask(&script.with_on_exhausted(OnExhausted::Error), &third).await.unwrap_err();
    assert_eq!(error.kind, DriverErrorKind::InvalidRequest);

    let failing = LlmSimConfig::scripted([SimTurn::Error(SimError::Timeout), SimTurn::Assistant("back".to_owned())]);
    assert!(ask(&failing, &[user("1")]).await.is_err());
    assert_eq!(text(&failing, &[user("1"), user("2")]).await, "back");
    assert_eq!(ask(&LlmSimConfig::scripted([]), &[user("1")]).await.unwrap_err().kind, DriverErrorKind::Configuration);
}

#[tokio::test]
async fn scripted_calls_are_parallel_and_may_be_malformed() {
    let calls = vec![SimToolCall::new("a__x", json!({"n": 1})), SimToolCall::raw("a__y", "{\"n\": ")];
    let config = LlmSimConfig::scripted([SimTurn::Mixed { text: "Look.".to_owned(), tool_calls: calls }]);
    let (text, calls) = ask(&config, &[user("go")]).await.unwrap();
    assert_eq!(text, "Look.");
    assert_eq!(calls[0], ToolCall::new("call_1_1", "a__x", json!({"n": 1})));
    assert_eq!(calls[1], ToolCall::new("call_1_2", "a__y", json!("{\"n\": ")));
}

#[tokio::test]
async fn calls_can_stand_in_front_of_answers() {
    let call = |name: &str| vec![SimToolCall::new(name, json!({}))];
    let answered = [user("weather"), message(Role::Agent, vec![]), result("call_1_1", Ok("sun"))];
    let fixed = LlmSimConfig::fixed("done").with_tool_calls(ToolCallConfig::Fixed(call("t")));
    assert_eq!(ask(&fixed, &answered[..1]).await.unwrap().1.len(), 1);
    assert_eq!(text(&fixed, &answered).await, "done");

    let sequence = LlmSimConfig::fixed("done").with_tool_call_sequence([vec![], call("t")]);
    assert_eq!(text(&sequence, &answered[..1]).await, "done");
    assert_eq!(ask(&sequence, &answered).await.unwrap().1[0].name, "t");

    let patterns = vec![CallPattern { contains: "Weather".to_owned(), tool_calls: call("w") }];
    let conditional = LlmSimConfig::fixed("done").with_tool_calls(ToolCallConfig::Conditional { patterns });
    assert_eq!(ask(&conditional, &answered[..1]).await.unwrap().1[0].name, "w");
    assert_eq!(text(&conditional, &[user("else")]).await, "done");
}

#[tokio::test]
async fn interactive_calls_tools_step_by_step_and_sums_up() {
    let config = LlmSimConfig::interactive();
    let input = user("Please:\n/call clock__now\n  /call a__x {\"n\": 1}\n/then\n/call a__y {}");
    let (_, first) = ask(&config, std::slice::from_ref(&input)).await.unwrap();
    assert_eq!(first.iter().map(|call| call.name.as_str()).collect::<Vec<_>>(), ["clock__now", "a__x"]);
    assert_eq!(first[1].arguments, json!({"n": 1}));

    let answer = message(Role::Agent, first.into_iter().map(ContentPart::ToolCall).collect());
    let mut messages = vec![input, answer, result("call_1_1", Ok("noon")), result("call_1_2", Err("no such row"))];
    let (_, second) = ask(&config, &messages).await.unwrap();
    assert_eq!(second[0].name, "a__y");

    messages.push(message(Role::Agent, second.into_iter().map(ContentPart::ToolCall).collect()));
    messages.push(result("call_2_1", Ok("x ".repeat(300).trim())));
    let summary = text(&config, &messages).await;
    assert!(
        summary.starts_with("I made 3 tool calls; 1 failed.\n\n- `clock__now` ok: noon\n- `a__x` failed: no such row\n- `a__y` ok: x x")
    );
    assert!(summary.ends_with('…'), "{summary}");
}

#[tokio::test]
async fn interactive_explains_itself() {
    let config = LlmSimConfig::interactive();
    let plain = text(&config, &[user("hello")]).await;
    assert!(plain.starts_with("You said: hello") && plain.contains("/call TOOL") && plain.contains("`clock__now`"), "{plain}");
    assert!(text(&config, &[user("/call")]).await.contains("no tool name"));
    assert!(text(&config, &[user("/call clock__now {")]).await.contains("not JSON"));
    assert!(text(&config, &[user("/caller is no call")]).await.starts_with("You said"));
}

#[test]
fn a_script_file_can_be_read() {
    let config: LlmSimConfig = serde_json::from_value(json!({
        "response": {"scripted": {"turns": [
            {"tool_calls": [{"name": "clock__now"}]},
            {"mixed": {"text": "More.", "tool_calls": [{"name": "a__x", "raw_arguments": "{"}]}},
            {"error": {"rate_limit": {"retry_after_ms": 100}}},
            {"error": "timeout"},
            {"assistant": "Done."}], "on_exhausted": "loop"}},
        "latency_per_token_ms": 20
    }))
    .unwrap();
    let ResponseConfig::Scripted(script) = config.response else { panic!("not a script") };
    assert_eq!((script.turns.len(), script.on_exhausted), (5, OnExhausted::Loop));
    let interactive: LlmSimConfig = serde_json::from_value(json!({})).unwrap();
    assert_eq!(interactive, LlmSimConfig::interactive());
    assert!(serde_json::from_value::<LlmSimConfig>(json!({"respons": "echo"})).is_err());
}

#[tokio::test(start_paused = true)]
async fn latency_is_simulated() {
    let started = tokio::time::Instant::now();
    let config = LlmSimConfig::fixed("one two three").with_latency(Duration::from_millis(10)).with_response_delay(Duration::from_secs(1));
    text(&config, &[user("go")]).await;
    assert_eq!(started.elapsed(), Duration::from_millis(1_030));
}

#[tokio::test]
async fn it_thinks_before_it_answers() {
    let script = [SimTurn::Thinking { thinking: "Let me see.".to_owned(), text: "Two.".to_owned(), tool_calls: vec![] }];
    let fixed = LlmSimConfig::fixed("Two.").with_thinking("Let me see.");
    for config in [LlmSimConfig::scripted(script), fixed] {
        let answer = answer(&config, &[user("1 + 1?")]).await.unwrap();
        let [ContentPart::Reasoning { text, opaque: Some(opaque) }, ContentPart::Text { text: said }] = answer.content() else {
            panic!("{answer:?}")
        };
        assert_eq!((text.as_str(), opaque.data.as_str(), said.as_str()), ("Let me see.", "sim-signature-1", "Two."));
        assert_eq!(answer.finish().unwrap().response_id.as_deref(), Some("sim_1"));
    }
}

#[tokio::test]
async fn arguments_can_be_streamed_and_say_the_same() {
    let calls = vec![SimToolCall::new("a__x", json!({"text": "größe und mehr"})), SimToolCall::raw("a__y", "{\"n\": ")];
    let config = LlmSimConfig::scripted([SimTurn::ToolCalls(calls)]);
    let streamed = config.clone().with_streamed_arguments();
    let input = [user("go")];
    assert_eq!(ask(&config, &input).await.unwrap(), ask(&streamed, &input).await.unwrap());
    let deltas = |events: Vec<ChatEvent>| events.iter().filter(|event| matches!(event, ChatEvent::ToolCallDelta { index: 0, .. })).count();
    assert_eq!(deltas(events(&config, &input).await.unwrap()), 0);
    assert!(deltas(events(&streamed, &input).await.unwrap()) > 2);
}

#[tokio::test]
async fn token_counts_and_the_end_can_be_set() {
    let usage = TokenUsage { input_tokens: 1, output_tokens: 2, cache_read_tokens: 3, cache_creation_tokens: 4, reasoning_tokens: 5 };
    let config = LlmSimConfig::scripted([SimTurn::Length("as far as".to_owned())]).with_usage(usage);
    let answer = answer(&config, &[user("go")]).await.unwrap();
    assert_eq!((answer.usage(), answer.finish().unwrap().reason.as_str()), (usage, "length"));
}

#[tokio::test]
async fn chance_follows_from_the_seed_and_the_place() {
    let lorem = |seed| LlmSimConfig::lorem(30).with_seed(seed);
    let (first, second) = ([user("1")], [user("1"), agent("a"), user("2")]);
    assert_eq!(text(&lorem(7), &first).await, text(&lorem(7), &first).await);
    assert_ne!(text(&lorem(7), &first).await, text(&lorem(8), &first).await);
    assert_ne!(text(&lorem(7), &first).await, text(&lorem(7), &second).await);
    let few = lorem(7).with_words_per_event(10.try_into().unwrap());
    assert_eq!(text(&few, &first).await, text(&lorem(7), &first).await);
    assert_eq!(events(&few, &first).await.unwrap().len(), 3 + 2);
}

#[tokio::test(start_paused = true)]
async fn jitter_stays_within_its_bounds_and_is_the_same_in_each_run() {
    let took = async |seed| {
        let started = tokio::time::Instant::now();
        let config = LlmSimConfig::lorem(20).with_latency(Duration::from_millis(10)).with_latency_jitter(Duration::from_millis(5));
        answer(&config.with_seed(seed), &[user("go")]).await.unwrap();
        started.elapsed().as_millis()
    };
    let (one, again, other) = (took(1).await, took(1).await, took(2).await);
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert!((200..=300).contains(&one), "{one}");
}
