//! `everwit build` and `everwit componentize`: from a project or a core module to a component
//! that says in a custom section what it is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use everwit_runtime::component::ComponentDescription;
use serde_json::Value;
use wit_component::ComponentEncoder;

use super::block_on;
use super::output::{Failure, note, print};
use super::remap::hide_sources;
use super::section;
use super::workbench::{Workbench, read_wasm, tell_rejection};

/// What Rust guests are compiled for: nothing of WASI is imported.
const TARGET: &str = "wasm32-unknown-unknown";
/// The toolchain that has the target where rustup cannot install it.
const WASM_TOOLCHAIN: &str = "wasm";

const BUILD_HELP: &str = "\
Cargo.toml: cargo build --release --target wasm32-unknown-unknown, with the toolchain \"wasm\" if only that one has the target.
Source paths in the component name the package, not the folder that it lies in.
package.json: npm ci (npm install without a package-lock.json) if node_modules is missing, then npm run build, which leaves one dist/*.wasm.

Exit codes: 0 built, 1 failed, 2 wrong usage.";

const COMPONENTIZE_HELP: &str = "\
A module whose description the sandbox cannot get becomes a component without the section, with a warning.

Exit codes: 0 done, 1 failed, 2 wrong usage.";

/// Options of `everwit build`.
#[derive(Debug, Args)]
#[command(after_help = BUILD_HELP)]
pub(crate) struct BuildArgs {
    /// Directory of the project.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Where the component goes; named after the capability in the current directory if absent.
    #[arg(short, long, value_name = "OUT.wasm")]
    output: Option<PathBuf>,
}

/// Options of `everwit componentize`.
#[derive(Debug, Args)]
#[command(after_help = COMPONENTIZE_HELP)]
pub(crate) struct ComponentizeArgs {
    /// Core module with embedded WIT, or a component.
    #[arg(value_name = "CORE.wasm")]
    core: PathBuf,
    /// Where the component goes.
    #[arg(short, long, value_name = "OUT.wasm")]
    output: PathBuf,
}

pub(crate) fn run(args: &BuildArgs) -> Result<(), Failure> {
    let built = if args.dir.join("Cargo.toml").is_file() {
        build_rust(&args.dir)?
    } else if args.dir.join("package.json").is_file() {
        build_javascript(&args.dir)?
    } else {
        return Err(Failure::usage(no_project(&args.dir)));
    };
    let component = encode(&built)?;
    let Some((wasm, description)) = block_on(describe(&built, component))? else { return Err(Failure::silent()) };
    let output = args.output.clone().unwrap_or_else(|| format!("{}.wasm", description.id).into());
    write(&output, &wasm)
}

/// What is wrong with a directory that is no project.
fn no_project(dir: &Path) -> String {
    let shown = dir.display();
    let what = match dir.metadata() {
        Ok(found) if found.is_dir() => format!("{shown} has neither Cargo.toml nor package.json"),
        Ok(_) => format!("{shown} is no directory"),
        Err(error) => format!("cannot read {shown}: {error}"),
    };
    format!("{what}\nto fix it: name the directory of a Rust or JavaScript project")
}

pub(crate) fn run_componentize(args: &ComponentizeArgs) -> Result<(), Failure> {
    let component = encode(&args.core)?;
    match block_on(describe(&args.core, component.clone()))? {
        Some((wasm, _)) => write(&args.output, &wasm),
        None => {
            note("warning: the component is written without its description; servers will reject it for the same reasons");
            write(&args.output, &component)
        }
    }
}

fn write(output: &Path, wasm: &[u8]) -> Result<(), Failure> {
    std::fs::write(output, wasm).map_err(|error| Failure::failed(format!("cannot write {}: {error}", output.display())))?;
    note(&format!("{} bytes", wasm.len()));
    print(&output.display().to_string())
}

/// The component of a core module; a component stays what it is.
fn encode(path: &Path) -> Result<Vec<u8>, Failure> {
    let wasm = read_wasm(path)?;
    if wasmparser::Parser::is_component(&wasm) {
        return Ok(wasm);
    }
    let encoded = ComponentEncoder::default().validate(true).module(&wasm).and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| Failure::failed(format!("{} cannot become a component: {error:#}", path.display())))
}

/// Asks the component what it is and writes that into it; none if the sandbox rejects it, which
/// is told then.
async fn describe(path: &Path, component: Vec<u8>) -> Result<Option<(Vec<u8>, ComponentDescription)>, Failure> {
    let bare = section::without_description(&component).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    match Workbench::start(Vec::new())?.examine(bare.clone()).await? {
        Ok(admission) => Ok(Some((section::with_description(bare, &admission.description), admission.description))),
        Err(rejection) => {
            tell_rejection(path, &rejection);
            Ok(None)
        }
    }
}

fn build_rust(dir: &Path) -> Result<PathBuf, Failure> {
    let toolchain = toolchain(dir)?;
    let cargo = || {
        let mut cargo = Command::new("cargo");
        cargo.args(&toolchain).current_dir(dir);
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

/// What stands between `cargo` and its subcommand, so that the target is there.
fn toolchain(dir: &Path) -> Result<Option<String>, Failure> {
    if has_target(dir, None) {
        return Ok(None);
    }
    if !has_target(dir, Some(WASM_TOOLCHAIN)) {
        let fix = format!("rustup target add {TARGET}");
        return Err(Failure::failed(format!(
            "neither the default toolchain nor the toolchain \"{WASM_TOOLCHAIN}\" has the target {TARGET}\nto fix it: {fix}"
        )));
    }
    Ok(Some(format!("+{WASM_TOOLCHAIN}")))
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

fn build_javascript(dir: &Path) -> Result<PathBuf, Failure> {
    if !dir.join("node_modules").is_dir() {
        let locked = dir.join("package-lock.json").is_file();
        npm(dir, &[if locked { "ci" } else { "install" }])?;
    }
    npm(dir, &["run", "build"])?;
    let dist = dir.join("dist");
    let entries = std::fs::read_dir(&dist).map_err(|error| Failure::failed(format!("cannot read {}: {error}", dist.display())))?;
    let files = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let built = files.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect();
    only(built, || format!("npm run build must leave one .wasm file in {}", dist.display()))
}

fn npm(dir: &Path, arguments: &[&str]) -> Result<(), Failure> {
    let words = arguments.join(" ");
    // What npm prints is about the build, so that it belongs to stderr.
    let status = Command::new("npm").args(arguments).current_dir(dir).stdout(std::io::stderr()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Failure::failed(format!("npm {words} failed in {}", dir.display()))),
        Err(error) => Err(Failure::failed(format!("cannot run npm: {error}"))),
    }
}

fn only(mut files: Vec<PathBuf>, expected: impl FnOnce() -> String) -> Result<PathBuf, Failure> {
    match (files.pop(), files.is_empty()) {
        (Some(file), true) => Ok(file),
        (last, _) => Err(Failure::failed(format!("{}; there are {}", expected(), files.len() + usize::from(last.is_some())))),
    }
}
