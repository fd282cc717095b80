//! The event stream: complete, in order, without doubles, from any cursor.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Api, EventStream, Frame, Server};

/// Words of an answer, each a delta of its own if the stream keeps up.
const WORDS: usize = 60;

async fn chat(api: &Api, session: &str, turns: usize) {
    let mut stream = api.stream(session, "").await;
    for turn in 0..turns {
        api.say(session, &format!("message {turn}")).await;
        stream.until("session.idled").await;
    }
}

/// The stored events of a stream up to and with a sequence, checked to be without gap or double.
async fn stored_after(stream: &mut EventStream, after: u64, last: u64) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut expected = after + 1;
    while expected <= last {
        let frame = stream.next().await.expect("the stream goes on");
        if let Some(sequence) = frame.sequence() {
            assert_eq!(sequence, expected, "a gap or a double");
            expected += 1;
            frames.push(frame);
        }
    }
    frames
}

fn sequence(event: &Value) -> u64 {
    event["sequence"].as_u64().expect("stored events have a sequence")
}

#[tokio::test]
async fn a_stream_resumes_from_every_cursor_in_every_way() {
    let server = Server::scripted(json!({ "response": "echo" })).await;
    let api = server.api();
    let session = api.session().await;
    chat(&api, &session, 3).await;
    let events = api.events(&session).await;
    let last = sequence(events.last().expect("there are events"));
    assert_eq!(last as usize, events.len());
    for event in events.iter().take(events.len() - 1) {
        let (after, id) = (sequence(event), event["id"].as_str().expect("an id"));
        let path = format!("/v1/sessions/{session}/sse");
        let by_header = EventStream::open(api.request(Method::GET, &path).header("last-event-id", id)).await;
        let by_id = api.stream(&session, &format!("?since_id={id}")).await;
        let by_sequence = api.stream(&session, &format!("?after_sequence={after}")).await;
        for mut stream in [by_header, by_id, by_sequence] {
            let hello = stream.next().await.expect("a frame");
            assert_eq!((hello.event.as_str(), &hello.data["sequence"]), ("connected", &json!(after)));
            for (frame, event) in stored_after(&mut stream, after, last).await.iter().zip(&events[after as usize..]) {
                assert_eq!((&frame.data, frame.id.as_deref()), (event, event["id"].as_str()));
                assert_eq!(frame.event, event["type"]);
            }
        }
    }
}

#[tokio::test]
async fn two_cursors_are_refused() {
    let server = Server::start().await;
    let api = server.api();
    let session = api.session().await;
    let id = api.events(&session).await[0]["id"].as_str().expect("an id").to_owned();
    let both = api.stream(&session, &format!("?since_id={id}&after_sequence=0")).await;
    assert_eq!(both.status, 400);
    let path = format!("/v1/sessions/{session}/sse?after_sequence=0");
    assert_eq!(EventStream::open(api.request(Method::GET, &path).header("last-event-id", &id)).await.status, 400);
    assert_eq!(api.stream(&session, "?since_id=nonsense").await.status, 400);
}

#[tokio::test]
async fn without_a_cursor_the_stream_begins_now() {
    let server = Server::scripted(json!({ "response": "echo" })).await;
    let api = server.api();
    let session = api.session().await;
    chat(&api, &session, 1).await;
    let mut stream = api.stream(&session, "").await;
    let hello = stream.next().await.expect("a frame");
    let end = hello.data["sequence"].as_u64().expect("it says where it is");
    assert_eq!(end as usize, api.events(&session).await.len());
    api.say(&session, "again").await;
    let frames = stream.until("session.idled").await;
    assert_eq!(frames.iter().find_map(Frame::sequence), Some(end + 1));
}

#[tokio::test]
async fn live_events_have_no_id_and_deltas_join_to_the_message() {
    let script = json!({ "response": { "lorem": WORDS }, "latency_per_token_ms": 5 });
    let server = Server::scripted(script).await;
    let api = server.api();
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    assert_eq!(stream.headers["cache-control"], "no-store, no-transform");
    assert_eq!(stream.headers["x-accel-buffering"], "no");
    api.say(&session, "go").await;
    let frames = stream.until("session.idled").await;
    let mut text = String::new();
    for delta in frames.iter().filter(|frame| frame.event == "output.message.delta") {
        assert_eq!((delta.id.as_ref(), delta.data.get("sequence")), (None, None));
        assert_eq!(delta.data["data"]["offset"], text.len(), "deltas continue each other");
        text.push_str(delta.data["data"]["delta"].as_str().expect("a delta is text"));
    }
    let completed = frames.iter().find(|frame| frame.event == "output.message.completed").expect("the message is completed");
    assert_eq!(completed.data["data"]["message"]["content"][0]["text"], text);
}

