//! Building guests: the shipped components, in the languages that they are written in, and the
//! test guests.
//!
//! Results are `components/<name>.wasm` and `test-guests/<name>.wasm` in the target directory.
//! A guest's core module comes from its language's own tool; `everwit` turns it into a component.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use serde_json::Value;

use crate::process::{Error, Result, at, read, read_stdout, run};
use crate::project::{Project, cargo, metadata};
use crate::python;
use crate::steps::Steps;
use crate::tools::{NODE, NPM, PYTHON};
use crate::wasm_target::{self, TARGET, Toolchain};
use crate::zlib;

/// `cargo xtask components`
pub(crate) fn run_command() -> Result<()> {
    let mut steps = Steps::new(STEPS + 2);
    steps.run("checking tools", require_tools)?;
    let project = Project::find()?;
    steps.run("building everwit", || project.build_everwit())?;
    build(&project, &mut steps)?;
    steps.finish("components built");
    Ok(())
}

/// All of them at once, whichever of the commands needs it: who builds components is about to test
/// and to measure them.
pub(crate) fn require_tools() -> Result<()> {
    NODE.require()?;
    NPM.require()?;
    PYTHON.require()
}

/// The package whose core module `everwit wrap` carries: no guest of its own.
const ADAPTER: &str = "everwit-wrap";

/// `cargo xtask wrap-adapter`: compiles it for the program to carry.
pub(crate) fn wrap_adapter() -> Result<()> {
    let project = Project::find()?;
    let cores = compile(&project, wasm_target::ensure()?, ADAPTER, Kind::Shipped)?;
    let [core] = &cores[..] else { return Err(Error::new(format!("{ADAPTER} must be one module; it is {}", cores.len()))) };
    let carried = project.root.join("server/src/cli/wrap/adapter.wasm");
    at(&carried, fs::copy(core, &carried))?;
    eprintln!("compiled; record its source with `cargo xtask bless wrap::the_adapter`");
    Ok(())
}

/// How many steps [`build`] takes.
pub(crate) const STEPS: usize = 5;

/// Builds all guests; the `everwit` binary must have been built.
pub(crate) fn build(project: &Project, steps: &mut Steps) -> Result<()> {
    steps.run("building Rust guests", || rust_guests(project))?;
    steps.run("building JavaScript guests", || javascript_guests(project))?;
    steps.run("building Python guests", || python_guests(project))?;
    steps.run("building C guests", || c_guests(project))?;
    steps.run("building Go guests", || go_guests(project))
}

/// What a guest of the Rust workspace becomes.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A component that users get: the library of a package.
    Shipped,
    /// Guests of the tests: the examples of a package, or an npm package of their own.
    TestGuests,
}

impl Kind {
    fn folder(self) -> &'static str {
        match self {
            Self::Shipped => "components",
            Self::TestGuests => "test-guests",
        }
    }

    fn of(package: &Value) -> Option<Self> {
        if package["name"] == ADAPTER {
            return None;
        }
        let targets = package["targets"].as_array()?;
        let loadable = |kind: &str| targets.iter().any(|target| has(target, "kind", kind) && has(target, "crate_types", "cdylib"));
        if loadable("cdylib") {
            Some(Self::Shipped)
        } else if loadable("example") {
            Some(Self::TestGuests)
        } else {
            None
        }
    }
}

fn has(target: &Value, list: &str, word: &str) -> bool {
    target[list].as_array().is_some_and(|words| words.iter().any(|found| found == word))
}

/// One cargo call a package: features that one guest switches on must not reach another, or it
/// would differ from what its author gets.
fn rust_guests(project: &Project) -> Result<()> {
    let toolchain = wasm_target::ensure()?;
    let workspace = metadata(&project.guests())?;
    for package in workspace["packages"].as_array().into_iter().flatten() {
        let (Some(name), Some(kind)) = (package["name"].as_str(), Kind::of(package)) else { continue };
        for core in compile(project, toolchain, name, kind)? {
            let stem = core.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-");
            let component = output(project, kind.folder(), &stem)?;
            if !is_newer(&component, &[core.clone(), project.everwit()]) {
                read(Command::new(project.everwit()).arg("componentize").arg(&core).arg("-o").arg(&component))?;
            }
        }
    }
    Ok(())
}

/// Compiles a package's guests and returns their core modules.
fn compile(project: &Project, toolchain: Toolchain, package: &str, kind: Kind) -> Result<Vec<PathBuf>> {
    let subcommand: Vec<&str> = toolchain.argument().into_iter().chain(["build"]).collect();
    let mut build = cargo(&project.guests(), &subcommand);
    build.args(["--release", "--target", TARGET, "--message-format", "json-render-diagnostics", "--package", package]);
    build.arg(if kind == Kind::Shipped { "--lib" } else { "--examples" });
    build.arg("--target-dir").arg(project.guest_target());
    hide_sources(&mut build, project)?;
    Ok(core_modules(&read_stdout(&mut build)?))
}

