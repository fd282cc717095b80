//! The way of an author who has never seen this repository: the pages of `docs/authoring`, followed word for word.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::demo::server::Server;
use crate::pages::Page;
use crate::process::{Error, Result, at};
use crate::project::Project;

/// What all languages have in common; its files belong into the projects that have the folder of cases.
const COMMON: &str = "docs/authoring.md";
const CASES: &str = "cases";
/// The pages of languages, and what else is followed.
const PAGES: &str = "docs/authoring";
/// What the author's shell has; nothing of this checkout is in it.
const ENVIRONMENT: [&str; 5] = ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "PATH"];

/// `cargo xtask authoring`
pub(crate) fn run_command(language: Option<&str>) -> Result<()> {
    let project = Project::find()?;
    project.build_everwit()?;
    check(&project, language)
}

/// Follows the page of one language or of all, each in a folder outside of the checkout, beside a server of its own.
pub(crate) fn check(project: &Project, language: Option<&str>) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("everwit-authoring-{}", std::process::id()));
    at(&folder, fs::create_dir_all(&folder))?;
    let result = follow_all(project, &folder, language);
    at(&folder, fs::remove_dir_all(&folder))?;
    result
}

fn follow_all(project: &Project, folder: &Path, language: Option<&str>) -> Result<()> {
    let common = Page::read(&project.root.join(COMMON))?;
    let pages = project.root.join(PAGES);
    let mut names = Vec::new();
    for entry in at(&pages, fs::read_dir(&pages))? {
        let path = at(&pages, entry)?.path();
        names.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
    }
    names.sort();
    if let Some(language) = language {
        names.retain(|name| name == language);
        if names.is_empty() {
            return Err(Error::new(format!("there is no page {PAGES}/{language}.md")));
        }
    }
    for name in names {
        eprintln!("  {name}");
        let home = folder.join(&name);
        at(&home, fs::create_dir(&home))?;
        // One of its own: all pages make a component of the same name.
        let server = Server::start(&project.everwit(), &folder.join(format!("{name}-server")))?;
        let shell = || shell(project, &server);
        let page = Page::read(&pages.join(&name).with_extension("md"))?;
        let prepare = |place: &Path| if place.join(CASES).is_dir() { common.write_files(place) } else { Ok(()) };
        let led_to = page.follow(&home, &shell, &prepare)?;
        leaves_nothing_behind(&led_to, project)?;
    }
    Ok(())
}

/// A shell with `everwit` in its path, and a server that `everwit push` finds.
fn shell(project: &Project, server: &Server) -> Command {
    let mut shell = Command::new("sh");
    shell.env_clear();
    for name in ENVIRONMENT {
        let Some(mut value) = std::env::var_os(name) else { continue };
        if name == "PATH" {
            let mut programs = project.everwit().parent().unwrap_or(&project.target).as_os_str().to_owned();
            programs.push(":");
            programs.push(&value);
            value = programs;
        }
        shell.env(name, value);
    }
    shell.env("EVERWIT_SERVER", server.url()).env("EVERWIT_API_KEY", server.key());
    // Dependencies are compiled once for all runs.
    shell.env("CARGO_TARGET_DIR", project.target.join("template-guests"));
    shell
}

/// A component tells nothing of the machine that built it.
fn leaves_nothing_behind(home: &Path, project: &Project) -> Result<()> {
    let mut components = 0;
    for entry in at(home, fs::read_dir(home))? {
        let path = at(home, entry)?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            components += 1;
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
    if components == 0 { Err(Error::new(format!("{} has no component at the end of the page", home.display()))) } else { Ok(()) }
}
