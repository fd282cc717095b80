//! `everwit new`: a project that builds on a machine that has never seen this repository.
//!
//! The SDKs are in no registry yet, so the binary carries their sources and puts them into the
//! project, under `vendor/`. Once they are published, a template names a version instead.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::Value;
use toml::Table;

use super::output::{Failure, note, print};

/// SDKs, templates and contracts, as `build.rs` found them: name and content.
static CARRIED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/carried.rs"));

/// Longest id of a capability, in bytes.
const MAX_NAME_BYTES: usize = 64;

const HELP: &str = "\
Writes a small working capability with its test cases and the SDK into a new directory NAME. Nothing is downloaded; the first build
fetches what the SDK depends on from the language's own registry.

Exit codes: 0 done, 1 failed, 2 wrong usage.";

/// Options of `everwit new`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct NewArgs {
    /// Name of the capability and of the directory: lower-case letters, digits and hyphens.
    #[arg(value_parser = name)]
    name: String,
    /// The language it is written in.
    #[arg(long)]
    lang: Language,
}

/// A language that capabilities can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Rust, compiled.
    Rust,
    /// JavaScript or TypeScript, with QuickJS.
    #[value(name = "js")]
    JavaScript,
    /// Python, with CPython.
    Python,
    /// C, compiled.
    C,
    /// Go, compiled.
    Go,
}

impl Language {
    /// Its name on the command line.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::JavaScript => "js",
            Self::Python => "python",
            Self::C => "c",
            Self::Go => "go",
        }
    }
}

/// What is a capability's id and also a package name in every language.
pub(super) fn name(text: &str) -> Result<String, String> {
    let words = || text.split('-');
    let letters = words().all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    match letters && text.len() <= MAX_NAME_BYTES && text.starts_with(|first: char| first.is_ascii_lowercase()) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "use lower-case letters, digits and single hyphens, a letter first, at most {MAX_NAME_BYTES} bytes; for example \"weather-report\""
        )),
    }
}

pub(crate) fn run(args: &NewArgs) -> Result<(), Failure> {
    let folder = Path::new(&args.name);
    fs::create_dir(folder).map_err(|error| {
        let fix = if error.kind() == ErrorKind::AlreadyExists { "\nto fix it: choose another name, or remove what is there" } else { "" };
        Failure::failed(format!("cannot create {}: {error}{fix}", args.name))
    })?;
    let files = project(&args.name, args.lang)?;
    for (path, content) in &files {
        let path = folder.join(path);
        write(&path, content).map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))?;
    }
    let own: Vec<String> =
        files.iter().filter(|(path, _)| !path.starts_with(vendored_sdk(args.lang))).map(|(path, _)| path.display().to_string()).collect();
    note(&format!("created {}/: {}, and the SDK in {}", args.name, own.join(", "), vendored_sdk(args.lang).display()));
    note(&format!("next: cd {} && everwit build && everwit test", args.name));
    print(&args.name)
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
    fs::write(path, content)
}

/// The files of a new project, by their paths in it.
fn project(name: &str, language: Language) -> Result<Vec<(PathBuf, Vec<u8>)>, Failure> {
    let mut files: Vec<(PathBuf, Vec<u8>)> =
        carried(&format!("{}/template/", language.as_str())).map(|(path, content)| from_template(path, content, name)).collect();
    let vendor = vendored_sdk(language);
    files.extend(sdk(language)?.into_iter().map(|(path, content)| (vendor.join(path), content)));
    if language == Language::Rust {
        // The versions that the SDK is tested with; cargo takes out what the project does not use.
        files.extend(carried("rust/Cargo.lock").map(|(_, content)| (PathBuf::from("Cargo.lock"), content.to_vec())));
    }
    Ok(files)
}

/// The SDK of a language and the contracts, by their paths in the SDK's folder.
fn sdk(language: Language) -> Result<Vec<(PathBuf, Vec<u8>)>, Failure> {
    let mut files = Vec::new();
    for (path, content) in carried(&format!("{}/sdk/", language.as_str())) {
        let content = match (language, path) {
            (Language::Rust, "Cargo.toml") => own_workspace(content)?,
            (Language::Rust, "macros/Cargo.toml") => member(content)?,
            (Language::JavaScript, "package.json") => published(content)?,
            _ => content.to_vec(),
        };
        files.push((path.into(), content));
    }
    files.extend(carried("wit/").map(|(path, content)| (Path::new("wit").join(path), content.to_vec())));
    Ok(files)
}

/// Where a project carries the SDK.
pub(super) fn vendored_sdk(language: Language) -> &'static Path {
    // Go takes a folder "vendor" for its own.
    Path::new(if language == Language::Go { "third_party/everwit-guest" } else { "vendor/everwit-guest" })
}

