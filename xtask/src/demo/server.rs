//! The server that the demo talks to: started, waited for, ended with the demo.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::process::{Error, Result, line, not_started, read};

/// How long the server may take to be ready; a debug build compiles its first engine in that time.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take to end its streams and turns.
const STOPPED_WITHIN: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(50);

/// A running server. Dropping it ends the process.
pub(crate) struct Server {
    child: Child,
    url: String,
    key: String,
    told_to_end: Arc<AtomicBool>,
}

impl Server {
    /// Makes a key and starts the server on a free loopback port.
    pub(crate) fn start(everwit: &Path, data_dir: &Path) -> Result<Self> {
        let key = make_key(everwit, data_dir)?;
        let told_to_end = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            let registered = signal_hook::flag::register(signal, Arc::clone(&told_to_end));
            registered.map_err(|error| Error::new(format!("signal {signal} cannot be watched: {error}")))?;
        }
        let mut serve = Command::new(everwit);
        serve.args(["serve", "--json", "--log", "warn", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
        let child = serve.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| not_started(&serve, &error))?;
        let mut server = Self { child, url: String::new(), key, told_to_end };
        let started = server.child.stdout.take().and_then(first_line);
        let address = started.and_then(|line| serde_json::from_str::<Value>(&line).ok()?["url"].as_str().map(str::to_owned));
        let fix = "the lines above say why";
        server.url = address.ok_or_else(|| Error::new(format!("the server does not say where it listens: {}", line(&serve))).fix(fix))?;
        server.until_ready(&line(&serve))?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    fn until_ready(&mut self, command: &str) -> Result<()> {
        let started = Instant::now();
        let ready = format!("{}/readyz", self.url);
        loop {
            if let Some(status) = self.status()? {
                return Err(Error::new(format!("the server ended before it was ready, {status}: {command}")));
            }
            if read(Command::new("curl").args(["--silent", "--fail", "--noproxy", "*", "--max-time", "2", &ready])).is_ok() {
                eprintln!("  {}", self.url);
                return Ok(());
            }
            if self.told_to_end.load(Ordering::Relaxed) {
                return Err(Error::new("interrupted"));
            }
            if started.elapsed() > READY_WITHIN {
                return Err(Error::new(format!("{ready} did not answer within {} s: {command}", READY_WITHIN.as_secs())));
            }
            pause();
        }
    }

    /// Keeps the server running until this process is told to end, then ends it.
    pub(crate) fn wait(mut self) -> Result<()> {
        while !self.told_to_end.load(Ordering::Relaxed) {
            if let Some(status) = self.status()? {
                return ended(status);
            }
            pause();
        }
        self.stop()
    }

    /// Asks the server to end, as a service manager would, and waits for it.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let id = self.child.id().to_string();
        read(Command::new("sh").args(["-c", "kill -TERM \"$0\"", &id]))?;
        let asked = Instant::now();
        while asked.elapsed() < STOPPED_WITHIN {
            if let Some(status) = self.status()? {
                return ended(status);
            }
            pause();
        }
        Err(Error::new(format!("the server did not end within {} s of SIGTERM", STOPPED_WITHIN.as_secs())))
    }

    fn status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().map_err(|error| Error::new(format!("the server's state is unknown: {error}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ended(status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { Err(Error::new(format!("the server ended with {status}"))) }
}

fn make_key(everwit: &Path, data_dir: &Path) -> Result<String> {
    let mut create = Command::new(everwit);
    create.args(["keys", "create", "demo", "--scope", "admin", "--json", "--data-dir"]).arg(data_dir);
    let printed = read(&mut create)?;
    let answer: Value = serde_json::from_str(&printed).unwrap_or_default();
    let key = answer["key"].as_str().map(str::to_owned);
    key.ok_or_else(|| Error::new(format!("no key in {printed:?}: {}", line(&create))))
}

/// The first line of an output, if it comes in time. What follows is read and dropped, so that the
/// writer never waits.
fn first_line(output: ChildStdout) -> Option<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
            // Nobody listens after the first line.
            let _ = sender.send(line);
        }
    });
    receiver.recv_timeout(READY_WITHIN).ok()
}

#[expect(clippy::disallowed_methods, reason = "there is no executor here to block")]
fn pause() {
    std::thread::sleep(POLL);
}
