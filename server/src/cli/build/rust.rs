//! Building a Rust project: its library as a core module.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::only;
use super::remap::hide_sources;
use crate::cli::output::Failure;

/// What Rust guests are compiled for: nothing of WASI is imported.
pub(in crate::cli) const TARGET: &str = "wasm32-unknown-unknown";
/// The toolchain that has the target where rustup cannot install it.
const WASM_TOOLCHAIN: &str = "wasm";

/// Builds the project and gives its core module.
pub(super) fn build(dir: &Path) -> Result<PathBuf, Failure> {
    let toolchain = toolchain(dir).ok_or_else(|| Failure::failed(no_target()))?;
    let cargo = || {
        let mut cargo = Command::new("cargo");
        cargo.args(toolchain.argument()).current_dir(dir);
        cargo
    };
    let mut build = cargo();
    build.args(["build", "--release", "--lib", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
    hide_sources(&mut build, cargo())?;
    let output = build.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| Failure::failed(format!("cannot run cargo: {error}")))?;
    if !output.status.success() {
        return Err(Failure::failed(format!("cargo build failed in {}", dir.display())));
    }
    let modules = core_modules(&String::from_utf8_lossy(&output.stdout), dir);
    only(modules, || format!("{} must build one library of crate type cdylib", dir.display()))
}

/// A toolchain that has the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Toolchain {
    /// The default one of the project.
    Default,
    /// The one that is named after what it is for.
    Wasm,
}

impl Toolchain {
    /// What stands between `cargo` and its subcommand.
    fn argument(self) -> Option<String> {
        (self == Self::Wasm).then(|| format!("+{WASM_TOOLCHAIN}"))
    }
}

/// The toolchain that compiles a project for the target; none if none has it.
pub(in crate::cli) fn toolchain(dir: &Path) -> Option<Toolchain> {
    let has_it = |toolchain| has_target(dir, (toolchain == Toolchain::Wasm).then_some(WASM_TOOLCHAIN));
    [Toolchain::Default, Toolchain::Wasm].into_iter().find(|toolchain| has_it(*toolchain))
}

fn no_target() -> String {
    format!(
        "neither the default toolchain nor the toolchain \"{WASM_TOOLCHAIN}\" has the target {TARGET}\n\
         to fix it: rustup target add {TARGET}; everwit doctor --lang rust says what else is missing"
    )
}

/// Whether a toolchain has the standard library for the target.
fn has_target(dir: &Path, toolchain: Option<&str>) -> bool {
    let mut rustc = Command::new("rustc");
    if let Some(name) = toolchain {
        rustc.arg(format!("+{name}"));
    }
    let output = rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(dir).stderr(Stdio::null()).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else { return false };
    let libraries = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    std::fs::read_dir(libraries)
        .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))))
}

/// The core modules of the project's own packages among what cargo reports.
fn core_modules(messages: &str, dir: &Path) -> Vec<PathBuf> {
    let own = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mut modules = Vec::new();
    for message in messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let manifest = message["manifest_path"].as_str().map(Path::new);
        if message["reason"] != "compiler-artifact" || manifest.and_then(Path::parent) != Some(own.as_path()) {
            continue;
        }
        let files = message["filenames"].as_array().into_iter().flatten().filter_map(Value::as_str);
        modules.extend(files.filter(|file| file.ends_with(".wasm")).map(PathBuf::from));
    }
    modules
}
