//! Placeholders: what a guest holds in the stead of a credential. They are replaced in the places
//! that its description names, in a request to the declared origin, and nowhere else.

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;
use url::form_urlencoded::byte_serialize;

use crate::driver::CodecRequest;

/// Random bytes of a placeholder: nobody guesses one.
const PLACEHOLDER_BYTES: usize = 16;

/// Where a placeholder may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In a header field's value; the name is in lower case.
    Header(String),
    /// As or in the value of a query parameter.
    Query(String),
    /// In a body of JSON or of a form.
    Body,
}

impl Place {
    /// None for what is no place.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some(("header", name)) => http::HeaderName::from_bytes(name.as_bytes()).ok().map(|name| Self::Header(name.as_str().to_owned())),
            Some(("query", name)) if !name.is_empty() => Some(Self::Query(name.to_owned())),
            None if text == "body" => Some(Self::Body),
            _ => None,
        }
    }
}

/// One credential that is kept from the guest.
struct Kept {
    placeholder: String,
    value: SecretString,
    places: Vec<Place>,
}

/// The placeholders of one instance.
#[derive(Default)]
pub(super) struct Placeholders {
    kept: Vec<Kept>,
}

impl Placeholders {
    /// Keeps a credential from the guest, and returns what it gets instead: a text that begins with
    /// `everwit_` and `name` in snake case.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(super) fn keep(&mut self, name: &str, value: SecretString, places: Vec<Place>) -> Result<String, String> {
        let placeholder = placeholder(name)?;
        self.kept.push(Kept { placeholder: placeholder.clone(), value, places });
        Ok(placeholder)
    }

    /// Checks where a guest's request goes, and puts the credentials into it.
    ///
    /// # Errors
    /// A sentence about the guest's fault: another origin than that of `base`, header fields that
    /// cannot be sent, or a placeholder in another place than its own. It shows no text of the guest
    /// that may spell a credential.
    pub(super) fn complete(&self, base: &Url, mut request: CodecRequest) -> Result<CodecRequest, String> {
        let url = Url::parse(&request.url).map_err(|error| format!("its request has no usable URL: {error}"))?;
        // Opaque origins, as of `data:`, equal nothing, themselves included.
        if url.origin() != base.origin() {
            let allowed = base.origin().ascii_serialization();
            return Err(format!("its request goes to another origin than that of the base URL, {allowed}"));
        }
        check_headers(&request.headers)?;
        for kept in &self.kept {
            kept.put(&mut request)?;
        }
        Ok(request)
    }

    /// A text without placeholders.
    pub(super) fn scrub(&self, text: &str) -> String {
        self.kept.iter().fold(text.to_owned(), |text, kept| text.replace(&kept.placeholder, "[placeholder]"))
    }
}

impl Kept {
    fn put(&self, request: &mut CodecRequest) -> Result<(), String> {
        let value = self.value.expose_secret();
        for (name, text) in request.headers.iter_mut().filter(|(_, text)| text.contains(&self.placeholder)) {
            self.check(&Place::Header(name.to_ascii_lowercase()), &format!("the header field {name:?}"))?;
            *text = text.replace(&self.placeholder, value);
        }
        if request.url.contains(&self.placeholder) {
            request.url = self.put_into_query(&request.url)?;
        }
        let in_body = |body: &[u8]| body.utf8_chunks().any(|chunk| chunk.valid().contains(&self.placeholder));
        if in_body(&request.body) {
            self.check(&Place::Body, "the body")?;
            let body = String::from_utf8_lossy(&request.body).replace(&self.placeholder, &self.as_body_value(&request.headers)?);
            request.body = body.into();
        }
        let names = request.headers.iter().any(|(name, _)| name.contains(&self.placeholder));
        if names || request.method.contains(&self.placeholder) {
            return Err(misplaced("the method or the name of a header field"));
        }
        Ok(())
    }

    /// The only part of a URL in which a credential may be is the value of a query parameter.
    fn put_into_query(&self, url: &str) -> Result<String, String> {
        let (rest, query) = url.split_once('?').ok_or_else(|| misplaced("the path of its URL"))?;
        let (query, fragment) = query.split_once('#').unwrap_or((query, ""));
        if rest.contains(&self.placeholder) || fragment.contains(&self.placeholder) {
            return Err(misplaced("the path or the fragment of its URL"));
        }
        let value: String = byte_serialize(self.value.expose_secret().as_bytes()).collect();
        let mut pairs = Vec::new();
        for pair in query.split('&') {
            let name = pair.split('=').next().unwrap_or_default();
            if pair.contains(&self.placeholder) {
                self.check(&Place::Query(name.to_owned()), &format!("the query parameter {name:?}"))?;
            }
            pairs.push(pair.replace(&self.placeholder, &value));
        }
        Ok(format!("{rest}?{}", pairs.join("&")))
    }

    /// The value as it is written in the body that the header fields announce.
    fn as_body_value(&self, headers: &[(String, String)]) -> Result<String, String> {
        let value = self.value.expose_secret();
        let media_type = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let media_type = media_type.map_or("", |(_, value)| value.split(';').next().unwrap_or_default().trim());
        match media_type {
            "application/json" => {
                let text = serde_json::to_string(value).map_err(|error| format!("a credential has no JSON form: {error}"))?;
                Ok(text[1..text.len() - 1].to_owned())
            }
            "application/x-www-form-urlencoded" => Ok(byte_serialize(value.as_bytes()).collect()),
            _ => Err("a credential in a body needs the content type application/json or application/x-www-form-urlencoded".to_owned()),
        }
    }

    fn check(&self, place: &Place, shown: &str) -> Result<(), String> {
        if self.places.contains(place) { Ok(()) } else { Err(misplaced(shown)) }
    }
}

/// Beginning of every placeholder.
const PREFIX: &str = "everwit_";

fn placeholder(name: &str) -> Result<String, String> {
    let mut bytes = [0; PLACEHOLDER_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| format!("the system has no randomness: {error}"))?;
    let random: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{PREFIX}{}_{random}", name.replace('-', "_")))
}

/// The gateway would refuse these too; here it is said whose fault it is.
fn check_headers(headers: &[(String, String)]) -> Result<(), String> {
    for (name, value) in headers {
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err("the name of a header field of its request is not valid in HTTP".to_owned());
        }
        if http::HeaderValue::from_str(value).is_err() {
            return Err(format!("the value of the header field {name:?} of its request is not valid in HTTP"));
        }
    }
    Ok(())
}

fn misplaced(place: &str) -> String {
    format!("its request has a credential in {place}, which is none of the places that its description names")
}
