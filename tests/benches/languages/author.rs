//! A new project, as its author makes it.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStderr, Command};

use crate::Language;

/// What a shell has of an author's machine.
const ENVIRONMENT: [&str; 5] = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];

/// A project that was built.
pub(crate) struct Project {
    /// Lines of the source that are not empty.
    pub(crate) lines: usize,
    /// `everwit build` after a change of the source.
    pub(crate) rebuild: Duration,
    /// From a change of the source until `everwit dev` shows what its cases say.
    pub(crate) edit: Duration,
    pub(crate) wasm: Vec<u8>,
}

/// The target directory: the one that the program lies in.
pub(crate) fn target() -> &'static Path {
    let target = Path::new(env!("CARGO_BIN_EXE_everwit-under-test")).parent().and_then(Path::parent);
    target.expect("a binary lies in the folder of a profile, and that in the target directory")
}

/// Begins a project and builds it three times: first with all that it depends on, then after a change of its source, then after
/// one that `everwit dev` sees.
pub(crate) async fn build(language: &Language, folder: &Path) -> Project {
    let name = format!("hello-{}", language.name);
    everwit(folder, &["new", &name, "--lang", language.name]).await;
    let home = folder.join(&name);
    let source = home.join(language.source);
    let mut text = std::fs::read_to_string(&source).expect("the template has a source");
    let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
    everwit(&home, &["build"]).await;
    let mut change = || {
        text.push_str(language.comment);
        text.push('\n');
        std::fs::write(&source, &text).expect("it can be written");
        Instant::now()
    };
    let changed = change();
    everwit(&home, &["build"]).await;
    let rebuild = changed.elapsed();

    let mut dev = command(&home, &["dev"]).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts");
    let mut lines_of_dev = BufReader::new(dev.stderr.take().expect("stderr is piped")).lines();
    until(&mut lines_of_dev, "watching ").await;
    let changed = change();
    until(&mut lines_of_dev, "edit to result: ").await;
    let edit = changed.elapsed();
    dev.kill().await.expect("it is killed");

    let wasm = std::fs::read(home.join(format!("{name}.wasm"))).expect("it was built");
    Project { lines, rebuild, edit, wasm }
}

async fn until(lines: &mut Lines<BufReader<ChildStderr>>, begin: &str) {
    let mut seen = String::new();
    while let Some(line) = lines.next_line().await.expect("it can be read") {
        if line.starts_with(begin) {
            return;
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    panic!("it ended before {begin:?}:\n{seen}");
}

fn command(place: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_everwit-under-test"));
    command.args(args).current_dir(place).env_clear().stdin(Stdio::null());
    command.envs(ENVIRONMENT.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    // Nothing that an earlier run has compiled counts, but what a project depends on and the tools that the test guests were built with.
    command.env("XDG_CACHE_HOME", place.join("cache")).env("CARGO_TARGET_DIR", target().join("template-guests"));
    let environment: PathBuf = target().join("python-guests/venv");
    if environment.is_dir() {
        command.env("VIRTUAL_ENV", environment);
    }
    command
}

async fn everwit(place: &Path, args: &[&str]) {
    let Output { status, stdout, stderr } = command(place, args).output().await.expect("the command runs");
    let printed = || format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "everwit {args:?}: {status}\n{}", printed());
}
