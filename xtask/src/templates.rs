//! The way of an author who has never seen this repository: a new project of each language, built, tested and called.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::process::{Error, Result, at, read};
use crate::project::Project;

/// Languages of `everwit new`.
const LANGUAGES: [&str; 5] = ["rust", "js", "python", "c", "go"];
/// What the author's shell has; nothing of this checkout is in it.
const ENVIRONMENT: [&str; 5] = ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];

/// Walks the way in each language, outside of the checkout.
pub(crate) fn check(project: &Project) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("everwit-templates-{}", std::process::id()));
    at(&folder, fs::create_dir_all(&folder))?;
    let result = LANGUAGES.iter().try_for_each(|language| walk(project, &folder, language));
    at(&folder, fs::remove_dir_all(&folder))?;
    result
}

fn walk(project: &Project, folder: &Path, language: &str) -> Result<()> {
    let name = format!("hello-{language}");
    let home = folder.join(&name);
    let everwit = |place: &Path| {
        let mut command = Command::new(project.everwit());
        command.current_dir(place).env_clear();
        command.envs(ENVIRONMENT.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        // Dependencies are compiled once for all runs.
        command.env("CARGO_TARGET_DIR", project.target.join("template-guests"));
        command
    };
    read(everwit(folder).args(["new", &name, "--lang", language]))?;
    read(everwit(&home).args(["doctor"]))?;
    read(everwit(&home).args(["build"]))?;
    let tested = read(everwit(&home).args(["test", "--json"]))?;
    expect(language, "`everwit test`", &tested, &["\"failed\":0", "\"passed\":2"])?;
    let called = read(everwit(&home).args(["call", "greet", r#"{"name": "Ada"}"#]))?;
    expect(language, "`everwit call`", &called, &["Hello, Ada!"])?;
    leaves_nothing_behind(&home, project)
}

fn expect(language: &str, command: &str, printed: &str, parts: &[&str]) -> Result<()> {
    match parts.iter().all(|part| printed.contains(part)) {
        true => Ok(()),
        false => Err(Error::new(format!("{command} in a new {language} project printed {printed:?}, expected {parts:?} in it"))),
    }
}

/// A component tells nothing of the machine that built it.
fn leaves_nothing_behind(home: &Path, project: &Project) -> Result<()> {
    for entry in at(home, fs::read_dir(home))? {
        let path = at(home, entry)?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            let wasm = at(&path, fs::read(&path))?;
            let said = |folder: &Path| {
                let text = folder.as_os_str().as_encoded_bytes();
                wasm.windows(text.len()).any(|window| window == text)
            };
            if said(home) || said(&project.root) {
                return Err(Error::new(format!("{} holds the path of the folder that it was built in", path.display())));
            }
        }
    }
    Ok(())
}
