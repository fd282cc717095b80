//! What an author does without a server: begin, test, call, watch.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStderr, Command};

use crate::api_components::patched;
use crate::support::{everwit, guest, mode};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

async fn run(dir: &Path, args: &[&str]) -> Output {
    everwit().args(args).current_dir(dir).output().await.expect("the command runs")
}

fn shown(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A folder with one component and cases of it.
fn with_cases(component: &str, cases: &str) -> TempDir {
    let dir = folder();
    fs::write(dir.path().join(format!("{component}.wasm")), guest(component)).expect("it is written");
    fs::create_dir(dir.path().join("cases")).expect("it is made");
    fs::write(dir.path().join("cases/a.toml"), cases).expect("it is written");
    dir
}

#[tokio::test]
async fn cases_pass_and_fail_with_reasons() {
    let dir = with_cases(
        "echo",
        r#"
        [[case]]
        name = "comes back"
        tool = "echo"
        arguments = { value = { n = 3, s = "größe" } }
        schema = { properties = { value = { const = { n = 3, s = "größe" } } }, required = ["value"] }
        max_fuel = 10_000_000

        [[case]]
        name = "gets configuration and language"
        tool = "echo"
        arguments = { value = 1 }
        config = { a = 1 }
        locale = "de"
        schema = { properties = { context = { properties = { config = { const = { a = 1 } }, locale = { const = "de" } } } } }

        [[case]]
        name = "fails as asked"
        tool = "fail"
        arguments = { kind = "not-found", code = "no_city", message = "no such city", retryable = false }
        failure = { kind = "not-found", code = "no_city", message = "such city" }
        "#,
    );
    let (code, stdout, stderr) = shown(&run(dir.path(), &["test"]).await);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.lines().count() == 3 && stdout.lines().all(|line| line.starts_with("ok")), "{stdout}");
    assert!(stderr.contains("3 passed, 0 failed"), "{stderr}");
}

#[tokio::test]
async fn a_case_that_fails_says_what_differs() {
    let dir = with_cases(
        "echo",
        r#"
        [[case]]
        name = "is dear"
        tool = "echo"
        arguments = { value = 1 }
        schema = {}
        max_fuel = 1

        [[case]]
        name = "has wrong arguments"
        tool = "fail"
        arguments = { kind = 7 }
        failure = {}

        [[case]]
        name = "fails"
        tool = "fail"
        arguments = { kind = "denied", code = "c", message = "m", retryable = false }
        text = "done"
        "#,
    );
    let (code, stdout, _) = shown(&run(dir.path(), &["test", "--json"]).await);
    let json: Value = serde_json::from_str(&stdout).expect("it prints JSON");
    assert_eq!((code, &json["failed"]), (Some(1), &Value::from(3)), "{stdout}");
    for (at, says) in [(0, "more than max_fuel = 1"), (1, "do not match the schema"), (2, "it fails (denied): m")] {
        assert!(json["cases"][at]["problems"][0].as_str().is_some_and(|problem| problem.contains(says)), "{at}: {json}");
    }
    assert!(json["cases"][0]["fuel"].as_u64() > Some(1) && json["cases"][1]["fuel"].is_null(), "{json}");
}

#[tokio::test]
async fn cases_that_cannot_be_read_are_named() {
    let dir = with_cases("minimal", "[[case]]\nname = \"n\"\ntool = \"t\"\n");
    for (cases, says) in [
        ("[[case]]\nname = \"n\"\ntool = \"t\"\n", "expects nothing: give it"),
        ("[[case]]\nname = \"n\"\ntool = \"t\"\ntxt = \"\"\n", "unknown field `txt`"),
        ("case", "a.toml"),
    ] {
        fs::write(dir.path().join("cases/a.toml"), cases).expect("it is written");
        let (code, stdout, stderr) = shown(&run(dir.path(), &["test"]).await);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    }
    fs::remove_file(dir.path().join("cases/a.toml")).expect("it was there");
    let (code, _, stderr) = shown(&run(dir.path(), &["test"]).await);
    assert!(code == Some(2) && stderr.contains("to fix it: write cases/NAME.toml"), "{stderr}");
}

