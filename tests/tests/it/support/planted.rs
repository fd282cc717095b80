//! How a secret that was planted can be spelled where it must not be.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

/// A text in each spelling that secrets are searched for in.
pub(crate) fn spellings(secret: &str) -> [(&'static str, String); 6] {
    let json = Value::from(secret).to_string();
    [
        ("plain", secret.to_owned()),
        ("base64", STANDARD.encode(secret).trim_end_matches('=').to_owned()),
        ("base64 for URLs", URL_SAFE_NO_PAD.encode(secret)),
        ("hexadecimal", hexadecimal(secret)),
        ("URL", url::form_urlencoded::byte_serialize(secret.as_bytes()).collect()),
        ("JSON", json[1..json.len() - 1].to_owned()),
    ]
}

/// Its bytes in lower-case hexadecimal digits.
pub(crate) fn hexadecimal(secret: &str) -> String {
    secret.bytes().map(|byte| format!("{byte:02x}")).collect()
}
