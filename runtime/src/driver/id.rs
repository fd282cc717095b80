//! The ids of drivers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Identifies a driver. Text forms are lower case; unknown non-empty ids are `External` and
/// round-trip through stores and wires.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DriverId {
    /// OpenAI's Responses API.
    OpenAi,
    /// OpenAI's Chat Completions API, which many vendors speak.
    OpenAiCompletions,
    /// OpenRouter.
    OpenRouter,
    /// OpenAI's models on Azure.
    AzureOpenAi,
    /// Anthropic.
    Anthropic,
    /// Google Gemini.
    Gemini,
    /// Amazon Bedrock.
    Bedrock,
    /// The simulator of this crate.
    LlmSim,
    /// A driver that an embedder or a tenant added.
    External(String),
}

impl DriverId {
    /// Its text form.
    pub fn as_str(&self) -> &str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiCompletions => "openai_completions",
            Self::OpenRouter => "openrouter",
            Self::AzureOpenAi => "azure_openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Bedrock => "bedrock",
            Self::LlmSim => "llmsim",
            Self::External(id) => id,
        }
    }

    /// The same as it is read from its text: an `External` that was made by hand in other case, or
    /// with the id of a built-in driver, becomes what a store or a wire would make of it.
    ///
    /// # Errors
    /// If it is blank.
    pub fn normalized(&self) -> Result<Self, BlankDriverId> {
        match self {
            Self::External(id) => id.parse(),
            built_in => Ok(built_in.clone()),
        }
    }
}

impl fmt::Display for DriverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A driver id that is empty or only white space.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a driver id must not be blank")]
pub struct BlankDriverId;

impl FromStr for DriverId {
    type Err = BlankDriverId;

    fn from_str(text: &str) -> Result<Self, BlankDriverId> {
        match text.trim().to_lowercase().as_str() {
            "" => Err(BlankDriverId),
            "openai" => Ok(Self::OpenAi),
            "openai_completions" => Ok(Self::OpenAiCompletions),
            "openrouter" => Ok(Self::OpenRouter),
            "azure_openai" => Ok(Self::AzureOpenAi),
            "anthropic" => Ok(Self::Anthropic),
            "gemini" => Ok(Self::Gemini),
            "bedrock" => Ok(Self::Bedrock),
            "llmsim" => Ok(Self::LlmSim),
            other => Ok(Self::External(other.to_owned())),
        }
    }
}

impl Serialize for DriverId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for DriverId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
