//! What a driver gets of its provider's credentials: placeholders for those whose place its
//! description names, and the values of the others.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::component::{CREDENTIALS, CredentialPlace, DriverDescription};
use crate::driver::{CodecRequest, DriverConfig, DriverError, DriverErrorKind};
use crate::sandbox::bindings::everwit::driver::config as wit;
use crate::sandbox::placeholders::{Place, Placeholders};
use crate::secret::Scrubber;

/// The credentials of one completion.
pub(super) struct Credentials {
    placeholders: Placeholders,
    config: DriverConfig,
    /// Finds everything of the configuration that is nobody's business.
    scrubber: Option<Scrubber>,
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
        let mut placeholders = Placeholders::default();
        let mut shown = CREDENTIALS.map(|_| None);
        for (name, shown) in CREDENTIALS.into_iter().zip(&mut shown) {
            let asked: Vec<&CredentialPlace> = driver.credentials.iter().filter(|asked| asked.name == name).collect();
            let Some(value) = value_of(config, name) else {
                if asked.iter().any(|asked| asked.required) {
                    return Err(configuration(&format!("the driver needs {name}, and the provider has none")));
                }
                continue;
            };
            // The place of what is not named is the guest's business.
            *shown = Some(if asked.is_empty() {
                value.expose_secret().to_owned()
            } else {
                let places = asked.iter().filter_map(|asked| Place::parse(&asked.place)).collect();
                placeholders.keep(name, value, places).map_err(|error| configuration(&error))?
            });
        }
        let [api_key, refresh_token, account_id] = shown;
        let extra = config.metadata.as_ref().map(|metadata| metadata.extra.as_ref().map(ToString::to_string));
        let metadata = extra.map(|extra| wit::Metadata { refresh_token, account_id, extra });
        let given = wit::DriverConfig { api_key, base_url: Some(base_url.clone()), metadata, extra: Vec::new() };
        Ok((Self { placeholders, config: config.clone(), scrubber: config.scrubber(), base_url }, given))
    }

    /// Checks where a guest's request goes, and puts the credentials into it.
    ///
    /// # Errors
    /// `Internal` for another origin, for header fields that cannot be sent, and for a placeholder in
    /// another place than its own.
    pub(super) fn complete(&self, request: CodecRequest) -> Result<CodecRequest, DriverError> {
        let base = Url::parse(&self.base_url).map_err(|_| configuration("the base URL of the provider is not a URL"))?;
        self.placeholders.complete(&base, request).map_err(fault)
    }

    /// Finds the keys in what a model is made to say. Names and settings beside them are ordinary words
    /// there.
    pub(super) fn keys(&self) -> Option<Arc<Scrubber>> {
        let keys: Vec<SecretString> = ["api-key", "refresh-token"].iter().filter_map(|name| value_of(&self.config, name)).collect();
        Scrubber::new(keys.iter().map(|key| key.expose_secret())).map(Arc::new)
    }

    /// A text of the guest without credentials and placeholders.
    pub(super) fn scrub(&self, text: &str) -> String {
        let text = self.scrubber.as_ref().map_or_else(|| text.to_owned(), |scrubber| scrubber.scrub_line(text));
        self.placeholders.scrub(&text)
    }
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

fn configuration(message: &str) -> DriverError {
    DriverError::new(DriverErrorKind::Configuration, message)
}

/// A defect of the driver.
pub(super) fn fault(message: impl Into<String>) -> DriverError {
    DriverError::new(DriverErrorKind::Internal, format!("the driver component is at fault: {}", message.into()))
}

#[cfg(test)]
mod tests;
