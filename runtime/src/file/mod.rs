//! Files of sessions: paths, contents, and what is known about them. They live in a store, never
//! on the host's disk.

mod path;
mod search;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use path::{FilePath, FilePathError};
pub(crate) use search::Matcher;
pub use search::{GrepMatch, GrepQuery, GrepReport, NameFilter};

use crate::component::Digest;

/// How content is written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FileEncoding {
    /// As it is; for UTF-8.
    #[default]
    Text,
    /// Base64 with padding, in the standard alphabet.
    Base64,
}

impl FileEncoding {
    /// The bytes of a content.
    ///
    /// # Errors
    /// If it is not base64 although it says so.
    pub fn decode(self, content: &str) -> Result<Vec<u8>, base64::DecodeError> {
        match self {
            Self::Text => Ok(content.as_bytes().to_vec()),
            Self::Base64 => BASE64.decode(content),
        }
    }

    /// Bytes as JSON can hold them: as text if they are UTF-8 without NUL, else as base64.
    pub fn encode(bytes: &[u8]) -> (Self, String) {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => (Self::Text, text.to_owned()),
            _ => (Self::Base64, BASE64.encode(bytes)),
        }
    }
}

/// What is known about a file or a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStat {
    /// Where it is.
    pub path: FilePath,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Whether tools are refused to change it.
    pub is_readonly: bool,
    /// Size in bytes; 0 for directories.
    pub size_bytes: u64,
    /// Digest of the content; none for directories.
    pub content_hash: Option<Digest>,
    /// When it was created; none for the root, which is always there.
    pub created_at: Option<Timestamp>,
    /// When it was last changed; none for the root.
    pub updated_at: Option<Timestamp>,
}

impl FileStat {
    /// The root.
    pub(crate) fn root() -> Self {
        Self {
            path: FilePath::root(),
            is_directory: true,
            is_readonly: false,
            size_bytes: 0,
            content_hash: None,
            created_at: None,
            updated_at: None,
        }
    }
}

/// A file with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFile {
    /// What is known about it; never a directory.
    pub stat: FileStat,
    /// The bytes.
    pub content: Vec<u8>,
}

/// What a file has to be for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expected {
    /// Anything, absent included.
    #[default]
    Any,
    /// Absent.
    Absent,
    /// A file with this content.
    Content(Digest),
}

/// A write of a whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileWrite {
    /// The bytes, at most [`MAX_FILE_BYTES`](crate::limits::MAX_FILE_BYTES).
    pub content: Vec<u8>,
    /// What must be there.
    pub expected: Expected,
    /// Whether it is read-only from now on; none leaves it as it is.
    pub is_readonly: Option<bool>,
    /// Whether a read-only file may be replaced: for the session's owner, never for tools.
    pub over_readonly: bool,
    /// When.
    pub now: Timestamp,
}

impl FileWrite {
    /// A write over whatever is there, but for read-only files.
    pub fn new(content: impl Into<Vec<u8>>, now: Timestamp) -> Self {
        Self { content: content.into(), expected: Expected::Any, is_readonly: None, over_readonly: false, now }
    }
}

/// How to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deletion {
    /// Whether a directory goes with all that is in it; else it must be empty.
    pub recursive: bool,
    /// Whether read-only files go too: for the session's owner, never for tools.
    pub over_readonly: bool,
}

/// A file that a harness, agent or session starts with. Written once, when the session is created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct InitialFile {
    /// Where it is to be.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "/notes/start.md"))]
    pub path: FilePath,
    /// Its content.
    pub content: String,
    /// How `content` is written.
    #[serde(default)]
    pub encoding: FileEncoding,
    /// Whether tools are refused to change it.
    #[serde(default)]
    pub is_readonly: bool,
}

impl InitialFile {
    /// A text file that tools may change.
    pub fn text(path: FilePath, content: impl Into<String>) -> Self {
        Self { path, content: content.into(), encoding: FileEncoding::Text, is_readonly: false }
    }

    /// Merges the starter files of several layers: of files with the same path, that of the later
    /// layer wins. In order of paths.
    pub fn merge<'a>(layers: impl IntoIterator<Item = &'a [Self]>) -> Vec<Self> {
        let by_path: std::collections::BTreeMap<&FilePath, &Self> = layers.into_iter().flatten().map(|file| (&file.path, file)).collect();
        by_path.into_values().cloned().collect()
    }
}
