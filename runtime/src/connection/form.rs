//! Forms in which users give credentials.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::ConnectionCredential;

/// Name of the field that holds the credential itself.
pub const TOKEN_FIELD: &str = "api_key";
/// Fields of one form.
pub(super) const MAX_FIELDS: usize = 16;
/// Longest value of a field, in bytes. JSON Web Tokens of some vendors have 8 KiB.
pub(super) const MAX_FIELD_BYTES: usize = 16 << 10;

/// How a field is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Hidden while it is typed.
    Password,
    /// Plain text.
    Text,
    /// An http or https URL.
    Url,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ConnectionFormField {
    /// Name in the request: `[a-z][a-z0-9_]*`, at most 64 bytes.
    pub name: String,
    /// Name for people.
    pub label: String,
    /// How it is shown.
    pub field_type: FieldType,
    /// Whether it must be filled in.
    #[serde(default)]
    pub required: bool,
    /// An example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder: Option<String>,
    /// A sentence of help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help_text: Option<String>,
}

/// A form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ConnectionFormSchema {
    /// Its fields in order, at most 16; one of them is `api_key`, which is required.
    pub fields: Vec<ConnectionFormField>,
    /// How to get the credential.
    #[serde(default)]
    pub instructions_markdown: String,
}

/// What is wrong with a form that was filled in. Shows no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormProblem {
    /// The field.
    pub field: String,
    /// Stable code: `required`, `unknown_field`, `invalid_value`.
    pub code: &'static str,
    /// A sentence.
    pub detail: String,
}

impl ConnectionFormSchema {
    /// A form with nothing but the credential.
    pub fn api_key(label: &str) -> Self {
        let field = ConnectionFormField {
            name: TOKEN_FIELD.to_owned(),
            label: label.to_owned(),
            field_type: FieldType::Password,
            required: true,
            placeholder: None,
            help_text: None,
        };
        Self { fields: vec![field], instructions_markdown: String::new() }
    }

    /// What is wrong with the form itself, as sentences.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.fields.iter().any(|field| field.name == TOKEN_FIELD && field.required) {
            problems.push(format!("the form has no required field {TOKEN_FIELD:?}, which holds the credential"));
        }
        if self.fields.len() > MAX_FIELDS {
            problems.push(format!("the form has {} fields; at most {MAX_FIELDS} are allowed", self.fields.len()));
        }
        let mut names = BTreeSet::new();
        for field in &self.fields {
            if !is_field_name(&field.name) {
                problems.push(format!("the field {:?} is not named [a-z][a-z0-9_]*", field.name));
            }
            if !names.insert(&field.name) {
                problems.push(format!("{:?} is the name of two fields", field.name));
            }
        }
        problems
    }

    /// The credential that a filled-in form makes.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn fill(&self, mut values: BTreeMap<String, SecretString>) -> Result<ConnectionCredential, Vec<FormProblem>> {
        let mut problems = Vec::new();
        values.retain(|_, value| !value.expose_secret().is_empty());
        for field in &self.fields {
            match values.get(&field.name) {
                None if field.required => {
                    problems.push(FormProblem {
                        field: field.name.clone(),
                        code: "required",
                        detail: format!("{} is missing", field.label),
                    });
                }
                Some(value) => problems.extend(field.check(value.expose_secret())),
                None => {}
            }
        }
        let known: Vec<&str> = self.fields.iter().map(|field| field.name.as_str()).collect();
        for name in values.keys().filter(|name| !known.contains(&name.as_str())) {
            let name: String = name.chars().take(64).collect();
            let detail = format!("the form has no field {name:?}; it has {}", known.join(", "));
            problems.push(FormProblem { field: name, code: "unknown_field", detail });
        }
        match values.remove(TOKEN_FIELD) {
            Some(token) if problems.is_empty() => Ok(ConnectionCredential { token, fields: values }),
            _ => Err(problems),
        }
    }
}

impl ConnectionFormField {
    fn check(&self, value: &str) -> Option<FormProblem> {
        let wrong = |detail: String| Some(FormProblem { field: self.name.clone(), code: "invalid_value", detail });
        if value.len() > MAX_FIELD_BYTES {
            return wrong(format!("{} has {} bytes; at most {MAX_FIELD_BYTES} are allowed", self.label, value.len()));
        }
        // Credentials end up in header fields, where nothing else may be hidden in them.
        if value.chars().any(char::is_control) {
            return wrong(format!("{} has a line break or another control character", self.label));
        }
        let is_url = || url::Url::parse(value).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if self.field_type == FieldType::Url && !is_url() {
            return wrong(format!("{} is not an http or https URL", self.label));
        }
        None
    }
}

fn is_field_name(name: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= 64 && name.bytes().next().is_some_and(|first| first.is_ascii_lowercase()) && name.bytes().all(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> ConnectionFormSchema {
        let mut form = ConnectionFormSchema::api_key("Key");
        let region =
            ConnectionFormField { name: "base_url".to_owned(), field_type: FieldType::Url, required: false, ..form.fields[0].clone() };
        form.fields.push(region);
        form
    }

    fn fill(values: &[(&str, &str)]) -> Result<ConnectionCredential, Vec<(String, &'static str)>> {
        let values = values.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect();
        form().fill(values).map_err(|problems| problems.into_iter().map(|problem| (problem.field, problem.code)).collect())
    }

    #[test]
    fn a_form_gives_a_credential_or_says_all_that_is_wrong() {
        let filled = fill(&[("api_key", "planted"), ("base_url", "https://a.test")]).expect("it is right");
        assert_eq!((filled.token.expose_secret(), filled.fields["base_url"].expose_secret()), ("planted", "https://a.test"));
        assert!(fill(&[("api_key", "planted"), ("base_url", "")]).expect("what is empty is absent").fields.is_empty());
        let problems = fill(&[("base_url", "ftp://a"), ("other", "x")]).expect_err("three things are wrong");
        let expected = [("api_key", "required"), ("base_url", "invalid_value"), ("other", "unknown_field")];
        assert_eq!(problems, expected.map(|(field, code)| (field.to_owned(), code)));
        for value in ["a\nb", "a\u{0}", &"x".repeat(MAX_FIELD_BYTES + 1)] {
            assert_eq!(fill(&[("api_key", value)]).expect_err("it is no value")[0].1, "invalid_value");
        }
    }

    #[test]
    fn a_form_needs_its_credential_and_fields_of_different_names() {
        assert_eq!(form().problems(), Vec::<String>::new());
        let mut wrong = form();
        wrong.fields[0].required = false;
        wrong.fields[1].name = "Base URL".to_owned();
        wrong.fields.push(wrong.fields[0].clone());
        assert_eq!(wrong.problems().len(), 3, "{:?}", wrong.problems());
    }
}
