//! The command `everwit serve` as a child process, and clients that have turns.

use std::path::PathBuf;
use std::process::Stdio;

use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::Client as Http;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::load::Client;

/// More than any benchmark asks for in a minute.
const TURNS_PER_MINUTE: &str = "100000";

/// A running server; killed when dropped.
pub(crate) struct Server {
    url: String,
    _child: Child,
}

impl Server {
    /// On a data directory, and on a PostgreSQL database if there is one.
    pub(crate) async fn start(data: PathBuf, database: Option<String>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_everwit-under-test"));
        command.env_clear().kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.args(["serve", "--listen", "127.0.0.1:0", "--json", "--org-turns-per-minute", TURNS_PER_MINUTE, "--data-dir"]).arg(data);
        command.args(database.iter().flat_map(|url| ["--database", url]));
        let mut child = command.spawn().expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let line = lines.next_line().await.expect("a line").expect("the server starts");
        let announcement: Value = serde_json::from_str(&line).expect("the first line is JSON");
        Self { url: announcement["url"].as_str().expect("it has the URL").to_owned(), _child: child }
    }

    /// A client with a session of its own, whose events it watches, and a connection for each.
    pub(crate) async fn client(&self, text: &'static str) -> Turns {
        let http = Http::builder().no_proxy().tcp_nodelay(true).build().expect("a client");
        let made = http.post(format!("{}/v1/sessions", self.url)).json(&json!({ "capabilities": [{ "ref": "current_time" }] }));
        let made: Value = made.send().await.expect("an answer").json().await.expect("a session");
        let session = made["id"].as_str().expect("an id");
        let stream = http.get(format!("{}/v1/sessions/{session}/sse", self.url)).send().await.expect("a stream");
        let events = stream.bytes_stream().map(|piece| piece.expect("the stream goes on").to_vec()).boxed();
        Turns {
            messages: format!("{}/v1/sessions/{session}/messages", self.url),
            http,
            events,
            seen: Vec::new(),
            text,
            calls_tool: text.starts_with("/call"),
        }
    }
}

/// Has turns.
pub(crate) struct Turns {
    http: Http,
    messages: String,
    events: BoxStream<'static, Vec<u8>>,
    /// What came behind the last end of a turn.
    seen: Vec<u8>,
    text: &'static str,
    calls_tool: bool,
}

impl Client for Turns {
    /// Sends a message, and reads events until the turn is over.
    async fn send(&mut self) {
        const END: &[u8] = b"event: session.idled\n";
        let body = json!({ "message": { "content": [{ "type": "text", "text": self.text }] } });
        let answer = self.http.post(&self.messages).json(&body).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 201);
        answer.bytes().await.expect("the stored message");
        let mut searched = 0;
        let end = loop {
            if let Some(at) = find(&self.seen[searched..], END) {
                break searched + at + END.len();
            }
            // The end may have begun in what was searched.
            searched = self.seen.len().saturating_sub(END.len());
            self.seen.extend(self.events.next().await.expect("the stream goes on"));
        };
        let turn: Vec<u8> = self.seen.drain(..end).collect();
        assert_eq!(find(&turn, b"event: tool.completed\n").is_some(), self.calls_tool, "the turn is what it is measured as");
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
