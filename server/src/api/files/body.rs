//! Files as they are sent and answered.

use everwit_runtime::component::Digest;
use everwit_runtime::file::{FileEncoding, FilePath, FileStat, GrepMatch, GrepReport, SessionFile};
use everwit_runtime::id::SessionId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A new file or directory.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = CreateFileRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateFile {
    /// Its content; empty if absent.
    pub(super) content: Option<String>,
    /// How the content is written.
    #[serde(default)]
    pub(super) encoding: FileEncoding,
    /// Whether it is a directory; then it has no content.
    #[serde(default)]
    pub(super) is_directory: bool,
    /// Whether tools are refused to change it.
    #[serde(default)]
    pub(super) is_readonly: bool,
}

/// What to change of a file: absent fields stay.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = UpdateFileRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateFile {
    /// All of its content.
    pub(super) content: Option<String>,
    /// How the content is written.
    #[serde(default)]
    pub(super) encoding: FileEncoding,
    /// Whether tools are refused to change it.
    pub(super) is_readonly: Option<bool>,
}

/// A file or a directory.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = StatFileRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnePath {
    /// Its path.
    #[schema(value_type = String, example = "/notes/start.md")]
    pub(super) path: FilePath,
}

/// From where to where.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = MoveFileRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct TwoPaths {
    /// Where it is.
    #[schema(value_type = String)]
    pub(super) src_path: FilePath,
    /// Where it is to be; nothing may be there.
    #[schema(value_type = String)]
    pub(super) dst_path: FilePath,
}

/// What to search for.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GrepFilesRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct Grep {
    /// Regular expression without look-around and back-references, matched line by line; at most
    /// 1000 characters.
    pub(super) pattern: String,
    /// Glob that the files must match.
    pub(super) path_pattern: Option<String>,
}

/// A file or directory; files that are read one by one come with their content.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionFile)]
pub(crate) struct FileBody {
    /// The session.
    session_id: SessionId,
    /// Its path.
    #[schema(value_type = String)]
    path: FilePath,
    /// The last segment of the path.
    name: String,
    /// Whether it is a directory.
    is_directory: bool,
    /// Whether tools are refused to change it.
    is_readonly: bool,
    /// Size in bytes; 0 for directories.
    size_bytes: u64,
    /// Digest of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_hash: Option<Digest>,
    /// The content.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    /// How the content is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<FileEncoding>,
    /// When it was created; absent for the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    created_at: Option<Timestamp>,
    /// When it was last changed; absent for the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    updated_at: Option<Timestamp>,
}

impl FileBody {
    pub(super) fn new(session_id: SessionId, stat: FileStat) -> Self {
        Self {
            session_id,
            name: stat.path.name().to_owned(),
            path: stat.path,
            is_directory: stat.is_directory,
            is_readonly: stat.is_readonly,
            size_bytes: stat.size_bytes,
            content_hash: stat.content_hash,
            content: None,
            encoding: None,
            created_at: stat.created_at,
            updated_at: stat.updated_at,
        }
    }

    pub(super) fn with_content(session_id: SessionId, file: SessionFile) -> Self {
        let (encoding, content) = FileEncoding::encode(&file.content);
        Self { content: Some(content), encoding: Some(encoding), ..Self::new(session_id, file.stat) }
    }
}

/// What is in a directory, by path.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionFileList)]
pub(crate) struct FileList {
    /// Files and directories, without contents.
    pub(super) data: Vec<FileBody>,
    /// How many there are.
    pub(super) total: u64,
}

/// A file with its content, or what is in a directory.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = SessionFileOrList)]
pub(crate) enum FileOrList {
    /// A file.
    File(Box<FileBody>),
    /// A directory.
    List(FileList),
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GrepFilesResult)]
pub(crate) struct GrepBody {
    /// Lines that match, by path and line; at most 1000.
    data: Vec<GrepMatch>,
    /// How many there are.
    total: u64,
    /// Whether the search ended early because there was too much to search or to find.
    truncated: bool,
    /// Files that were not searched because they are large or no text.
    #[schema(value_type = Vec<String>)]
    skipped: Vec<FilePath>,
}

impl From<GrepReport> for GrepBody {
    fn from(report: GrepReport) -> Self {
        Self { total: report.matches.len() as u64, data: report.matches, truncated: report.cut, skipped: report.skipped }
    }
}

/// What was deleted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedFiles)]
pub(crate) struct Deleted {
    /// How many files and directories.
    pub(super) deleted: u64,
}

/// Keys of a session's key-value storage.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StorageKeyList)]
pub(crate) struct KeyList {
    /// The keys in byte order.
    pub(super) data: Vec<StorageKey>,
    /// How many there are.
    pub(super) total: u64,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StorageKey {
    /// The key.
    pub(super) key: String,
}
