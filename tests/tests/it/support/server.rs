//! The real `everwit` command as a child process.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::Api;

/// Path of the command under test.
pub(crate) const EVERWIT: &str = env!("CARGO_BIN_EXE_everwit-under-test");
/// A debug build on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What every server of the tests finds in its environment: credentials and a proxy that nothing
/// may ever use or show.
pub(crate) const POISON: [(&str, &str); 12] = [
    ("OPENAI_API_KEY", CANARY),
    ("ANTHROPIC_API_KEY", CANARY),
    ("GEMINI_API_KEY", CANARY),
    ("GOOGLE_API_KEY", CANARY),
    ("OPENROUTER_API_KEY", CANARY),
    ("AZURE_OPENAI_API_KEY", CANARY),
    ("AWS_ACCESS_KEY_ID", CANARY),
    ("AWS_SECRET_ACCESS_KEY", CANARY),
    ("AWS_SESSION_TOKEN", CANARY),
    ("AWS_BEARER_TOKEN_BEDROCK", CANARY),
    ("HTTPS_PROXY", "http://canary-7f3a.invalid:1"),
    ("HTTP_PROXY", "http://canary-7f3a.invalid:1"),
];
/// Text that is in all values of [`POISON`], and must be nowhere else.
pub(crate) const CANARY: &str = "canary-7f3a";

/// How a server is started.
#[derive(Default)]
pub(crate) struct ServerOptions {
    /// What the simulated model says; interactive if absent.
    pub(crate) script: Option<Value>,
    /// Further arguments.
    pub(crate) args: Vec<String>,
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    /// What it printed at its start.
    pub(crate) announcement: Value,
    options: ServerOptions,
    child: Child,
    home: TempDir,
}

impl Server {
    /// Starts a server without keys on an empty data directory.
    pub(crate) async fn start() -> Self {
        Self::start_with(ServerOptions::default()).await
    }

    /// Starts a server whose model follows a script.
    pub(crate) async fn scripted(script: Value) -> Self {
        Self::start_with(ServerOptions { script: Some(script), ..ServerOptions::default() }).await
    }

    pub(crate) async fn start_with(options: ServerOptions) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        Self::start_in(home, options).await
    }

    /// The same, with a server that a file which may not grow is an error to, and not the end.
    pub(crate) async fn start_ignoring_full_files(options: ServerOptions) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", EVERWIT]);
        Self::start_by(shell, tempfile::tempdir().expect("a temporary directory"), options).await
    }

    async fn start_in(home: TempDir, options: ServerOptions) -> Self {
        Self::start_by(Command::new(EVERWIT), home, options).await
    }

    async fn start_by(mut command: Command, home: TempDir, options: ServerOptions) -> Self {
        isolate(&mut command);
        command.envs(POISON);
        command.args(["serve", "--listen", "127.0.0.1:0", "--json", "--data-dir"]).arg(data_dir(&home));
        if let Some(script) = &options.script {
            let path = home.path().join("script.json");
            std::fs::write(&path, script.to_string()).expect("the script is written");
            command.arg("--llmsim-script").arg(path);
        }
        command.args(&options.args);
        let log = File::options().create(true).append(true).open(log_file(&home)).expect("the log is opened");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let line = tokio::time::timeout(START_LIMIT, lines.next_line()).await.expect("the server starts in time");
        let Ok(Some(line)) = line else { panic!("the server ended: {}", read_log(&home)) };
        let announcement = serde_json::from_str(&line).expect("the first line is JSON");
        Self { announcement, options, child, home }
    }

    /// Kills the server as a power cut would, and starts it again on the same data.
    pub(crate) async fn kill_and_restart(mut self) -> Self {
        self.child.kill().await.expect("the server is killed");
        self.restart().await
    }

    /// The same with other arguments.
    pub(crate) async fn kill_and_restart_with(mut self, args: Vec<String>) -> Self {
        self.options.args = args;
        self.kill_and_restart().await
    }

    /// Starts it again on the same data, once it has ended.
    pub(crate) async fn restart(mut self) -> Self {
        self.child.wait().await.expect("the server has ended");
        let home = std::mem::replace(&mut self.home, tempfile::tempdir().expect("a temporary directory"));
        let options = std::mem::take(&mut self.options);
        drop(self);
        Self::start_in(home, options).await
    }

    /// The same with other arguments.
    pub(crate) async fn restart_with(mut self, args: Vec<String>) -> Self {
        self.options.args = args;
        self.restart().await
    }

    /// Memory of its process that is in use, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let id = self.child.id().expect("the server runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the process tells its state");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has a size");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Bytes that its process has read from files since it started.
    pub(crate) fn bytes_read(&self) -> u64 {
        let id = self.child.id().expect("the server runs");
        let told = std::fs::read_to_string(format!("/proc/{id}/io")).expect("the process tells what it reads");
        let line = told.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("it counts what it reads");
        line.trim().parse().expect("a number")
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> i32 {
        self.child.id().and_then(|id| id.try_into().ok()).expect("the server runs")
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let id = self.child.id().expect("the server runs");
        let status = std::process::Command::new("kill").args(["-TERM", &id.to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "SIGTERM is sent");
    }

    /// Waits for its end; tells whether it ended well.
    pub(crate) async fn ended(&mut self) -> bool {
        self.child.wait().await.expect("the server ends").success()
    }

    /// Its URL, without a slash at the end.
    pub(crate) fn url(&self) -> &str {
        self.announcement["url"].as_str().expect("the announcement has the URL")
    }

    /// A client without a key.
    pub(crate) fn api(&self) -> Api {
        Api::new(self.url(), None)
    }

    /// A client with a new key of the default org, or of a new org.
    pub(crate) async fn api_with_key(&self, scope: &str, new_org: Option<&str>) -> Api {
        let mut command = everwit();
        command.args(["keys", "create", "--scope", scope, "--json", "--data-dir"]).arg(self.data_dir());
        if let Some(name) = new_org {
            command.args(["--new-org", name]);
        }
        let output = command.output().await.expect("the command runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let made: Value = serde_json::from_slice(&output.stdout).expect("the command prints JSON");
        Api::new(self.url(), made["key"].as_str().map(str::to_owned))
    }

    /// Where it keeps its data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        data_dir(&self.home)
    }

    /// Where it logs.
    pub(crate) fn log_file(&self) -> PathBuf {
        log_file(&self.home)
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        read_log(&self.home)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of the server:\n{}", self.log());
        }
    }
}

/// The command with nothing of this process's environment.
pub(crate) fn everwit() -> Command {
    let mut command = Command::new(EVERWIT);
    isolate(&mut command);
    command
}

fn isolate(command: &mut Command) {
    command.env_clear().envs(super::mutation::environment()).stdin(Stdio::null()).kill_on_drop(true);
}

fn data_dir(home: &TempDir) -> PathBuf {
    home.path().join("data")
}

fn log_file(home: &TempDir) -> PathBuf {
    home.path().join("server.log")
}

fn read_log(home: &TempDir) -> String {
    std::fs::read_to_string(log_file(home)).unwrap_or_default()
}

/// Permission bits of a path.
pub(crate) fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("the path exists").permissions().mode() & 0o777
}