/// Writes the SDK that this program carries into a folder.
pub(super) fn unpack_sdk(language: Language, folder: &Path) -> Result<(), Failure> {
    for (path, content) in sdk(language)? {
        let path = folder.join(path);
        write(&path, &content).map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(())
}

/// Carried files below a prefix, with the rest of their names.
fn carried(prefix: &str) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    CARRIED.iter().filter_map(move |(name, content)| Some((name.strip_prefix(prefix)?, *content)))
}

/// A file of a template with the project's name in it. Names that a tool would act upon in the
/// repository have another spelling there.
fn from_template(path: &str, content: &[u8], name: &str) -> (PathBuf, Vec<u8>) {
    let title = name.split('-').map(capitalized).collect::<Vec<_>>().join(" ");
    let text = String::from_utf8_lossy(content);
    let module = name.replace('-', "_");
    let text = text.replace("{{name}}", name).replace("{{title}}", &title).replace("{{version}}", env!("CARGO_PKG_VERSION"));
    let text = text.replace("{{module}}", &module);
    let path: PathBuf = match path {
        "gitignore" => ".gitignore".into(),
        "npmrc" => ".npmrc".into(),
        "src/module.py.in" => format!("src/{module}.py").into(),
        other => other.strip_suffix(".in").unwrap_or(other).into(),
    };
    (path, text.into_bytes())
}

fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at(usize::from(!word.is_empty()));
    format!("{}{rest}", first.to_ascii_uppercase())
}

/// The manifest of the Rust SDK as the root of a workspace of its own, with what it inherits from
/// the repository's.
fn own_workspace(manifest: &[u8]) -> Result<Vec<u8>, Failure> {
    let (_, repository) = carried("rust/workspace.toml").next().ok_or_else(|| Failure::failed("the manifest of the guests is missing"))?;
    let mut repository = table(repository)?;
    let mut inherited = Table::new();
    if let Some(toml::Value::Table(workspace)) = repository.get_mut("workspace") {
        for key in ["package", "dependencies"] {
            inherited.extend(workspace.remove(key).map(|value| (key.to_owned(), value)));
        }
    }
    if let Some(toml::Value::Table(dependencies)) = inherited.get_mut("dependencies") {
        dependencies.remove("everwit-guest");
        if let Some(toml::Value::Table(macros)) = dependencies.get_mut("everwit-guest-macros") {
            macros.insert("path".into(), "macros".into());
        }
    }
    inherited.insert("members".into(), vec![toml::Value::from("macros")].into());
    let mut manifest = without_repository(manifest)?;
    manifest.insert("workspace".into(), inherited.into());
    Ok(manifest.to_string().into_bytes())
}

/// The manifest of a crate beside it.
fn member(manifest: &[u8]) -> Result<Vec<u8>, Failure> {
    Ok(without_repository(manifest)?.to_string().into_bytes())
}

/// A manifest without what only makes sense in the repository. Lints are for those who change the
/// SDK, not for those who use it.
fn without_repository(manifest: &[u8]) -> Result<Table, Failure> {
    let mut manifest = table(manifest)?;
    manifest.remove("lints");
    if let Some(toml::Value::Table(package)) = manifest.get_mut("package") {
        package.remove("workspace");
    }
    Ok(manifest)
}

fn table(text: &[u8]) -> Result<Table, Failure> {
    let text = String::from_utf8_lossy(text);
    text.parse().map_err(|error| Failure::failed(format!("a manifest that this command carries cannot be read: {error}")))
}

/// The manifest of the JavaScript SDK as it will be published: without what its own development needs.
fn published(manifest: &[u8]) -> Result<Vec<u8>, Failure> {
    let broken = |error| Failure::failed(format!("a manifest that this command carries cannot be read: {error}"));
    let mut manifest: Value = serde_json::from_slice(manifest).map_err(broken)?;
    if let Some(fields) = manifest.as_object_mut() {
        fields.remove("scripts");
        fields.remove("devDependencies");
    }
    serde_json::to_vec_pretty(&manifest).map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_id_that_every_registry_takes() {
        for good in ["a", "weather", "weather-2", "x1-y2"] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "A", "1a", "a_b", "ä", "../a", &"a".repeat(65)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_project_says_nothing_of_the_repository_and_leaves_no_placeholder() {
        for language in Language::value_variants() {
            let files = project("weather-report", *language).unwrap();
            assert!(files.iter().any(|(path, _)| path.starts_with("cases")), "{language:?} has cases");
            for (path, content) in files {
                let text = String::from_utf8_lossy(&content).into_owned();
                let own = !path.starts_with(vendored_sdk(*language));
                assert!(!own || !text.contains("{{"), "{} has a placeholder", path.display());
                let manifest = path.ends_with("Cargo.toml") || path.ends_with("package.json");
                assert!(!manifest || !text.contains("../"), "{} leaves the project", path.display());
            }
        }
    }
}