#[tokio::test]
async fn the_only_component_here_needs_no_name() {
    let dir = folder();
    let call = ["call", "echo", r#"{"value":7}"#];
    let (code, _, stderr) = shown(&run(dir.path(), &call).await);
    assert!(code == Some(2) && stderr.contains("make one with everwit build"), "{stderr}");
    fs::write(dir.path().join("echo.wasm"), guest("echo")).expect("it is written");
    let (code, stdout, stderr) = shown(&run(dir.path(), &call).await);
    assert!(code == Some(0) && stdout.contains(r#""value":7"#), "{stdout}{stderr}");
    fs::write(dir.path().join("other.wasm"), guest("minimal")).expect("it is written");
    let (code, _, stderr) = shown(&run(dir.path(), &call).await);
    assert!(code == Some(2) && stderr.contains("2 .wasm files in the current directory: echo.wasm, other.wasm"), "{stderr}");
}

#[tokio::test]
async fn what_was_compiled_is_kept_for_its_author_alone() {
    let dir = folder();
    let (component, cache) = (dir.path().join("echo.wasm"), dir.path().join("cache"));
    fs::write(&component, guest("echo")).expect("it is written");
    let call = || async {
        let mut command = everwit();
        command.arg("call").arg(&component).args(["echo", r#"{"value":7}"#]).env("XDG_CACHE_HOME", &cache);
        assert!(command.output().await.expect("it runs").status.success());
        let files = fs::read_dir(cache.join("everwit/cache")).expect("it is there").map(|entry| entry.expect("an entry").path());
        let mut compiled: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm")).collect();
        compiled.sort();
        let times: Vec<_> = compiled.iter().map(|path| fs::metadata(path).and_then(|file| file.modified()).expect("a time")).collect();
        (compiled, times)
    };
    let (first, second) = (call().await, call().await);
    assert_eq!((first.0.len(), &first), (1, &second), "the second call compiles nothing");
    assert_eq!((mode(&cache.join("everwit")), mode(&cache.join("everwit/key"))), (0o700, 0o600));
}

#[tokio::test]
async fn a_new_project_takes_no_place_that_is_taken() {
    let dir = folder();
    let (code, stdout, stderr) = shown(&run(dir.path(), &["new", "weather", "--lang", "rust"]).await);
    assert_eq!((code, stdout.trim()), (Some(0), "weather"), "{stderr}");
    assert!(
        dir.path().join("weather/src/lib.rs").is_file() && dir.path().join("weather/vendor/everwit-guest/wit/capability.wit").is_file()
    );
    let (code, _, stderr) = shown(&run(dir.path(), &["new", "weather", "--lang", "js"]).await);
    assert!(code == Some(1) && stderr.contains("choose another name"), "{stderr}");
    for name in ["Weather", "../weather", "-", "9", ""] {
        assert_eq!(shown(&run(dir.path(), &["new", "--lang", "rust", "--", name]).await).0, Some(2), "{name:?}");
    }
    assert_eq!(fs::read_dir(dir.path()).expect("it is there").count(), 1);
}

#[tokio::test]
async fn what_is_missing_is_told_with_the_command_that_brings_it() {
    let dir = folder();
    // In an empty folder no program is found.
    let doctor = |args: &'static [&str]| {
        let mut command = everwit();
        command.arg("doctor").args(args).current_dir(dir.path()).env("PATH", dir.path());
        async move { shown(&command.output().await.expect("the command runs")) }
    };
    let (code, stdout, _) = doctor(&["--json"]).await;
    let json: Value = serde_json::from_str(&stdout).expect("it prints JSON");
    assert_eq!(code, Some(0), "nothing particular was asked for");
    for language in ["rust", "js", "python", "c", "go"] {
        assert_eq!(json[language]["ready"], Value::Bool(false), "{json}");
        assert!(json[language]["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{json}");
    }
    let (code, stdout, _) = doctor(&["--lang", "js"]).await;
    assert!(code == Some(1) && stdout.contains("node 20.6 or newer"), "{stdout}");
}

#[tokio::test]
async fn shells_get_completions() {
    let dir = folder();
    for shell in ["bash", "zsh", "fish"] {
        let (code, stdout, _) = shown(&run(dir.path(), &["completions", shell]).await);
        assert!(code == Some(0) && stdout.contains("everwit") && stdout.contains("doctor"), "{shell}");
    }
}

/// A project whose build takes a component that is there already.
fn project_of(component: &str) -> TempDir {
    let dir = folder();
    let write = |path: &str, content: &[u8]| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it is made");
        fs::write(path, content).expect("it is written");
    };
    write("package.json", br#"{"name":"watched","private":true,"scripts":{"build":"mkdir -p dist && cp src/given dist/watched.wasm"}}"#);
    write("node_modules/here", b"");
    write("src/given", &guest(component));
    write("cases/a.toml", b"[[case]]\nname = \"adds\"\ntool = \"echo\"\narguments = { value = 1 }\nschema = {}\n");
    dir
}

/// Changes the source at once: a look at it sees the old or the new one.
fn put(project: &TempDir, content: &[u8]) {
    let hidden = project.path().join("src/.given");
    fs::write(&hidden, content).expect("it is written");
    fs::rename(hidden, project.path().join("src/given")).expect("it is put in place");
}

async fn until(lines: &mut Lines<BufReader<ChildStderr>>, text: &str) -> String {
    let mut seen = String::new();
    loop {
        let line = lines.next_line().await.expect("it can be read");
        let line = line.unwrap_or_else(|| panic!("it ended before {text:?}:\n{seen}"));
        seen.push_str(&line);
        seen.push('\n');
        if line.contains(text) {
            return seen;
        }
    }
}

#[tokio::test]
async fn a_change_of_a_source_is_built_and_tested_at_once() {
    let dir = project_of("echo");
    // Without its section, so that the build writes one.
    put(&dir, &patched("echo", "everwit:description", "everwit:not-made-ye"));
    let mut command: Command = everwit();
    command.arg("dev").current_dir(dir.path()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.envs(["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.env("XDG_CACHE_HOME", dir.path().join("target/cache"));
    let mut child = command.spawn().expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
    let first = until(&mut lines, "watching").await;
    assert!(first.contains("tools: echo") && first.contains("1 passed, 0 failed") && first.contains("edit to result: "), "{first}");

    let mut call = everwit();
    call.args(["call", "echo.wasm", "echo", r#"{"value":7}"#])
        .current_dir(dir.path())
        .env("XDG_CACHE_HOME", dir.path().join("target/cache"));
    let (code, stdout, stderr) = shown(&call.output().await.expect("it runs"));
    assert!(code == Some(0) && stdout.contains(r#""value":7"#), "{stdout}{stderr}");
    let kept = fs::read_dir(dir.path().join("target/cache/everwit/cache")).expect("compiled components are kept");
    let kept = kept.map(|entry| entry.expect("an entry")).filter(|entry| entry.path().extension().is_some_and(|end| end == "cwasm"));
    let compiled: BTreeSet<u64> = kept.map(|entry| entry.metadata().expect("a file").ino()).collect();
    assert_eq!(compiled.len(), 1, "what was built, and then had its section written, is compiled once");

    put(&dir, &guest("minimal"));
    let second = until(&mut lines, "watching").await;
    assert!(second.contains("0 passed, 1 failed"), "the other component has no such tool: {second}");

    put(&dir, b"no component");
    let third = until(&mut lines, "watching").await;
    assert!(
        third.contains("cannot become a component") && !third.contains("edit to result"),
        "what is wrong is told, and it goes on: {third}"
    );
    child.kill().await.expect("it is killed");
}
