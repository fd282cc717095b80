//! Python guests and their tests, and the environment with the tools of all guests that Python's registry has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Error, Result, at, read, run};
use crate::project::Project;

/// Templates whose `requirements.txt` names the tools of their language.
const TEMPLATES: [&str; 3] = ["guest-sdk/python/template", "guest-sdk/c/template", "guest-sdk/go/template"];

/// What builds components, in a virtual environment below the target directory; installed once per version.
///
/// # Errors
/// Python has no venv, or the registry cannot be reached.
pub(crate) fn environment(project: &Project) -> Result<PathBuf> {
    let requirements = TEMPLATES.map(|template| project.root.join(template).join("requirements.txt"));
    virtual_environment(&requirements, &project.target.join("python-guests"))
}

/// A virtual environment in a folder, with what some files pin; installed once per version.
///
/// # Errors
/// Python has no venv, or the registry cannot be reached.
pub(crate) fn virtual_environment(requirements: &[PathBuf], folder: &Path) -> Result<PathBuf> {
    let texts = requirements.iter().map(|file| at(file, fs::read_to_string(file))).collect::<Result<Vec<_>>>()?;
    let wanted = texts.concat();
    // Written last, so that an installation that was broken off does not count.
    let (environment, installed) = (folder.join("venv"), folder.join("installed.txt"));
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(environment);
    }
    at(folder, fs::create_dir_all(folder))?;
    let made = read(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
    made.map_err(|error| {
        Error::new(format!("this Python makes no virtual environment: {error}")).fix("`apt-get install -y python3-venv`")
    })?;
    let mut pip = Command::new(environment.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:"]);
    pip.args(requirements.iter().flat_map(|file| ["--requirement".as_ref(), file.as_os_str()]));
    run(pip.env_remove("PYTHONPATH").env_remove("PIP_TARGET"))?;
    at(&installed, fs::write(&installed, wanted))?;
    Ok(environment)
}

/// The SDK, as Python finds it.
pub(crate) fn sdk(project: &Project) -> PathBuf {
    project.root.join("guest-sdk/python")
}

/// Runs the tests of the SDK and of the components, outside of the sandbox.
pub(crate) fn tests(project: &Project) -> Result<()> {
    let mut folders = vec![sdk(project)];
    folders.extend(crate::components::folders_with(&project.guests(), "pyproject.toml")?);
    for folder in folders {
        let mut tests = Command::new("python3");
        tests.args(["-W", "error", "-m", "unittest", "discover", "--quiet", "--start-directory", "tests", "--top-level-directory", "."]);
        run(tests.current_dir(&folder).env("PYTHONPATH", sdk(project)).env("PYTHONDONTWRITEBYTECODE", "1"))?;
    }
    Ok(())
}
