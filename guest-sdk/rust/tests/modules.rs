//! The modules over the host's interfaces, against the native stand-in.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use everwit_guest::kv::{Expect, Fault};
use everwit_guest::testing::{self, HttpAnswer};
use everwit_guest::{Failure, call, clock, files, http, kv, log, random, secrets, tools};
use serde_json::json;

#[test]
fn entries_have_versions() {
    testing::grant_bucket("b");
    let bucket = kv::bucket("b");
    assert_eq!(bucket.get("k").unwrap(), None);
    assert_eq!(bucket.put("k", "one", Expect::Absent), Ok(1));
    assert_eq!(bucket.put("k", "two", Expect::Absent), Err(Fault::Conflict));
    assert_eq!(bucket.put("k", "two", Expect::Version(1)), Ok(2));
    assert_eq!(bucket.remove("k", Expect::Version(1)), Err(Fault::Conflict));
    let entry = bucket.get("k").unwrap().unwrap();
    assert_eq!((entry.value.as_slice(), entry.version), (&b"two"[..], 2));
    assert_eq!(bucket.remove("k", Expect::Any), Ok(()));
    assert_eq!(bucket.remove("k", Expect::Any), Ok(()));
    let failure = Failure::from(Fault::Conflict);
    assert_eq!(failure.kind(), "conflict");
    assert!(failure.is_retryable());
}

#[test]
fn values_are_stored_as_json() {
    testing::grant_bucket("b");
    let bucket = kv::bucket("b");
    bucket.put_json("k", &vec![1, 2], Expect::Any).unwrap();
    let entry = bucket.get_json::<Vec<i32>>("k").unwrap().unwrap();
    assert_eq!(entry.value, [1, 2]);
    let failure = bucket.get_json::<String>("k").unwrap_err();
    assert_eq!(failure.code(), "invalid_entry");
}

#[test]
fn keys_are_listed_over_pages() {
    testing::grant_bucket("b");
    let bucket = kv::bucket("b");
    for index in 0..600 {
        bucket.put(&format!("x{index:03}"), "", Expect::Any).unwrap();
    }
    bucket.put("y", "", Expect::Any).unwrap();
    let keys: Vec<_> = bucket.keys("x").collect::<Result<_, _>>().unwrap();
    assert_eq!(keys.len(), 600);
    assert_eq!((&*keys[0], &*keys[599]), ("x000", "x599"));
    let denied: Vec<_> = kv::bucket("c").keys("").collect();
    assert!(matches!(denied[..], [Err(Fault::Denied(_))]));
}

#[test]
fn files_are_read_listed_and_written_as_granted() {
    testing::put_file("/notes/a.txt", "abc");
    assert!(matches!(files::read("notes/a.txt"), Err(files::Fault::Denied(_))));
    testing::grant_files(false);
    assert_eq!(files::read_text("/workspace/notes/a.txt").unwrap(), "abc");
    let piece = files::read_at("notes/a.txt", 1, 1).unwrap();
    assert_eq!((&*piece.bytes, piece.size), (&b"b"[..], 3));
    assert_eq!(files::read("nothing"), Err(files::Fault::NotFound));
    assert!(matches!(files::read("notes"), Err(files::Fault::Unfit(_))));
    assert!(matches!(files::read("notes/../a.txt"), Err(files::Fault::InvalidPath(_))));
    assert!(matches!(files::write("b", "", files::Expect::Any), Err(files::Fault::Denied(_))));
    testing::grant_files(true);
    let revision = files::write("notes/b.txt", "one", files::Expect::Absent).unwrap();
    assert_eq!(files::write("notes/b.txt", "two", files::Expect::Absent), Err(files::Fault::Conflict));
    files::write("notes/b.txt", "two", files::Expect::Revision(&revision)).unwrap();
    assert_eq!(files::write("notes/b.txt", "three", files::Expect::Revision(&revision)), Err(files::Fault::Conflict));
    assert_eq!(testing::file("/notes/b.txt").unwrap(), b"two");
    let paths = |entries: files::Entries| entries.map(|entry| entry.unwrap().path).collect::<Vec<_>>();
    assert_eq!(paths(files::list("/")), ["/notes"]);
    assert_eq!(paths(files::list_all("/")), ["/notes", "/notes/a.txt", "/notes/b.txt"]);
    assert!(files::stat("notes").unwrap().unwrap().directory);
    assert_eq!((files::remove("notes/b.txt"), files::remove("notes/b.txt")), (Ok(true), Ok(false)));
    assert_eq!(Failure::from(files::Fault::Conflict).kind(), "conflict");
}

