//! Pages of the documentation as scripts: what they show in fenced blocks is written, typed and compared.
//!
//! A block is told by the words behind its fence: `file=PATH` is written to that file of the project, `shows=PATH` must be what that
//! file holds, and `console` has commands behind `$ ` and, below each, lines of what it prints: in that order, with others
//! in between, `…` for any text, and a last line `^C` for a command that is interrupted once it has printed the others.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::process::{Error, Result, at, line, not_started, read};

/// Longest time of one command: the first one of a language may install its tools.
const COMMAND_WITHIN: Duration = Duration::from_secs(600);
/// Interrupts a command, as the last line below it.
const INTERRUPT: &str = "^C";
/// Stands for any text in a line.
const ANY: char = '…';
/// Fences of commands that nothing would run.
const UNTESTED: [&str; 3] = ["sh", "bash", "shell"];

/// What a block of a page is for.
#[derive(Debug, PartialEq)]
enum Block {
    /// A file that the reader writes.
    Writes { file: String, text: String },
    /// A file as it is.
    Shows { file: String, text: String },
    /// Commands that the reader types.
    Types(Vec<Typed>),
}

/// A command and what it prints.
#[derive(Debug, PartialEq)]
struct Typed {
    command: String,
    prints: Vec<String>,
    interrupted: bool,
}

/// A page that was read.
pub(crate) struct Page {
    path: PathBuf,
    blocks: Vec<(usize, Block)>,
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    /// It cannot be read, or has commands that nothing would run.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = at(path, fs::read_to_string(path))?;
        let blocks = blocks(&text).map_err(|error| Error::new(format!("{}:{error}", path.display())))?;
        Ok(Self { path: path.to_owned(), blocks })
    }

    /// Writes all files of the page into a project.
    pub(crate) fn write_files(&self, project: &Path) -> Result<()> {
        for (_, block) in &self.blocks {
            if let Block::Writes { file, text } = block {
                write(project, file, text)?;
            }
        }
        Ok(())
    }

    /// Does what the page says, from `folder` on, and gives the folder that it has led to. `before_files` prepares the project before the
    /// page's first file is written.
    pub(crate) fn follow(&self, folder: &Path, shell: &dyn Fn() -> Command, before_files: &dyn Fn(&Path) -> Result<()>) -> Result<PathBuf> {
        let mut place = folder.to_owned();
        let mut wrote = false;
        for (number, block) in &self.blocks {
            let here = |error: Error| Error::new(format!("{}:{number}: {error}", self.path.display()));
            match block {
                Block::Types(typed) => {
                    for typed in typed {
                        match typed.command.strip_prefix("cd ") {
                            Some(into) => place.push(into),
                            None => typed.run(&place, shell()).map_err(here)?,
                        }
                    }
                }
                Block::Shows { file, text } => {
                    let found = at(&place.join(file), fs::read_to_string(place.join(file)))?;
                    if found != *text {
                        return Err(here(Error::new(format!("{file} is not what the page shows; it is\n{found}"))));
                    }
                }
                Block::Writes { file, text } => {
                    if !std::mem::replace(&mut wrote, true) {
                        before_files(&place)?;
                    }
                    write(&place, file, text)?;
                }
            }
        }
        Ok(place)
    }
}

fn write(project: &Path, file: &str, text: &str) -> Result<()> {
    let path = project.join(file);
    at(&path, fs::write(&path, text))
}

/// The blocks that mean something, each with the number of its first line.
fn blocks(page: &str) -> std::result::Result<Vec<(usize, Block)>, String> {
    let mut found = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((at, fence)) = lines.next() {
        let Some(info) = fence.strip_prefix("```") else { continue };
        let inside: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let (language, rest) = info.split_once(' ').unwrap_or((info, ""));
        let text = || inside.iter().flat_map(|line| [line, "\n"]).collect();
        let block = match (language, rest.split_once('=')) {
            ("console", None) => Block::Types(typed(&inside).map_err(|error| format!("{}: {error}", at + 1))?),
            (_, Some(("file", file))) => Block::Writes { file: file.to_owned(), text: text() },
            (_, Some(("shows", file))) => Block::Shows { file: file.to_owned(), text: text() },
            (language, _) if UNTESTED.contains(&language) => return Err(format!("{}: {language} is not tested; make it console", at + 1)),
            (_, None) if rest.is_empty() => continue,
            _ => return Err(format!("{}: `{rest}` behind a fence means nothing; there are file=PATH and shows=PATH", at + 1)),
        };
        found.push((at + 1, block));
    }
    Ok(found)
}

fn typed(lines: &[&str]) -> std::result::Result<Vec<Typed>, String> {
    let mut all: Vec<Typed> = Vec::new();
    for line in lines {
        if let Some(command) = line.strip_prefix("$ ") {
            // What is behind two spaces and a hash says why, to the reader.
            let command = command.split_once("  #").map_or(command, |(command, _)| command.trim_end());
            all.push(Typed { command: command.to_owned(), prints: Vec::new(), interrupted: false });
            continue;
        }
        let last = all.last_mut().ok_or("it begins with what is printed, and not with `$ `")?;
        match (*line, last.interrupted) {
            (_, true) => return Err(format!("{INTERRUPT} must be the last line below a command")),
            (INTERRUPT, _) => last.interrupted = true,
            (line, _) => last.prints.push(line.to_owned()),
        }
    }
    Ok(all)
}

