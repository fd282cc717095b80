//! The S3 service of the tests, which they start themselves.

use crate::process::Result;
use crate::project::Project;
use crate::python::virtual_environment;

/// `cargo xtask s3-server`
pub(crate) fn run_command() -> Result<()> {
    install(&Project::find()?)
}

/// Installs what `tests/s3-server` pins, unless it is there already.
pub(crate) fn install(project: &Project) -> Result<()> {
    virtual_environment(&[project.root.join("tests/s3-server/requirements.txt")], &project.target.join("s3-server")).map(drop)
}
