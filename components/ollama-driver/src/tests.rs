use everwit_guest::driver::{Config, Discover, Driver, Event, Head, Request};
use everwit_guest::serde_json::{Value, json};

use super::Ollama;

fn config(api_key: Option<&str>) -> Config {
    let api_key = api_key.map(str::to_owned);
    Config { api_key, base_url: Some("http://localhost:11434/".into()), metadata: None, extra: Vec::new() }
}

fn request(change: impl FnOnce(&mut Request)) -> Request {
    let mut request = Request {
        model: "qwen3".into(),
        instructions: None,
        messages: Vec::new(),
        tools: Vec::new(),
        tool_choice: "auto".into(),
        temperature: None,
        max_output_tokens: None,
        stop: Vec::new(),
        effort: None,
        response_format: None,
        prompt_cache_key: None,
        metadata: Vec::new(),
        options: "{}".into(),
        extra: Vec::new(),
    };
    change(&mut request);
    request
}

fn body(change: impl FnOnce(&mut Request)) -> Value {
    let sent = Ollama::default().begin(&config(None), &request(change)).expect("it can be asked");
    everwit_guest::serde_json::from_slice(&sent.body).expect("JSON")
}

#[test]
fn thinking_is_a_level_for_the_models_that_know_levels() {
    for (model, effort, think) in [
        ("gpt-oss:20b", "minimal", json!("low")),
        ("gpt-oss:20b", "high", json!("high")),
        ("qwen3", "high", json!(true)),
        ("qwen3", "none", json!(false)),
    ] {
        let sent = body(|request| {
            request.model = model.into();
            request.effort = Some(effort.into());
        });
        assert_eq!(sent["think"], think, "{model} {effort}");
    }
    assert_eq!(body(|_| ()).get("think"), None);
}

#[test]
fn what_the_server_cannot_do_is_refused() {
    for choice in ["required", "tool:x"] {
        let failure = Ollama::default().begin(&config(None), &request(|request| request.tool_choice = choice.into()));
        assert_eq!(failure.expect_err(choice).code(), "invalid_request");
    }
}

#[test]
fn a_key_is_sent_only_if_there_is_one() {
    let authorization = |key: Option<&str>| {
        let sent = Ollama::models_request(&config(key)).expect("a request");
        sent.headers.into_iter().find(|(name, _)| name == "authorization").map(|(_, value)| value)
    };
    assert_eq!(authorization(None), None);
    assert_eq!(authorization(Some("k")).as_deref(), Some("Bearer k"));
}

#[test]
fn models_are_read_and_refusals_told() {
    let models = Ollama::models(200, br#"{"models":[{"name":"llama3.2:latest","size":1},{"name":"qwen3:8b"}]}"#).expect("a list");
    assert_eq!(models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(), ["llama3.2:latest", "qwen3:8b"]);
    assert_eq!(Ollama::models(401, b"{}").expect_err("it is refused").code(), "authentication");
    assert_eq!(Ollama::models(200, b"<html>").expect_err("it is no list").code(), "invalid_response");
}

#[test]
fn an_end_without_tool_calls_keeps_the_servers_word() {
    let mut driver = Ollama::default();
    driver.on_head(&Head { status: 200, headers: Vec::new(), retry_after_ms: None }).expect("a framing");
    let events = driver.on_bytes(br#"{"message":{"content":"x"},"done":true,"done_reason":"length"}"#).expect("events");
    assert!(matches!(&events[..], [Event::Text(_), Event::Finish(finish)] if finish.reason == "length"), "{events:?}");
    assert!(driver.on_end().is_ok());
    assert_eq!(Ollama::default().on_end().expect_err("nothing came").code(), "invalid_response");
}
