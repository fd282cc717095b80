//! A stand-in for the host, for native tests of a capability.
//!
//! Each thread has its own, and so has each test. Like the real host it denies what was not
//! granted: buckets, files, secrets and HTTP have to be set up first. Clock and random numbers are
//! the same in every run.
//!
//! ```
//! # use everwit_guest::prelude::*;
//! # /// Counts.
//! # #[tool]
//! # fn count() -> Result<u64> {
//! #     Ok(everwit_guest::kv::bucket("notes").put("n", "1", everwit_guest::kv::Expect::Any)?)
//! # }
//! # capability! { id: "c", title: "C", summary: "C.", tools: [count] }
//! # fn main() {
//! use everwit_guest::testing;
//! use serde_json::json;
//!
//! testing::grant_bucket("notes");
//! let output = testing::call::<ThisCapability>("count", &json!({})).expect("is granted");
//! assert_eq!(output, json!(1));
//! # }
//! ```

pub(crate) mod imports;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::bindings::everwit::{http::types as http_wit, kv::store as kv_wit};
use crate::{Capability, Context, Output, Part, Result, call, http, log, tools};

/// When the stand-in's clock starts: 2024-01-01T00:00:00Z in milliseconds since the epoch.
pub const START_MS: u64 = 1_704_067_200_000;

/// The time that a call has, as far as the stand-in tells: 30 s, in milliseconds.
const CALL_MS: u64 = 30_000;

thread_local! {
    static HOST: RefCell<Host> = RefCell::new(Host::new());
}

/// A line that was logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Severity.
    pub level: log::Level,
    /// The message.
    pub message: String,
    /// The fields, in order.
    pub fields: Vec<(String, String)>,
}

/// A request as the gateway would have got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Method.
    pub method: String,
    /// Absolute URL.
    pub url: String,
    /// Header fields in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What a server answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, for readers of bytes.
    pub body: Vec<u8>,
    /// The events, for readers of server-sent events.
    pub events: Vec<http::Event>,
}

impl HttpAnswer {
    /// An answer with status 200 and this body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        HttpAnswer::status(200, body)
    }

    /// An answer with this status and body.
    pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Self {
        HttpAnswer { status, body: body.into(), ..HttpAnswer::default() }
    }
}

/// Calls a tool with a default [`Context`] and returns its structured result, or its text if
/// it returned only that.
///
/// # Errors
/// As [`Capability::call`]. Also if the arguments, or what came back, have no JSON form.
pub fn call<C: Capability>(name: &str, arguments: &Value) -> Result<Value> {
    call_in::<C>(&Context::default(), name, arguments)
}

/// Calls a tool as [`call()`] does, in this context.
///
/// # Errors
/// As [`call()`].
pub fn call_in<C: Capability>(context: &Context, name: &str, arguments: &Value) -> Result<Value> {
    let output = C::call(context, name, &arguments.to_string())?;
    if let Some(json) = output.as_structured() {
        return Ok(serde_json::from_str(json.as_str())?);
    }
    let text = output.parts().iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    Ok(Value::String(text.collect()))
}

/// Forgets everything that was set up or recorded on this thread.
pub fn reset() {
    HOST.set(Host::new());
}

/// Sets the clock, in milliseconds since the Unix epoch. Each look at it moves it on by 1 ms.
pub fn set_now_ms(now: u64) {
    with(|host| host.now_ms = now);
}

/// Makes the host ask the call to stop.
pub fn stop(reason: call::Stop) {
    with(|host| host.stop = Some(reason));
}

/// Grants an empty bucket.
pub fn grant_bucket(name: impl Into<String>) {
    with(|host| host.buckets.insert(name.into()));
}

/// Grants the session's files: for reading, or for writing too.
pub fn grant_files(write: bool) {
    with(|host| host.file_access = Some(write));
}

