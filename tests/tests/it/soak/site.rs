//! The processes that a soak kills: one server, or a server and its workers.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// A debug build on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The process that serves the API.
const SERVER: usize = 0;

/// What of a site can be killed, and started again on the same data.
pub(crate) struct Site {
    members: Vec<Member>,
    /// What they all are.
    program: PathBuf,
    /// Where the API is; none while it is not.
    url: watch::Sender<Option<String>>,
    home: TempDir,
}

/// A process.
struct Member {
    name: &'static str,
    args: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Site {
    /// Starts processes by name and arguments, in this order. The first one serves the API.
    pub(crate) async fn start(home: TempDir, program: impl Into<PathBuf>, members: Vec<(&'static str, Vec<String>)>) -> Self {
        let member = |(name, args)| Member { name, args, log: home.path().join(format!("{name}.log")), child: None };
        let members = members.into_iter().map(member).collect();
        let mut site = Self { members, program: program.into(), url: watch::Sender::new(None), home };
        for index in 0..site.members.len() {
            site.begin(index).await;
        }
        site
    }

    /// How many processes there are.
    pub(crate) fn size(&self) -> usize {
        self.members.len()
    }

    /// Where the API is, now and later.
    pub(crate) fn url(&self) -> watch::Receiver<Option<String>> {
        self.url.subscribe()
    }

    /// Kills a process as a power cut would, and starts it again.
    pub(crate) async fn kill_and_restart(&mut self, index: usize) {
        if index == SERVER {
            self.url.send_replace(None);
        }
        self.members[index].child.as_mut().expect("it runs").kill().await.expect("it is killed");
        self.begin(index).await;
    }

    async fn begin(&mut self, index: usize) {
        let member = &mut self.members[index];
        let log = File::options().create(true).append(true).open(&member.log).expect("the log is opened");
        let mut command = Command::new(&self.program);
        command.args(&member.args).env_clear().stdin(Stdio::null()).kill_on_drop(true);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let line = tokio::time::timeout(START_LIMIT, lines.next_line()).await.expect("it starts in time");
        let Ok(Some(line)) = line else { panic!("the {} ended: {}", member.name, read(&member.log)) };
        // It prints this line once it works.
        let line: Value = serde_json::from_str(&line).expect("the first line is JSON");
        member.child = Some(child);
        if index == SERVER {
            self.url.send_replace(line["url"].as_str().map(str::to_owned));
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for member in &self.members {
                let log = read(&member.log);
                let shown = log.len().saturating_sub(20_000);
                eprintln!(
                    "the end of the log of the {} in {}:\n{}",
                    member.name,
                    self.home.path().display(),
                    &log[log.ceil_char_boundary(shown)..]
                );
            }
        }
    }
}

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}
