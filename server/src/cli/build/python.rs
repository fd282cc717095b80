//! Building a Python project with the SDK's own builder, in the project's virtual environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::only_in;
use crate::cli::new::Language;
use crate::cli::output::{Failure, note};
use crate::config;

/// What makes the virtual environment.
pub(in crate::cli) const PYTHON: &str = "python3";
/// The project's virtual environment.
const ENVIRONMENT: &str = ".venv";
/// The SDK, in projects that carry it.
const VENDORED: &str = "vendor/everwit-guest";

/// Builds the project and gives its component.
pub(super) fn build(dir: &Path) -> Result<PathBuf, Failure> {
    let dir = dir.canonicalize().map_err(|error| Failure::failed(format!("cannot read {}: {error}", dir.display())))?;
    let environment = environment(&dir, Language::Python)?;
    let mut build = Command::new(environment.join("bin/python"));
    build.args(["-m", "everwit_guest.build", "."]).current_dir(&dir).env("VIRTUAL_ENV", &environment);
    // Modules are imported once; files beside the sources would only be in the way.
    build.env("PYTHONDONTWRITEBYTECODE", "1");
    let vendored = dir.join(VENDORED);
    if vendored.is_dir() {
        let inherited = config::python_path();
        let path = [vendored].into_iter().chain(inherited.iter().flat_map(std::env::split_paths));
        let path: OsString = std::env::join_paths(path).map_err(|error| Failure::failed(format!("PYTHONPATH cannot be set: {error}")))?;
        build.env("PYTHONPATH", path);
    }
    run(&mut build, "everwit_guest.build", Language::Python)?;
    only_in(&dir.join("dist"), "everwit_guest.build")
}

/// The project's environment, or the active one; without either the project gets one.
pub(super) fn environment(dir: &Path, language: Language) -> Result<PathBuf, Failure> {
    let own = dir.join(ENVIRONMENT);
    if own.join("installed").is_file() {
        return Ok(own);
    }
    if let (false, Some(active)) = (own.is_dir(), config::virtual_environment()) {
        return Ok(active);
    }
    note(&format!("making {ENVIRONMENT} and installing what requirements.txt names"));
    run(Command::new(PYTHON).args(["-m", "venv", ENVIRONMENT]).current_dir(dir), "python3 -m venv", language)?;
    let mut pip = Command::new(own.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", "requirements.txt"]).current_dir(dir);
    run(&mut pip, "pip install --requirement requirements.txt", language)?;
    // Written last, so that an installation that was broken off does not count.
    std::fs::write(own.join("installed"), "").map_err(|error| Failure::failed(format!("cannot write into {ENVIRONMENT}: {error}")))?;
    Ok(own)
}

/// Runs a program of the environment.
pub(super) fn run(command: &mut Command, what: &str, language: Language) -> Result<(), Failure> {
    let fix = format!("\nto fix it: everwit doctor --lang {} says what is missing", language.as_str());
    // What it prints is about the build, so that it belongs to stderr.
    match command.stdout(std::io::stderr()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Failure::failed(format!("{what} failed{fix}"))),
        Err(error) => Err(Failure::failed(format!("cannot run {what}: {error}{fix}"))),
    }
}
