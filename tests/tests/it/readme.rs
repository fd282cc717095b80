//! The README's walkthrough, word for word, against a server of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::tidy;

#[test]
fn the_walkthrough_runs_as_written() {
    let script = blocks(&fs::read_to_string(tidy::root().join("README.md")).expect("the README is readable"), "bash");
    let folder = tempfile::tempdir().expect("a temporary directory can be made");
    // The walkthrough names components as seen from the checkout, wherever cargo puts them.
    symlink(target(), folder.path().join("target")).expect("a link can be made");
    let server = Server::start(&folder.path().join("data"));
    let mut bash = Command::new("bash");
    bash.args(["-euc", &script]).current_dir(folder.path()).env("EVERWIT_URL", &server.url);
    let output = bash.output().expect("bash can be started");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    let receipts = stdout.lines().filter(|line| line.contains("\"type\":\"tool.completed\""));
    let receipts: Vec<&str> = receipts.filter(|line| line.contains("\"status\":\"success\"") && line.contains("\"receipt\"")).collect();
    assert_eq!(receipts.len(), 2, "two calls succeed, each with a receipt:\n{stdout}");
    assert!(stdout.contains("event: session.idled"), "the turn ends:\n{stdout}");
}

/// The contents of a document's fenced blocks in one language, in order.
fn blocks(document: &str, language: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in document.lines() {
        match line.strip_prefix("```") {
            Some(info) => inside = !inside && info == language,
            None if inside => text.extend([line, "\n"]),
            None => {}
        }
    }
    assert!(!text.is_empty(), "the README has no {language} block");
    text
}

/// Cargo's target directory.
fn target() -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    scratch.parent().expect("it lies in the target directory").to_owned()
}

/// The `everwit` binary as a server on a loopback port; ended when dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(data: &Path) -> Self {
        let everwit = target().join("debug/everwit");
        let mut serve = Command::new(&everwit);
        serve.args(["serve", "--json", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data).stdout(Stdio::piped());
        let spawned = serve.spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask test` builds it", everwit.display()));
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output is piped");
        BufReader::new(stdout).read_line(&mut line).expect("its output is readable");
        let announced: serde_json::Value = serde_json::from_str(&line).expect("its first line is JSON");
        let url = announced["url"].as_str().expect("it says where it listens").to_owned();
        Self { child, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().expect("it runs until here");
        self.child.wait().expect("it was started here");
    }
}
