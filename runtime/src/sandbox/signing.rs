//! What stands where a guest put the placeholder of a secret of the org: its value, or what the host makes
//! of it for this request. Which of them it is says the grant, so a component cannot have a secret that is
//! meant for signing sent as it is.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

/// How a request is signed with AWS Signature Version 4.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The service whose paths are signed as they are, and whose bodies are signed by a field of their own.
const S3: &str = "s3";

/// How a secret of the org is used. A grant writes it before the secret's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Use {
    /// `secret:NAME`: as it is.
    Value,
    /// `basic:NAME`: the Base64 form of `user:password`, for `Basic <placeholder>`.
    Basic,
    /// `hmac-sha256:NAME`: it is a key, and what is sent is the MAC of the body in hexadecimal.
    HmacSha256,
    /// `aws-sigv4:REGION/SERVICE:NAME`: it is `ID:KEY` or `ID:KEY:TOKEN`, and what is sent is the whole value
    /// of the field `authorization`.
    AwsSigV4 { region: String, service: String },
}

impl Use {
    /// What a grant says, and the name of the secret; none if it speaks of no secret of the org.
    pub(super) fn parse(bound: &str) -> Option<(Self, &str)> {
        match bound.split_once(':')? {
            ("secret", name) => Some((Self::Value, name)),
            ("basic", name) => Some((Self::Basic, name)),
            ("hmac-sha256", name) => Some((Self::HmacSha256, name)),
            ("aws-sigv4", rest) => {
                let (scope, name) = rest.split_once(':')?;
                let (region, service) = scope.split_once('/').filter(|(region, service)| is_word(region) && is_word(service))?;
                Some((Self::AwsSigV4 { region: region.to_owned(), service: service.to_owned() }, name))
            }
            _ => None,
        }
    }

    /// Whether a value can be used so.
    ///
    /// # Errors
    /// What it has to be.
    pub(super) fn check(&self, value: &str) -> Result<(), &'static str> {
        match self {
            Self::Basic if !value.contains(':') => Err("its value is not user:password"),
            Self::AwsSigV4 { .. } if Credentials::parse(value).is_none() => Err("its value is neither ID:KEY nor ID:KEY:TOKEN"),
            _ => Ok(()),
        }
    }

    /// The parts of a value that nobody may be told, beside the whole.
    pub(super) fn parts<'a>(&self, value: &'a str) -> Vec<&'a str> {
        match self {
            Self::Value | Self::HmacSha256 => Vec::new(),
            Self::Basic => value.split_once(':').map(|(_, password)| password).into_iter().collect(),
            Self::AwsSigV4 { .. } => value.split(':').skip(1).collect(),
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The credentials of `Basic`.
pub(super) fn basic(value: &str) -> String {
    STANDARD.encode(value)
}

/// The MAC of a body, in lower-case hexadecimal.
pub(super) fn hmac_sha256(key: &str, body: &[u8]) -> String {
    hex(&mac(key.as_bytes(), body))
}

/// What of a request is signed.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// The value of `Host`.
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) body: &'a [u8],
}

/// Fields to send beside the request's own: `authorization` and what it speaks of. `extra` are fields of
/// the request that are signed as well, with names in lower case.
pub(super) fn aws_sigv4(
    (region, service): (&str, &str),
    value: &str,
    request: &Signed<'_>,
    extra: &[(String, String)],
    now: Timestamp,
) -> Option<Vec<(&'static str, String)>> {
    let Credentials { id, key, token } = Credentials::parse(value)?;
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let body = hex(&Sha256::digest(request.body));
    let mut fields = vec![("x-amz-date", time.clone())];
    fields.extend(token.map(|token| ("x-amz-security-token", token.to_owned())));
    fields.extend((service == S3).then(|| ("x-amz-content-sha256", body.clone())));
    let mut signed: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let own = |name: &str| signed.iter().any(|(signed, _)| *signed == name);
    let others: Vec<(&str, &str)> =
        extra.iter().map(|(name, value)| (name.as_str(), value.as_str())).filter(|(name, _)| !own(name)).collect();
    signed.extend(others);
    signed.push(("host", request.host));
    signed.sort_by_key(|(name, _)| *name);
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines = signed.iter().fold(String::new(), |lines, (name, value)| lines + name + ":" + &plain(value) + "\n");
    let path = canonical_path(request.path, service);
    let canonical = [request.method, &path, &canonical_query(request.query), &lines, &names, &body].join("\n");
    let scope = format!("{}/{region}/{service}/aws4_request", &time[..8]);
    let text = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let first = mac(format!("AWS4{key}").as_bytes(), &time.as_bytes()[..8]);
    let signing = [region, service, "aws4_request"].iter().fold(first, |key, part| mac(&key, part.as_bytes()));
    let signature = hex(&mac(&signing, text.as_bytes()));
    fields.push(("authorization", format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")));
    Some(fields)
}

struct Credentials<'a> {
    id: &'a str,
    key: &'a str,
    token: Option<&'a str>,
}

impl<'a> Credentials<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let mut parts = value.split(':');
        let credentials = Self { id: parts.next()?, key: parts.next()?, token: parts.next() };
        let whole = !credentials.id.is_empty() && !credentials.key.is_empty() && credentials.token != Some("");
        (whole && parts.next().is_none()).then_some(credentials)
    }
}

