//! `session_file_system`: the session's files as tools. Paths are shown with `/workspace` in
//! front; results that are too large are cut and say how to go on.

mod change;
mod find;
mod read;
mod schema;

use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;

use super::support::{MAX_RESULT_BYTES, failed, store_failure};
use crate::capability::{CallError, Capability, ToolCallContext, ToolDefinition, ToolOutcome};
use crate::file::{FilePath, FileStat};
use crate::store::{FileProblem, RuntimeFileStore, StoreError};

/// Reads, writes, edits, lists, searches and deletes the files of a session.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionFileSystemCapability;

#[async_trait]
impl Capability for SessionFileSystemCapability {
    fn id(&self) -> &str {
        "session_file_system"
    }

    fn name(&self) -> &str {
        "Session files"
    }

    fn description(&self) -> &str {
        "Reads, writes, edits, lists, searches and deletes the files of the session."
    }

    fn system_prompt_addition(&self) -> Option<&str> {
        Some(concat!(
            "The session has files of its own; their root is /workspace. Directories are created when a file is written. ",
            "Read a file before you say what is in it or edit it."
        ))
    }

    fn tools(&self) -> &[ToolDefinition] {
        &schema::TOOLS
    }

    fn features(&self) -> &[String] {
        &*schema::FEATURES
    }

    async fn call_tool(&self, call: &ToolCallContext, tool: &str, arguments: Value) -> ToolOutcome {
        let files = Files { call };
        ToolOutcome::native(match tool {
            "read_file" => files.read_file(arguments).await,
            "read_many_files" => files.read_many_files(arguments).await,
            "write_file" => files.write_file(arguments).await,
            "edit_file" => files.edit_file(arguments).await,
            "delete_file" => files.delete_file(arguments).await,
            "list_directory" => files.list_directory(arguments).await,
            "stat_file" => files.stat_file(arguments).await,
            "glob" => files.glob(arguments).await,
            "grep" => files.grep(arguments).await,
            "grep_files" => files.grep_files(arguments).await,
            _ => Err(failed("not-found", "unknown_tool", format!("there is no tool {tool:?}"))),
        })
    }
}

/// The files that one call works with.
struct Files<'a> {
    call: &'a ToolCallContext,
}

impl Files<'_> {
    fn store(&self) -> &dyn RuntimeFileStore {
        self.call.services.backends.file_store.as_ref()
    }

    async fn stat(&self, path: &FilePath) -> Result<FileStat, CallError> {
        let found = self.store().stat_file(self.call.org_id, self.call.session_id, path).await.map_err(file_failure)?;
        found.ok_or_else(|| absent(path))
    }
}

/// A path as a model writes it.
fn path(text: &str) -> Result<FilePath, CallError> {
    FilePath::parse(text).map_err(|error| failed("invalid-arguments", "invalid_path", error.to_string()))
}

fn absent(path: &FilePath) -> CallError {
    let message = format!("there is no file {}; use list_directory or glob to find what there is", path.shown());
    failed("not-found", "file_not_found", message)
}

/// What a model is told about an error, in terms of the tools that it has.
fn file_failure(error: StoreError) -> CallError {
    let StoreError::File { path, problem } = &error else { return store_failure(error) };
    let (code, hint) = match problem {
        FileProblem::IsDirectory => ("is_directory", "; use list_directory to see what is in it"),
        FileProblem::NotADirectory => ("not_a_directory", "; choose another path"),
        FileProblem::NotEmpty => ("not_empty", "; pass recursive=true"),
        FileProblem::ReadOnly => ("read_only", "; write to another path instead"),
        FileProblem::IntoItself => ("into_itself", ""),
    };
    failed("conflict", code, format!("{}: {problem}{hint}", path.shown()))
}

/// A file or directory as tools show it.
#[derive(Serialize)]
struct Entry {
    name: String,
    path: String,
    is_directory: bool,
    size_bytes: u64,
    is_readonly: bool,
}

impl Entry {
    fn new(stat: &FileStat) -> Self {
        Self {
            name: stat.path.name().to_owned(),
            path: stat.path.shown(),
            is_directory: stat.is_directory,
            size_bytes: stat.size_bytes,
            is_readonly: stat.is_readonly,
        }
    }
}

/// A part of a list that fits into a result.
struct Part<T> {
    items: Vec<T>,
    /// How to get the rest; none if there is none.
    note: Option<String>,
}

impl<T: Serialize> Part<T> {
    /// Takes items from `offset` on, at most `limit` and as many as fit.
    fn new(tool: &str, all: impl IntoIterator<Item = T>, total: usize, offset: usize, limit: usize) -> Self {
        let mut items = Vec::new();
        let mut left = MAX_RESULT_BYTES;
        for item in all.into_iter().skip(offset).take(limit) {
            let size = serde_json::to_string(&item).map_or(usize::MAX, |text| text.len() + 1);
            if size > left && !items.is_empty() {
                break;
            }
            left = left.saturating_sub(size);
            items.push(item);
        }
        let next = offset.saturating_add(items.len());
        let note = (next < total).then(|| format!("there are {total} in all; call {tool} with offset={next} for the rest"));
        Self { items, note }
    }
}
