//! A component as the one part of a form, as browsers and `curl -F` send files.

use std::convert::Infallible;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use everwit_runtime::limits::MAX_COMPONENT_BYTES;
use futures::stream;
use multer::{Constraints, Multipart, SizeLimit};
use utoipa::ToSchema;

use crate::problem::Problem;

/// The media type of forms with files.
pub(super) const FORM: &str = "multipart/form-data";
/// Bytes of a form beside its file: boundaries and the head of the part.
pub(super) const MAX_FRAMING_BYTES: usize = 16 << 10;
/// Name of the part that the component is in.
const PART: &str = "component";

/// A component in a form.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only its schema is used; the form is read part by part")]
pub(super) struct UploadForm {
    /// The component itself.
    #[schema(value_type = String, format = Binary)]
    component: Vec<u8>,
}

/// The component in a form that has nothing else in it.
pub(super) async fn component_of(headers: &HeaderMap, form: Bytes) -> Result<Bytes, Problem> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(content_type).map_err(|_| malformed("its Content-Type names no boundary"))?;
    let sizes = SizeLimit::new().for_field(PART, MAX_COMPONENT_BYTES as u64);
    let constraints = Constraints::new().allowed_fields(vec![PART]).size_limit(sizes);
    let mut parts = Multipart::with_constraints(stream::iter([Ok::<_, Infallible>(form)]), boundary, constraints);
    let part = parts.next_field().await.map_err(refused)?;
    let part = part.ok_or_else(|| malformed("it has no part"))?;
    let component = part.bytes().await.map_err(refused)?;
    match parts.next_field().await.map_err(refused)? {
        None => Ok(component),
        Some(_) => Err(malformed("it has more than one part")),
    }
}

fn refused(error: multer::Error) -> Problem {
    match error {
        multer::Error::UnknownField { field_name } => {
            let name: String = field_name.unwrap_or_default().chars().take(80).collect();
            malformed(&format!("it has a part {name:?}"))
        }
        multer::Error::FieldSizeExceeded { limit, .. } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", format!("the part {PART:?} is larger than {limit} bytes"))
        }
        other => malformed(&other.to_string()),
    }
}

fn malformed(what: &str) -> Problem {
    let detail = format!("the form must have one part, {PART:?}, with the component in it: {what}; send it with curl -F {PART}=@FILE.wasm");
    Problem::bad_request("invalid_form", detail)
}
