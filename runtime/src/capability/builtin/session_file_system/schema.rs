//! The tools as models see them.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::capability::ToolDefinition;
use crate::component::Effects;
use crate::limits::MAX_PATTERN_CHARS;

/// Lines that `read_file` returns if the caller does not say.
pub(super) const DEFAULT_LINES: usize = 2_000;
/// Items of a list if the caller does not say.
pub(super) const DEFAULT_ITEMS: usize = 200;
/// Items of a list at most.
pub(super) const MAX_ITEMS: usize = 1_000;
/// Files of one `read_many_files`.
pub(super) const MAX_FILES_PER_READ: usize = 20;
/// Replacements of one `edit_file`.
pub(super) const MAX_EDITS: usize = 50;

const READ: Effects = Effects { read_only: true, destructive: false, idempotent: true, open_world: false };
const WRITE: Effects = Effects { read_only: false, destructive: false, idempotent: true, open_world: false };
const EDIT: Effects = Effects { read_only: false, destructive: false, idempotent: false, open_world: false };
const DELETE: Effects = Effects { read_only: false, destructive: true, idempotent: true, open_world: false };

pub(super) static FEATURES: LazyLock<[String; 1]> = LazyLock::new(|| ["file_system".to_owned()]);

pub(super) static TOOLS: LazyLock<Vec<ToolDefinition>> = LazyLock::new(|| {
    vec![
        tool(
            "read_file",
            "Read file",
            READ,
            READ_FILE,
            &["path"],
            json!({
                "path": path("The file."),
                "offset": count("First line, from 0. Default: 0.", 0),
                "limit": count("Lines to return. Default: 2000.", 1),
            }),
        ),
        tool(
            "read_many_files",
            "Read files",
            READ,
            READ_MANY,
            &["paths"],
            json!({
                "paths": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_FILES_PER_READ, "description": "The files."},
                "limit": count("Lines to return of each. Default: 2000.", 1),
            }),
        ),
        tool(
            "write_file",
            "Write file",
            WRITE,
            WRITE_FILE,
            &["path", "content"],
            json!({
                "path": path("The file."),
                "content": {"type": "string", "description": "The whole new content."},
                "encoding": {"type": "string", "enum": ["text", "base64"], "default": "text", "description": "How content is written: base64 for binary data."},
            }),
        ),
        tool(
            "edit_file",
            "Edit file",
            EDIT,
            EDIT_FILE,
            &["path", "edits"],
            json!({
                "path": path("The text file."),
                "expected_hash": {"type": "string", "description": "content_hash of the file as it was read; the edit is refused if it has changed."},
                "edits": {"type": "array", "minItems": 1, "maxItems": MAX_EDITS, "description": "Replacements, each matched against the content before the edit.",
                    "items": {"type": "object", "required": ["old_text", "new_text"], "additionalProperties": false, "properties": {
                        "old_text": {"type": "string", "minLength": 1, "description": "Text to replace, exactly as in the file; it must occur once."},
                        "new_text": {"type": "string", "description": "What stands there afterwards."},
                    }}},
            }),
        ),
        tool(
            "delete_file",
            "Delete file",
            DELETE,
            DELETE_FILE,
            &["path"],
            json!({
                "path": path("The file or directory."),
                "recursive": {"type": "boolean", "default": false, "description": "Whether a directory goes with all that is in it."},
            }),
        ),
        tool(
            "list_directory",
            "List directory",
            READ,
            LIST_DIRECTORY,
            &[],
            json!({
                "path": path("The directory. Default: /workspace."),
                "offset": count("Entries to skip. Default: 0.", 0),
                "limit": items(),
            }),
        ),
        tool("stat_file", "File info", READ, STAT_FILE, &["path"], json!({ "path": path("The file or directory.") })),
        tool(
            "glob",
            "Find files",
            READ,
            GLOB,
            &["pattern"],
            json!({
                "pattern": pattern("Glob: * and ? within a name, ** across directories, [ab], {a,b}. Without a slash it is about names anywhere."),
                "path": path("Directory to look in. Default: /workspace."),
                "offset": count("Files to skip. Default: 0.", 0),
                "limit": items(),
            }),
        ),
        tool(
            "grep",
            "Search in files",
            READ,
            GREP,
            &["pattern"],
            json!({
                "pattern": pattern("Regular expression without look-around and back-references, matched line by line."),
                "path": path("Directory or file to search. Default: /workspace."),
                "glob": pattern("Only files that match this glob."),
                "ignore_case": {"type": "boolean", "default": false, "description": "Whether upper and lower case are the same."},
                "output_mode": {"type": "string", "enum": ["content", "files_with_matches", "count"], "default": "content",
                    "description": "Lines, names of files, or the number of lines for each file."},
                "offset": count("Items to skip. Default: 0.", 0),
                "limit": items(),
            }),
        ),
        tool(
            "grep_files",
            "Search in files",
            READ,
            GREP_FILES,
            &["pattern"],
            json!({
                "pattern": pattern("Regular expression without look-around and back-references, matched line by line."),
                "path_pattern": pattern("Only files that match this glob, for example *.txt or docs/*."),
                "offset": count("Matches to skip. Default: 0.", 0),
                "limit": items(),
            }),
        ),
    ]
});

const READ_FILE: &str = "Reads a file of the session: lines of a text file, or the picture of a PNG, JPEG, GIF or WebP file. Returns the content_hash that edit_file takes.";
const READ_MANY: &str = "Reads several text files of the session at once. A file that cannot be read has an error instead of its content.";
const WRITE_FILE: &str = "Creates a file of the session or replaces all of its content. Directories are created as needed.";
const EDIT_FILE: &str = "Replaces exact pieces of a text file of the session. Each old_text must occur exactly once.";
const DELETE_FILE: &str = "Deletes a file or a directory of the session.";
const LIST_DIRECTORY: &str = "Lists what is in a directory of the session, with sizes.";
const STAT_FILE: &str = "Tells whether a file or directory of the session exists, its size, content_hash and times.";
const GLOB: &str = "Finds files of the session by their names.";
const GREP: &str = "Searches the contents of text files of the session with a regular expression.";
const GREP_FILES: &str = "Searches the contents of text files of the session with a regular expression; returns the lines that match.";

fn tool(name: &str, title: &str, effects: Effects, description: &str, required: &[&str], properties: Value) -> ToolDefinition {
    ToolDefinition {
        name: name.to_owned(),
        title: title.to_owned(),
        description: description.to_owned(),
        input_schema: json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false}),
        effects,
    }
}

fn path(what: &str) -> Value {
    json!({"type": "string", "description": format!("{what} A path from the root, with or without /workspace in front.")})
}

fn pattern(what: &str) -> Value {
    json!({"type": "string", "maxLength": MAX_PATTERN_CHARS, "description": what})
}

fn count(what: &str, least: usize) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": u32::MAX, "description": what})
}

fn items() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": MAX_ITEMS, "description": "Items to return. Default: 200."})
}
