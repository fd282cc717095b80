//! `everwit doctor`: which languages can be built here, and the one thing that is missing for the others.

use std::path::Path;
use std::process::{Command, Stdio};

use clap::{Args, ValueEnum as _};
use serde_json::json;

use super::build::{go, language_of, python, rust};
use super::new::Language;
use super::output::{Failure, Style, harmless, print};

const HELP: &str = "\
Without --lang, a directory with a project is judged by its language, and any other place by all of them. Running a component that is
built already needs none of this.

Exit codes: 0 everything is there, 1 something is missing for the language or project that was asked about, 2 wrong usage.";

/// Options of `everwit doctor`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct DoctorArgs {
    /// Judge this language alone.
    #[arg(long)]
    lang: Option<Language>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is missing to build a language, and the command that brings it.
#[derive(Debug, PartialEq, Eq)]
struct Missing {
    what: String,
    fix: String,
}

pub(crate) fn run(args: &DoctorArgs) -> Result<(), Failure> {
    let asked = args.lang.or_else(|| language_of(Path::new(".")));
    let languages = asked.map_or_else(|| Language::value_variants().to_vec(), |language| vec![language]);
    let checked: Vec<(Language, Result<String, Missing>)> = languages.into_iter().map(|language| (language, check(language))).collect();
    let text = if args.json { as_json(&checked) } else { as_text(&checked, Style::stdout()) };
    print(&text)?;
    match asked.is_some() && checked.iter().any(|(_, result)| result.is_err()) {
        true => Err(Failure::silent()),
        false => Ok(()),
    }
}

fn as_json(checked: &[(Language, Result<String, Missing>)]) -> String {
    let entries = checked.iter().map(|(language, result)| {
        let value = match result {
            Ok(found) => json!({ "ready": true, "found": found }),
            Err(missing) => json!({ "ready": false, "missing": missing.what, "fix": missing.fix }),
        };
        (language.as_str().to_owned(), value)
    });
    serde_json::Value::Object(entries.collect()).to_string()
}

fn as_text(checked: &[(Language, Result<String, Missing>)], style: Style) -> String {
    let line = |(language, result): &(Language, Result<String, Missing>)| match result {
        Ok(found) => format!("{:<7} ready    {}", language.as_str(), style.dim(&harmless(found))),
        Err(missing) => {
            format!("{:<7} {}  {}\n        to fix it: {}", language.as_str(), style.red("missing"), harmless(&missing.what), missing.fix)
        }
    };
    checked.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What there is to build a language with, or the first thing that is missing.
fn check(language: Language) -> Result<String, Missing> {
    match language {
        Language::Rust => check_rust(),
        Language::JavaScript => check_javascript(),
        Language::Python => check_python(),
        // Its compiler comes from Python's registry.
        Language::C => check_python(),
        Language::Go => go::in_path().map_or_else(check_python, |(major, minor)| Ok(format!("go {major}.{minor}"))),
    }
}

fn check_rust() -> Result<String, Missing> {
    let fix = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh";
    let found = tool("rustc", (1, 95), fix).map_err(|missing| Missing {
        fix: if missing.what.contains("this is") { "rustup update stable".to_owned() } else { missing.fix },
        ..missing
    })?;
    match rust::toolchain(Path::new(".")) {
        Some(_) => Ok(format!("{found} with {}", rust::TARGET)),
        None => Err(Missing { what: format!("the target {}", rust::TARGET), fix: format!("rustup target add {}", rust::TARGET) }),
    }
}

fn check_javascript() -> Result<String, Missing> {
    let fix = "apt-get install -y nodejs npm (Debian 13, Ubuntu 25.04), brew install node, or https://nodejs.org/en/download";
    let node = tool("node", (20, 6), fix)?;
    Ok(format!("{node}, {}", tool("npm", (9, 0), fix)?))
}

fn check_python() -> Result<String, Missing> {
    let fix = "apt-get install -y python3 python3-venv, brew install python, or https://www.python.org/downloads";
    let found = tool(python::PYTHON, (3, 11), fix)?;
    // Debian has the standard library's venv and ensurepip in a package of their own.
    let checked = Command::new(python::PYTHON).args(["-c", "import ensurepip, venv"]).stdin(Stdio::null()).stderr(Stdio::null()).status();
    match checked.is_ok_and(|status| status.success()) {
        true => Ok(format!("{found} with venv")),
        false => {
            Err(Missing { what: "python3's modules venv and ensurepip".to_owned(), fix: "apt-get install -y python3-venv".to_owned() })
        }
    }
}

/// Name and version of a program, if it is there and new enough.
fn tool(name: &str, least: (u32, u32), fix: &str) -> Result<String, Missing> {
    let needed = format!("{name} {}.{} or newer", least.0, least.1);
    let missing = |what: String| Missing { what, fix: fix.to_owned() };
    let output = Command::new(name).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else { return Err(missing(needed)) };
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match version(&printed) {
        Some(found) if found >= least => Ok(format!("{name} {}.{}", found.0, found.1)),
        Some((major, minor)) => Err(missing(format!("{needed}; this is {major}.{minor}"))),
        None => Err(missing(format!("{needed}; `{name} --version` prints {printed:?}"))),
    }
}

/// The first `MAJOR.MINOR` in a text like "v20.20.2" or "rustc 1.95.0 (…)".
pub(super) fn version(text: &str) -> Option<(u32, u32)> {
    text.split_whitespace().find_map(|word| {
        let mut numbers = word.trim_start_matches(|first: char| first.is_ascii_alphabetic()).split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        for (printed, expected) in [
            ("v20.20.2", Some((20, 20))),
            ("rustc 1.95.0 (59807616e 2026-04-14)", Some((1, 95))),
            ("Python 3.11.7", Some((3, 11))),
            ("go version go1.27.3 linux/amd64", Some((1, 27))),
            ("11.19.1", Some((11, 19))),
            ("nothing", None),
        ] {
            assert_eq!(version(printed), expected, "{printed}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_a_command() {
        let absent = tool("everwit-no-such-program", (1, 2), "install it").unwrap_err();
        assert_eq!((absent.what.as_str(), absent.fix.as_str()), ("everwit-no-such-program 1.2 or newer", "install it"));
    }
}
