//! Write a connection provider: how users connect their accounts at one third party. A form or
//! OAuth 2 is data, which the host carries out; the guest translates the question whether a
//! credential works, and the host asks it at the declared origin.
//!
//! ```
//! use everwit_guest::{Result, connection, connection::*, driver::get};
//!
//! struct Wiki;
//!
//! impl ConnectionProvider for Wiki {
//!     fn describe() -> Description {
//!         Description::form("wiki", "Wiki", env!("CARGO_PKG_VERSION"), "The team's wiki.", "https://wiki.example")
//!             .place("token", "header:authorization")
//!     }
//!
//!     fn begin(credential: &Credential) -> Result<HttpRequest> {
//!         Ok(get("https://wiki.example/me").header("authorization", format!("Bearer {}", credential.token)))
//!     }
//!
//!     fn decode(status: u16, body: &[u8]) -> Result<Account> {
//!         let body = json_of("Wiki", status, body)?;
//!         Ok(Account::named(body["login"].as_str().unwrap_or_default()))
//!     }
//! }
//!
//! connection! { Wiki }
//! # fn main() {}
//! ```

use serde_json::Value;

pub use crate::bindings::connection::exports::everwit::connection::meta::{CredentialPlace, Description, Field, Form, Method, Oauth};
pub use crate::bindings::connection::exports::everwit::connection::validation::{Account, Credential};
pub use crate::bindings::everwit::http::types::Request as HttpRequest;
use crate::{Failure, Result};

/// A connection provider. [`crate::connection!`] exports it.
pub trait ConnectionProvider: 'static {
    /// Describes it; pure.
    fn describe() -> Description;

    /// The request that only a working credential answers: GET or POST, to the declared origin.
    ///
    /// # Errors
    /// Why there is none.
    fn begin(credential: &Credential) -> Result<HttpRequest>;

    /// Reads the answer, whatever its status.
    ///
    /// # Errors
    /// [`Failure::denied`] if the third party refuses the credential, another one if that cannot be
    /// found out; [`json_of`] makes the right one of an HTTP status.
    fn decode(status: u16, body: &[u8]) -> Result<Account>;
}

impl Description {
    /// A provider whose users fill in an API key. The origin is scheme and host, as in
    /// `https://api.example.com`.
    pub fn form(id: &str, title: &str, version: &str, summary: &str, origin: &str) -> Self {
        let field = Field { required: true, field_type: "password".into(), ..Field::text("api_key", "API key") };
        let method = Method::Form(Form { fields: vec![field], instructions: String::new() });
        Self::new((id, title, version, summary), origin, method)
    }

    /// A provider that asks the user itself: OAuth 2 with PKCE, as a public client.
    pub fn oauth(id: &str, title: &str, version: &str, summary: &str, origin: &str, oauth: Oauth) -> Self {
        Self::new((id, title, version, summary), origin, Method::Oauth(oauth))
    }

    fn new((id, title, version, summary): (&str, &str, &str, &str), origin: &str, method: Method) -> Self {
        Description {
            id: id.into(),
            title: title.into(),
            version: version.into(),
            summary: summary.into(),
            icon: String::new(),
            origin: origin.into(),
            method,
            credentials: Vec::new(),
            extra: Vec::new(),
        }
    }

    /// Names a part of the credential, "token" or a field, and a place for it: "header:<name>",
    /// "query:<name>" or "body". The guest then gets a placeholder, which the host replaces there.
    #[must_use]
    pub fn place(mut self, name: &str, place: &str) -> Self {
        self.credentials.push(CredentialPlace { name: name.into(), place: place.into() });
        self
    }

    /// Adds a field to the form.
    #[must_use]
    pub fn field(mut self, field: Field) -> Self {
        if let Method::Form(form) = &mut self.method {
            form.fields.push(field);
        }
        self
    }
}

impl Field {
    /// An optional field of plain text.
    pub fn text(name: &str, label: &str) -> Self {
        let (name, label) = (name.into(), label.into());
        Field { name, label, field_type: "text".into(), required: false, placeholder: None, help: None }
    }
}

impl Oauth {
    /// A client without scopes and further parameters.
    pub fn client(client_id: &str, authorize_url: &str, token_url: &str) -> Self {
        Oauth {
            authorize_url: authorize_url.into(),
            token_url: token_url.into(),
            client_id: client_id.into(),
            scopes: Vec::new(),
            authorize_parameters: Vec::new(),
            extra: Vec::new(),
        }
    }
}

impl Account {
    /// An account of which its name is known.
    pub fn named(username: impl Into<String>) -> Self {
        Account { username: Some(username.into()), metadata: "{}".into(), extra: Vec::new() }
    }
}

impl Credential {
    /// A field that the user filled in.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// The JSON of an answer with a status of 2xx.
///
/// # Errors
/// What any other status means: 401 and 403 refuse the credential. Or that it is no JSON.
pub fn json_of(title: &str, status: u16, body: &[u8]) -> Result<Value> {
    match status {
        200..300 => serde_json::from_slice(body)
            .map_err(|error| Failure::upstream("invalid_response", format!("{title} answered no JSON: {error}"))),
        401 | 403 => Err(Failure::denied("authentication", format!("{title} does not accept the credential (status {status})"))),
        _ => Err(Failure::upstream("unavailable", format!("{title} answered with status {status}"))),
    }
}

/// What [`crate::connection!`] expands to. No part of the public interface.
#[doc(hidden)]
pub mod exports {
    use core::marker::PhantomData;

    use super::{Account, ConnectionProvider, Credential, Description, HttpRequest};
    use crate::bindings::connection::exports::everwit::connection::{meta, validation};
    use crate::bindings::everwit::types::common;
    use crate::exports::report_panics;

    type Answer<T> = core::result::Result<T, common::Failure>;

    /// What the macro exports for a connection provider.
    #[derive(Debug)]
    pub struct Exported<P>(PhantomData<P>);

    /// Compiles if the type is a connection provider.
    pub const fn assert_connection_provider<P: ConnectionProvider>() {}

    impl<P: ConnectionProvider> meta::Guest for Exported<P> {
        fn describe() -> Description {
            report_panics();
            P::describe()
        }
    }

    impl<P: ConnectionProvider> validation::Guest for Exported<P> {
        fn begin(credential: Credential) -> Answer<HttpRequest> {
            report_panics();
            Ok(P::begin(&credential)?)
        }

        fn decode(status: u16, body: Vec<u8>) -> Answer<Account> {
            Ok(P::decode(status, &body)?)
        }
    }
}

/// Exports a connection provider from the component.
#[macro_export]
macro_rules! connection {
    ($provider:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::connection::exports::Exported<$provider>;
            $crate::__private::bindings::connection::export_connection!(
                Exported with_types_in $crate::__private::bindings::connection
            );
        };
        // Native builds have no exports; this keeps what they need from looking unused.
        #[cfg(not(target_family = "wasm"))]
        const _: () = $crate::connection::exports::assert_connection_provider::<$provider>();
    };
}