/// A path that the URL parser has encoded once is encoded again, segment by segment, except for S3.
fn canonical_path(path: &str, service: &str) -> String {
    if service == S3 {
        return path.to_owned();
    }
    let segments: Vec<String> = path.split('/').filter(|segment| !segment.is_empty()).map(encoded).collect();
    let end = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

fn canonical_query(query: &str) -> String {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let mut pairs: Vec<(String, String)> = pairs.map(|(name, value)| (encoded(&name), encoded(&value))).collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Everything but the unreserved characters of RFC 3986 as `%XX`.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// A field's value without space around it, and with one space where it has several.
fn plain(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_says_how_a_secret_is_used() {
        let aws = Use::AwsSigV4 { region: "eu-central-1".to_owned(), service: "bedrock".to_owned() };
        for (bound, expected) in [
            ("secret:a", Some((Use::Value, "a"))),
            ("basic:a", Some((Use::Basic, "a"))),
            ("hmac-sha256:a", Some((Use::HmacSha256, "a"))),
            ("aws-sigv4:eu-central-1/bedrock:a", Some((aws, "a"))),
            ("aws-sigv4:eu-central-1:a", None),
            ("aws-sigv4:EU/bedrock:a", None),
            ("connection:a", None),
            ("a", None),
        ] {
            assert_eq!(Use::parse(bound), expected, "{bound}");
        }
    }

    #[test]
    fn values_have_the_form_that_their_use_needs() {
        let aws = || Use::AwsSigV4 { region: "r".to_owned(), service: "s".to_owned() };
        for (used, value, fits) in [
            (Use::Basic, "user:pass:word", true),
            (Use::Basic, "user", false),
            (aws(), "id:key", true),
            (aws(), "id:key:token", true),
            (aws(), "id:", false),
            (aws(), "id:key:", false),
            (aws(), "id:key:token:more", false),
        ] {
            assert_eq!(used.check(value).is_ok(), fits, "{used:?} {value}");
        }
        assert_eq!(Use::Basic.parts("user:pass:word"), ["pass:word"]);
        assert_eq!(aws().parts("id:key:token"), ["key", "token"]);
    }

    /// The example of RFC 7617, and a known answer of HMAC with SHA-256.
    #[test]
    fn basic_and_hmac_are_those_of_everybody() {
        assert_eq!(basic("Aladdin:open sesame"), "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let mac = hmac_sha256("key", b"The quick brown fox jumps over the lazy dog");
        assert_eq!(mac, "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
    }

    fn signature(scope: (&str, &str), value: &str, (host, path, query): (&str, &str, &str), now: &str) -> String {
        let request = Signed { method: "GET", host, path, query, body: b"" };
        let fields = aws_sigv4(scope, value, &request, &[], now.parse().expect("a time")).expect("credentials");
        let (_, authorization) = fields.last().expect("the last one is the signature");
        authorization.rsplit_once("Signature=").expect("a signature").1.to_owned()
    }

    /// Cases of the vendor's published test suite and of the examples in its manual.
    #[test]
    fn signatures_are_those_of_the_vendor() {
        let suite = |path, query| {
            let value = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
            signature(("us-east-1", "service"), value, ("example.amazonaws.com", path, query), "2015-08-30T12:36:00Z")
        };
        assert_eq!(suite("/", ""), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
        assert_eq!(suite("//", ""), "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
        assert_eq!(suite("/", "Param2=value2&Param1=value1"), "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500");
        let manual = |query| {
            let value = "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
            let host = "examplebucket.s3.amazonaws.com";
            signature(("us-east-1", "s3"), value, (host, "/", query), "2013-05-24T00:00:00Z")
        };
        assert_eq!(manual("lifecycle"), "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
        assert_eq!(manual("max-keys=2&prefix=J"), "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
    }

    #[test]
    fn what_is_signed_is_told() {
        let request = Signed { method: "POST", host: "a.test", path: "/a%20b/", query: "", body: b"{}" };
        let extra = [("content-type".to_owned(), "a  b".to_owned()), ("x-amz-date".to_owned(), "of the guest".to_owned())];
        let now = "2026-01-02T03:04:05.6Z".parse().expect("a time");
        let fields = aws_sigv4(("r", "s"), "id:key:token", &request, &extra, now).expect("credentials");
        assert_eq!(fields[..2], [("x-amz-date", "20260102T030405Z".to_owned()), ("x-amz-security-token", "token".to_owned())]);
        let told =
            "AWS4-HMAC-SHA256 Credential=id/20260102/r/s/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, ";
        assert!(fields[2].1.starts_with(told), "{fields:?}");
        assert_eq!(canonical_path("/a%20b/", "s"), "/a%2520b/");
        assert_eq!(canonical_path("/a%20b//", S3), "/a%20b//");
    }
}
