//! From the bytes of a response to text.

use encoding_rs::{Encoding, UTF_8};

use super::fetch::Fetched;
use crate::capability::CallError;
use crate::capability::builtin::support::failed;

/// How far into a page its own declaration of a charset is looked for, as browsers do.
const CHARSET_SEARCH_BYTES: usize = 1_024;

/// A page as text.
pub(super) struct Page {
    pub(super) shape: Shape,
    pub(super) text: String,
}

/// What the text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Made of HTML.
    Markdown,
    /// As it was sent.
    Text,
    /// No text; the text is empty.
    Binary,
}

/// The text of a response. HTML is converted by a streaming parser, which builds no tree: trees of
/// hostile pages can be deeper than a stack, and much larger than the page.
pub(super) async fn page(fetched: Fetched, as_markdown: bool) -> Result<Page, CallError> {
    let essence = fetched.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_html = matches!(essence.as_str(), "text/html" | "application/xhtml+xml");
    if !is_html && !is_text(&essence, &fetched.body) {
        return Ok(Page { shape: Shape::Binary, text: String::new() });
    }
    let text = decode(&fetched.content_type, &fetched.body, is_html);
    if !is_html || !as_markdown {
        return Ok(Page { shape: Shape::Text, text });
    }
    let converted = tokio::task::spawn_blocking(move || html2md::rewrite_html(&text, false)).await;
    let text = converted.map_err(|error| {
        tracing::error!(%error, "the converter of HTML failed");
        failed("unavailable", "not_convertible", "the page cannot be converted to Markdown; fetch it with as_markdown=false")
    })?;
    Ok(Page { shape: Shape::Markdown, text })
}

/// Whether a media type is text; without one, whether the bytes look like it.
fn is_text(essence: &str, body: &[u8]) -> bool {
    let known =
        ["application/json", "application/xml", "application/javascript", "application/yaml", "application/toml", "application/x-ndjson"];
    match essence {
        "" => !body.contains(&0) && std::str::from_utf8(body).is_ok(),
        _ => essence.starts_with("text/") || essence.ends_with("+json") || essence.ends_with("+xml") || known.contains(&essence),
    }
}

/// The text by its byte order mark, else the header's charset, else what the page says, else UTF-8.
fn decode(content_type: &str, body: &[u8], is_html: bool) -> String {
    let declared = || Some(&body[..body.len().min(CHARSET_SEARCH_BYTES)]).filter(|_| is_html).and_then(charset_in);
    let encoding = charset_in(content_type.as_bytes()).or_else(declared).unwrap_or(UTF_8);
    encoding.decode(body).0.into_owned()
}

/// The encoding behind `charset=`.
fn charset_in(bytes: &[u8]) -> Option<&'static Encoding> {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let (_, rest) = text.split_once("charset=")?;
    let label = rest.trim_start_matches(['"', '\'']);
    let end = label.find(|character: char| !(character.is_ascii_alphanumeric() || "-_:.".contains(character))).unwrap_or(label.len());
    Encoding::for_label(&label.as_bytes()[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_decoded_by_mark_header_and_declaration() {
        for (content_type, body, expected) in [
            ("text/html", &b"gr\xc3\xbcn"[..], "grün"),
            ("text/html; charset=ISO-8859-1", b"gr\xfcn", "grün"),
            ("text/html; charset=\"windows-1252\"", b"gr\xfcn", "grün"),
            ("text/html", b"<meta charset=latin1>gr\xfcn", "<meta charset=latin1>grün"),
            ("text/html; charset=latin1", b"\xef\xbb\xbfgr\xc3\xbcn", "grün"),
            ("text/html; charset=nonsense", b"gr\xc3\xbcn", "grün"),
        ] {
            assert_eq!(decode(content_type, body, true), expected, "{content_type}");
        }
        assert_eq!(decode("text/plain", b"charset=latin1 \xc3\xbc", false), "charset=latin1 ü");
    }

    #[test]
    fn media_types_are_text_or_not() {
        for (essence, expected) in [
            ("text/css", true),
            ("application/ld+json", true),
            ("image/svg+xml", true),
            ("image/png", false),
            ("application/octet-stream", false),
        ] {
            assert_eq!(is_text(essence, b"x"), expected, "{essence}");
        }
        assert!(is_text("", b"x") && !is_text("", b"\0") && !is_text("", b"\xff"));
    }
}
