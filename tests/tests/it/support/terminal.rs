//! Commands at a terminal, with somebody who reads and types.

use std::process::{Output, Stdio};

use serde_json::json;
use tokio::process::Command;

use super::EVERWIT;

/// Runs a command at a terminal of its own, types each answer once its prompt is on the screen, and prints what was there.
const TERMINAL: &str = r#"
import json, os, pty, sys
dialogue, command = json.loads(sys.argv[1]), sys.argv[2:]
child, screen = pty.fork()
if child == 0:
    os.execv(command[0], command)
shown, read_to = b"", 0
while True:
    try:
        piece = os.read(screen, 4096)
    except OSError:
        break
    if not piece:
        break
    shown += piece
    while dialogue and (place := shown.find(dialogue[0][0].encode(), read_to)) >= 0:
        prompt, answer = dialogue.pop(0)
        read_to = place + len(prompt)
        os.write(screen, answer.encode())
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

/// Runs `everwit` at a terminal: `dialogue` has pairs of a prompt and what is typed at it. The screen is in the output's stdout.
pub(crate) async fn at_a_terminal(args: &[&str], dialogue: &[(&str, &str)]) -> Output {
    let mut python = Command::new("python3");
    python.args(["-c", TERMINAL, &json!(dialogue).to_string(), EVERWIT]).args(args).env("NO_COLOR", "1");
    python.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("python3 runs")
}
