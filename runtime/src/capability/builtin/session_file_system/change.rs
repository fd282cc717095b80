//! Tools that write, edit and delete.

use serde::Deserialize;
use serde_json::{Value, json};

use super::read::text_of;
use super::{Files, absent, file_failure, path};
use crate::capability::builtin::support::{arguments, failed, json_output};
use crate::capability::{CallError, ToolOutput};
use crate::component::Digest;
use crate::file::{Deletion, FileEncoding, FilePath, FileStat, FileWrite};
use crate::store::{StoreError, StoreResult};

/// How often an edit without an expected hash starts over when another call writes in between.
const MAX_EDIT_ATTEMPTS: usize = 5;
/// Of a text in a message, what is shown, in bytes.
const SHOWN_BYTES: usize = 80;

#[derive(Deserialize)]
struct WriteFile {
    path: String,
    content: String,
    #[serde(default)]
    encoding: FileEncoding,
}

#[derive(Deserialize)]
struct EditFile {
    path: String,
    expected_hash: Option<String>,
    edits: Vec<Edit>,
}

#[derive(Deserialize)]
struct Edit {
    old_text: String,
    new_text: String,
}

#[derive(Deserialize)]
struct DeleteFile {
    path: String,
    #[serde(default)]
    recursive: bool,
}

impl Files<'_> {
    pub(super) async fn write_file(&self, given: Value) -> Result<ToolOutput, CallError> {
        let given: WriteFile = arguments(given)?;
        let path = path(&given.path)?;
        let content = given.encoding.decode(&given.content).map_err(|error| {
            failed(
                "invalid-arguments",
                "not_base64",
                format!("content is not base64 ({error}); send base64 with padding, or encoding=text"),
            )
        })?;
        let now = self.call.services.clock.now();
        let stat = self.store().write_file(self.call.org_id, self.call.session_id, &path, FileWrite::new(content, now)).await;
        let stat = stat.map_err(file_failure)?;
        json_output(&json!({
            "path": stat.path.shown(),
            "size_bytes": stat.size_bytes,
            "created": stat.created_at == stat.updated_at,
            "content_hash": stat.content_hash,
        }))
    }

    pub(super) async fn edit_file(&self, given: Value) -> Result<ToolOutput, CallError> {
        let given: EditFile = arguments(given)?;
        let path = path(&given.path)?;
        let expected: Option<Digest> = given.expected_hash.as_deref().map(str::parse).transpose().map_err(|error| {
            failed("invalid-arguments", "invalid_hash", format!("expected_hash: {error}; take content_hash from read_file"))
        })?;
        for _ in 0..MAX_EDIT_ATTEMPTS {
            let file = self.read(&path).await?;
            let before = file.stat.content_hash.ok_or_else(|| absent(&path))?;
            if expected.is_some_and(|expected| expected != before) {
                return Err(changed(&path));
            }
            let edited = apply(&text_of(&file)?, &given.edits, &path)?;
            match self.replace(&path, before, edited).await {
                Ok(stat) => {
                    return json_output(&json!({
                        "path": stat.path.shown(),
                        "size_bytes": stat.size_bytes,
                        "content_hash": stat.content_hash,
                        "previous_content_hash": before,
                        "applied_edits": given.edits.len(),
                    }));
                }
                Err(StoreError::Stale { .. }) if expected.is_none() => {}
                Err(StoreError::Stale { .. }) => return Err(changed(&path)),
                Err(error) => return Err(file_failure(error)),
            }
        }
        Err(changed(&path))
    }

    async fn replace(&self, path: &FilePath, before: Digest, content: String) -> StoreResult<FileStat> {
        let write = FileWrite::new(content, self.call.services.clock.now());
        self.store().write_file_if_content_matches(self.call.org_id, self.call.session_id, path, before, write).await
    }

    pub(super) async fn delete_file(&self, given: Value) -> Result<ToolOutput, CallError> {
        let given: DeleteFile = arguments(given)?;
        let path = path(&given.path)?;
        let how = Deletion { recursive: given.recursive, over_readonly: false };
        match self.store().delete_file(self.call.org_id, self.call.session_id, &path, how).await.map_err(file_failure)? {
            0 if !path.is_root() => Err(absent(&path)),
            deleted => json_output(&json!({ "path": path.shown(), "deleted": true, "deleted_count": deleted })),
        }
    }
}

fn changed(path: &FilePath) -> CallError {
    failed("conflict", "changed", format!("{} was changed since it was read; read it again, then edit", path.shown()))
}

/// Makes all replacements at once: each is matched against the text before the edit.
fn apply(text: &str, edits: &[Edit], path: &FilePath) -> Result<String, CallError> {
    let mut places: Vec<(usize, usize, String)> = Vec::with_capacity(edits.len());
    for edit in edits {
        let (old, new) = in_line_endings_of(text, edit);
        let mut found = text.match_indices(&old);
        let shown = &old[..old.floor_char_boundary(SHOWN_BYTES)];
        let Some((at, _)) = found.next() else {
            let message = format!("{} has no {shown:?}; read the file and copy old_text exactly, white space included", path.shown());
            return Err(failed("conflict", "no_match", message));
        };
        if found.next().is_some() {
            let message = format!("{} has {shown:?} more than once; take more of the lines around it into old_text", path.shown());
            return Err(failed("conflict", "ambiguous_match", message));
        }
        places.push((at, at + old.len(), new));
    }
    places.sort_unstable_by_key(|(start, ..)| *start);
    if places.windows(2).any(|pair| pair[1].0 < pair[0].1) {
        return Err(failed("invalid-arguments", "overlapping_edits", "the edits overlap; join those that touch the same text"));
    }
    let mut edited = String::with_capacity(text.len());
    let mut at = 0;
    for (start, end, new) in places {
        edited.push_str(&text[at..start]);
        edited.push_str(&new);
        at = end;
    }
    edited.push_str(&text[at..]);
    Ok(edited)
}

/// Models write line feeds; a file with carriage returns keeps them, unless the text is found as
/// it was given.
fn in_line_endings_of(text: &str, edit: &Edit) -> (String, String) {
    let (old, new) = (&edit.old_text, &edit.new_text);
    if text.contains(old.as_str()) || !text.contains("\r\n") {
        return (old.clone(), new.clone());
    }
    let with_returns = |text: &str| text.replace("\r\n", "\n").replace('\n', "\r\n");
    (with_returns(old), with_returns(new))
}
