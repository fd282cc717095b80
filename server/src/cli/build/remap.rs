//! Keeping the author's machine out of a component: source paths, which the messages of panics
//! carry, begin with a name instead of a folder.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cli::output::Failure;
use crate::config::RustEnvironment;

/// Separates the flags in `CARGO_ENCODED_RUSTFLAGS`.
const FLAG_SEPARATOR: &str = "\x1f";

/// Makes `build` replace the folders of the project, its path dependencies, cargo and rustup in
/// what it compiles. `metadata` is cargo in the project's folder, with the same toolchain.
pub(super) fn hide_sources(build: &mut Command, metadata: Command) -> Result<(), Failure> {
    let environment = RustEnvironment::read();
    let flags = flags(&folders(&environment, &project(metadata)?));
    match environment.flags {
        // Flags in the environment switch off those of the configuration, so ours go with them.
        Some(given) => {
            let all: Vec<OsString> = given.into_iter().chain(flags.into_iter().map(OsString::from)).collect();
            build.env("CARGO_ENCODED_RUSTFLAGS", all.join(OsStr::new(FLAG_SEPARATOR)));
        }
        // A TOML array of strings is written as in JSON. It is added to what the project's own
        // configuration has.
        None => {
            let list = serde_json::to_string(&flags).map_err(|error| Failure::failed(format!("a folder cannot be written: {error}")))?;
            build.arg("--config").arg(format!("build.rustflags={list}"));
        }
    }
    Ok(())
}

/// What cargo knows about the project.
fn project(mut metadata: Command) -> Result<Value, Failure> {
    metadata.args(["metadata", "--format-version", "1"]).stderr(Stdio::inherit());
    let output = metadata.output().map_err(|error| Failure::failed(format!("cannot run cargo: {error}")))?;
    if !output.status.success() {
        return Err(Failure::failed("cargo metadata failed"));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| Failure::failed(format!("cargo metadata prints no JSON: {error}")))
}

/// Folders with what takes their place. Of several that hold a file the last one counts, so the
/// innermost come last.
fn folders(environment: &RustEnvironment, project: &Value) -> Vec<(PathBuf, String)> {
    let mut folders = Vec::new();
    let homes = [(&environment.cargo_home, "cargo"), (&environment.rustup_home, "rustup")];
    folders.extend(homes.into_iter().filter_map(|(home, name)| Some((home.clone()?, name.to_owned()))));
    for (key, name) in [("workspace_root", "project"), ("target_directory", "target")] {
        folders.extend(project[key].as_str().map(|folder| (PathBuf::from(folder), name.to_owned())));
    }
    for package in project["packages"].as_array().into_iter().flatten().filter(|package| package["source"].is_null()) {
        let folder = package["manifest_path"].as_str().and_then(|manifest| Path::new(manifest).parent());
        folders.extend(folder.zip(package["name"].as_str()).map(|(folder, name)| (folder.to_owned(), name.to_owned())));
    }
    folders.sort_by_key(|(folder, _)| folder.components().count());
    folders
}

fn flags(folders: &[(PathBuf, String)]) -> Vec<String> {
    folders.iter().map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_innermost_folder_comes_last() {
        let project = json!({
            "workspace_root": "/srv/w",
            "target_directory": "/srv/w/target",
            "packages": [
                { "name": "tool", "source": null, "manifest_path": "/srv/w/tools/tool/Cargo.toml" },
                { "name": "beside", "source": null, "manifest_path": "/srv/beside/Cargo.toml" },
                { "name": "serde", "source": "registry+x", "manifest_path": "/srv/.cargo/registry/serde/Cargo.toml" },
            ],
        });
        let environment = RustEnvironment { cargo_home: Some("/srv/.cargo".into()), rustup_home: None, flags: None };
        let expected = [
            "--remap-path-prefix=/srv/.cargo=cargo",
            "--remap-path-prefix=/srv/w=project",
            "--remap-path-prefix=/srv/beside=beside",
            "--remap-path-prefix=/srv/w/target=target",
            "--remap-path-prefix=/srv/w/tools/tool=tool",
        ];
        assert_eq!(flags(&folders(&environment, &project)), expected);
    }
}
