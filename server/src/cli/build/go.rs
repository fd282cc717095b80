//! Building a Go project: a core module of its main package, with Go's own compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::contract::{embed, sdk};
use super::python::{environment, run};
use crate::cli::doctor::version;
use crate::cli::new::Language;
use crate::cli::output::Failure;

/// The manifest of a Go project.
pub(super) const MANIFEST: &str = "go.mod";
/// Oldest Go that builds the SDK.
pub(in crate::cli) const LEAST: (u32, u32) = (1, 25);
/// Where a build leaves its results in the project.
const DIST: &str = "dist";
/// The SDK's memory functions use the runtime's own allocator, which linking by name allows only with the last of these.
const LINKER_FLAGS: &str = "-s -w -checklinkname=0";

/// Builds the project and gives its core module.
pub(super) fn build(dir: &Path) -> Result<PathBuf, Failure> {
    let failed = |what: &str, error: std::io::Error| Failure::failed(format!("cannot {what}: {error}"));
    let dir = dir.canonicalize().map_err(|error| failed(&format!("read {}", dir.display()), error))?;
    let out = dir.join(DIST);
    fs::create_dir_all(&out).map_err(|error| failed(&format!("write into {}", out.display()), error))?;
    let core = out.join("core.wasm");
    let mut build = Command::new(compiler(&dir)?);
    build.args(["build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags", LINKER_FLAGS, "-o"]).arg(&core).arg(".");
    // Another version than this one is no reason to download it.
    build.current_dir(&dir).env("GOOS", "wasip1").env("GOARCH", "wasm").env("GOTOOLCHAIN", "local");
    run(&mut build, "go build", Language::Go)?;
    embed(&core, &sdk(Language::Go, &dir, &out)?)?;
    Ok(core)
}

/// The program `go` in PATH, if it is new enough, or else that of the environment that requirements.txt describes.
fn compiler(dir: &Path) -> Result<PathBuf, Failure> {
    match in_path() {
        Some(_) => Ok("go".into()),
        None => Ok(environment(dir, Language::Go)?.join("bin/go")),
    }
}

/// The version of the `go` in PATH; none if there is none that is new enough.
pub(in crate::cli) fn in_path() -> Option<(u32, u32)> {
    let printed = Command::new("go").arg("version").env("GOTOOLCHAIN", "local").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    // "go version go1.27.3 linux/amd64"
    let words = String::from_utf8_lossy(&printed.stdout).into_owned();
    let found = version(words.split_whitespace().nth(2)?.trim_start_matches("go"))?;
    (found >= LEAST).then_some(found)
}
