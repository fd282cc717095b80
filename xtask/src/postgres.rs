//! A PostgreSQL server of the tests' own: a new, empty cluster in the target directory that ends
//! with the command that uses it, whatever that command's outcome is.
//!
//! The server's programs are taken from where Debian and PATH have them, or installed with apt.
//! PostgreSQL refuses to run as root; for root, the package's user `postgres` runs it.

use std::fs;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{Error, Result, at, not_started, read, run};
use crate::project::Project;
use crate::tools::apt_install;

/// Where the tests read the URL of the server, with the right to create databases.
pub(crate) const VARIABLE: &str = "EVERWIT_TEST_POSTGRES";
/// Where the tests that kill a server find its programs, and who may run them, as two numbers: user and group.
const PROGRAMS_VARIABLE: &str = "EVERWIT_TEST_POSTGRES_PROGRAMS";
const USER_VARIABLE: &str = "EVERWIT_TEST_POSTGRES_USER";
const PACKAGE: &str = "postgresql";
/// Where Debian keeps one folder of programs per version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Who runs the server for root.
const SYSTEM_USER: &str = "postgres";
/// Who owns the cluster.
const SUPERUSER: &str = "everwit";
/// How long the server may take to answer. It takes a second where nothing else runs.
const START_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);
/// How often another port is tried because somebody else took the free one first.
const PORTS_TRIED: usize = 5;

/// `cargo xtask postgres COMMAND…`: runs a command that finds a server.
pub(crate) fn run_command(command: &[&str]) -> Result<()> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Error::new("no command is given").fix("for example `cargo xtask postgres cargo nextest run`"));
    };
    let cluster = Cluster::start(&Project::find()?)?;
    run(cluster.tell(Command::new(program).args(arguments)))
}

/// A running server; dropping it ends it and removes its files.
pub(crate) struct Cluster {
    programs: Programs,
    folder: PathBuf,
    password: String,
    port: u16,
    server: Child,
}

impl Cluster {
    /// Makes a cluster and starts it on a free port of the loopback interface.
    pub(crate) fn start(project: &Project) -> Result<Self> {
        let programs = Programs::find()?;
        let folder = programs.folder(project)?;
        let password = random_password()?;
        programs.initialise(&folder, &password)?;
        let mut last = None;
        for _ in 0..PORTS_TRIED {
            match programs.serve(&folder) {
                Ok((server, port)) => return Ok(Self { programs, folder, password, port, server }),
                Err(error) => last = Some(error),
            }
        }
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        let error = last.unwrap_or_else(|| Error::new("no port was tried"));
        Err(Error::new(format!("{error}\n{}", log.trim_end())))
    }

    /// Tells a command of tests about it.
    pub(crate) fn tell<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env(VARIABLE, self.url()).env(PROGRAMS_VARIABLE, &self.programs.bin);
        command.envs(self.programs.user.map(|(user, group)| (USER_VARIABLE, format!("{user}:{group}"))))
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://{SUPERUSER}:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Nobody needs what is in it, so it need not be written.
        let stopped = read(self.programs.command("pg_ctl").args(["stop", "--mode=immediate", "-D"]).arg(self.folder.join("data")));
        if stopped.is_err() {
            // It may have ended by itself, with the terminal that it was started from.
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("{}: {error}", self.folder.display());
        }
    }
}

/// The server's programs, and who runs them.
struct Programs {
    /// The folder that they are in.
    bin: PathBuf,
    /// Numbers of the user and the group that run them, if that is not the caller.
    user: Option<(u32, u32)>,
}

impl Programs {
    fn find() -> Result<Self> {
        let bin = match installed() {
            Some(bin) => bin,
            None => {
                apt_install(&[PACKAGE])?;
                let fix = format!("put the programs initdb and postgres into PATH, or below {DEBIAN}/VERSION/bin");
                installed().ok_or_else(|| Error::new("PostgreSQL was installed and is not found").fix(fix))?
            }
        };
        let user = if read(Command::new("id").arg("-u"))?.trim() == "0" { Some(system_user()?) } else { None };
        Ok(Self { bin, user })
    }

