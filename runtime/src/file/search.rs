//! Search in session files: names by glob patterns, lines by regular expressions. Both run in
//! linear time whatever the pattern is, because it comes from a model.

use globset::{GlobBuilder, GlobMatcher};
use regex::{Regex, RegexBuilder};
use serde::Serialize;

use super::FilePath;
use crate::limits::{MAX_GREP_MATCHES, MAX_PATTERN_CHARS};
use crate::mutation::off;

/// Size of a compiled expression, in bytes; linear time is this size times the text.
const MAX_COMPILED_BYTES: usize = 256 << 10;
/// Of a matching line, what is shown, in bytes.
const SHOWN_LINE_BYTES: usize = 500;

/// What to search for.
#[derive(Debug, Clone, Default)]
pub struct GrepQuery {
    /// Regular expression in the syntax of the `regex` crate, matched line by line.
    pub pattern: String,
    /// The directory that is searched, or the one file.
    pub under: FilePath,
    /// Which files, as for [`NameFilter`]; none means all.
    pub path_pattern: Option<String>,
    /// Whether upper and lower case are the same.
    pub ignore_case: bool,
}

/// A line that matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GrepMatch {
    /// The file.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub path: FilePath,
    /// Number of the line, from 1.
    pub line_number: u64,
    /// The line, cut behind 500 bytes.
    pub line: String,
}

/// What a search found, and what it did not look at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrepReport {
    /// Matching lines by path and line, at most [`MAX_GREP_MATCHES`].
    pub matches: Vec<GrepMatch>,
    /// Whether the search ended early because of the number of matches or of bytes.
    pub cut: bool,
    /// Files that were left out because they are larger than
    /// [`MAX_GREP_FILE_BYTES`](crate::limits::MAX_GREP_FILE_BYTES) or no text.
    pub skipped: Vec<FilePath>,
}

/// Chooses files by a glob pattern: `*` and `?` within a segment, `**` across segments, `[..]`
/// and `{a,b}`. A pattern without a slash is about the last segment, wherever the file is.
#[derive(Debug, Clone)]
pub struct NameFilter(GlobMatcher);

impl NameFilter {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(pattern: &str) -> Result<Self, String> {
        check_length(pattern)?;
        let pattern = pattern.trim_start_matches('/');
        let pattern = pattern.strip_prefix("workspace/").unwrap_or(pattern);
        let pattern = if pattern.contains('/') { pattern.to_owned() } else { format!("**/{pattern}") };
        let glob = GlobBuilder::new(&pattern).literal_separator(true).backslash_escape(true).build();
        glob.map(|glob| Self(glob.compile_matcher())).map_err(|error| format!("the pattern is no glob: {}", error.kind()))
    }

    /// Whether a path is chosen.
    pub fn chooses(&self, path: &FilePath) -> bool {
        self.chooses_below(path, &FilePath::root())
    }

    /// The same, with the pattern about the path from a directory on.
    pub fn chooses_below(&self, path: &FilePath, directory: &FilePath) -> bool {
        path.as_str().strip_prefix(directory.prefix()).is_some_and(|rest| self.0.is_match(rest.trim_start_matches('/')))
    }
}

/// A compiled query.
#[derive(Clone)]
pub(crate) struct Matcher {
    lines: Regex,
    names: Option<NameFilter>,
}

impl Matcher {
    /// Compiles a query; the error says what is wrong with it.
    pub(crate) fn new(query: &GrepQuery) -> Result<Self, String> {
        check_length(&query.pattern)?;
        let lines = RegexBuilder::new(&query.pattern).size_limit(MAX_COMPILED_BYTES).case_insensitive(query.ignore_case).build();
        let lines = lines.map_err(|error| format!("the pattern is no regular expression that can be used here: {error}"))?;
        Ok(Self { lines, names: query.path_pattern.as_deref().map(NameFilter::new).transpose()? })
    }

    /// Whether a file is to be searched.
    pub(crate) fn wants(&self, path: &FilePath) -> bool {
        self.names.as_ref().is_none_or(|names| names.chooses(path))
    }

    /// Searches one text; false if there are enough matches.
    pub(crate) fn search(&self, path: &FilePath, text: &str, matches: &mut Vec<GrepMatch>) -> bool {
        for (line_number, line) in (1..).zip(text.lines()) {
            if !self.lines.is_match(line) {
                continue;
            }
            if matches.len() >= MAX_GREP_MATCHES && !off("file.grep_matches") {
                return false;
            }
            let line = line[..line.floor_char_boundary(SHOWN_LINE_BYTES)].to_owned();
            matches.push(GrepMatch { path: path.clone(), line_number, line });
        }
        true
    }
}

fn check_length(pattern: &str) -> Result<(), String> {
    let chars = pattern.chars().count();
    if chars > MAX_PATTERN_CHARS && !off("file.pattern") {
        return Err(format!("the pattern has {chars} characters; at most {MAX_PATTERN_CHARS} are allowed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_chooses_by_name_or_by_path() {
        for (pattern, path, expected) in [
            ("*.rs", "/main.rs", true),
            ("*.rs", "/src/main.rs", true),
            ("*.rs", "/src/main.rst", false),
            ("src/*.rs", "/src/main.rs", true),
            ("/src/*.rs", "/src/main.rs", true),
            ("/workspace/src/*.rs", "/src/main.rs", true),
            ("src/*.rs", "/src/a/main.rs", false),
            ("src/**/*.rs", "/src/a/b/main.rs", true),
            ("src/**/*.rs", "/src/main.rs", true),
            ("*.{md,txt}", "/a/b.txt", true),
            ("[a-c].txt", "/d.txt", false),
            ("**", "/d.txt", true),
        ] {
            let filter = NameFilter::new(pattern).expect(pattern);
            assert_eq!(filter.chooses(&FilePath::parse(path).expect("a path")), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn patterns_that_cannot_be_used_say_why() {
        assert!(NameFilter::new("[").is_err());
        let matcher = |pattern: &str| Matcher::new(&GrepQuery { pattern: pattern.to_owned(), ..GrepQuery::default() }).err();
        assert!(matcher("(").expect("it is not closed").contains("regular expression"));
        assert!(matcher("(a{100}){100}{100}").expect("it compiles to megabytes").contains("size limit"));
        assert!(matcher(&"a".repeat(MAX_PATTERN_CHARS + 1)).expect("it is long").contains("1001 characters"));
        assert!(matcher("a|b").is_none());
    }
}
