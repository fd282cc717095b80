//! The vendors' own clients, in Python, against which the stub vendors of the tests are checked.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::process::{Error, Result, at, read, run};
use crate::project::Project;
use crate::tools::PYTHON;

/// What to do if this Python cannot install anything.
const NO_PIP: &str = "`apt-get install -y python3-pip`, or python3-venv";

/// `cargo xtask vendor-clients`
pub(crate) fn run_command() -> Result<()> {
    PYTHON.require()?;
    install(&Project::find()?)
}

/// Installs what `tests/vendor-clients` pins, unless it is there already.
pub(crate) fn install(project: &Project) -> Result<()> {
    let pins = project.root.join("tests/vendor-clients");
    let folder = project.target.join("vendor-clients");
    let (requirements, constraints) = (pins.join("requirements.txt"), pins.join("constraints.txt"));
    let python = read(Command::new("python3").arg("--version"))?;
    let wanted = format!("{python}{}{}", text(&requirements)?, text(&constraints)?);
    // Written last, so that an installation that was broken off does not count.
    let installed = folder.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let site = folder.join("site");
    if site.exists() {
        at(&site, fs::remove_dir_all(&site))?;
    }
    at(&folder, fs::create_dir_all(&folder))?;
    let mut pip = pip(&folder)?;
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:", "--target"]).arg(&site);
    run(pip.arg("--requirement").arg(requirements).arg("--constraint").arg(constraints))?;
    at(&installed, fs::write(&installed, wanted))
}

/// pip, from a virtual environment where the system's Python has none.
fn pip(folder: &Path) -> Result<Command> {
    let mut python = Command::new("python3");
    if read(Command::new("python3").args(["-m", "pip", "--version"])).is_err() {
        let venv = folder.join("venv");
        let made = read(Command::new("python3").args(["-m", "venv"]).arg(&venv));
        made.map_err(|error| Error::new(format!("this Python has no pip, and makes no virtual environment: {error}")).fix(NO_PIP))?;
        python = Command::new(venv.join("bin/python"));
    }
    python.args(["-m", "pip"]);
    // What is installed elsewhere on this machine must not be taken for the pinned versions.
    python.env_remove("PYTHONPATH").env_remove("PIP_TARGET");
    Ok(python)
}

fn text(path: &Path) -> Result<String> {
    at(path, fs::read_to_string(path))
}
