//! What commands print, and how they fail.

use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use crate::config::wants_no_colour;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// It did not work: exit code 1.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// It was asked in a wrong way: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// It did not work, and everything is said already.
    pub(crate) fn silent() -> Self {
        Self::failed("")
    }

    /// Tells the user, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            note(&format!("{} {}", Style::stderr().red("error:"), self.message));
        }
        ExitCode::from(self.code)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format!("{error:#}"))
    }
}

impl From<everwit_runtime::Error> for Failure {
    fn from(error: everwit_runtime::Error) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<everwit_runtime::store::StoreError> for Failure {
    fn from(error: everwit_runtime::store::StoreError) -> Self {
        Self::failed(error.to_string())
    }
}

/// Prints data.
///
/// # Errors
/// If stdout is gone.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_piece(&format!("{text}{}", if text.ends_with('\n') { "" } else { "\n" }))
}

/// Prints data that goes on.
///
/// # Errors
/// If stdout is gone.
pub(crate) fn print_piece(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    write!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(|error| Failure::failed(format!("cannot write to stdout: {error}")))
}

/// Tells the user something that is no data.
pub(crate) fn note(text: &str) {
    // Nothing can be done if stderr is gone.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Asks somebody at a terminal; none if nobody is there. Whatever is not yes is no.
///
/// # Errors
/// If the terminal is gone.
pub(crate) fn confirmed(question: &str) -> Result<Option<bool>, Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(None);
    }
    let mut stderr = std::io::stderr().lock();
    let asked = write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush());
    let mut line = String::new();
    let answered = asked.and_then(|()| std::io::stdin().lock().read_line(&mut line));
    answered.map_err(|error| Failure::failed(format!("cannot ask: {error}")))?;
    Ok(Some(["y", "yes"].contains(&line.trim().to_lowercase().as_str())))
}

/// Colours, if they are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style(bool);

impl Style {
    /// For stdout.
    pub(crate) fn stdout() -> Self {
        Self(std::io::stdout().is_terminal() && !wants_no_colour())
    }

    /// For stderr.
    pub(crate) fn stderr() -> Self {
        Self(std::io::stderr().is_terminal() && !wants_no_colour())
    }

    /// Whether there are colours.
    pub(crate) fn coloured(self) -> bool {
        self.0
    }

    /// Headings.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What is wrong.
    pub(crate) fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// What matters less.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Text of a component as it may be shown: control characters would let it draw on the terminal.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            control if control.is_control() => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(control));
            }
            other => shown.push(other),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_do_nothing() {
        assert_eq!(harmless("a\x1b[31m\u{9b}b\n\tc\r"), "a\\u{1b}[31m\\u{9b}b\n\tc\\u{d}");
    }
}
