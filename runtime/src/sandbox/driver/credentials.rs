//! Credentials that a guest never holds: it gets placeholders, which are replaced in the places
//! that its description names, in a request to the provider's own origin, and nowhere else.

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;
use url::form_urlencoded::byte_serialize;

use crate::component::{CREDENTIALS, CredentialPlace, DriverDescription};
use crate::driver::{CodecRequest, DriverConfig, DriverError, DriverErrorKind};
use crate::sandbox::bindings::everwit::driver::config as wit;

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

/// The credentials of one completion.
pub(super) struct Credentials {
    kept: Vec<Kept>,
    config: DriverConfig,
    base_url: String,
}

impl Credentials {
    /// The credentials of a provider, and the configuration as the guest gets it.
    ///
    /// # Errors
    /// `Configuration` if a required one is missing, or there is no base URL.
    pub(super) fn new(driver: &DriverDescription, config: &DriverConfig) -> Result<(Self, wit::DriverConfig), DriverError> {
        let base_url = config.base_url.as_ref().or(driver.default_base_url.as_ref());
        let base_url = base_url.ok_or_else(|| configuration("the provider has no base URL, and its driver names none"))?;
        let base_url = base_url.trim_end_matches('/').to_owned();
        let mut kept: Vec<Kept> = Vec::new();
        for name in CREDENTIALS {
            let asked: Vec<&CredentialPlace> = driver.credentials.iter().filter(|asked| asked.name == name).collect();
            let Some(value) = value_of(config, name) else {
                if asked.iter().any(|asked| asked.required) {
                    return Err(configuration(&format!("the driver needs {name}, and the provider has none")));
                }
                continue;
            };
            if !asked.is_empty() {
                let places = asked.iter().filter_map(|asked| Place::parse(&asked.place)).collect();
                kept.push(Kept { placeholder: placeholder(name)?, value, places });
            }
        }
        let credentials = Self { kept, config: config.clone(), base_url: base_url.clone() };
        let metadata = config.metadata.as_ref().map(|metadata| wit::Metadata {
            refresh_token: credentials.shown(config, "refresh-token"),
            account_id: credentials.shown(config, "account-id"),
            extra: metadata.extra.as_ref().map(ToString::to_string),
        });
        let given =
            wit::DriverConfig { api_key: credentials.shown(config, "api-key"), base_url: Some(base_url), metadata, extra: Vec::new() };
        Ok((credentials, given))
    }

    /// What the guest gets for a credential: its placeholder, or the value if its place is the
    /// guest's business.
    fn shown(&self, config: &DriverConfig, name: &str) -> Option<String> {
        let value = value_of(config, name)?;
        let prefix = format!("{PREFIX}{}_", name.replace('-', "_"));
        let kept = self.kept.iter().find(|kept| kept.placeholder.starts_with(&prefix));
        Some(kept.map_or_else(|| value.expose_secret().to_owned(), |kept| kept.placeholder.clone()))
    }

    /// Checks where a guest's request goes, and puts the credentials into it.
    ///
    /// # Errors
    /// `Internal` for another origin, for header fields that cannot be sent, and for a placeholder in
    /// another place than its own.
    pub(super) fn complete(&self, mut request: CodecRequest) -> Result<CodecRequest, DriverError> {
        self.check_origin(&request.url)?;
        check_headers(&request.headers)?;
        for kept in &self.kept {
            kept.put(&mut request)?;
        }
        Ok(request)
    }

    fn check_origin(&self, url: &str) -> Result<(), DriverError> {
        let base = Url::parse(&self.base_url).map_err(|_| configuration("the base URL of the provider is not a URL"))?;
        let url = Url::parse(url).map_err(|error| fault(format!("its request has no usable URL: {error}")))?;
        // Opaque origins, as of `data:`, equal nothing, themselves included.
        if url.origin() != base.origin() {
            // The origin that it asks for is the guest's text, and may spell a credential.
            let allowed = base.origin().ascii_serialization();
            return Err(fault(format!("its request goes to another origin than that of the base URL, {allowed}")));
        }
        Ok(())
    }

    /// A text of the guest without credentials and placeholders.
    pub(super) fn scrub(&self, text: &str) -> String {
        let text = self.config.redact(text);
        self.kept.iter().fold(text, |text, kept| text.replace(&kept.placeholder, "[placeholder]"))
    }
}

impl Kept {
    fn put(&self, request: &mut CodecRequest) -> Result<(), DriverError> {
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
    fn put_into_query(&self, url: &str) -> Result<String, DriverError> {
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
    fn as_body_value(&self, headers: &[(String, String)]) -> Result<String, DriverError> {
        let value = self.value.expose_secret();
        let media_type = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let media_type = media_type.map_or("", |(_, value)| value.split(';').next().unwrap_or_default().trim());
        match media_type {
            "application/json" => {
                let text = serde_json::to_string(value).map_err(|error| fault(format!("a credential has no JSON form: {error}")))?;
                Ok(text[1..text.len() - 1].to_owned())
            }
            "application/x-www-form-urlencoded" => Ok(byte_serialize(value.as_bytes()).collect()),
            _ => Err(fault("a credential in a body needs the content type application/json or application/x-www-form-urlencoded")),
        }
    }

    fn check(&self, place: &Place, shown: &str) -> Result<(), DriverError> {
        if self.places.contains(place) { Ok(()) } else { Err(misplaced(shown)) }
    }
}

/// Beginning of every placeholder.
const PREFIX: &str = "everwit_";

fn placeholder(name: &str) -> Result<String, DriverError> {
    let mut bytes = [0; PLACEHOLDER_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| configuration(&format!("the system has no randomness: {error}")))?;
    let random: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{PREFIX}{}_{random}", name.replace('-', "_")))
}

fn value_of(config: &DriverConfig, name: &str) -> Option<SecretString> {
    let metadata = config.metadata.as_ref();
    let value = match name {
        "api-key" => config.api_key.clone(),
        "refresh-token" => metadata.and_then(|metadata| metadata.refresh_token.clone()),
        _ => metadata.and_then(|metadata| metadata.account_id.clone()).map(SecretString::from),
    };
    value.filter(|value| !value.expose_secret().is_empty())
}

/// The gateway would refuse these too; here it is said whose fault it is.
fn check_headers(headers: &[(String, String)]) -> Result<(), DriverError> {
    for (name, value) in headers {
        if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(fault("the name of a header field of its request is not valid in HTTP"));
        }
        if http::HeaderValue::from_str(value).is_err() {
            return Err(fault(format!("the value of the header field {name:?} of its request is not valid in HTTP")));
        }
    }
    Ok(())
}

fn misplaced(place: &str) -> DriverError {
    fault(format!("its request has a credential in {place}, which is none of the places that its description names"))
}

fn configuration(message: &str) -> DriverError {
    DriverError::new(DriverErrorKind::Configuration, message)
}

/// A defect of the driver.
pub(super) fn fault(message: impl Into<String>) -> DriverError {
    DriverError::new(DriverErrorKind::Internal, format!("the driver component is at fault: {}", message.into()))
}

#[cfg(test)]
mod tests;
