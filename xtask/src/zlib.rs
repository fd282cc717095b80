//! zlib's sources for the component `compress`: a crate of the registry carries them as they were released, so cargo fetches them
//! and checks what it got.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::process::{Error, Result, at, read};
use crate::project::Project;

/// The crate that carries them.
const CRATE: &str = "libz-sys";

/// Copies the sources beside the component, unless those of the locked version are there.
pub(crate) fn fetch(project: &Project) -> Result<()> {
    let component = project.guests().join("compress");
    let (source, place) = (component.join("source"), component.join("zlib"));
    let lock = source.join("Cargo.lock");
    let wanted = at(&lock, fs::read(&lock))?;
    // Written last, so that a copy that was broken off does not count.
    let copied = place.join("Cargo.lock");
    if fs::read(&copied).is_ok_and(|copied| copied == wanted) {
        return Ok(());
    }
    let sources = crate_folder(&source)?.join("src/zlib");
    at(&place, fs::create_dir_all(&place))?;
    for entry in at(&sources, fs::read_dir(&sources))? {
        let file = at(&sources, entry)?.path();
        if file.extension().is_some_and(|end| end == "c" || end == "h") {
            at(&file, fs::copy(&file, place.join(file.file_name().unwrap_or_default())))?;
        }
    }
    at(&copied, fs::write(&copied, wanted))
}

/// Where cargo keeps the crate; it fetches what is missing.
fn crate_folder(source: &Path) -> Result<PathBuf> {
    let text = read(Command::new("cargo").args(["metadata", "--locked", "--format-version", "1"]).current_dir(source))?;
    let metadata: Value = serde_json::from_str(&text).map_err(|error| Error::new(format!("`cargo metadata` prints no JSON: {error}")))?;
    let mut packages = metadata["packages"].as_array().into_iter().flatten();
    let found = packages.find(|package| package["name"] == CRATE).and_then(|package| package["manifest_path"].as_str());
    let folder = found.and_then(|manifest| Path::new(manifest).parent()).map(Path::to_owned);
    folder.ok_or_else(|| Error::new(format!("{} does not depend on {CRATE}", source.display())))
}