#[test]
fn files_are_listed_over_pages() {
    testing::grant_files(false);
    (0..600).for_each(|index| testing::put_file(format!("/x/{index:03}"), ""));
    let paths: Vec<_> = files::list("x").map(|entry| entry.unwrap().path).collect();
    assert_eq!((paths.len(), &*paths[0], &*paths[599]), (600, "/x/000", "/x/599"));
}

#[test]
fn other_tools_are_called_as_granted() {
    assert!(matches!(tools::call("math/add", &json!({})), Err(tools::Fault::Denied(_))));
    testing::answer_tools(|name, arguments| match name {
        "math/add" => Ok(everwit_guest::Output::data(&(arguments["a"].as_i64().unwrap() + 1)).unwrap()),
        _ => Err(tools::Fault::Failed(Failure::not_found("no_city", "there is no such city").retryable(true))),
    });
    assert_eq!(tools::call_as::<i64>("math/add", &json!({"a": 1})), Ok(2));
    assert_eq!(tools::call_as::<String>("math/add", &json!({"a": 1})).unwrap_err().code(), "unexpected_result");
    let failure = Failure::from(tools::call("weather/now", &json!({})).unwrap_err());
    assert_eq!((failure.kind(), failure.code(), failure.is_retryable()), ("not-found", "no_city", true));
}

#[test]
fn requests_are_built() {
    testing::answer_http(|request| {
        assert_eq!(request.method, "POST");
        assert_eq!(request.url, "https://example.com/a?x=1&na%20me=%C3%A4%26%3D");
        assert_eq!(request.headers, [("accept".into(), "text/plain".into()), ("content-type".into(), "application/json".into()),]);
        assert_eq!(request.body, br#"{"a":1}"#);
        Ok(HttpAnswer::ok("done"))
    });
    let response = http::post("https://example.com/a?x=1#top")
        .query("na me", "ä&=")
        .header("accept", "text/plain")
        .json(&json!({"a": 1}))
        .timeout(Duration::from_secs(1))
        .send()
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().unwrap(), "done");
}

#[test]
fn bodies_are_read_up_to_a_limit() {
    let body = vec![b'x'; 300 * 1024];
    testing::answer_http(move |_| Ok(HttpAnswer::ok(body.clone())));
    let get = || http::get("https://example.com/").send().unwrap();
    assert_eq!(get().bytes().unwrap().len(), 300 * 1024);
    let fault = get().limit(1000).bytes().unwrap_err();
    assert_eq!(fault.kind, "limit");
    assert_eq!(Failure::from(fault).kind(), "upstream");
}

#[test]
fn statuses_become_failures() {
    let status = Rc::new(Cell::new(0));
    let answered = status.clone();
    testing::answer_http(move |_| {
        Ok(HttpAnswer { headers: vec![("retry-after".into(), "7".into())], ..HttpAnswer::status(answered.get(), "x".repeat(5000)) })
    });
    let check = |code: u16, kind: &str, pause: Option<u64>| {
        status.set(code);
        let response = http::get("https://example.com/").send().unwrap();
        let failure = response.successful().unwrap_err();
        assert_eq!(failure.kind(), kind, "{code}");
        assert_eq!(failure.retry_after(), pause.map(Duration::from_secs), "{code}");
        assert!(failure.message().len() < 600);
    };
    check(302, "upstream", None);
    check(400, "upstream", None);
    check(401, "denied", None);
    check(404, "not-found", None);
    check(409, "conflict", None);
    check(429, "rate-limited", Some(7));
    check(503, "upstream", Some(7));
    check(504, "timeout", Some(7));
    status.set(204);
    let response = http::get("https://example.com/").send().unwrap();
    assert!(response.successful().is_ok());
}

