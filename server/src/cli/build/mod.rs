//! `everwit build` and `everwit componentize`: from a project or a core module to a component
//! that says in a custom section what it is.

mod c;
mod contract;
pub(super) mod go;
mod javascript;
pub(super) mod python;
mod remap;
pub(super) mod rust;
mod section;

use std::path::{Path, PathBuf};

use clap::Args;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as ADAPTER,
};
use wit_component::ComponentEncoder;

use super::block_on;
use super::new::Language;
use super::output::{Failure, note, print};
use super::workbench::{Workbench, judged, read_wasm, tell_rejection};
use crate::components::Admission;

const BUILD_HELP: &str = "\
Cargo.toml: cargo build --release --target wasm32-unknown-unknown, with the toolchain \"wasm\" if only that one has the target.
Source paths in the component name the package, not the folder that it lies in.
package.json: npm ci (npm install without a package-lock.json) if node_modules is missing, then npm run build, which leaves one dist/*.wasm.
pyproject.toml: python -m everwit_guest.build, in the environment .venv or the active one; without either, .venv is made with what requirements.txt names.
everwit.toml: zig cc from an environment that is made likewise, with the sources, headers and flags that its table [c] names; src without one.
go.mod: go build for wasip1 with the go in PATH or, if that is older than 1.25, with that of such an environment.

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
    let built = block_on(build(&args.dir, args.output.as_deref()))?;
    print(&built.path.display().to_string())
}

/// A component that was built from a project and that the sandbox accepts.
pub(super) struct Built {
    pub(super) path: PathBuf,
    pub(super) wasm: Vec<u8>,
    pub(super) admission: Admission,
}

/// Builds the project in `dir`. The component goes to `output` or, without that, into the current directory.
pub(super) async fn build(dir: &Path, output: Option<&Path>) -> Result<Built, Failure> {
    let made = match language_of(dir) {
        Some(Language::Rust) => rust::build(dir)?,
        Some(Language::JavaScript) => javascript::build(dir)?,
        Some(Language::Python) => python::build(dir)?,
        Some(Language::C) => c::build(dir)?,
        Some(Language::Go) => go::build(dir)?,
        None => return Err(Failure::usage(no_project(dir))),
    };
    let component = encode(&made)?;
    let Some(Described { wasm, admission }) = describe(&made, component).await? else { return Err(Failure::silent()) };
    let path = output.map_or_else(|| format!("{}.wasm", admission.description.id).into(), Path::to_owned);
    write(&path, &wasm)?;
    Ok(Built { path, wasm, admission })
}

/// The language of the project in a directory, by its manifest; none if there is no project.
pub(super) fn language_of(dir: &Path) -> Option<Language> {
    let manifests = [
        ("Cargo.toml", Language::Rust),
        ("package.json", Language::JavaScript),
        ("pyproject.toml", Language::Python),
        (c::MANIFEST, Language::C),
        (go::MANIFEST, Language::Go),
    ];
    manifests.into_iter().find(|(manifest, _)| dir.join(manifest).is_file()).map(|(_, language)| language)
}

/// What is wrong with a directory that is no project.
pub(super) fn no_project(dir: &Path) -> String {
    let shown = dir.display();
    let what = match dir.metadata() {
        Ok(found) if found.is_dir() => {
            format!("{shown} has neither Cargo.toml nor package.json nor pyproject.toml nor everwit.toml nor go.mod")
        }
        Ok(_) => format!("{shown} is no directory"),
        Err(error) => format!("cannot read {shown}: {error}"),
    };
    format!("{what}\nto fix it: name the directory of a project, or begin one with everwit new")
}

pub(crate) fn run_componentize(args: &ComponentizeArgs) -> Result<(), Failure> {
    let component = encode(&args.core)?;
    match block_on(describe(&args.core, component.clone()))? {
        Some(described) => write(&args.output, &described.wasm)?,
        None => {
            note("warning: the component is written without its description; servers will reject it for the same reasons");
            write(&args.output, &component)?;
        }
    }
    print(&args.output.display().to_string())
}

pub(super) fn write(output: &Path, wasm: &[u8]) -> Result<(), Failure> {
    std::fs::write(output, wasm).map_err(|error| Failure::failed(format!("cannot write {}: {error}", output.display())))?;
    note(&format!("{} bytes", wasm.len()));
    Ok(())
}

/// The component of a core module; a component stays what it is.
fn encode(path: &Path) -> Result<Vec<u8>, Failure> {
    let wasm = read_wasm(path)?;
    if wasmparser::Parser::is_component(&wasm) {
        return Ok(wasm);
    }
    if !wasm.starts_with(b"\0asm") {
        return Err(Failure::failed(format!("{} cannot become a component: it is no WebAssembly module", path.display())));
    }
    let encoded = ComponentEncoder::default().validate(true).module(&wasm).and_then(|mut encoder| {
        if imports_preview1(&wasm) {
            encoder = encoder.adapter(ADAPTER_NAME, ADAPTER)?;
        }
        encoder.encode()
    });
    encoded.map_err(|error| Failure::failed(format!("{} cannot become a component: {error:#}", path.display())))
}

/// Whether a core module imports WASI as it was before components, which an adapter turns into the present one.
fn imports_preview1(wasm: &[u8]) -> bool {
    let mut payloads = wasmparser::Parser::new(0).parse_all(wasm).filter_map(Result::ok);
    payloads.any(|payload| match payload {
        wasmparser::Payload::ImportSection(section) => {
            section.into_imports().any(|import| import.is_ok_and(|import| import.module == ADAPTER_NAME))
        }
        _ => false,
    })
}

/// A component that says what it is.
pub(super) struct Described {
    pub(super) wasm: Vec<u8>,
    admission: Admission,
}

/// Asks the component what it is and writes that into it; none if the sandbox rejects it, which
/// is told then. What says already what it is stays as it is. Other commands find its code in the author's cache.
pub(super) async fn describe(path: &Path, component: Vec<u8>) -> Result<Option<Described>, Failure> {
    let bare = section::without_description(&component).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    let bench = Workbench::start(Vec::new())?;
    if bare.len() < component.len()
        && let Ok(admission) = bench.examine(component.clone()).await?
    {
        return Ok(Some(Described { wasm: component, admission }));
    }
    let described = match bench.examine(bare.clone()).await? {
        Ok(admission) => {
            let wasm = section::with_description(bare, &admission.description);
            let admission = judged(bench.sandbox.admit_described(admission, wasm.clone()).await)?;
            admission.map(|admission| Described { wasm, admission })
        }
        Err(rejection) => Err(rejection),
    };
    if let Err(rejection) = &described {
        tell_rejection(path, rejection);
    }
    Ok(described.ok())
}

/// The only component in a folder that a build has written to.
fn only_in(dist: &Path, step: &str) -> Result<PathBuf, Failure> {
    let entries = std::fs::read_dir(dist).map_err(|error| Failure::failed(format!("cannot read {}: {error}", dist.display())))?;
    let files = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let built = files.filter(|path| path.extension().is_some_and(|extension| extension == "wasm")).collect();
    only(built, || format!("{step} must leave one .wasm file in {}", dist.display()))
}

fn only(mut files: Vec<PathBuf>, expected: impl FnOnce() -> String) -> Result<PathBuf, Failure> {
    match (files.pop(), files.is_empty()) {
        (Some(file), true) => Ok(file),
        (last, _) => Err(Failure::failed(format!("{}; there are {}", expected(), files.len() + usize::from(last.is_some())))),
    }
}
