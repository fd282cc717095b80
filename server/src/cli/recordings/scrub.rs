//! What a recording never keeps, because it is committed: what lets somebody in.
//!
//! Fields of responses and parameters of queries are told by their names, and the configuration's secrets by their values. A
//! body keeps its length, so that its framing stays true.

use everwit_runtime::capability::redact_config;
use serde_json::{Map, Value};
use url::Url;

/// Stands for a value in a URL.
const REDACTED: &str = "redacted";
/// Stands for each byte of a value in a response.
const COVER: u8 = b'*';
/// Shorter values are taken for no secrets: they would be found everywhere.
const MIN_SECRET_BYTES: usize = 8;
/// Fields that are left out of responses.
const FIELDS: [&str; 8] = [
    "set-cookie",
    "set-cookie2",
    "cookie",
    "authorization",
    "proxy-authorization",
    "authentication-info",
    "proxy-authentication-info",
    "x-api-key",
];
/// Fields with values that are URLs.
const URL_FIELDS: [&str; 2] = ["location", "content-location"];
/// Parameters whose values are left out, in lower case with `_` for `-`.
const PARAMETERS: [&str; 12] =
    ["key", "apikey", "api_key", "token", "auth", "authorization", "jwt", "password", "secret", "sig", "signature", "x_amz_credential"];
/// The same for all names of fields and parameters that end so.
const ENDS: [&str; 6] = ["_token", "_secret", "_password", "_api_key", "_signature", "_authorization"];

/// Takes credentials out of what is recorded.
#[derive(Debug, Default)]
pub(super) struct Scrub {
    secrets: Vec<String>,
}

impl Scrub {
    /// One that knows what the schema of a configuration marks as secret in it, too.
    pub(super) fn of(schema: &Value, config: &Map<String, Value>) -> Self {
        let config = Value::Object(config.clone());
        let mut secrets = Vec::new();
        collect(&config, &redact_config(Some(schema), &config), &mut secrets);
        // A secret that begins with another one is looked for first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets }
    }

    /// A URL without the values of parameters that are credentials.
    pub(super) fn url(&self, url: &str) -> String {
        let Ok(mut parsed) = Url::parse(url) else { return self.text(url) };
        let pieces: Vec<&str> = parsed.query().unwrap_or_default().split('&').collect();
        let kept = pieces.iter().map(|piece| match piece.split_once('=') {
            Some((name, _)) if is_credential(name) || PARAMETERS.contains(&plain(name).as_str()) => format!("{name}={REDACTED}"),
            _ => (*piece).to_owned(),
        });
        let kept = kept.collect::<Vec<_>>().join("&");
        if parsed.query().is_some_and(|query| query != kept) {
            parsed.set_query(Some(&kept));
            return self.text(parsed.as_str());
        }
        self.text(url)
    }

    fn text(&self, url: &str) -> String {
        let spellings = self.secrets.iter().flat_map(|secret| {
            let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            [secret.clone(), encoded.replace('+', "%20"), encoded]
        });
        spellings.fold(url.to_owned(), |url, secret| url.replace(&secret, REDACTED))
    }

    /// A response without fields that are credentials. What is no HTTP keeps its head.
    pub(super) fn response(&self, response: &[u8]) -> Vec<u8> {
        const END: &[u8] = b"\r\n\r\n";
        let (head, body) = match response.windows(END.len()).position(|window| window == END) {
            Some(end) => response.split_at(end),
            None => (&[][..], response),
        };
        let lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let kept: Vec<Vec<u8>> = lines.filter_map(|line| self.line(line)).collect();
        let mut scrubbed = [kept.join(&b"\r\n"[..]), body.to_vec()].concat();
        for secret in &self.secrets {
            cover(&mut scrubbed, secret.as_bytes());
        }
        scrubbed
    }

    /// A line of a head; none if it is left out.
    fn line(&self, line: &[u8]) -> Option<Vec<u8>> {
        let Some((name, value)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(':')) else { return Some(line.to_vec()) };
        let field = name.trim().to_ascii_lowercase();
        if FIELDS.contains(&field.as_str()) || is_credential(&field) {
            return None;
        }
        if URL_FIELDS.contains(&field.as_str()) {
            return Some(format!("{name}: {}", self.url(value.trim())).into_bytes());
        }
        Some(line.to_vec())
    }
}

fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

fn is_credential(name: &str) -> bool {
    let name = plain(name);
    ENDS.iter().any(|end| name.ends_with(end))
}

/// The texts of a configuration that are not shown.
fn collect(value: &Value, shown: &Value, secrets: &mut Vec<String>) {
    match (value, shown) {
        (Value::Object(members), Value::Object(shown)) => members.iter().for_each(|(name, value)| collect(value, &shown[name], secrets)),
        (Value::Array(items), Value::Array(shown)) => items.iter().zip(shown).for_each(|(value, shown)| collect(value, shown, secrets)),
        (Value::Object(members), _) => members.values().for_each(|value| collect(value, &Value::Null, secrets)),
        (Value::Array(items), _) => items.iter().for_each(|value| collect(value, &Value::Null, secrets)),
        (Value::String(text), shown) if value != shown && text.len() >= MIN_SECRET_BYTES => secrets.push(text.clone()),
        _ => {}
    }
}

fn cover(bytes: &mut [u8], secret: &[u8]) {
    let mut from = 0;
    while let Some(at) = bytes[from..].windows(secret.len()).position(|window| window == secret) {
        bytes[from + at..from + at + secret.len()].fill(COVER);
        from += at + secret.len();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_left_out_of_heads_and_nothing_else() {
        let response =
            b"HTTP/1.1 200 OK\r\nSet-Cookie: id=1\r\nx: set-cookie\r\nset-cookie:2\r\nX-Amz-Security-Token: t\r\nAuthorization: a\r\n\
            x-ratelimit-remaining-tokens: 9\r\nLocation: https://a.example/?page=2&access_token=t\r\n\r\nset-cookie: body\r\n\r\n\xff";
        let kept = b"HTTP/1.1 200 OK\r\nx: set-cookie\r\nx-ratelimit-remaining-tokens: 9\r\n\
            Location: https://a.example/?page=2&access_token=redacted\r\n\r\nset-cookie: body\r\n\r\n\xff";
        assert_eq!(String::from_utf8_lossy(&Scrub::default().response(response)), String::from_utf8_lossy(kept));
        assert_eq!(Scrub::default().response(b"no HTTP"), b"no HTTP");
    }

    #[test]
    fn credentials_are_left_out_of_queries() {
        for (url, kept) in [
            ("https://a.example/x?q=1&API-Key=k&sig=s", "https://a.example/x?q=1&API-Key=redacted&sig=redacted"),
            ("https://a.example/x?X-Amz-Signature=s&b=%20c", "https://a.example/x?X-Amz-Signature=redacted&b=%20c"),
            ("https://a.example/key=1?monkey=2", "https://a.example/key=1?monkey=2"),
            ("/relative?token", "/relative?token"),
        ] {
            assert_eq!(Scrub::default().url(url), kept);
            assert_eq!(Scrub::default().url(kept), kept, "it stays the same");
        }
    }

    #[test]
    fn a_secret_of_the_configuration_is_found_wherever_it_is() {
        let schema = json!({ "properties": { "key": { "writeOnly": true }, "all": { "writeOnly": true }, "city": {} } });
        let config = json!({ "key": "se cret/1", "all": { "pin": "another-one" }, "city": "Oslo is one", "n": 1 });
        let scrub = Scrub::of(&schema, config.as_object().expect("it is an object"));
        assert_eq!(
            scrub.url("https://a.example/se%20cret%2F1?a=se+cret%2F1&b=Oslo is one"),
            "https://a.example/redacted?a=redacted&b=Oslo is one"
        );
        let response = scrub.response(b"HTTP/1.1 200 OK\r\ncontent-length: 31\r\n\r\nse cret/1 another-one Oslo is one");
        assert!(response.ends_with(b"length: 31\r\n\r\n********* *********** Oslo is one"), "{}", String::from_utf8_lossy(&response));
    }
}
