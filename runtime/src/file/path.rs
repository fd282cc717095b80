//! Paths of session files, normalised once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::{MAX_FILE_DEPTH, MAX_FILE_PATH_BYTES};
use crate::mutation::off;

/// What models are told the root is called. Accepted in front of every path.
const ROOT_NAME: &str = "workspace";

/// A path in a session's files: `/` or `/a/b`, without `.`, `..`, empty segments and control
/// characters, at most [`MAX_FILE_PATH_BYTES`] long and [`MAX_FILE_DEPTH`] deep. Case matters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

/// Why a text is no path of a session file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilePathError {
    /// It has `..`.
    #[error("the path has \"..\"; write the path from the root, for example /workspace/notes.txt")]
    Climbs,
    /// It has a control character or a backslash.
    #[error("the path has a control character or a backslash; separate directories with \"/\"")]
    Character,
    /// It is too long.
    #[error("the path has {0} bytes; at most {MAX_FILE_PATH_BYTES} are allowed")]
    TooLong(usize),
    /// It is too deep.
    #[error("the path is {0} levels deep; at most {MAX_FILE_DEPTH} are allowed")]
    TooDeep(usize),
}

impl FilePath {
    /// The root directory.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Normalises a path. A path without a leading slash begins at the root too, and so does one
    /// that begins with `/workspace`.
    ///
    /// # Errors
    /// See [`FilePathError`].
    pub fn parse(text: &str) -> Result<Self, FilePathError> {
        if text.len() > MAX_FILE_PATH_BYTES && !off("file.path_bytes") {
            return Err(FilePathError::TooLong(text.len()));
        }
        if text.chars().any(|character| character.is_control() || character == '\\') {
            return Err(FilePathError::Character);
        }
        let mut segments: Vec<&str> = text.split('/').filter(|segment| !segment.is_empty() && *segment != ".").collect();
        if segments.contains(&"..") && !off("file.climbing") {
            return Err(FilePathError::Climbs);
        }
        if segments.first() == Some(&ROOT_NAME) {
            segments.remove(0);
        }
        if segments.len() > MAX_FILE_DEPTH && !off("file.depth") {
            return Err(FilePathError::TooDeep(segments.len()));
        }
        Ok(Self(format!("/{}", segments.join("/"))))
    }

    /// The normalised text, beginning with a slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the root directory.
    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }

    /// The last segment; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The directory that it is in; none for the root.
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/').filter(|_| !self.is_root())?;
        Some(if parent.is_empty() { Self::root() } else { Self(parent.to_owned()) })
    }

    /// The directories above it, the nearest first, the root left out.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + use<> {
        std::iter::successors(self.parent(), Self::parent).take_while(|path| !path.is_root())
    }

    /// Whether it lies somewhere below a directory.
    pub fn is_below(&self, directory: &Self) -> bool {
        self.0.strip_prefix(directory.prefix()).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
    }

    /// The same path with the directory `from` above it, or itself, replaced by `to`.
    pub(crate) fn moved(&self, from: &Self, to: &Self) -> Result<Self, FilePathError> {
        let rest = self.0.strip_prefix(from.as_str()).unwrap_or_default();
        Self::parse(&format!("{}{rest}", to.0))
    }

    /// What the paths below it begin with.
    pub(crate) fn prefix(&self) -> &str {
        if self.is_root() { "" } else { &self.0 }
    }

    /// As it is shown to models: with `/workspace` in front.
    pub fn shown(&self) -> String {
        format!("/{ROOT_NAME}{}", if self.is_root() { "" } else { &self.0 })
    }
}

impl Default for FilePath {
    fn default() -> Self {
        Self::root()
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl FromStr for FilePath {
    type Err = FilePathError;

    fn from_str(text: &str) -> Result<Self, FilePathError> {
        Self::parse(text)
    }
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised() {
        for (text, expected) in [
            ("", "/"),
            ("/", "/"),
            ("/workspace", "/"),
            ("/workspace/", "/"),
            ("workspace/a", "/a"),
            ("/workspace/workspace/a", "/workspace/a"),
            ("a", "/a"),
            ("//a//b/./c/", "/a/b/c"),
            ("/workspaces/a", "/workspaces/a"),
            ("/a b/ü/日", "/a b/ü/日"),
            ("...", "/..."),
        ] {
            assert_eq!(FilePath::parse(text).map(|path| path.0), Ok(expected.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn paths_that_climb_or_are_too_large_are_refused() {
        let deep = "a/".repeat(MAX_FILE_DEPTH + 1);
        let long = "a".repeat(MAX_FILE_PATH_BYTES + 1);
        for (text, expected) in [
            ("..", FilePathError::Climbs),
            ("/a/../b", FilePathError::Climbs),
            ("/workspace/../etc", FilePathError::Climbs),
            ("a\\b", FilePathError::Character),
            ("a\0b", FilePathError::Character),
            ("a\nb", FilePathError::Character),
            (&deep, FilePathError::TooDeep(MAX_FILE_DEPTH + 1)),
            (&long, FilePathError::TooLong(MAX_FILE_PATH_BYTES + 1)),
        ] {
            assert_eq!(FilePath::parse(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn parents_and_names_are_those_of_the_segments() {
        let path = FilePath::parse("/a/b/c").expect("a path");
        assert_eq!((path.name(), path.parent().expect("a parent").as_str()), ("c", "/a/b"));
        assert_eq!(path.ancestors().map(|path| path.0).collect::<Vec<_>>(), ["/a/b", "/a"]);
        assert_eq!(FilePath::root().parent(), None);
        assert!(path.is_below(&FilePath::root()) && !path.is_below(&path));
    }
}
