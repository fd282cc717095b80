//! Rules for the header fields of a request.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::EgressError;
use crate::mutation::off;

/// Header fields of one request.
pub const MAX_REQUEST_FIELDS: usize = 64;
/// Names and values of a request's header fields together, in bytes.
pub const MAX_REQUEST_FIELD_BYTES: usize = 32 << 10;

/// Ours to set, or meaningless on a connection that carries one request. Clients of
/// all languages send them, so they are dropped without an error.
const DROPPED: [&str; 9] =
    ["connection", "content-length", "host", "keep-alive", "proxy-connection", "te", "trailer", "trailers", "transfer-encoding"];

/// Ask for something that the gateway never does, or make the server act on another method or
/// path than the one that the grant was asked about.
const REFUSED: [&str; 11] = [
    "cookie2",
    "expect",
    "http2-settings",
    "upgrade",
    "x-forwarded-host",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-method",
    "x-original-url",
    "x-rewrite-url",
];

enum Rule {
    Keep,
    Drop,
    Refuse,
}

/// Servers that follow CGI read `content_length` like `content-length`, hence no underscore gets
/// past the lists.
fn rule(name: &HeaderName) -> Rule {
    let name = name.as_str().replace('_', "-");
    if off("egress.header_rules") {
        return Rule::Keep;
    }
    if DROPPED.contains(&name.as_str()) || name.starts_with("sec-") {
        Rule::Drop
    } else if REFUSED.contains(&name.as_str()) || name.starts_with("proxy-") {
        Rule::Refuse
    } else {
        Rule::Keep
    }
}

/// The fields that leave, in order. Every value is marked as sensitive, so that no `Debug` shows
/// it.
///
/// # Errors
/// `invalid` for a name or value that HTTP does not allow or a field that is refused, `limit`
/// for too many.
pub(super) fn check(fields: &[(String, String)]) -> Result<HeaderMap, EgressError> {
    let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    if (fields.len() > MAX_REQUEST_FIELDS || bytes > MAX_REQUEST_FIELD_BYTES) && !off("egress.request_fields") {
        return Err(EgressError::limit(format!(
            "the request has {} header fields of {bytes} bytes; at most {MAX_REQUEST_FIELDS} and {MAX_REQUEST_FIELD_BYTES} bytes can be sent",
            fields.len()
        )));
    }
    let mut kept = HeaderMap::with_capacity(fields.len());
    for (at, (name, value)) in fields.iter().enumerate() {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| EgressError::invalid(format!("the name of header field {at} is not valid in HTTP")))?;
        let mut value = HeaderValue::from_str(value)
            .or_else(|_| HeaderValue::from_bytes(value.as_bytes()))
            .map_err(|_| EgressError::invalid(format!("the value of the header field {name} is not valid in HTTP")))?;
        value.set_sensitive(true);
        match rule(&name) {
            Rule::Keep => drop(kept.append(name, value)),
            Rule::Drop => {}
            Rule::Refuse => return Err(EgressError::invalid(format!("the header field {name} cannot be sent"))),
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::super::EgressErrorKind;
    use super::*;

    fn kept(name: &str) -> Result<bool, EgressErrorKind> {
        check(&[(name.to_owned(), "v".to_owned())]).map(|kept| !kept.is_empty()).map_err(|error| error.kind)
    }

    #[test]
    fn framing_and_hop_by_hop_fields_are_dropped() {
        for name in DROPPED.into_iter().chain([
            "Host",
            "CONTENT-LENGTH",
            "content_length",
            "Transfer_Encoding",
            "sec-fetch-mode",
            "Sec-WebSocket-Key",
        ]) {
            assert_eq!(kept(name), Ok(false), "{name}");
        }
    }

    #[test]
    fn fields_that_promise_something_else_are_refused() {
        for name in
            REFUSED.into_iter().chain(["Upgrade", "proxy-authorization", "Proxy_Authorization", "X-HTTP-Method-Override", "X_Original_URL"])
        {
            assert_eq!(kept(name), Err(EgressErrorKind::Invalid), "{name}");
        }
    }

    #[test]
    fn ordinary_fields_are_kept_in_order_and_hidden() {
        let fields = [("Accept", "a"), ("x-key", "one"), ("X-Key", "two"), ("cookie", "c"), ("accept-encoding", "gzip")];
        let fields: Vec<_> = fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let kept = check(&fields).expect("all are allowed");
        assert_eq!(kept.get_all("x-key").iter().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(kept.len(), 5);
        assert!(!format!("{kept:?}").contains("two"));
    }

    #[test]
    fn control_characters_are_refused_and_not_repeated() {
        for value in ["a\r\nx: y", "a\nb", "a\rb", "a\0b", "a\x7fb", "canary\x1b[0m"] {
            let error = check(&[("x".to_owned(), value.to_owned())]).expect_err("the value is not valid");
            assert_eq!(error.kind, EgressErrorKind::Invalid);
            assert!(!error.message.contains("canary"));
        }
        for name in ["", "a b", "a:b", "a\r\nb", "é", "a\0"] {
            assert_eq!(kept(name), Err(EgressErrorKind::Invalid), "{name:?}");
        }
    }

    #[test]
    fn counts_fields_and_bytes() {
        let field = |size: usize| ("x".to_owned(), "v".repeat(size));
        assert!(check(&vec![field(1); MAX_REQUEST_FIELDS]).is_ok());
        assert_eq!(check(&vec![field(1); MAX_REQUEST_FIELDS + 1]).map_err(|error| error.kind), Err(EgressErrorKind::Limit));
        assert!(check(&[field(MAX_REQUEST_FIELD_BYTES - 1)]).is_ok());
        assert_eq!(check(&[field(MAX_REQUEST_FIELD_BYTES)]).map_err(|error| error.kind), Err(EgressErrorKind::Limit));
    }
}
