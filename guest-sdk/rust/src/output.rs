//! What a tool returns.

use core::any::Any;

use serde::Serialize;

use crate::Result;
use crate::bindings::everwit::types::{content, tools};

/// One JSON value as text, known to be valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json(String);

impl Json {
    /// Writes a value as JSON.
    ///
    /// # Errors
    /// If the value has no JSON form, such as a map whose keys are no strings.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Self> {
        serde_json::to_string(value).map(Json)
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The JSON text, owned.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// One piece of content.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// Text.
    Text(String),
    /// A JSON value.
    Data(Json),
    /// Bytes, carried inline.
    Blob {
        /// IANA media type, for example "image/png".
        media_type: String,
        /// The bytes.
        data: Vec<u8>,
    },
    /// A reference that the receiver may fetch itself.
    Link {
        /// Absolute URI.
        uri: String,
        /// Human-readable name.
        name: String,
        /// IANA media type, if known.
        media_type: Option<String>,
    },
}

/// The explicit form of a result, for tools that return more than one value: any number of
/// parts for the model, and one JSON value for programs.
///
/// ```
/// use everwit_guest::prelude::*;
///
/// fn chart() -> Result<Output> {
///     let svg = b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec();
///     Output::text("Sales by month:").blob("image/svg+xml", svg).structured(&[3, 5, 8])
/// }
/// # assert_eq!(chart().expect("serialises").parts().len(), 2);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Output {
    parts: Vec<Part>,
    structured: Option<Json>,
}

impl Output {
    /// An output with nothing in it.
    pub fn empty() -> Self {
        Output::default()
    }

    /// An output of one text.
    pub fn text(text: impl Into<String>) -> Self {
        Output::empty().part(Part::Text(text.into()))
    }

    /// An output of one JSON value, for the model and for programs alike.
    ///
    /// # Errors
    /// If the value has no JSON form.
    pub fn data<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let json = Json::of(value)?;
        Ok(Output { parts: vec![Part::Data(json.clone())], structured: Some(json) })
    }

    /// Adds a part.
    pub fn part(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// Adds bytes of the given media type.
    pub fn blob(self, media_type: impl Into<String>, data: Vec<u8>) -> Self {
        self.part(Part::Blob { media_type: media_type.into(), data })
    }

    /// Adds a reference.
    pub fn link(self, uri: impl Into<String>, name: impl Into<String>) -> Self {
        self.part(Part::Link { uri: uri.into(), name: name.into(), media_type: None })
    }

    /// Sets the result as one JSON value, for programs; the model does not see it.
    ///
    /// # Errors
    /// If the value has no JSON form.
    pub fn structured<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self> {
        self.structured = Some(Json::of(value)?);
        Ok(self)
    }

    /// The parts, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The structured result, if there is one.
    pub fn as_structured(&self) -> Option<&Json> {
        self.structured.as_ref()
    }
}

/// What a tool may return inside its `Result`: an [`Output`], or anything that serialises.
///
/// A `String` or `&'static str` becomes one text part. Every other value becomes one data
/// part, and the structured result as well.
#[diagnostic::on_unimplemented(
    message = "a tool cannot return a `{Self}`",
    note = "derive `serde::Serialize` for it, or return a `String` or an `Output`"
)]
pub trait IntoOutput {
    /// Converts it.
    ///
    /// # Errors
    /// If the value has no JSON form.
    fn into_output(self) -> Result<Output>;
}

impl IntoOutput for Output {
    fn into_output(self) -> Result<Output> {
        Ok(self)
    }
}

// `Output` does not serialise, so the two implementations cannot meet.
impl<T: Serialize + 'static> IntoOutput for T {
    fn into_output(mut self) -> Result<Output> {
        let any: &mut dyn Any = &mut self;
        if let Some(text) = any.downcast_mut::<String>() {
            return Ok(Output::text(core::mem::take(text)));
        }
        if let Some(text) = any.downcast_ref::<&'static str>() {
            return Ok(Output::text(*text));
        }
        Output::data(&self)
    }
}

impl From<Part> for content::Part {
    fn from(part: Part) -> Self {
        match part {
            Part::Text(text) => content::Part::Text(text),
            Part::Data(json) => content::Part::Data(json.into_string()),
            Part::Blob { media_type, data } => content::Part::Blob(content::Blob { media_type, data }),
            Part::Link { uri, name, media_type } => content::Part::Link(content::Link { uri, name, media_type }),
        }
    }
}

impl From<content::Part> for Part {
    fn from(part: content::Part) -> Self {
        match part {
            content::Part::Text(text) => Part::Text(text),
            content::Part::Data(json) => Part::Data(Json(json)),
            content::Part::Blob(content::Blob { media_type, data }) => Part::Blob { media_type, data },
            content::Part::Link(content::Link { uri, name, media_type }) => Part::Link { uri, name, media_type },
            content::Part::Other(other) => Part::Text(format!("[{}] {}", other.kind, other.body)),
        }
    }
}

// The host has parsed the JSON of another tool before it hands it on.
impl From<tools::CallOutput> for Output {
    fn from(output: tools::CallOutput) -> Self {
        Output { parts: output.parts.into_iter().map(Part::from).collect(), structured: output.structured.map(Json) }
    }
}

impl From<Output> for tools::CallOutput {
    fn from(output: Output) -> Self {
        tools::CallOutput {
            parts: output.parts.into_iter().map(content::Part::from).collect(),
            structured: output.structured.map(Json::into_string),
            extra: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_become_text_only() {
        for output in ["hi".into_output(), String::from("hi").into_output(), Ok(Output::text("hi"))] {
            let output = output.expect("text always converts");
            assert_eq!(output.parts(), [Part::Text("hi".into())]);
            assert_eq!(output.as_structured(), None);
        }
    }

    #[test]
    fn values_become_data_and_structured() {
        let output = vec![1, 2].into_output().expect("numbers serialise");
        let json = Json::of(&[1, 2]).expect("numbers serialise");
        assert_eq!(output.parts(), [Part::Data(json.clone())]);
        assert_eq!(output.as_structured(), Some(&json));
    }

    #[test]
    fn what_has_no_json_form_is_an_internal_failure() {
        let map = std::collections::BTreeMap::from([(vec![1], 2)]);
        let failure = map.into_output().expect_err("a list is no key");
        assert_eq!(failure.kind(), "internal");
    }
}
