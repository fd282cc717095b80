//! Tools that list and search.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::schema::DEFAULT_ITEMS;
use super::{Entry, Files, Part, file_failure, path};
use crate::capability::builtin::support::{arguments, failed, json_output};
use crate::capability::{CallError, ToolOutput};
use crate::file::{FilePath, GrepMatch, GrepQuery, GrepReport, NameFilter};

/// Files that were not searched, of which the names are shown.
const SHOWN_SKIPPED: usize = 20;

#[derive(Deserialize)]
struct ListDirectory {
    path: Option<String>,
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct StatFile {
    path: String,
}

#[derive(Deserialize)]
struct Glob {
    pattern: String,
    path: Option<String>,
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct Grep {
    pattern: String,
    path: Option<String>,
    glob: Option<String>,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default)]
    output_mode: OutputMode,
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum OutputMode {
    #[default]
    Content,
    FilesWithMatches,
    Count,
}

#[derive(Deserialize)]
struct GrepFiles {
    pattern: String,
    path_pattern: Option<String>,
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

/// A matching line as a model sees it.
#[derive(Serialize)]
struct Line {
    path: String,
    line_number: u64,
    line: String,
}

fn line(found: GrepMatch) -> Line {
    Line { path: found.path.shown(), line_number: found.line_number, line: found.line }
}

fn directory(text: Option<&str>) -> Result<FilePath, CallError> {
    text.map_or_else(|| Ok(FilePath::root()), path)
}

impl Files<'_> {
    pub(super) async fn list_directory(&self, given: Value) -> Result<ToolOutput, CallError> {
        let given: ListDirectory = arguments(given)?;
        let path = directory(given.path.as_deref())?;
        self.stat(&path).await?;
        let all = self.store().list_directory(self.call.org_id, self.call.session_id, &path, false).await.map_err(file_failure)?;
        let limit = given.limit.unwrap_or(DEFAULT_ITEMS);
        let part = Part::new("list_directory", all.iter().map(Entry::new), all.len(), given.offset, limit);
        json_output(&json!({
            "path": path.shown(),
            "count": part.items.len(),
            "total_count": all.len(),
            "entries": part.items,
            "note": part.note,
        }))
    }

    pub(super) async fn stat_file(&self, given: Value) -> Result<ToolOutput, CallError> {
        let given: StatFile = arguments(given)?;
        let path = path(&given.path)?;
        let stat = self.store().stat_file(self.call.org_id, self.call.session_id, &path).await.map_err(file_failure)?;
        let Some(stat) = stat else { return json_output(&json!({ "path": path.shown(), "exists": false })) };
        json_output(&json!({
            "path": path.shown(),
            "exists": true,
            "is_directory": stat.is_directory,
            "is_readonly": stat.is_readonly,
            "size_bytes": stat.size_bytes,
            "content_hash": stat.content_hash,
            "created_at": stat.created_at,
            "updated_at": stat.updated_at,
        }))
    }

    pub(super) async fn glob(&self, given: Value) -> Result<ToolOutput, CallError> {
        let given: Glob = arguments(given)?;
        let path = directory(given.path.as_deref())?;
        let filter = NameFilter::new(&given.pattern).map_err(|error| failed("invalid-arguments", "invalid_pattern", error))?;
        self.stat(&path).await?;
        let all = self.store().list_directory(self.call.org_id, self.call.session_id, &path, true).await.map_err(file_failure)?;
        let found: Vec<_> = all.iter().filter(|stat| !stat.is_directory && filter.chooses_below(&stat.path, &path)).collect();
        let limit = given.limit.unwrap_or(DEFAULT_ITEMS);
        let part = Part::new("glob", found.iter().map(|stat| stat.path.shown()), found.len(), given.offset, limit);
        json_output(&json!({ "pattern": given.pattern, "total_count": found.len(), "paths": part.items, "note": part.note }))
    }

    pub(super) async fn grep(&self, given: Value) -> Result<ToolOutput, CallError> {
        let given: Grep = arguments(given)?;
        let under = directory(given.path.as_deref())?;
        self.stat(&under).await?;
        let query = GrepQuery { pattern: given.pattern, under, path_pattern: given.glob, ignore_case: given.ignore_case };
        let report = self.search(&query).await?;
        let limit = given.limit.unwrap_or(DEFAULT_ITEMS);
        let counts = counts(&report);
        match given.output_mode {
            OutputMode::Content => lines("grep", &query, report, given.offset, limit),
            OutputMode::FilesWithMatches => {
                let part = Part::new("grep", counts.keys(), counts.len(), given.offset, limit);
                json_output(&json!({ "pattern": query.pattern, "paths": part.items, "note": part.note, "incomplete": incomplete(&report) }))
            }
            OutputMode::Count => {
                let items = counts.iter().map(|(path, lines)| json!({ "path": path, "count": lines }));
                let part = Part::new("grep", items, counts.len(), given.offset, limit);
                json_output(
                    &json!({ "pattern": query.pattern, "counts": part.items, "note": part.note, "incomplete": incomplete(&report) }),
                )
            }
        }
    }

    pub(super) async fn grep_files(&self, given: Value) -> Result<ToolOutput, CallError> {
        let given: GrepFiles = arguments(given)?;
        let query = GrepQuery { pattern: given.pattern, path_pattern: given.path_pattern, ..GrepQuery::default() };
        let report = self.search(&query).await?;
        lines("grep_files", &query, report, given.offset, given.limit.unwrap_or(DEFAULT_ITEMS))
    }

    async fn search(&self, query: &GrepQuery) -> Result<GrepReport, CallError> {
        self.store().grep_files(self.call.org_id, self.call.session_id, query).await.map_err(file_failure)
    }
}

/// Matching lines of each file.
fn counts(report: &GrepReport) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for found in &report.matches {
        *counts.entry(found.path.shown()).or_insert(0) += 1;
    }
    counts
}

fn lines(tool: &str, query: &GrepQuery, report: GrepReport, offset: usize, limit: usize) -> Result<ToolOutput, CallError> {
    let (incomplete, total) = (incomplete(&report), report.matches.len());
    let part = Part::new(tool, report.matches.into_iter().map(line), total, offset, limit);
    json_output(&json!({
        "pattern": query.pattern,
        "match_count": part.items.len(),
        "total_matches": total,
        "matches": part.items,
        "note": part.note,
        "incomplete": incomplete,
    }))
}

/// What the search did not look at, in words; null if it looked at everything.
fn incomplete(report: &GrepReport) -> Option<String> {
    let mut parts: Vec<String> = Vec::new();
    if report.cut {
        parts.push("the search ended early; narrow the pattern, or the files with a glob".to_owned());
    }
    if !report.skipped.is_empty() {
        let names: Vec<String> = report.skipped.iter().take(SHOWN_SKIPPED).map(FilePath::shown).collect();
        parts.push(format!(
            "{} files are binary or too large and were not searched, among them {}",
            report.skipped.len(),
            names.join(", ")
        ));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}
