//! Rules of the house that no compiler checks. There are no exemptions.

use std::fs;
use std::path::{Path, PathBuf};

/// What is written by hand and read by people.
const SOURCES: [&str; 11] = ["rs", "wit", "js", "ts", "py", "go", "c", "h", "sql", "css", "sh"];
/// What tools write, wherever it lies.
const WRITTEN_BY_TOOLS: [&str; 6] = ["target", "node_modules", "dist", "generated", "snapshots", "zlib"];
const MAX_LINES: usize = 600;
/// Packages in the lock file: each is code that somebody has to trust.
const MAX_PACKAGES: usize = 550;
/// Direct dependencies of xtask, which is compiled before every command.
const MAX_XTASK_DEPENDENCIES: usize = 2;

/// Where tests change a database behind a server's back.
const SUPPORT: &str = "tests/tests/it/support/sqlite.rs";
/// A crate, or the beginning of a path, and the only places whose code may name it.
const HOMES: [(&str, &[&str]); 5] = [
    ("wasmtime", &["runtime/src/sandbox/", "tests/benches/"]),
    ("wasmtime_wasi", &["runtime/src/sandbox/"]),
    ("sqlx", &["runtime/src/store/sql/", "runtime/src/store/sqlite/", "runtime/src/store/postgres/", "tests/benches/", SUPPORT]),
    ("axum", &["server/", "tests/"]),
    ("env::var", &["runtime/src/mutation.rs", "server/src/config", "server/build.rs", "xtask/src/", "tests/"]),
];

pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the package lies in a folder of the checkout").to_owned()
}

/// All files below a folder but those that tools write and hidden ones, sorted.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder of the checkout is readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || path.is_symlink() {
            continue;
        }
        match path.is_dir() {
            true if WRITTEN_BY_TOOLS.contains(&name.as_str()) => {}
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

/// A source file: its path in the checkout, and its text.
struct Source {
    name: String,
    text: String,
}

impl Source {
    fn all() -> Vec<Self> {
        let root = root();
        let sources = files_below(&root).into_iter().filter(|path| {
            let extension = path.extension().unwrap_or_default().to_string_lossy();
            SOURCES.contains(&extension.as_ref())
        });
        let read = |path: PathBuf| {
            let name = path.strip_prefix(&root).expect("it was found below the root").to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            Self { name, text }
        };
        sources.map(read).collect()
    }

    fn is_rust_of_the_host(&self) -> bool {
        let host = ["runtime/", "server/", "tests/src/", "tests/tests/", "tests/benches/", "xtask/"];
        self.name.ends_with(".rs") && host.iter().any(|folder| self.name.starts_with(folder))
    }

    /// Lines with their places, as `file:line`.
    fn lines(&self) -> impl Iterator<Item = (String, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (format!("{}:{}", self.name, at + 1), line))
    }
}

fn assert_none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

#[test]
fn no_file_is_longer_than_a_sitting() {
    let long = |source: &Source| {
        let lines = source.text.lines().count();
        (lines > MAX_LINES).then(|| format!("{}: {lines} lines", source.name))
    };
    let found: Vec<String> = Source::all().iter().filter_map(long).collect();
    assert_none(&found, &format!("split what is longer than {MAX_LINES} lines"));
}

#[test]
fn each_big_dependency_has_one_home() {
    let mut found = Vec::new();
    for source in Source::all().iter().filter(|source| source.is_rust_of_the_host()) {
        for (dependency, homes) in HOMES {
            if homes.iter().any(|home| source.name.starts_with(home)) {
                continue;
            }
            let code = source.lines().filter(|(_, line)| !line.trim_start().starts_with("//"));
            let named = code.filter(|(_, line)| names(line, dependency));
            found.extend(named.map(|(place, _)| format!("{place}: {dependency} belongs into {}", homes.join(", "))));
        }
    }
    assert_none(&found, "dependencies point one way");
}

/// Whether code names something of a crate, or a path, and not what merely ends like it.
fn names(line: &str, place: &str) -> bool {
    let path = if place.contains("::") { place.to_owned() } else { format!("{place}::") };
    line.match_indices(&path).any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
}