impl Typed {
    /// Runs it in a shell, and compares what it prints.
    fn run(&self, place: &Path, mut shell: Command) -> Result<()> {
        // An interrupt is for the command and not for the shell around it.
        let how = if self.interrupted { "exec " } else { "" };
        shell.current_dir(place).args(["-c", &format!("exec 2>&1; {how}{}", self.command)]);
        let mut child = shell.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(|error| not_started(&shell, &error))?;
        let outcome = self.watch(&mut child);
        // Fails only if it has ended.
        let _ = child.kill();
        let status = child.wait().map_err(|error| Error::new(format!("{}: {error}", line(&shell))))?;
        let (printed, missing) = outcome?;
        if let Some(missing) = missing {
            return Err(Error::new(format!("`{}` did not print {missing:?}, or not there; it printed\n{printed}", self.command)));
        }
        if !self.interrupted && !status.success() {
            return Err(Error::new(format!("`{}`: {status}; it printed\n{printed}", self.command)));
        }
        Ok(())
    }

    /// Reads until it ends, and interrupts it once everything has come if that is to be. Gives what it printed, and the first line that
    /// did not come.
    fn watch(&self, child: &mut Child) -> Result<(String, Option<&str>)> {
        let output = child.stdout.take().ok_or_else(|| Error::new("its output is gone"))?;
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(std::result::Result::ok) {
                // Nobody listens once the command is given up.
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        let started = Instant::now();
        let (mut printed, mut expected, mut told) = (String::new(), self.prints.iter().peekable(), false);
        loop {
            match receiver.recv_timeout(COMMAND_WITHIN.saturating_sub(started.elapsed())) {
                Ok(line) => {
                    if expected.peek().is_some_and(|pattern| matches(pattern, &line)) {
                        expected.next();
                    }
                    printed.push_str(&line);
                    printed.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => return Ok((printed, expected.next().map(String::as_str))),
                Err(RecvTimeoutError::Timeout) => {
                    let seconds = COMMAND_WITHIN.as_secs();
                    return Err(Error::new(format!("`{}` did not end within {seconds} s; it printed\n{printed}", self.command)));
                }
            }
            if self.interrupted && expected.peek().is_none() && !std::mem::replace(&mut told, true) {
                read(Command::new("sh").args(["-c", "kill -INT \"$0\"", &child.id().to_string()]))?;
            }
        }
    }
}

/// Whether a printed line is the one that a page shows.
fn matches(pattern: &str, line: &str) -> bool {
    let line = line.trim_end();
    let mut pieces = pattern.trim_end().split(ANY);
    let Some(mut rest) = pieces.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut last = None;
    for piece in pieces {
        if let Some(between) = last.replace(piece) {
            let Some((_, after)) = rest.split_once(between) else { return false };
            rest = after;
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "Text.\n```rust shows=src/lib.rs\na\n```\n```toml file=x.toml\nb = 1\n```\n```json\n{}\n```\n\
        ```console\n$ first 1  # why\n$ second\nprinted\nmore\n^C\n```\n";

    fn follow(page: &str) -> Result<PathBuf> {
        let folder = std::env::temp_dir();
        let page = Page { path: "page.md".into(), blocks: blocks(page).map_err(Error::new)? };
        page.follow(&folder, &|| Command::new("sh"), &|_| Ok(()))
    }

    fn refusal(page: &str) -> String {
        follow(page).expect_err("it must be refused").to_string()
    }

    #[test]
    fn blocks_are_told_by_what_is_behind_the_fence() {
        let typed = |command: &str, prints: &[&str], interrupted| Typed {
            command: command.to_owned(),
            prints: prints.iter().map(|&line| line.to_owned()).collect(),
            interrupted,
        };
        let expected = [
            (2, Block::Shows { file: "src/lib.rs".to_owned(), text: "a\n".to_owned() }),
            (5, Block::Writes { file: "x.toml".to_owned(), text: "b = 1\n".to_owned() }),
            (11, Block::Types(vec![typed("first 1", &[], false), typed("second", &["printed", "more"], true)])),
        ];
        assert_eq!(blocks(PAGE).expect("it can be read"), expected);
    }

    #[test]
    fn what_nothing_would_run_is_refused() {
        assert!(refusal("```sh\nls\n```\n").contains("1: sh is not tested"));
        assert!(refusal("```rust title=x\n```\n").contains("means nothing"));
        assert!(refusal("```console\nprinted\n```\n").contains("begins with what is printed"));
    }

    #[test]
    fn lines_come_in_order_with_others_between() {
        follow("```console\n$ printf 'a 1 b\\nx\\nc\\n'\na … b\nc\n$ cd /\n$ test $PWD = /\n```\n").expect("it is as shown");
        for (page, problem) in [
            ("```console\n$ printf 'c\\na\\n'\na\nc\n```\n", "did not print \"c\""),
            ("```console\n$ echo ab\na\n```\n", "did not print \"a\""),
            ("```console\n$ echo a >&2; false\na\n```\n", "exit status: 1"),
        ] {
            assert!(refusal(page).contains(problem), "{page}: {}", refusal(page));
        }
    }

    #[test]
    fn a_command_is_interrupted_once_it_has_printed_everything() {
        follow("```console\n$ sh -c 'echo ready; exec sleep 1000'\nready\n^C\n```\n").expect("it is interrupted");
        assert!(refusal("```console\n$ echo other\nready\n^C\n```\n").contains("did not print \"ready\""));
    }

    #[test]
    fn any_text_has_a_beginning_and_an_end() {
        for (pattern, line, fits) in [
            ("a", "a  ", true),
            ("a", "ab", false),
            ("…b", "aab", true),
            ("a…b…c", "a1b2c", true),
            ("a…b…c", "a1c", false),
            ("a…", "ba", false),
        ] {
            assert_eq!(matches(pattern, line), fits, "{pattern:?} {line:?}");
        }
    }
}
