//! Checks of what a connection provider declares.

use url::Url;

use super::{Check, MAX_CREDENTIALS, MAX_ENTRY_BYTES, MAX_SUMMARY_BYTES, MAX_TITLE_BYTES};
use crate::component::{ConnectionDescription, ConnectionMethodDescription, OAuthDescription};
use crate::connection::{ConnectionFormSchema, ConnectionMethod, TOKEN_FIELD};
use crate::limits::MAX_NAME_BYTES;
use crate::sandbox::connection::method_of;
use crate::sandbox::placeholders::Place;

/// Bytes of a form's instructions.
const MAX_INSTRUCTIONS_BYTES: usize = 4 << 10;
/// Further parameters of an authorization URL.
const MAX_PARAMETERS: usize = 16;

impl Check {
    pub(super) fn connection(&mut self, connection: &ConnectionDescription) {
        self.text("/connection/icon", &connection.icon, 0, MAX_NAME_BYTES);
        self.rule("/connection/origin", is_origin(&connection.origin), "invalid_origin", || {
            let shown: String = connection.origin.chars().take(MAX_ENTRY_BYTES).collect();
            (format!("{shown:?} is no origin"), "use https, a host and perhaps a port, as in \"https://api.example.com\"".to_owned())
        });
        let problems = match method_of(&connection.method) {
            Ok(ConnectionMethod::ApiKey(form)) => form.problems(),
            Ok(ConnectionMethod::OAuth(settings)) => settings.problems(),
            Err(problem) => vec![problem],
        };
        for problem in problems {
            self.rule("/connection/method", false, "invalid_method", || (problem, "see everwit:connection/meta".to_owned()));
        }
        match &connection.method {
            ConnectionMethodDescription::ApiKey(form) => self.form(form),
            ConnectionMethodDescription::OAuth(oauth) => self.oauth(oauth),
        }
        self.places(connection);
    }

    fn form(&mut self, form: &ConnectionFormSchema) {
        self.text("/connection/method/api_key/instructions_markdown", &form.instructions_markdown, 0, MAX_INSTRUCTIONS_BYTES);
        for (at, field) in form.fields.iter().enumerate() {
            self.rule(&format!("/connection/method/api_key/fields/{at}/name"), field.name != "token", "reserved_name", || {
                (
                    "\"token\" stands for the field api_key wherever the credential is spoken of".to_owned(),
                    "name the field otherwise".to_owned(),
                )
            });
            let pointer = |name: &str| format!("/connection/method/api_key/fields/{at}/{name}");
            self.text(&pointer("label"), &field.label, 1, MAX_TITLE_BYTES);
            self.text(&pointer("placeholder"), field.placeholder.as_deref().unwrap_or(""), 0, MAX_TITLE_BYTES);
            self.text(&pointer("help_text"), field.help_text.as_deref().unwrap_or(""), 0, MAX_SUMMARY_BYTES);
        }
    }

    fn oauth(&mut self, oauth: &OAuthDescription) {
        let pointer = |name: &str| format!("/connection/method/oauth/{name}");
        self.text(&pointer("authorize_url"), &oauth.authorize_url, 1, MAX_SUMMARY_BYTES);
        self.text(&pointer("token_url"), &oauth.token_url, 1, MAX_SUMMARY_BYTES);
        self.text(&pointer("client_id"), &oauth.client_id, 1, MAX_ENTRY_BYTES);
        let parameters = &oauth.authorize_parameters;
        self.rule(&pointer("authorize_parameters"), parameters.len() <= MAX_PARAMETERS, "too_many", || {
            (format!("there are {} parameters", parameters.len()), format!("name at most {MAX_PARAMETERS}"))
        });
        for (at, (name, value)) in parameters.iter().take(MAX_PARAMETERS).enumerate() {
            self.text(&pointer(&format!("authorize_parameters/{at}/0")), name, 1, MAX_NAME_BYTES);
            self.text(&pointer(&format!("authorize_parameters/{at}/1")), value, 0, MAX_ENTRY_BYTES);
        }
    }

    fn places(&mut self, connection: &ConnectionDescription) {
        let mut names = vec!["token"];
        if let ConnectionMethodDescription::ApiKey(form) = &connection.method {
            names.extend(form.fields.iter().map(|field| field.name.as_str()).filter(|name| *name != TOKEN_FIELD));
        }
        self.rule("/connection/credentials", connection.credentials.len() <= MAX_CREDENTIALS, "too_many", || {
            (format!("there are {} entries", connection.credentials.len()), format!("name at most {MAX_CREDENTIALS}"))
        });
        for (at, credential) in connection.credentials.iter().take(MAX_CREDENTIALS).enumerate() {
            let pointer = |field: &str| format!("/connection/credentials/{at}/{field}");
            self.rule(&pointer("name"), names.contains(&credential.name.as_str()), "invalid_credential", || {
                let shown: String = credential.name.chars().take(MAX_NAME_BYTES).collect();
                (format!("{shown:?} is not part of the credential"), format!("use one of {}", names.join(", ")))
            });
            self.rule(&pointer("place"), Place::parse(&credential.place).is_some(), "invalid_place", || {
                let shown: String = credential.place.chars().take(MAX_ENTRY_BYTES).collect();
                (format!("{shown:?} is no place in a request"), "use header:<name>, query:<name> or body".to_owned())
            });
        }
    }
}

