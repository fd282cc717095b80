//! What is said to an agent.

use serde_json::{Map, Value};

use crate::error::Error;
use crate::id::ModelId;
use crate::limits::MAX_MESSAGE_BYTES;
use crate::message::{ContentPart, Controls};

/// Most parts of one message.
const MAX_PARTS: usize = 100;
/// Most bytes of a message's metadata, as JSON.
const MAX_METADATA_BYTES: usize = 16 << 10;

/// A message to an agent: text, images, or both. Text alone converts by itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct InputMessage {
    /// Text and images in order, 1 to 100 parts.
    pub content: Vec<ContentPart>,
    /// Free-form values that are stored with the message; the model does not see them.
    pub metadata: Map<String, Value>,
    /// What is wanted of the turn that answers it.
    pub controls: Controls,
}

impl InputMessage {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: vec![ContentPart::text(text)], ..Self::default() }
    }

    /// The same with an image of this absolute URL behind it.
    #[must_use]
    pub fn with_image_url(mut self, url: impl Into<String>) -> Self {
        self.content.push(ContentPart::Image { url: Some(url.into()), base64: None, media_type: None });
        self
    }

    /// The same with a value to be stored with it.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// The same, to be answered by a model of the store.
    #[must_use]
    pub fn with_model(mut self, model: ModelId) -> Self {
        self.controls.model_id = Some(model);
        self
    }

    /// The same, to be answered in a language, a BCP 47 tag.
    #[must_use]
    pub fn with_locale(mut self, locale: impl Into<String>) -> Self {
        self.controls.locale = Some(locale.into());
        self
    }

    /// Whether it can be said; an invalid one is not stored.
    pub(super) fn check(&self) -> Result<(), Error> {
        let parts = self.content.len();
        if parts == 0 || parts > MAX_PARTS {
            return Err(Error::Invalid(format!("the message has {parts} parts; it must have 1 to {MAX_PARTS}")));
        }
        let mut bytes = 0;
        for part in &self.content {
            match part {
                ContentPart::Text { text } => bytes += text.len(),
                ContentPart::Image { url: Some(_), base64: None, .. }
                | ContentPart::Image { url: None, base64: Some(_), media_type: Some(_) } => {}
                ContentPart::Image { .. } => {
                    return Err(Error::Invalid("an image of a message has either a url, or base64 and media_type".to_owned()));
                }
                _ => return Err(Error::Invalid("a user's message has parts of type text and image only".to_owned())),
            }
        }
        if bytes > MAX_MESSAGE_BYTES {
            return Err(Error::Limit(format!("the message has {bytes} bytes of text; at most {MAX_MESSAGE_BYTES} are allowed")));
        }
        let metadata = Value::from(self.metadata.clone()).to_string().len();
        if metadata > MAX_METADATA_BYTES {
            return Err(Error::Limit(format!("the message has {metadata} bytes of metadata; at most {MAX_METADATA_BYTES} are allowed")));
        }
        Ok(())
    }
}

impl From<&str> for InputMessage {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for InputMessage {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}