/// Puts a file into the session; the path from the root, `/a/b`.
pub fn put_file(path: impl Into<String>, content: impl Into<Vec<u8>>) {
    with(|host| host.files.insert(path.into(), content.into()));
}

/// The content of a file of the session; `None` if there is none.
pub fn file(path: &str) -> Option<Vec<u8>> {
    with(|host| host.files.get(path).cloned())
}

/// Binds a secret; the audience reads like "api.example.com header:authorization".
pub fn bind_secret(name: impl Into<String>, audience: impl Into<String>) {
    with(|host| host.secrets.insert(name.into(), audience.into()));
}

/// Answers HTTP requests from now on. The function must make no requests itself.
pub fn answer_http(answer: impl FnMut(HttpRequest) -> Result<HttpAnswer, http::Fault> + 'static) {
    with(|host| host.answer = Some(Box::new(answer)));
}

/// Answers calls of other tools from now on, each with its name and arguments. The function must call none itself.
pub fn answer_tools(answer: impl FnMut(&str, Value) -> Result<Output, tools::Fault> + 'static) {
    with(|host| host.tools = Some(Box::new(answer)));
}

/// What was logged so far.
pub fn logged() -> Vec<LogLine> {
    with(|host| host.logged.clone())
}

/// What was reported as progress so far: done, total, note.
pub fn progressed() -> Vec<(u64, Option<u64>, Option<String>)> {
    with(|host| host.progressed.clone())
}

/// How many parts were emitted so far.
pub fn emitted() -> usize {
    with(|host| host.emitted)
}

type Answer = Box<dyn FnMut(HttpRequest) -> Result<HttpAnswer, http::Fault>>;

type ToolAnswer = Box<dyn FnMut(&str, Value) -> Result<Output, tools::Fault>>;

struct Host {
    now_ms: u64,
    random: u64,
    stop: Option<call::Stop>,
    buckets: BTreeSet<String>,
    entries: BTreeMap<(String, String), kv_wit::Entry>,
    /// Whether files may be written; none if they may not even be read.
    file_access: Option<bool>,
    files: BTreeMap<String, Vec<u8>>,
    secrets: BTreeMap<String, String>,
    answer: Option<Answer>,
    tools: Option<ToolAnswer>,
    logged: Vec<LogLine>,
    progressed: Vec<(u64, Option<u64>, Option<String>)>,
    emitted: usize,
}

impl Host {
    fn new() -> Self {
        Host {
            now_ms: START_MS,
            random: 0,
            stop: None,
            buckets: BTreeSet::new(),
            entries: BTreeMap::new(),
            file_access: None,
            files: BTreeMap::new(),
            secrets: BTreeMap::new(),
            answer: None,
            tools: None,
            logged: Vec::new(),
            progressed: Vec::new(),
            emitted: 0,
        }
    }

    fn tick(&mut self) -> u64 {
        self.now_ms += 1;
        self.now_ms
    }

    /// The next number of SplitMix64: good enough to be uneven, and the same in every run.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn with<T>(f: impl FnOnce(&mut Host) -> T) -> T {
    HOST.with_borrow_mut(f)
}

/// What is left of an answer, behind the interface of the response resource.
#[derive(Debug)]
pub(crate) struct Reading {
    head: http_wit::Head,
    body: RefCell<VecDeque<u8>>,
    events: RefCell<VecDeque<http::Event>>,
}

impl From<HttpAnswer> for Reading {
    fn from(answer: HttpAnswer) -> Self {
        // The host reads dates as well.
        let seconds = answer.headers.iter().find(|(name, _)| name == "retry-after").and_then(|(_, value)| value.parse().ok());
        let retry_after_ms = seconds.map(|seconds: u64| seconds * 1_000);
        Reading {
            head: http_wit::Head { status: answer.status, headers: answer.headers, retry_after_ms },
            body: RefCell::new(answer.body.into()),
            events: RefCell::new(answer.events.into()),
        }
    }
}
