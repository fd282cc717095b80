//! Findings: what is wrong with an upload, and how to fix it.

use serde::{Deserialize, Serialize};

use crate::mutation::off;

/// Findings of one upload that are kept; beyond it the list no longer helps anybody.
pub(crate) const MAX_FINDINGS: usize = 50;
/// Guest text that is quoted in a finding, in characters before escaping.
const MAX_QUOTED_CHARS: usize = 120;

/// One thing that is wrong with a component.
///
/// ```json
/// {"code": "import_unknown", "pointer": "/imports/3",
///  "detail": "wasi:http/outgoing-handler@0.2.3 is not available to components",
///  "fix": "use everwit:http/client and ask for the host in `permissions.http`"}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ComponentFinding))]
pub struct Finding {
    /// Stable code, snake_case.
    pub code: String,
    /// Which part, as a JSON pointer into the inspection, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// What was found, with the limit if it is about one. Guest text in it is escaped.
    pub detail: String,
    /// What the author can do.
    pub fix: String,
}

impl Finding {
    /// A finding; `detail` must hold guest text in escaped form only.
    pub fn new(code: impl Into<String>, pointer: Option<String>, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code: code.into(), pointer, detail: detail.into(), fix: fix.into() }
    }
}

/// A bounded list of findings.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Adds one, unless the list is full.
    pub(super) fn add(&mut self, code: &str, pointer: Option<String>, detail: String, fix: &str) {
        if self.0.len() < MAX_FINDINGS || off("gate.findings") {
            self.0.push(Finding::new(code, pointer, detail, fix));
        }
    }

    /// The list in the order of discovery.
    pub(super) fn into_vec(self) -> Vec<Finding> {
        self.0
    }
}

/// Guest text for a message: control, format and bidirectional characters are escaped, and long
/// text is cut.
pub(crate) fn quoted(text: &str) -> String {
    quoted_up_to(text, MAX_QUOTED_CHARS)
}

/// [`quoted`] with another limit, in characters before escaping.
pub(crate) fn quoted_up_to(text: &str, most: usize) -> String {
    let mut chars = text.chars();
    let mut shown: String = chars.by_ref().take(most).flat_map(char::escape_debug).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    /// THREAT[U15]: nothing of a guest reaches a log or a page raw.
    #[test]
    fn quoted_text_is_escaped_and_cut() {
        assert_eq!(quoted("a\u{1b}[31m\n\u{202e}b"), "a\\u{1b}[31m\\n\\u{202e}b");
        assert_eq!(quoted(&"x".repeat(1_000)).chars().count(), MAX_QUOTED_CHARS + 1);
    }

    #[test]
    fn the_list_is_bounded() {
        let mut findings = Findings::default();
        (0..1_000).for_each(|_| findings.add("a", None, String::new(), ""));
        assert_eq!(findings.into_vec().len(), MAX_FINDINGS);
    }
}
