//! What people use instead: a process for each call, or a warm process spoken to over stdio.

use std::process::{Command, Stdio};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};

/// Spawns and awaits the smallest process.
pub(crate) fn spawn_true() {
    let status = Command::new("/bin/true").status().expect("/bin/true runs");
    assert!(status.success());
}

const NODE: &str = r#"
require('readline').createInterface({ input: process.stdin }).on('line', line => {
  const { id, params } = JSON.parse(line);
  process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result: params.a + params.b }) + '\n');
});
"#;

const PYTHON: &str = r#"
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    result = request["params"]["a"] + request["params"]["b"]
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}) + "\n")
    sys.stdout.flush()
"#;

/// A warm process that adds numbers, and what a turn has of it: pipes that it awaits, because
/// whoever runs many turns has no thread for each call.
pub(crate) struct Peer {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    line: String,
    last: u64,
}

/// The warm processes, by name.
pub(crate) async fn peers() -> Vec<(&'static str, Peer)> {
    let node = Peer::start("node", &["-e", NODE]).await;
    let python = Peer::start("python3", &["-c", PYTHON]).await;
    vec![("node-json-rpc", node), ("python-json-rpc", python)]
}

impl Peer {
    async fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = tokio::process::Command::new(program);
        let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut peer = Self { child, stdin, stdout, line: String::new(), last: 0 };
        peer.round_trip().await;
        peer
    }

    /// One request and its answer.
    pub(crate) async fn round_trip(&mut self) -> Value {
        self.last += 1;
        let mut request = json!({ "jsonrpc": "2.0", "id": self.last, "method": "add", "params": { "a": 2.0, "b": 3.0 } }).to_string();
        request.push('\n');
        self.stdin.write_all(request.as_bytes()).await.expect("written");
        self.line.clear();
        self.stdout.read_line(&mut self.line).await.expect("an answer");
        let mut answer: Value = serde_json::from_str(&self.line).expect("JSON");
        assert_eq!(answer["id"], self.last, "{answer}");
        let sum = answer["result"].take();
        assert!(sum == 5.0, "{sum}");
        sum
    }
}

/// Keeps this thread and a peer on one core until it is dropped. They take turns anyway; what it
/// takes away is the time in which an idle core wakes up, which is most of a round trip on an idle
/// machine and absent on a busy one.
pub(crate) struct OneCore {
    peer: Pid,
    before: CpuSet,
}

impl OneCore {
    pub(crate) fn with(peer: &Peer) -> Self {
        let id = peer.child.id().and_then(|id| i32::try_from(id).ok());
        let peer = id.and_then(Pid::from_raw).expect("the peer runs");
        let before = sched_getaffinity(None).expect("Linux");
        let first = (0..CpuSet::MAX_CPU).find(|&core| before.is_set(core)).expect("this thread may run somewhere");
        let mut one = CpuSet::new();
        one.set(first);
        set(peer, &one);
        Self { peer, before }
    }
}

impl Drop for OneCore {
    fn drop(&mut self) {
        set(self.peer, &self.before);
    }
}

fn set(peer: Pid, cores: &CpuSet) {
    sched_setaffinity(None, cores).expect("the cores are among those that were allowed");
    sched_setaffinity(Some(peer), cores).expect("the peer is a child");
}
