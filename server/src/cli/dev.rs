//! `everwit dev`: builds, tests and shows a component again whenever its source changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use clap::Args;

use super::build::{build, language_of};
use super::cases;
use super::output::{Failure, Style, harmless, note};
use super::recordings::Recordings;
use super::test::{cases_of, run_cases, tell};
use super::workbench::Workbench;

/// How often sources are looked at. They are looked at and not watched, because a kernel's watch of a whole project
/// reports every file that the compiler writes, and network and container file systems report none.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Source files that are looked at.
const MAX_FILES: usize = 10_000;
/// What tools write into a project.
const WRITTEN_BY_TOOLS: [&str; 6] = ["target", "node_modules", "dist", "build", "__pycache__", "package-lock.json"];

const HELP: &str = "\
After each build the cases in cases/ run, with what the component logs. The time from the edit to the results is printed. Ctrl-C ends it.

Exit codes: 1 it cannot go on, 2 wrong usage.";

/// Options of `everwit dev`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct DevArgs {
    /// Directory of the project.
    #[arg(default_value = ".")]
    dir: PathBuf,
}

/// Files with the times of their last change and their sizes.
type Snapshot = BTreeMap<PathBuf, (SystemTime, u64)>;

pub(crate) async fn run(args: DevArgs) -> Result<(), Failure> {
    if language_of(&args.dir).is_none() {
        return Err(Failure::usage(super::build::no_project(&args.dir)));
    }
    let mut seen = snapshot(&args.dir)?;
    let mut edited = Instant::now();
    loop {
        if let Err(failure) = round(&args.dir, edited).await {
            failure.report();
        }
        note(&Style::stderr().dim(&format!("watching {} files; Ctrl-C ends", seen.len())));
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = snapshot(&args.dir)?;
            if now != seen {
                seen = now;
                edited = Instant::now();
                break;
            }
        }
    }
}

/// Builds once and shows what came out.
async fn round(dir: &Path, edited: Instant) -> Result<(), Failure> {
    let built = build(dir, None).await?;
    let seconds = |since: Instant| since.elapsed().as_secs_f64();
    let about = &built.admission.description;
    let tools: Vec<&str> = about.tools.iter().map(|tool| tool.name.as_str()).collect();
    note(&format!("built {} in {:.1} s; tools: {}", built.path.display(), seconds(edited), harmless(&tools.join(", "))));
    let found = cases_of(dir)?;
    if !found.is_empty() {
        let mut recordings = Recordings::beside(&dir.join(cases::FOLDER), false);
        let bench = Workbench::taped(Vec::new(), recordings.tape())?;
        // What the build has compiled, so that nobody waits for that twice.
        tell(&run_cases(&bench, &built.wasm, &built.admission, &found, &mut recordings).await?, true)?;
    }
    note(&format!("edit to result: {:.1} s", seconds(edited)));
    Ok(())
}

/// The sources of a project as they are now.
fn snapshot(dir: &Path) -> Result<Snapshot, Failure> {
    let mut found = Snapshot::new();
    collect(dir, &mut found).map_err(|error| Failure::failed(format!("cannot read {}: {error}", dir.display())))?;
    if found.len() > MAX_FILES {
        return Err(Failure::failed(format!(
            "{} has more than {MAX_FILES} source files\nto fix it: name a smaller directory",
            dir.display()
        )));
    }
    Ok(found)
}

fn collect(dir: &Path, found: &mut Snapshot) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        let ignored = name.starts_with('.') || WRITTEN_BY_TOOLS.contains(&name.as_ref()) || name.ends_with(".wasm") || name == "Cargo.lock";
        if ignored || found.len() > MAX_FILES {
            continue;
        }
        // What vanished since the folder was read, or is a link to nowhere, is no source.
        let Ok(metadata) = path.metadata() else { continue };
        if entry.file_type()?.is_dir() {
            collect(&path, found)?;
        } else if metadata.is_file() {
            found.insert(path, (metadata.modified()?, metadata.len()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_source_is_seen_and_one_of_an_output_is_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("src")).unwrap();
        std::fs::create_dir_all(dir.path().join("target/debug")).unwrap();
        let before = snapshot(dir.path()).unwrap();
        for output in ["target/debug/x", "x.wasm", ".hidden", "Cargo.lock"] {
            std::fs::write(dir.path().join(output), "x").unwrap();
        }
        assert_eq!(snapshot(dir.path()).unwrap(), before);
        std::fs::write(dir.path().join("src/lib.rs"), "x").unwrap();
        let added = snapshot(dir.path()).unwrap();
        assert_ne!(added, before);
        std::fs::write(dir.path().join("src/lib.rs"), "xy").unwrap();
        assert_ne!(snapshot(dir.path()).unwrap(), added);
    }
}
