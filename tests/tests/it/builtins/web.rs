//! `web_fetch`. Every connection ends in this process; refused addresses are never dialled.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use everwit_runtime::WebFetchCapability;
use everwit_runtime::capability::{Capability, RiskLevel};
use everwit_runtime::egress::GatewayConfig;
use everwit_runtime::file::FilePath;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::Bench;
use crate::egress::support::{Names, NeverDial, PUBLIC, Pipe, configured, gateway, mute, public, read_request};

fn web() -> Bench<WebFetchCapability> {
    Bench::new(WebFetchCapability)
}

fn response(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn html(body: &str) -> String {
    response("200 OK\r\ncontent-type: text/html; charset=utf-8", body)
}

/// Answers one request after the other, and keeps their first lines.
fn scripted(answers: Vec<String>) -> (Arc<Pipe>, Arc<Mutex<Vec<String>>>) {
    let (answers, seen) = (Arc::new(Mutex::new(VecDeque::from(answers))), Arc::new(Mutex::new(Vec::new())));
    let kept = seen.clone();
    let pipe = Pipe::new(move |mut stream| {
        let (answers, seen) = (answers.clone(), kept.clone());
        async move {
            let request = read_request(&mut stream).await;
            let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
            seen.lock()
                .expect("nothing panics while it holds a lock")
                .push(format!("{} {host}", request.lines().next().unwrap_or_default()));
            let answer = answers.lock().expect("nothing panics while it holds a lock").pop_front().expect("an answer is left");
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (pipe, seen)
}

#[tokio::test]
async fn html_becomes_markdown_without_scripts() {
    let page = "<html><head><title>T</title><style>p{}</style></head><body><h1>Head</h1><p>Some <b>bold</b> text, \
                <a href=\"https://a.test/x\">a link</a>.</p><script>alert(1)</script><ul><li>one</li></ul></body></html>";
    let web = web().over(public(Pipe::answering(html(page))));
    assert_eq!(web.capability.risk_level(), RiskLevel::High);
    let read = web.ok("web_fetch", json!({ "url": "http://a.test/page" })).await;
    assert_eq!((&read["status"], &read["format"], &read["url"]), (&json!(200), &json!("markdown"), &json!("http://a.test/page")));
    let text = read["content"].as_str().expect("text");
    for part in ["# Head", "**bold**", "[a link](https://a.test/x)", "one"] {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
    for part in ["alert", "p{}", "<"] {
        assert!(!text.contains(part), "{part:?} is in {text:?}");
    }
    let web = super::Bench::new(WebFetchCapability).over(public(Pipe::answering(html("<p>raw"))));
    assert_eq!(web.ok("web_fetch", json!({ "url": "http://a.test/", "as_markdown": false })).await["content"], "<p>raw");
}

#[tokio::test]
async fn a_hostile_page_is_converted_without_harm() {
    for page in ["<b>".repeat(200_000), "<div>".repeat(200_000), format!("{}x", "<p><b a=1><i>".repeat(30_000)), "<".repeat(100_000)] {
        let web = web().over(public(Pipe::answering(html(&page))));
        let read = web.ok("web_fetch", json!({ "url": "http://a.test/" })).await;
        assert_eq!(read["format"], "markdown");
    }
}

#[tokio::test]
async fn long_text_is_read_in_parts() {
    let text: String = (0..20_000).map(|number| format!("ä{number} ")).collect();
    let (mut whole, mut offset) = (String::new(), json!(0));
    while !offset.is_null() {
        let answer = response("200 OK\r\ncontent-type: text/plain", &text);
        let web = web().over(public(Pipe::answering(answer)));
        let part = web.ok("web_fetch", json!({ "url": "http://a.test/", "offset": offset, "limit": 40_001 })).await;
        whole.push_str(part["content"].as_str().expect("text"));
        offset = part["next_offset"].clone();
    }
    assert!(whole == text, "{} bytes are not the {} that were sent", whole.len(), text.len());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_cut_and_says_so() {
    let web = web().over(public(Pipe::answering(response("200 OK\r\ncontent-type: text/plain", &"x".repeat((2 << 20) + 1)))));
    let read = web.ok("web_fetch", json!({ "url": "http://a.test/" })).await;
    assert_eq!(read["total_text_bytes"], 2 << 20);
    assert!(read["note"].as_str().is_some_and(|note| note.contains("its end is missing")), "{}", read["note"]);
}

#[tokio::test]
async fn redirects_are_new_requests() {
    let to = |place: &str| response(&format!("302 Found\r\nlocation: {place}"), "");
    let (pipe, seen) = scripted(vec![to("/b?x=1#part"), to("http://b.test/c"), html("<p>there")]);
    let web = web().over(public(pipe));
    let read = web.ok("web_fetch", json!({ "url": "http://a.test/a" })).await;
    assert_eq!(read["url"], "http://b.test/c");
    assert_eq!(read["redirects"], json!(["http://a.test/a", "http://a.test/b?x=1#part"]));
    assert_eq!(
        *seen.lock().expect("nothing panics while it holds a lock"),
        ["GET /a HTTP/1.1 a.test", "GET /b?x=1 HTTP/1.1 a.test", "GET /c HTTP/1.1 b.test"]
    );

    let (pipe, seen) = scripted(vec![to("/again"); 6]);
    let web = super::Bench::new(WebFetchCapability).over(public(pipe));
    web.refuses("web_fetch", json!({ "url": "http://a.test/" }), "too_many_redirects", &["more than 5"]).await;
    assert_eq!(seen.lock().expect("nothing panics while it holds a lock").len(), 6);
}

#[tokio::test]
async fn a_redirect_inside_is_refused_and_never_dialled() {
    for inside in ["http://169.254.169.254/latest", "http://127.0.0.1:8080/", "http://[::1]/", "http://10.0.0.1/", "file:///etc/passwd"] {
        let (pipe, seen) = scripted(vec![response(&format!("302 Found\r\nlocation: {inside}"), "")]);
        let web = web().over(gateway(Names::new(&[&[PUBLIC]]), pipe.clone()));
        let failure = web.failure("web_fetch", json!({ "url": "http://a.test/" })).await;
        assert!(["denied", "invalid-arguments"].contains(&failure.kind.as_str()), "{inside}: {failure}");
        assert_eq!((seen.lock().expect("nothing panics while it holds a lock").len(), pipe.dialled().len()), (1, 1), "{inside}");
    }
}

#[tokio::test]
async fn private_places_are_refused_without_dialling() {
    for url in ["http://127.0.0.1/", "http://localhost/", "http://[::ffff:10.0.0.1]/", "http://2130706433/", "https://192.168.0.1/"] {
        let web = web().over(gateway(Names::new(&[&["127.0.0.1"]]), Arc::new(NeverDial)));
        assert_eq!(web.failure("web_fetch", json!({ "url": url })).await.kind, "denied", "{url}");
    }
    for url in ["ftp://a.test/", "javascript:alert(1)", "a.test", "file:///etc/passwd"] {
        let web = web().over(gateway(Names::new(&[]), Arc::new(NeverDial)));
        web.refuses("web_fetch", json!({ "url": url }), "invalid_url", &[]).await;
    }
}

#[tokio::test]
async fn a_list_of_hosts_is_all_that_may_be_fetched() {
    let config = json!({ "allowed_hosts": ["a.test", "*.b.test", "c.test:8080"] });
    for url in ["http://a.test/", "http://x.b.test/", "http://c.test:8080/"] {
        let web = web().with_config(config.clone()).over(public(Pipe::answering(html("ok"))));
        assert_eq!(web.ok("web_fetch", json!({ "url": url })).await["status"], 200, "{url}");
    }
    for url in ["http://other.test/", "http://b.test/", "http://a.test:8080/", "http://c.test/", "http://a.test.evil.test/"] {
        let web = web().with_config(config.clone()).over(gateway(Names::new(&[]), Arc::new(NeverDial)));
        web.refuses("web_fetch", json!({ "url": url }), "host_not_allowed", &["a.test, *.b.test, c.test:8080"]).await;
    }
    let (pipe, _) = scripted(vec![response("302 Found\r\nlocation: http://other.test/", "")]);
    let web = web().with_config(config).over(public(pipe));
    web.refuses("web_fetch", json!({ "url": "http://a.test/" }), "host_not_allowed", &["other.test"]).await;
}

#[tokio::test]
async fn an_operator_can_allow_a_place_inside() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let mut request = [0; 1_024];
        let _ = stream.read(&mut request).await;
        stream.write_all(html("<p>inside").as_bytes()).await.expect("the client reads");
    });
    let target = format!("127.0.0.1:{port}").parse().expect("a target");
    let config = GatewayConfig { private_targets: vec![target], ..GatewayConfig::default() };
    let web = web().over(configured(config, Names::new(&[]), Arc::new(everwit_runtime::egress::TcpConnector)));
    let read = web.ok("web_fetch", json!({ "url": format!("http://127.0.0.1:{port}/") })).await;
    assert!(read["content"].as_str().is_some_and(|text| text.contains("inside")), "{read}");
    server.await.expect("the server ends");
}

#[tokio::test]
async fn binary_data_is_saved_if_the_operator_allows_it() {
    let png = || Pipe::answering(response("200 OK\r\ncontent-type: image/png", "\u{1}\u{2}"));
    let shown = web().over(public(png())).ok("web_fetch", json!({ "url": "http://a.test/x.png" })).await;
    assert_eq!((&shown["format"], &shown["content"], &shown["size_bytes"]), (&json!("binary"), &json!(""), &json!(2)));
    let save = json!({ "url": "http://a.test/x.png", "save_to_file": "pictures/x.png" });
    web().over(gateway(Names::new(&[]), Arc::new(NeverDial))).refuses("web_fetch", save.clone(), "download_disabled", &[]).await;
    let web = web().with_config(json!({ "enable_file_download": true })).over(public(png()));
    let saved: Value = web.ok("web_fetch", save).await;
    assert_eq!((&saved["saved_to"], &saved["size_bytes"]), (&json!("/workspace/pictures/x.png"), &json!(2)));
    let path = FilePath::parse("/pictures/x.png").expect("a path");
    let file = web.call.services.backends.file_store.read_file(web.call.org_id, web.call.session_id, &path).await.expect("a read");
    assert_eq!(file.expect("the file").content, [1, 2]);
}

#[tokio::test]
async fn a_cancelled_call_ends_at_once() {
    let web = web().over(public(mute()));
    let cancel = web.call.cancel.clone();
    let (cancelled, ()) = tokio::join!(web.is_cancelled("web_fetch", json!({ "url": "http://a.test/" })), async { cancel.cancel() });
    assert!(cancelled);
}
