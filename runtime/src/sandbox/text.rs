//! Guest text made safe to show: no control character, no escape sequence, no invisible or
//! direction-changing character reaches a log, a terminal or a page.

/// Cuts `text` to `max_bytes` and escapes everything in it that is not plainly visible, line
/// breaks and tabs included.
pub(super) fn escape(text: &str, max_bytes: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(max_bytes));
    for character in text.chars() {
        if shown.len() >= max_bytes {
            shown.push('…');
            break;
        }
        if is_hidden(character) {
            shown.extend(character.escape_unicode());
        } else if character == '\n' {
            shown.push_str("\\n");
        } else if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Characters that change how their neighbours are shown, or that nobody sees: bidirectional
/// controls, zero-width characters, tags, and the byte order mark.
pub(super) fn is_hidden(character: char) -> bool {
    matches!(character,
        '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn what_is_not_plainly_visible_is_escaped() {
        assert_eq!(escape("a\u{1b}[31m\nb\u{202e}c é", 100), "a\\u{1b}[31m\\nb\\u{202e}c é");
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(escape("ééé", 4), "éé…");
    }
}
