//! `everwit build` on a project outside of the checkout, as its author has it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::support::everwit;
use crate::support::guests::root;

const TOOL: &str = r#"use everwit_guest::prelude::*;

/// Shortens a text.
#[tool(read_only)]
fn head(
    /// The text
    text: &str,
    /// How many characters
    count: usize,
) -> Result<String> {
    if text.is_empty() {
        panic!("there is no text");
    }
    Ok(text.chars().take(count).collect())
}

capability! { id: "shorten", title: "Shorten", summary: "Shortens texts.", tools: [head] }
"#;

/// A project with a path dependency, always in the same place, so that its dependencies are
/// compiled once for all runs.
fn project() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shorten");
    let manifest = format!(
        "[package]\nname = \"shorten\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n[lib]\ncrate-type = [\"cdylib\"]\n\
         [dependencies]\neverwit-guest = {{ path = {:?} }}\n[profile.release]\nopt-level = 1\npanic = \"abort\"\n",
        root().join("guest-sdk/rust")
    );
    fs::create_dir_all(folder.join("src")).expect("the folder can be made");
    fs::write(folder.join("Cargo.toml"), manifest).expect("it is written");
    fs::write(folder.join("src/lib.rs"), TOOL).expect("it is written");
    // With the versions that are there already, nothing has to be asked of the registry.
    fs::copy(root().join("components/Cargo.lock"), folder.join("Cargo.lock")).expect("it is copied");
    folder
}

fn build(project: &Path, output: &Path) -> Command {
    let mut command = everwit();
    command.args(["build", "-o"]).arg(output).arg(project).env("CARGO_NET_OFFLINE", "true");
    let toolchain = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];
    command.envs(toolchain.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command
}

async fn succeed(mut command: Command) -> String {
    let output = command.output().await.expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("stdout is UTF-8")
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_project_becomes_a_component_that_says_nothing_of_its_authors_machine() {
    let project = project();
    let output = project.join("shorten.wasm");
    assert_eq!(succeed(build(&project, &output)).await.trim(), output.to_str().expect("UTF-8"));

    let mut call = everwit();
    call.args(["call", "--json"]).arg(&output).args(["head", r#"{"text":"Größe","count":3}"#]);
    let called: Value = serde_json::from_str(&succeed(call).await).expect("it prints JSON");
    assert!(called.to_string().contains("Grö") && !called.to_string().contains("Größ"), "{called}");

    let wasm = fs::read(&output).expect("it was written");
    assert!(holds(&wasm, "shorten/src/lib.rs") || holds(&wasm, "src/lib.rs"), "panics still name their source");
    assert!(holds(&wasm, "everwit-guest/src"), "a path dependency is named after its package");
    let home = std::env::home_dir().expect("there is a home directory");
    for folder in [home.as_path(), root(), &project] {
        assert!(!holds(&wasm, folder.to_str().expect("UTF-8")), "the component says {}", folder.display());
    }
}
