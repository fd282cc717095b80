//! What people use instead: a process for each call, or a warm process spoken to over stdio.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

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

/// A warm process that adds numbers.
pub(crate) struct Peer {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    line: String,
}

/// The warm processes, by name.
pub(crate) fn peers() -> Vec<(&'static str, Peer)> {
    vec![("node-json-rpc", Peer::start("node", &["-e", NODE])), ("python-json-rpc", Peer::start("python3", &["-c", PYTHON]))]
}

impl Peer {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let command = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = command.unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut peer = Self { child, stdin, stdout, line: String::new() };
        peer.round_trip();
        peer
    }

    /// One request and its answer.
    pub(crate) fn round_trip(&mut self) {
        self.stdin.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"add\",\"params\":{\"a\":2.0,\"b\":3.0}}\n").expect("written");
        self.line.clear();
        self.stdout.read_line(&mut self.line).expect("an answer");
        assert!(self.line.contains("\"result\""), "{}", self.line);
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
        let peer = Pid::from_child(&peer.child);
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

impl Drop for Peer {
    fn drop(&mut self) {
        // It has ended by itself if this fails, and nothing is to be done.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