#[test]
fn deferred_work_is_an_issue_and_not_a_comment() {
    let marks = ["TO", "FIX", "XX", "HA"].iter().zip(["DO", "ME", "X", "CK"]).map(|(a, b)| format!("{a}{b}")).collect::<Vec<_>>();
    let mut found = Vec::new();
    for source in Source::all() {
        let comments = source.lines().filter_map(|(place, line)| Some((place, line.split_once("//").or(line.split_once("# "))?.1)));
        for (place, comment) in comments {
            let marked = marks.iter().any(|mark| comment.split(|c: char| !c.is_alphanumeric()).any(|word| word == mark));
            if marked || has_ticket(comment) {
                found.push(place);
            }
        }
    }
    assert_none(&found, "no marks of work left over and no ticket numbers in comments");
}

/// Whether a comment refers to a ticket, as in `#` and a number.
fn has_ticket(comment: &str) -> bool {
    comment.split_whitespace().any(|word| {
        let word = word.trim_start_matches('(').trim_end_matches([')', '.', ',', ':', ';']);
        word.strip_prefix('#').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

#[test]
fn no_path_of_somebodys_machine() {
    let homes = ["home", "root", "Users", "work"].map(|name| format!("/{name}/"));
    let mut found = Vec::new();
    for source in Source::all() {
        let quoted = |line: &str| homes.iter().any(|home| line.contains(&format!("\"{home}")) || line.contains(&format!(" {home}")));
        found.extend(source.lines().filter(|(_, line)| quoted(line)).map(|(place, _)| place));
    }
    assert_none(&found, "paths are relative or computed");
}

#[test]
fn every_package_inherits_the_lints() {
    let manifests = files_below(&root()).into_iter().filter(|path| path.ends_with("Cargo.toml"));
    let mut found = Vec::new();
    for manifest in manifests {
        let text = fs::read_to_string(&manifest).expect("a manifest of the checkout is readable");
        if text.contains("[package]") && !text.contains("[lints]\nworkspace = true") {
            found.push(manifest.display().to_string());
        }
    }
    assert_none(&found, "add `[lints]` with `workspace = true`");
}

/// What a component may do is part of it, so the page says it: what a capability asks for, where a driver's credential goes.
#[test]
fn every_shipped_component_says_what_it_needs() {
    let folders = fs::read_dir(root().join("components")).expect("a folder of the checkout").map(|entry| entry.expect("an entry").path());
    let folders: Vec<PathBuf> = folders.filter(|path| path.is_dir()).collect();
    assert!(folders.len() > 5, "{folders:?}");
    for folder in folders {
        let page = fs::read_to_string(folder.join("README.md")).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let needs = if folder.to_string_lossy().ends_with("-driver") { "credential" } else { "Permissions" };
        assert!(page.contains(needs), "{} does not say {needs:?}", folder.display());
    }
}

#[test]
fn dependencies_stay_few() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let packages = read("Cargo.lock").matches("[[package]]").count();
    assert!(packages <= MAX_PACKAGES, "{packages} packages in Cargo.lock, at most {MAX_PACKAGES}");
    let manifest = read("xtask/Cargo.toml");
    let section = manifest.split("[dependencies]\n").nth(1).unwrap_or_default().split("\n[").next().unwrap_or_default();
    let direct = section.lines().filter(|line| line.contains('=')).count();
    assert!(direct <= MAX_XTASK_DEPENDENCIES, "{direct} dependencies of xtask, at most {MAX_XTASK_DEPENDENCIES}");
}

#[test]
fn the_checks_find_what_they_are_for() {
    assert!(names("use insta::glob;", "insta") && !names("my_insta::glob", "insta") && !names("instant()", "insta"));
    assert!(names("std::env::vars()", "env::var") && !names("std::env::args()", "env::var"));
    assert!(has_ticket("see #12.") && has_ticket("(#7)") && !has_ticket("#fff") && !has_ticket("a # b"));
}
