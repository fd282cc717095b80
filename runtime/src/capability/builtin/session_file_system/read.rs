//! Tools that read one file or several.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::schema::DEFAULT_LINES;
use super::{Files, absent, file_failure, path};
use crate::capability::builtin::support::{MAX_RESULT_BYTES, arguments, failed, json_bytes, json_cut, json_output};
use crate::capability::{CallError, ToolOutput};
use crate::component::Digest;
use crate::file::{FileEncoding, FilePath, SessionFile};
use crate::message::ContentPart;

/// Largest picture that is shown to a model, in bytes; vendors refuse more.
const MAX_IMAGE_BYTES: usize = 3 << 20;

#[derive(Deserialize)]
struct ReadFile {
    path: String,
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct ReadManyFiles {
    paths: Vec<String>,
    limit: Option<usize>,
}

/// Lines of a text file as a model sees them.
#[derive(Serialize)]
struct Shown {
    path: String,
    content: String,
    total_lines: usize,
    lines_shown: LinesShown,
    truncated: bool,
    size_bytes: u64,
    content_hash: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// Numbers of the first and the last line, from 1; both 0 if there is none.
#[derive(Serialize)]
struct LinesShown {
    start: usize,
    end: usize,
}

impl Files<'_> {
    pub(super) async fn read_file(&self, given: Value) -> Result<ToolOutput, CallError> {
        let given: ReadFile = arguments(given)?;
        let path = path(&given.path)?;
        let file = self.read(&path).await?;
        if let Some(media_type) = image_type(&file.content) {
            return picture(&file, media_type);
        }
        let text = text_of(&file)?;
        json_output(&lines(&file, &text, given.offset, given.limit.unwrap_or(DEFAULT_LINES), MAX_RESULT_BYTES))
    }

    pub(super) async fn read_many_files(&self, given: Value) -> Result<ToolOutput, CallError> {
        let given: ReadManyFiles = arguments(given)?;
        let mut left = MAX_RESULT_BYTES;
        let mut files: Vec<Value> = Vec::new();
        for name in &given.paths {
            // Each file has its share of what the ones before it left.
            let share = left / (given.paths.len() - files.len());
            let file = self.lines_of(name, given.limit.unwrap_or(DEFAULT_LINES), share).await?;
            left = left.saturating_sub(file.to_string().len());
            files.push(file);
        }
        json_output(&json!({ "files": files }))
    }

    /// One of several files: its lines, or why they cannot be read.
    async fn lines_of(&self, name: &str, limit: usize, most_bytes: usize) -> Result<Value, CallError> {
        let read = async {
            let file = self.read(&path(name)?).await?;
            let text = text_of(&file)?;
            Ok(json!(lines(&file, &text, 0, limit, most_bytes)))
        };
        match read.await {
            // An outage is the outcome of the whole call.
            Err(CallError::Failed(failure)) if !failure.retryable => Ok(json!({ "path": name, "error": failure.message })),
            other => other,
        }
    }

    pub(super) async fn read(&self, path: &FilePath) -> Result<SessionFile, CallError> {
        let found = self.store().read_file(self.call.org_id, self.call.session_id, path).await.map_err(file_failure)?;
        found.ok_or_else(|| absent(path))
    }
}

/// The content as text.
pub(super) fn text_of(file: &SessionFile) -> Result<String, CallError> {
    match FileEncoding::encode(&file.content) {
        (FileEncoding::Text, text) => Ok(text),
        (FileEncoding::Base64, _) => {
            let (path, size) = (file.stat.path.shown(), file.stat.size_bytes);
            Err(failed("conflict", "not_text", format!("{path} is no text: it has {size} bytes of binary data, which are not shown")))
        }
    }
}

/// Lines from `offset` on, at most `limit` and as many as fit.
fn lines(file: &SessionFile, text: &str, offset: usize, limit: usize, most_bytes: usize) -> Shown {
    let total_lines = text.lines().count();
    let mut content = String::new();
    let (mut shown, mut left, mut cut_line) = (0, most_bytes.saturating_sub(2), false);
    for line in text.split_inclusive('\n').skip(offset).take(limit) {
        let size = json_bytes(line) - 2;
        if size > left {
            if shown == 0 {
                content.push_str(json_cut(line, left + 2));
                (shown, cut_line) = (1, true);
            }
            break;
        }
        content.push_str(line);
        (left, shown) = (left - size, shown + 1);
    }
    let end = offset.saturating_add(shown);
    let note = match () {
        () if cut_line => Some(format!("line {end} is too long and was cut; use grep to find what you need in it")),
        () if shown > 0 && end < total_lines => Some(format!("call read_file with offset={end} for the lines from {} on", end + 1)),
        () if offset > 0 && offset >= total_lines => Some(format!("the file ends before line {}", offset.saturating_add(1))),
        () => None,
    };
    Shown {
        path: file.stat.path.shown(),
        content,
        total_lines,
        lines_shown: if shown == 0 { LinesShown { start: 0, end: 0 } } else { LinesShown { start: offset + 1, end } },
        truncated: cut_line || end < total_lines,
        size_bytes: file.stat.size_bytes,
        content_hash: file.stat.content_hash,
        note,
    }
}

/// The media type of a picture that models understand, by its first bytes.
fn image_type(content: &[u8]) -> Option<&'static str> {
    match content {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

fn picture(file: &SessionFile, media_type: &str) -> Result<ToolOutput, CallError> {
    let (path, size) = (file.stat.path.shown(), file.content.len());
    if size > MAX_IMAGE_BYTES {
        return Err(failed(
            "limit",
            "image_too_large",
            format!("{path} has {size} bytes; pictures up to {MAX_IMAGE_BYTES} bytes are shown"),
        ));
    }
    let facts = json!({ "path": path, "media_type": media_type, "size_bytes": size, "content_hash": file.stat.content_hash });
    let image = ContentPart::Image { url: None, base64: Some(BASE64.encode(&file.content)), media_type: Some(media_type.to_owned()) };
    Ok(ToolOutput { parts: vec![ContentPart::text(facts.to_string()), image], structured: Some(facts) })
}
