//! The spellings in which a secret appears in what others write: as it is, in JSON, in URLs, in
//! hexadecimal digits and in base64, on its own or in the middle of something longer.

use std::fmt::Write as _;

use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shortest part of base64 that is taken for a secret, in characters; shorter ones would take
/// ordinary words out of messages.
const MIN_BASE64: usize = 8;

/// All spellings of a secret.
pub(super) fn spellings(secret: &str) -> Vec<String> {
    let mut spellings = vec![secret.to_owned()];
    spellings.extend(json(secret));
    spellings.extend(percent(secret));
    spellings.extend(hex(secret));
    spellings.push(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect());
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        spellings.extend((0..3).flat_map(|shift| base64_parts(&engine, secret, shift)).filter(|part| part.len() >= MIN_BASE64));
    }
    spellings.sort();
    spellings.dedup();
    spellings
}

/// Between the quotes of a JSON text: as most write it, with its slashes escaped, and in ASCII only.
fn json(secret: &str) -> impl Iterator<Item = String> {
    let quoted = serde_json::Value::from(secret).to_string();
    let plain = quoted[1..quoted.len() - 1].to_owned();
    let mut ascii = [String::with_capacity(plain.len()), String::with_capacity(plain.len())];
    for character in plain.chars() {
        if character.is_ascii() {
            ascii.iter_mut().for_each(|text| text.push(character));
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing into a text does not fail.
            let _ = write!(ascii[0], "\\u{unit:04x}");
            let _ = write!(ascii[1], "\\u{unit:04X}");
        }
    }
    let all = ascii.into_iter().chain([plain]);
    all.flat_map(|text| [text.replace('/', "\\/"), text])
}

/// Hexadecimal digits in either case.
fn hex(secret: &str) -> [String; 2] {
    let lower: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    [lower.to_uppercase(), lower]
}

/// Percent-encoded but for the unreserved characters, with the digits in either case.
fn percent(secret: &str) -> [String; 2] {
    let (mut upper, mut lower) = (String::with_capacity(secret.len()), String::with_capacity(secret.len()));
    for byte in secret.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            upper.push(char::from(byte));
            lower.push(char::from(byte));
        } else {
            // Writing into a text does not fail.
            let _ = write!(upper, "%{byte:02X}");
            let _ = write!(lower, "%{byte:02x}");
        }
    }
    [upper, lower]
}

/// The characters that the secret alone decides, if `shift` bytes stand before it in the encoded
/// text, modulo three: `user:secret` is encoded as a whole. And the same with the character that
/// follows if nothing stands behind it.
fn base64_parts(engine: &impl base64::Engine, secret: &str, shift: usize) -> [String; 2] {
    let padded = [&[0; 2][..shift], secret.as_bytes()].concat();
    let encoded = engine.encode(&padded);
    let first = (shift * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    [last, encoded.len()].map(|end| encoded.get(first..end).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    #[test]
    fn a_secret_is_found_in_whatever_it_was_put_into() {
        let secret = "sk-\"7+/ü?>~";
        let found = |text: &str| spellings(secret).iter().any(|spelling| text.contains(spelling.as_str()));
        assert!(found(&format!("key {secret}.")));
        assert!(found(&serde_json::json!({ "key": secret }).to_string()));
        assert!(found(r#"{"key": "sk-\"7+\/ü?>~"}"#));
        assert!(found(r#"{"key": "sk-\"7+/\u00fc?>~"}"#) && found(r#"{"key": "sk-\"7+\/\u00FC?>~"}"#));
        assert!(found("0x736b2d22372b2fc3bc3f3e7e00") && found("736B2D22372B2FC3BC3F3E7E"));
        assert!(found(&url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>()));
        assert!(found("?key=sk-%227%2b%2f%c3%bc%3f%3e~"));
        for before in ["", "u", "us", "user:"] {
            for after in ["", ":", ":x", ":xy"] {
                let text = format!("{before}{secret}{after}");
                assert!(found(&STANDARD_NO_PAD.encode(&text)), "{text}");
                assert!(found(&URL_SAFE_NO_PAD.encode(&text)), "{text}");
            }
        }
        assert!(!found("sk-7 is another key"));
    }

    #[test]
    fn short_secrets_do_not_take_words_out() {
        assert!(spellings("abcdef").iter().all(|spelling| spelling == "abcdef" || spelling.len() >= MIN_BASE64));
    }
}
