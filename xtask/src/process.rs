//! Starting programs: a failure names the whole command and how to mend it.

use std::ffi::OsStr;
use std::fmt;
use std::process::{Command, Output, Stdio};

/// Why a command of this crate failed, and what to do about it.
#[derive(Debug)]
pub(crate) struct Error {
    what: String,
    fix: Option<String>,
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), fix: None }
    }

    /// Adds what to do about it, unless something closer to the cause has said so already.
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix.get_or_insert_with(|| fix.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.fix {
            Some(fix) => write!(f, "\n  fix: {fix}"),
            None => Ok(()),
        }
    }
}

/// Puts the path into the message of a file error, which the standard library leaves out.
pub(crate) fn at<T>(path: &std::path::Path, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|error| Error::new(format!("{}: {error}", path.display())))
}

/// Runs it with this process's output and waits for success.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| not_started(command, &error))?;
    if status.success() { Ok(()) } else { Err(Error::new(format!("{status}: {}", line(command)))) }
}

/// Runs it and returns its output; what it writes to stderr is shown only if it fails.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| not_started(command, &error))?;
    let text = succeeded(command, output)?;
    String::from_utf8(text).map_err(|_| Error::new(format!("its output is not UTF-8: {}", line(command))))
}

/// Runs it and returns its output; what it writes to stderr is shown as it comes.
pub(crate) fn read_stdout(command: &mut Command) -> Result<String> {
    read(command.stderr(Stdio::inherit()))
}

fn succeeded(command: &Command, output: Output) -> Result<Vec<u8>> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(format!("{}: {}\n{}", output.status, line(command), stderr.trim_end())))
}

pub(crate) fn not_started(command: &Command, error: &std::io::Error) -> Error {
    let program = command.get_program().to_string_lossy();
    let error = Error::new(format!("{program} could not be started ({error}): {}", line(command)));
    error.fix(format!("install {program} and put it into PATH"))
}

/// The command as it would be typed.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let typed = words.map(quoted).collect::<Vec<_>>().join(" ");
    match command.get_current_dir() {
        Some(folder) => format!("cd {} && {typed}", quoted(folder.as_os_str())),
        None => typed,
    }
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_the_command_as_typed_and_the_fix() {
        let error = run(Command::new("sh").args(["-c", "exit 3"]).current_dir("/")).expect_err("exit 3 is no success").fix("try again");
        assert_eq!(error.to_string(), "exit status: 3: cd / && sh -c 'exit 3'\n  fix: try again");
    }

    #[test]
    fn the_fix_closest_to_the_cause_stays() {
        assert_eq!(Error::new("broken").fix("first").fix("second").to_string(), "broken\n  fix: first");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = read(&mut Command::new("no-such-program")).expect_err("there is no such program").to_string();
        assert!(error.contains("no-such-program could not be started") && error.contains("install no-such-program"), "{error}");
    }

    #[test]
    fn quotes_what_a_shell_would_change() {
        assert_eq!(line(Command::new("a").args(["b c", "it's", "", "x=1"])), r"a 'b c' 'it'\''s' '' x=1");
    }
}
