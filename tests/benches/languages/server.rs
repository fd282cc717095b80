//! The command `everwit serve`, to which components are uploaded.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::author::Project;

/// A running server; killed when dropped.
pub(crate) struct Server {
    url: String,
    http: Client,
    _child: Child,
}

/// What an upload costs.
pub(crate) struct Upload {
    /// From the request to the answer that says that it is active: checked, compiled, described, stored.
    pub(crate) active: Duration,
    /// The call that comes next.
    pub(crate) first_call: Duration,
    /// Fuel of that call.
    pub(crate) fuel: u64,
    pub(crate) peak_memory_bytes: u64,
    /// Interfaces of WASI that it imports.
    pub(crate) wasi_imports: usize,
}

impl Server {
    /// On an empty data directory.
    pub(crate) async fn start(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_everwit-under-test"));
        command.env_clear().kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.args(["serve", "--listen", "127.0.0.1:0", "--json", "--data-dir"]).arg(data);
        let mut child = command.spawn().expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let line = lines.next_line().await.expect("a line").expect("the server starts");
        let announcement: Value = serde_json::from_str(&line).expect("the first line is JSON");
        let http = Client::builder().no_proxy().tcp_nodelay(true).build().expect("a client");
        Self { url: announcement["url"].as_str().expect("it has the URL").to_owned(), http, _child: child }
    }

    /// Uploads a component and calls its tool once.
    pub(crate) async fn upload(&self, project: &Project) -> Upload {
        let components = format!("{}/v1/components", self.url);
        let request = self.http.post(&components).header("content-type", "application/wasm").body(project.wasm.clone());
        let (active, uploaded) = timed(request).await;
        assert_eq!(uploaded["active"], true, "{uploaded:#}");
        let imports = uploaded["inspection"]["imports"].as_array().expect("a list");
        let wasi_imports = imports.iter().filter(|import| import.as_str().is_some_and(|name| name.starts_with("wasi:"))).count();
        let id = uploaded["component"]["id"].as_str().expect("an id");
        let request = self.http.post(format!("{components}/{id}/call")).json(&json!({ "tool": "greet", "arguments": { "name": "Ada" } }));
        let (first_call, called) = timed(request).await;
        assert_eq!(called["result"]["parts"][0]["text"], "Hello, Ada!", "{called:#}");
        let usage = |name: &str| called["receipt"][name].as_u64().unwrap_or_else(|| panic!("no {name} in {called:#}"));
        Upload { active, first_call, fuel: usage("fuel"), peak_memory_bytes: usage("peak_memory_bytes"), wasi_imports }
    }
}

async fn timed(request: reqwest::RequestBuilder) -> (Duration, Value) {
    let started = Instant::now();
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    let body: Value = answer.json().await.expect("JSON");
    let taken = started.elapsed();
    assert!(status.is_success(), "{status}: {body:#}");
    (taken, body)
}