/// Scheme, host and perhaps a port, as the URL parser writes them. Plain http stays in the machine.
fn is_origin(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let is_local = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && is_local);
    // A pattern of hosts is a host to the parser, and would be one more to a grant.
    scheme && text == url.origin().ascii_serialization() && !text.contains('*')
}

#[cfg(test)]
mod tests {
    use super::super::tests::findings;
    use super::*;
    use crate::component::CredentialPlace;
    use crate::connection::{ConnectionFormField, FieldType};

    fn place(name: &str, place: &str) -> CredentialPlace {
        CredentialPlace { name: name.to_owned(), title: String::new(), place: place.to_owned(), required: false }
    }

    fn with_form() -> ConnectionDescription {
        ConnectionDescription {
            icon: String::new(),
            origin: "https://api.example.com".to_owned(),
            method: ConnectionMethodDescription::ApiKey(ConnectionFormSchema::api_key("API key")),
            credentials: vec![place("token", "header:authorization")],
        }
    }

    fn over_oauth() -> OAuthDescription {
        OAuthDescription {
            authorize_url: "https://example.com/authorize".to_owned(),
            token_url: "https://example.com/token".to_owned(),
            client_id: "everwit".to_owned(),
            scopes: vec!["read".to_owned()],
            authorize_parameters: vec![("access_type".to_owned(), "offline".to_owned())],
        }
    }

    fn check(connection: ConnectionDescription, expected: &[(&str, &str)]) {
        let found = findings(|it| it.connection = Some(connection.clone()));
        let expected: Vec<_> = expected.iter().map(|&(code, place)| (code.to_owned(), place.to_owned())).collect();
        assert_eq!(found, expected, "{connection:?}");
    }

    #[test]
    fn credentials_go_to_one_origin_and_nothing_else_is_one() {
        for origin in
            ["https://api.example.com", "https://api.example.com:8443", "http://127.0.0.1:8080", "http://localhost", "http://[::1]:1"]
        {
            check(ConnectionDescription { origin: origin.to_owned(), ..with_form() }, &[]);
        }
        for origin in [
            "",
            "api.example.com",
            "http://api.example.com",
            "https://api.example.com/",
            "https://api.example.com/v1",
            "https://API.example.com",
            "https://me@api.example.com",
            "https://api.example.com?x",
            "https://*.example.com",
            "https://api.example.com:443",
            "data:text/plain,x",
            "file:///etc/passwd",
        ] {
            check(ConnectionDescription { origin: origin.to_owned(), ..with_form() }, &[("invalid_origin", "/connection/origin")]);
        }
    }

    #[test]
    fn places_are_those_of_parts_that_there_are() {
        let named = |credentials: Vec<CredentialPlace>| ConnectionDescription { credentials, ..with_form() };
        check(named(vec![place("api_key", "body")]), &[("invalid_credential", "/connection/credentials/0/name")]);
        check(named(vec![place("workspace", "body")]), &[("invalid_credential", "/connection/credentials/0/name")]);
        check(named(vec![place("token", "path")]), &[("invalid_place", "/connection/credentials/0/place")]);
        check(named(vec![place("token", "body"); MAX_CREDENTIALS]), &[]);
        check(named(vec![place("token", "body"); MAX_CREDENTIALS + 1]), &[("too_many", "/connection/credentials")]);
    }

    #[test]
    fn forms_and_oauth_are_held_against_their_own_rules() {
        let form = |change: fn(&mut ConnectionFormSchema)| {
            let mut form = ConnectionFormSchema::api_key("API key");
            change(&mut form);
            ConnectionDescription { method: ConnectionMethodDescription::ApiKey(form), ..with_form() }
        };
        let method = ("invalid_method", "/connection/method");
        check(form(|form| form.fields[0].required = false), &[method]);
        check(form(|form| form.fields[0].label.clear()), &[("invalid_length", "/connection/method/api_key/fields/0/label")]);
        let token = |form: &mut ConnectionFormSchema| {
            form.fields.push(ConnectionFormField { name: "token".to_owned(), field_type: FieldType::Text, ..form.fields[0].clone() });
        };
        check(form(token), &[("reserved_name", "/connection/method/api_key/fields/1/name")]);
        check(
            form(|form| form.instructions_markdown = "x".repeat(MAX_INSTRUCTIONS_BYTES + 1)),
            &[("invalid_length", "/connection/method/api_key/instructions_markdown")],
        );

        let oauth = |change: fn(&mut OAuthDescription)| {
            let mut oauth = over_oauth();
            change(&mut oauth);
            ConnectionDescription { method: ConnectionMethodDescription::OAuth(oauth), ..with_form() }
        };
        check(oauth(|_| ()), &[]);
        check(oauth(|oauth| oauth.token_url = "http://example.com/token".to_owned()), &[method]);
        check(oauth(|oauth| oauth.authorize_url = "nowhere".to_owned()), &[method]);
        check(oauth(|oauth| oauth.authorize_parameters = vec![("state".to_owned(), "mine".to_owned())]), &[method]);
        let many = |oauth: &mut OAuthDescription| oauth.authorize_parameters = vec![("a".to_owned(), "b".to_owned()); MAX_PARAMETERS + 1];
        check(oauth(many), &[("too_many", "/connection/method/oauth/authorize_parameters")]);
    }
}
