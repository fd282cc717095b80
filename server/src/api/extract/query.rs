//! Query parameters.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use crate::problem::{Finding, Problem};

/// Largest number of a parameter: what the document's `int64` has.
pub(crate) const MAX_INTEGER: u64 = i64::MAX as u64;

/// Query parameters as they are taken one by one; what is left over is refused.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    findings: Vec<Finding>,
}

/// What a route takes from its query.
pub(crate) trait FromParams: Sized {
    /// Takes the parameters.
    fn from_params(params: &mut Params) -> Self;
}

/// The query of a route; 400 for unknown or malformed parameters.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: FromParams> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let mut params = Params { pairs: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(), findings: Vec::new() };
        let value = T::from_params(&mut params);
        params.finish().map(|()| Self(value))
    }
}

impl Params {
    /// A parameter that may appear once.
    pub(crate) fn one<T: std::str::FromStr>(&mut self, name: &str, expected: &str) -> Option<T> {
        let values = self.list(name);
        let refused = match values.as_slice() {
            [] => return None,
            [value] => match value.parse() {
                Ok(value) => return Some(value),
                Err(_) => format!("{name} is {:?}; it must be {expected}", value.chars().take(80).collect::<String>()),
            },
            _ => format!("{name} is given more than once"),
        };
        self.refuse("invalid_parameter", refused);
        None
    }

    /// As [`Self::one`], for a number that has bounds.
    pub(crate) fn number(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        let expected = format!("a whole number between {least} and {most}");
        let value = self.one::<u64>(name, &expected)?;
        if (least..=most).contains(&value) {
            return Some(value);
        }
        self.refuse("invalid_parameter", format!("{name} is {value}; it must be {expected}"));
        None
    }

    /// All values of a parameter that may be repeated.
    pub(crate) fn list(&mut self, name: &str) -> Vec<String> {
        let taken = self.pairs.extract_if(.., |(key, _)| key == name);
        taken.map(|(_, value)| value).collect()
    }

    /// Notes what is wrong beyond single parameters.
    pub(crate) fn refuse(&mut self, code: &'static str, detail: String) {
        self.findings.push(Finding { code: code.into(), pointer: None, detail, fix: None });
    }

    /// Passes over what is left, for routes whose callers are not the API's own.
    pub(crate) fn pass_over_rest(&mut self) {
        self.pairs.clear();
    }

    fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.pairs) {
            let shown: String = name.chars().take(80).collect();
            self.refuse("unknown_parameter", format!("there is no query parameter {shown:?} here; /openapi.json lists those there are"));
        }
        if self.findings.is_empty() {
            return Ok(());
        }
        Err(Problem::findings(StatusCode::BAD_REQUEST, "invalid_query", "the query is not acceptable", self.findings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Page {
        limit: Option<u64>,
        types: Vec<String>,
    }

    impl FromParams for Page {
        fn from_params(params: &mut Params) -> Self {
            Self { limit: params.number("limit", 1, 100), types: params.list("types") }
        }
    }

    async fn query(text: &str) -> Result<Page, Problem> {
        let uri = format!("http://localhost/?{text}");
        let (mut parts, ()) = axum::http::Request::builder().uri(uri).body(()).unwrap().into_parts();
        Query::<Page>::from_request_parts(&mut parts, &()).await.map(|Query(page)| page)
    }

    #[tokio::test]
    async fn a_query_is_typed_repeatable_and_closed() {
        let page = query("types=a&limit=7&types=b%2Ec").await.unwrap();
        assert_eq!((page.limit, page.types), (Some(7), vec!["a".to_owned(), "b.c".to_owned()]));
        for refused in ["limit=0", "limit=101", "limit=x", "limit=1&limit=2", "limt=1"] {
            assert!(query(refused).await.is_err(), "{refused}");
        }
    }
}
