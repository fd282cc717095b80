//! Where things are, and how cargo is called.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process::{Error, Result, read, run};

/// A target that needs test dependencies and compiles in a second.
const SMALLEST_EXAMPLE: &str = "in_process_runtime";

/// The checkout and its build directory.
pub(crate) struct Project {
    /// Root of the host workspace.
    pub(crate) root: PathBuf,
    /// Cargo's target directory of the host workspace.
    pub(crate) target: PathBuf,
}

impl Project {
    /// Asks cargo, so that its configuration and `CARGO_TARGET_DIR` count.
    pub(crate) fn find() -> Result<Self> {
        let metadata = metadata(Path::new("."))?;
        let path = |key: &str| {
            let text = metadata[key].as_str();
            text.map(PathBuf::from).ok_or_else(|| Error::new(format!("`cargo metadata` prints no {key}")))
        };
        Ok(Self { root: path("workspace_root")?, target: path("target_directory")? })
    }

    /// The workspace of the Rust guests.
    pub(crate) fn guests(&self) -> PathBuf {
        self.root.join("components")
    }

    /// Where guests are compiled: not the host's directory, so that neither build waits for the
    /// other's lock.
    pub(crate) fn guest_target(&self) -> PathBuf {
        self.target.join("guests")
    }

    /// `cargo` in the host workspace.
    pub(crate) fn cargo(&self, subcommand: &[&str]) -> Command {
        cargo(&self.root, subcommand)
    }

    /// Builds the server and author tool, without the tests.
    ///
    /// An example comes along because cargo adds the features of test dependencies to everything as
    /// soon as one target needs them: so all commands of this crate share one build of the dependencies.
    pub(crate) fn build_everwit(&self) -> Result<()> {
        run(self.cargo(&["build"]).args(["--workspace", "--bin", "everwit", "--example", SMALLEST_EXAMPLE]))
    }

    /// Path of the `everwit` binary.
    pub(crate) fn everwit(&self) -> PathBuf {
        self.target.join("debug/everwit")
    }
}

/// `cargo` in a folder. On CI, which sets `CI`, a lock file that is out of date is an error
/// instead of being repaired.
pub(crate) fn cargo(folder: &Path, subcommand: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(folder).args(subcommand);
    if std::env::var_os("CI").is_some() {
        command.arg("--locked");
    }
    command
}

/// What `cargo metadata` says about the workspace in `folder`.
pub(crate) fn metadata(folder: &Path) -> Result<Value> {
    let text = read(cargo(folder, &["metadata"]).args(["--no-deps", "--format-version", "1"]))?;
    serde_json::from_str(&text).map_err(|error| Error::new(format!("`cargo metadata` prints no JSON: {error}")))
}
