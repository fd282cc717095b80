//! A PostgreSQL server of one test's own, which may be killed. Those of the other tests go on.

use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// Folder of the server's programs.
const PROGRAMS: &str = "EVERWIT_TEST_POSTGRES_PROGRAMS";
/// Who runs them, as two numbers, if that is not the caller: PostgreSQL refuses to be root.
const USER: &str = "EVERWIT_TEST_POSTGRES_USER";
/// How long a start may take on a busy machine, a recovery included.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Runs until it is dropped.
pub(crate) struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    port: u16,
    server: Option<Child>,
}

impl Cluster {
    #[expect(clippy::disallowed_methods, reason = "the test command tells it so")]
    pub(crate) async fn start() -> Self {
        let hint = "is not set: put `cargo xtask postgres` before the command; `cargo xtask test` does";
        let programs = std::env::var_os(PROGRAMS).unwrap_or_else(|| panic!("{PROGRAMS} {hint}")).into();
        let numbers = |text: String| text.split_once(':').and_then(|(user, group)| Some((user.parse().ok()?, group.parse().ok()?)));
        let user: Option<(u32, u32)> = std::env::var(USER).ok().map(|text| numbers(text).expect("two numbers"));
        let folder = tempfile::tempdir().expect("a directory");
        if let Some((user, group)) = user {
            chown(folder.path(), Some(user), Some(group)).expect("the folder is given away");
        }
        let port = TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr()).expect("a port").port();
        let mut cluster = Self { folder, programs, user, port, server: None };
        let mut initdb = cluster.command("initdb");
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--username=everwit", "-D"]).arg(cluster.data());
        let made = initdb.output().await.expect("initdb runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        cluster.begin().await;
        cluster
    }

    /// The URL of its database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://everwit@127.0.0.1:{}/postgres", self.port)
    }

    /// Kills the server as the kernel does when memory is short.
    pub(crate) async fn kill(&mut self) {
        self.server.take().expect("it runs").kill().await.expect("it is killed");
    }

    /// Starts it, and returns once it answers.
    pub(crate) async fn begin(&mut self) {
        let begin = async {
            // What is left of a killed server holds its memory until each of its processes has noticed.
            loop {
                let mut postgres = self.command("postgres");
                postgres.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
                for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"] {
                    postgres.args(["-c", setting]);
                }
                let mut server = postgres.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
                while server.try_wait().expect("its state is known").is_none() {
                    let mut ready = Command::new(self.programs.join("pg_isready"));
                    ready.args(["--quiet", "--host=127.0.0.1", "--port", &self.port.to_string()]);
                    if ready.status().await.expect("pg_isready runs").success() {
                        self.server = Some(server);
                        return;
                    }
                }
            }
        };
        tokio::time::timeout(START_LIMIT, begin).await.expect("PostgreSQL answers in time");
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let path = self.programs.join(program);
        let mut command = match self.user {
            None => Command::new(path),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".into(), "--pdeathsig=KILL".into()]);
                command.arg(path);
                command
            }
        };
        command.current_dir("/").stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}
