use everwit_guest::driver::{Config, Driver, ExchangeToken, Head, Metadata};
use everwit_guest::serde_json::{Value, from_slice, json};

use super::Codex;

fn config(refresh_token: Option<&str>) -> Config {
    let metadata = Metadata { refresh_token: refresh_token.map(str::to_owned), account_id: Some("account".into()), extra: None };
    Config { api_key: None, base_url: Some("https://gateway.example/codex".into()), metadata: Some(metadata), extra: Vec::new() }
}

#[test]
fn the_refresh_token_is_exchanged_at_the_gateway() {
    let sent = Codex::token_request(&config(Some("refresh"))).expect("a request");
    assert_eq!((sent.method.as_str(), sent.url.as_str()), ("POST", "https://gateway.example/codex/oauth/token"));
    let body: Value = from_slice(&sent.body).expect("JSON");
    assert_eq!((&body["grant_type"], &body["refresh_token"]), (&json!("refresh_token"), &json!("refresh")));
    assert_eq!(Codex::token_request(&config(None)).expect_err("there is none").code(), "configuration");
}

#[test]
fn what_the_exchange_gives_is_read() {
    let access =
        Codex::token(200, br#"{"access_token":"a","expires_in":3600,"refresh_token":"r2","token_type":"Bearer"}"#).expect("a token");
    assert_eq!((access.token.as_str(), access.expires_in_ms, access.refresh_token.as_deref()), ("a", Some(3_600_000), Some("r2")));
    let access = Codex::token(200, br#"{"access_token":"a"}"#).expect("a token");
    assert_eq!((access.expires_in_ms, access.refresh_token), (None, None));
    for (status, body, code) in [
        (400, r#"{"error":"invalid_grant"}"#, "authentication"),
        (401, "", "authentication"),
        (429, "{}", "rate_limited"),
        (503, "", "unavailable"),
        (200, "<html>", "invalid_response"),
    ] {
        assert_eq!(Codex::token(status, body.as_bytes()).expect_err(code).code(), code, "{status} {body}");
    }
}

#[test]
fn refusals_say_what_the_gateway_says() {
    let refusal = |status: u16, body: &str| {
        let mut driver = Codex::default();
        driver.on_head(&Head { status, headers: Vec::new(), retry_after_ms: None }).expect("a framing");
        driver.on_bytes(body.as_bytes()).expect_err("a refusal")
    };
    let limited = refusal(429, r#"{"error":{"message":"slow down"}}"#);
    assert!(limited.code() == "rate_limited" && limited.message().contains("slow down"), "{limited}");
    assert_eq!(refusal(400, r#"{"error":{"code":"context_length_exceeded","message":"x"}}"#).code(), "context_too_long");
    assert_eq!(refusal(403, r#"{"detail":"no plan"}"#).code(), "authentication");
    assert_eq!(refusal(502, "<html>").code(), "unavailable");
}