    /// One of the programs, as it has to be started.
    fn command(&self, program: &str) -> Command {
        let path = self.bin.join(program);
        let mut command = match self.user {
            None => return Command::new(path),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                // The server ends with this program, however that ends.
                command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).args(["--clear-groups", "--pdeathsig=INT"]);
                command
            }
        };
        command.arg(path);
        // Not every folder of root can be entered.
        command.current_dir("/");
        command
    }

    /// A new folder that the server's user can write to: in the target directory or, if that is
    /// closed to the user, among the temporary files.
    fn folder(&self, project: &Project) -> Result<PathBuf> {
        let name = format!("postgres-{}", std::process::id());
        for parent in [project.target.clone(), std::env::temp_dir()] {
            let folder = parent.join(&name);
            if folder.exists() {
                at(&folder, fs::remove_dir_all(&folder))?;
            }
            at(&folder, fs::create_dir_all(&folder))?;
            let Some((user, group)) = self.user else { return Ok(folder) };
            at(&folder, chown(&folder, Some(user), Some(group)))?;
            at(&folder, fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)))?;
            let mut reachable = Command::new("setpriv");
            reachable.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).args(["--clear-groups", "test", "-w"]);
            if read(reachable.arg(&folder).current_dir("/")).is_ok() {
                return Ok(folder);
            }
            at(&folder, fs::remove_dir(&folder))?;
        }
        Err(Error::new(format!("the user {SYSTEM_USER} can write neither to the target directory nor to the temporary one")))
    }

    fn initialise(&self, folder: &Path, password: &str) -> Result<()> {
        let secret = folder.join("password");
        at(&secret, fs::write(&secret, password))?;
        at(&secret, fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)))?;
        if let Some((user, group)) = self.user {
            at(&secret, chown(&secret, Some(user), Some(group)))?;
        }
        // A locale that sorts text in no way that a program could rely on by mistake.
        let mut initdb = self.command("initdb");
        initdb.args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--username", SUPERUSER]);
        read(initdb.arg("--pwfile").arg(&secret).arg("-D").arg(folder.join("data")))?;
        at(&secret, fs::remove_file(&secret))
    }

    fn serve(&self, folder: &Path) -> Result<(Child, u16)> {
        let port = free_port()?;
        let mut postgres = self.command("postgres");
        postgres.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string()]);
        // Nothing has to survive the machine: what the tests kill are processes.
        for setting in
            ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300", "fsync=off", "full_page_writes=off"]
        {
            postgres.args(["-c", setting]);
        }
        let log = folder.join("log");
        let file = at(&log, fs::File::create(&log))?;
        let output = at(&log, file.try_clone())?;
        let mut server =
            postgres.stdin(Stdio::null()).stdout(output).stderr(file).spawn().map_err(|error| not_started(&postgres, &error))?;
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let port_text = port.to_string();
            let ready = read(Command::new(self.bin.join("pg_isready")).args(["--quiet", "--host=127.0.0.1", "--port", &port_text]));
            if ready.is_ok() {
                return Ok((server, port));
            }
            if let Ok(Some(status)) = server.try_wait() {
                return Err(Error::new(format!("PostgreSQL ended: {status}")));
            }
            if Instant::now() > deadline {
                let _ = server.kill();
                let _ = server.wait();
                return Err(Error::new(format!("PostgreSQL did not answer within {} s", START_LIMIT.as_secs())));
            }
            pause();
        }
    }
}

/// The folder with the programs: the newest of Debian's versions, or the one in PATH.
fn installed() -> Option<PathBuf> {
    let has_all = |folder: &PathBuf| ["initdb", "postgres", "pg_ctl", "pg_isready"].iter().all(|program| folder.join(program).is_file());
    let version = |folder: &PathBuf| folder.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let newest = versions.filter(has_all).max_by_key(version);
    newest.or_else(|| std::env::split_paths(&std::env::var_os("PATH")?).find(has_all))
}

/// Numbers of the user that the package has made, and of its group.
fn system_user() -> Result<(u32, u32)> {
    let number = |flag: &str| {
        let printed = read(Command::new("id").args([flag, SYSTEM_USER])).ok()?;
        printed.trim().parse::<u32>().ok()
    };
    let missing = || {
        let error = Error::new(format!("PostgreSQL refuses to run as root, and there is no user {SYSTEM_USER}"));
        error.fix(format!("`useradd --system {SYSTEM_USER}`, or run this as another user"))
    };
    number("-u").zip(number("-g")).ok_or_else(missing)
}

pub(crate) fn free_port() -> Result<u16> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).map(|address| address.port());
    port.map_err(|error| Error::new(format!("no port of 127.0.0.1 is free: {error}")))
}

fn random_password() -> Result<String> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    at(source, fs::File::open(source).and_then(|mut file| file.read_exact(&mut bytes)))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[expect(clippy::disallowed_methods, reason = "nothing else runs here while the server starts, and it tells nobody that it did")]
pub(crate) fn pause() {
    std::thread::sleep(POLL);
}