/// Replaces the folders of this machine in the source paths that components carry, as `everwit
/// build` does for their authors.
fn hide_sources(build: &mut Command, project: &Project) -> Result<()> {
    let home = |variable: &str, default: &str| {
        let set = std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        set.or_else(|| std::env::home_dir().map(|home| home.join(default)))
    };
    // Of several prefixes that fit the last one counts.
    let mut folders = vec![(project.root.clone(), "everwit"), (project.target.clone(), "target")];
    folders.extend(home("CARGO_HOME", ".cargo").map(|folder| (folder, "cargo")));
    folders.extend(home("RUSTUP_HOME", ".rustup").map(|folder| (folder, "rustup")));
    let flags: Vec<String> = folders.iter().map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display())).collect();
    // A TOML array of strings is written as in JSON.
    let list = serde_json::to_string(&flags).map_err(|error| Error::new(format!("a folder cannot be written: {error}")))?;
    build.arg("--config").arg(format!("build.rustflags={list}"));
    Ok(())
}

/// The core modules among the artifacts that cargo reports, up to date or not.
fn core_modules(messages: &str) -> Vec<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let artifacts = messages.filter(|message| message["reason"] == "compiler-artifact");
    let files = artifacts.flat_map(|artifact| artifact["filenames"].as_array().cloned().unwrap_or_default());
    files.filter_map(|file| file.as_str().filter(|file| file.ends_with(".wasm")).map(PathBuf::from)).collect()
}

fn javascript_guests(project: &Project) -> Result<()> {
    let sdk = project.root.join("guest-sdk/js");
    install(&sdk)?;
    let shipped = javascript_folders(&project.guests())?.into_iter().map(|guest| (Kind::Shipped, guest));
    let tests = javascript_folders(&project.root.join("tests/guests-js"))?.into_iter().map(|guest| (Kind::TestGuests, guest));
    for (kind, guest) in shipped.chain(tests) {
        install(&guest)?;
        let name = guest.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let component = output(project, kind.folder(), &name)?;
        let inputs = [guest.clone(), sdk.clone(), project.root.join("wit"), project.everwit()];
        if !is_newer(&component, &inputs) {
            read(Command::new(project.everwit()).arg("build").arg(&guest).arg("-o").arg(&component))?;
        }
    }
    Ok(())
}

fn python_guests(project: &Project) -> Result<()> {
    let (environment, sdk) = (python::environment(project)?, python::sdk(project));
    let shipped = folders_with(&project.guests(), "pyproject.toml")?.into_iter().map(|guest| (Kind::Shipped, guest));
    let tests =
        folders_with(&project.root.join("tests/guests-python"), "pyproject.toml")?.into_iter().map(|guest| (Kind::TestGuests, guest));
    for (kind, guest) in shipped.chain(tests) {
        let name = guest.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let component = output(project, kind.folder(), &name)?;
        let inputs = [
            guest.join("src"),
            guest.join("pyproject.toml"),
            guest.join("exchanges.json"),
            sdk.join("everwit_guest"),
            project.root.join("wit"),
            environment.join("../installed.txt"),
        ];
        if !is_newer(&component, &inputs) {
            let mut build = Command::new(project.everwit());
            build.arg("build").arg(&guest).arg("-o").arg(&component);
            read(build.env("VIRTUAL_ENV", &environment).env("PYTHONPATH", &sdk).env("PYTHONDONTWRITEBYTECODE", "1"))?;
        }
    }
    Ok(())
}

fn c_guests(project: &Project) -> Result<()> {
    let environment = python::environment(project)?;
    zlib::fetch(project)?;
    let shipped = folders_with(&project.guests(), "everwit.toml")?.into_iter().map(|guest| (Kind::Shipped, guest));
    let tests = folders_with(&project.root.join("tests/guests-c"), "everwit.toml")?.into_iter().map(|guest| (Kind::TestGuests, guest));
    for (kind, guest) in shipped.chain(tests) {
        let name = guest.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let component = output(project, kind.folder(), &name)?;
        // The SDK and the contracts are those in the program.
        let inputs =
            [guest.join("src"), guest.join("everwit.toml"), guest.join("zlib"), project.everwit(), environment.join("../installed.txt")];
        if !is_newer(&component, &inputs) {
            read(Command::new(project.everwit()).arg("build").arg(&guest).arg("-o").arg(&component).env("VIRTUAL_ENV", &environment))?;
        }
    }
    Ok(())
}

