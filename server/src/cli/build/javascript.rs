//! Building a JavaScript project with its own npm script.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::only_in;
use crate::cli::output::Failure;

/// Builds the project and gives its component.
pub(super) fn build(dir: &Path) -> Result<PathBuf, Failure> {
    if !dir.join("node_modules").is_dir() {
        let locked = dir.join("package-lock.json").is_file();
        npm(dir, &[if locked { "ci" } else { "install" }])?;
    }
    npm(dir, &["run", "build"])?;
    only_in(&dir.join("dist"), "npm run build")
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