/// The published clients send the id of whatever came last, also of a delta.
#[tokio::test]
async fn the_id_of_a_live_event_is_a_cursor_too() {
    let script = json!({ "response": { "lorem": WORDS }, "latency_per_token_ms": 5 });
    let server = Server::scripted(script).await;
    let api = server.api();
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "go").await;
    let frames = stream.until("session.idled").await;
    let last = frames.iter().filter_map(Frame::sequence).max().expect("there are stored events");
    for (at, frame) in frames.iter().enumerate().filter(|(_, frame)| frame.id.is_none() && frame.event != "connected") {
        let id = frame.data["id"].as_str().expect("an id");
        let seen: HashSet<u64> = frames[..at].iter().filter_map(Frame::sequence).collect();
        let mut resumed = api.stream(&session, &format!("?since_id={id}")).await;
        let after = resumed.next().await.expect("a frame").data["sequence"].as_u64().expect("a sequence");
        assert!(after <= seen.len() as u64 + 1, "nothing that came after the live event is skipped");
        stored_after(&mut resumed, after, last).await;
    }
}

#[tokio::test]
async fn filters_choose_types_without_losing_the_place() {
    let server = Server::scripted(json!({ "response": "echo" })).await;
    let api = server.api();
    let session = api.session().await;
    chat(&api, &session, 2).await;
    let mut stream = api.stream(&session, "?after_sequence=0&types=turn.started&types=turn.completed&exclude=turn.started").await;
    stream.next().await.expect("connected");
    for _ in 0..2 {
        assert_eq!(stream.next().await.expect("a frame").event, "turn.completed");
    }
    let listed = api.get(&format!("/v1/sessions/{session}/events?types=turn.completed&limit=1")).await.expect(200);
    let next = listed["next_sequence"].as_u64().expect("there is more");
    let rest = api.get(&format!("/v1/sessions/{session}/events?types=turn.completed&after_sequence={next}")).await.expect(200);
    assert_eq!((rest["data"].as_array().map(Vec::len), rest.get("next_sequence")), (Some(1), None));
}

#[tokio::test]
async fn the_record_is_read_backwards_too() {
    let server = Server::scripted(json!({ "response": "echo" })).await;
    let api = server.api();
    let session = api.session().await;
    chat(&api, &session, 2).await;
    let events = api.events(&session).await;
    let (mut before, mut found) = (events.len() as u64 + 1, Vec::new());
    loop {
        let page = api.get(&format!("/v1/sessions/{session}/events?before_sequence={before}&limit=4")).await.expect(200);
        let data = page["data"].as_array().expect("a list").clone();
        found.splice(0..0, data);
        match page["next_sequence"].as_u64() {
            Some(next) => before = next,
            None => break,
        }
    }
    assert_eq!(found, events);
}

/// A reader that stops reading loses deltas, and nothing else.
#[tokio::test]
async fn a_slow_reader_gets_every_stored_event() {
    let server = Server::scripted(json!({ "response": { "lorem": 400 } })).await;
    let api = server.api();
    let session = api.session().await;
    let mut slow = api.stream(&session, "").await;
    assert_eq!(slow.next().await.expect("a frame").event, "connected");
    // More turns than the listener's buffer holds events, while nobody reads `slow`.
    chat(&api, &session, 90).await;
    let last = api.events(&session).await.len() as u64;
    assert!(last > 600);
    stored_after(&mut slow, 1, last).await;
}

#[tokio::test]
async fn the_streams_of_one_session_are_counted() {
    let server = Server::start().await;
    let api = server.api();
    let session = api.session().await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        let mut stream = api.stream(&session, "").await;
        stream.next().await.expect("connected");
        streams.push(stream);
    }
    let refused = api.stream(&session, "").await;
    assert_eq!((refused.status, refused.headers.contains_key("retry-after")), (429, true));
    let other = api.session().await;
    assert_eq!(api.stream(&other, "").await.status, 200, "other sessions have their own");
}

#[tokio::test]
async fn the_end_of_the_server_is_announced() {
    let mut server = Server::start().await;
    let api = server.api();
    let session = api.session().await;
    let mut stream = api.stream(&session, "").await;
    stream.next().await.expect("connected");
    server.terminate();
    let farewell = stream.next().await.expect("a frame");
    assert_eq!(farewell.event, "disconnecting");
    assert_eq!((&farewell.data["reason"], farewell.data["retry_ms"].is_u64()), (&json!("shutdown"), true));
    assert_eq!(stream.next().await, None);
    assert!(server.ended().await, "it ends well");
}