fn go_guests(project: &Project) -> Result<()> {
    let environment = python::environment(project)?;
    let shipped = folders_with(&project.guests(), "go.mod")?.into_iter().map(|guest| (Kind::Shipped, guest));
    let tests = folders_with(&project.root.join("tests/guests-go"), "go.mod")?.into_iter().map(|guest| (Kind::TestGuests, guest));
    for (kind, guest) in shipped.chain(tests) {
        let name = guest.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let component = output(project, kind.folder(), &name)?;
        let inputs = [guest.clone(), project.root.join("guest-sdk/go"), project.root.join("wit"), environment.join("../installed.txt")];
        if !is_newer(&component, &inputs) {
            read(Command::new(project.everwit()).arg("build").arg(&guest).arg("-o").arg(&component).env("VIRTUAL_ENV", &environment))?;
        }
    }
    Ok(())
}

/// The npm packages directly below a folder, sorted.
pub(crate) fn javascript_folders(parent: &Path) -> Result<Vec<PathBuf>> {
    folders_with(parent, "package.json")
}

/// The folders directly below a folder that have a file, sorted.
pub(crate) fn folders_with(parent: &Path, file: &str) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in at(parent, fs::read_dir(parent))? {
        let folder = at(parent, entry)?.path();
        if folder.join(file).exists() {
            folders.push(folder);
        }
    }
    folders.sort();
    Ok(folders)
}

/// Installs exactly what the lock file says, unless that is what is installed.
fn install(folder: &Path) -> Result<()> {
    let lock = folder.join("package-lock.json");
    if !lock.exists() {
        return Err(Error::new(format!("{} is missing", lock.display())).fix("`npm install` there, and commit it"));
    }
    if is_newer(&folder.join("node_modules/.package-lock.json"), &[lock]) {
        return Ok(());
    }
    run(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"]).current_dir(folder))
}

fn output(project: &Project, folder: &str, name: &str) -> Result<PathBuf> {
    let folder = project.target.join(folder);
    at(&folder, fs::create_dir_all(&folder))?;
    Ok(folder.join(name).with_extension("wasm"))
}

/// Whether `output` exists and nothing in the input files and folders was changed after it.
fn is_newer(output: &Path, inputs: &[PathBuf]) -> bool {
    let built = modified(output);
    built.is_some() && inputs.iter().all(|input| newest(input) <= built)
}

/// When anything in a file or folder was changed last. What tools write into a project is no input.
fn newest(path: &Path) -> Option<SystemTime> {
    if ["node_modules", "dist", "target", "__pycache__"].iter().any(|name| path.ends_with(name)) {
        return None;
    }
    let entries = fs::read_dir(path).ok().into_iter().flatten().flatten();
    entries.map(|entry| newest(&entry.path())).chain([modified(path)]).max().flatten()
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_modules_are_found_among_cargos_messages() {
        let messages = r#"
            {"reason":"compiler-artifact","filenames":["/t/libserde.rlib","/t/libserde.rmeta"]}
            {"reason":"compiler-artifact","fresh":true,"filenames":["/t/data_lens.wasm"]}
            {"reason":"build-finished","success":true}"#;
        assert_eq!(core_modules(messages), [PathBuf::from("/t/data_lens.wasm")]);
    }

    #[test]
    fn guests_are_told_from_libraries_and_programs() {
        let package = |kind: &str, types: &str| serde_json::json!({"targets": [{"kind": [kind], "crate_types": [types]}]});
        assert!(Kind::of(&package("cdylib", "cdylib")) == Some(Kind::Shipped));
        assert!(Kind::of(&package("example", "cdylib")) == Some(Kind::TestGuests));
        assert!(Kind::of(&package("example", "bin")).is_none());
        assert!(Kind::of(&package("lib", "lib")).is_none());
    }

    #[test]
    fn an_output_is_out_of_date_once_anything_below_an_input_changes() {
        let folder = std::env::temp_dir().join(format!("xtask-newer-{}", std::process::id()));
        let (source, installed, output) = (folder.join("guest/src"), folder.join("guest/node_modules"), folder.join("out.wasm"));
        for place in [&source, &installed] {
            fs::create_dir_all(place).expect("the temporary directory is writable");
        }
        let touch = |path: &Path, seconds: u64| {
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            let file = fs::File::options().create(true).write(true).truncate(false).open(path).expect("the file can be made");
            file.set_modified(time).expect("its time can be set");
        };
        let inputs = [source.join("index.js"), installed];
        assert!(!is_newer(&output, &inputs), "there is no output yet");
        touch(&inputs[0], 100);
        touch(&output, 200);
        assert!(is_newer(&output, &inputs));
        touch(&inputs[0], 300);
        assert!(!is_newer(&output, &inputs));
        fs::remove_dir_all(folder).expect("the folder was made above");
    }
}