#[test]
fn faults_become_failures() {
    let fault = http::get("https://example.com/").send().unwrap_err();
    assert_eq!(Failure::from(fault).kind(), "denied");
    let check = |kind: &str, failure: &str, retryable: bool| {
        let fault = http::Fault { kind: kind.into(), message: "m".into(), request_sent: false, retry_after: None };
        let converted = Failure::from(fault);
        assert_eq!(converted.kind(), failure);
        assert_eq!(converted.is_retryable(), retryable, "{kind}");
    };
    check("timeout", "timeout", true);
    check("dns", "upstream", true);
    check("limit", "upstream", false);
    check("invalid", "internal", false);
    check("cancelled", "cancelled", false);
    check("of-next-year", "upstream", false);
}

#[test]
fn a_body_without_json_form_is_reported_when_sent() {
    testing::answer_http(|_| unreachable!("is never sent"));
    let map = std::collections::BTreeMap::from([(vec![1], 2)]);
    let fault = http::post("https://example.com/").json(&map).send();
    assert_eq!(fault.unwrap_err().kind, "invalid");
}

#[test]
fn events_are_iterated() {
    let event = |data: &str| http::Event { event: "message".into(), data: data.into(), id: String::new() };
    let events = vec![event("a"), event("b")];
    testing::answer_http(move |_| Ok(HttpAnswer { events: events.clone(), ..HttpAnswer::ok("") }));
    let response = http::get("https://example.com/").send().unwrap();
    let data: Vec<_> = response.events().map(|event| event.unwrap().data).collect();
    assert_eq!(data, ["a", "b"]);
}

#[test]
fn secrets_are_tokens() {
    let failure = Failure::from(secrets::open("key").unwrap_err());
    assert_eq!((failure.kind(), failure.code()), ("denied", "secret_unavailable"));
    testing::bind_secret("key", "example.com header:x-key");
    let secret = secrets::open("key").unwrap();
    assert_eq!(secret.token(), "token-of-key");
    assert_eq!(secret.audience(), "example.com header:x-key");
    assert_eq!(secret.reveal().unwrap(), b"token-of-key");
}

#[test]
fn random_numbers_are_in_range() {
    let mut seen = [0_u32; 6];
    for _ in 0..600 {
        seen[usize::try_from(random::below(6)).unwrap()] += 1;
    }
    assert!(seen.iter().all(|&count| count > 50), "{seen:?}");
    assert_eq!(random::below(1), 0);
    let mut large = vec![0; 70_000];
    random::fill(&mut large);
    assert!(large[65_536..].iter().any(|&byte| byte != 0));
    assert_ne!(random::bytes::<16>(), random::bytes::<16>());
}

#[test]
fn clock_and_call_tell_the_time() {
    testing::set_now_ms(testing::START_MS);
    assert_eq!(clock::now_ms(), testing::START_MS + 1);
    assert!(clock::monotonic() < clock::monotonic());
    assert!(clock::now() > std::time::SystemTime::UNIX_EPOCH);
    assert!(call::remaining() > Duration::from_secs(29));
    assert_eq!(call::stopped(), None);
    testing::stop(call::Stop::Cancelled);
    assert_eq!(call::stopped(), Some(call::Stop::Cancelled));
    assert_eq!(call::emit([everwit_guest::Part::Text("x".into())]), Err(call::Stop::Cancelled));
    assert_eq!(testing::emitted(), 1);
}

#[test]
fn log_lines_have_fields() {
    log::write(log::Level::Warn, "slow", &[("ms", &950), ("host", &"a")]);
    let line = testing::logged().pop().unwrap();
    assert_eq!((line.level, &*line.message), (log::Level::Warn, "slow"));
    assert_eq!(line.fields, [("ms".into(), "950".into()), ("host".into(), "a".into())]);
}
