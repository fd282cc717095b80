//! What `everwit wrap` has added to the adapter: texts, each with its length before it in four bytes. First the description as
//! JSON, then for each function the name of its tool and its signature as JSON.

use everwit_guest::{Description, Effects, Permissions, ToolDescription};
use serde::Deserialize;

use crate::memory;
use crate::types::Type;

/// The texts.
pub(crate) struct Tables {
    texts: Vec<&'static str>,
}

/// How a function is called.
#[derive(Debug, Deserialize)]
pub(crate) struct Signature {
    /// Names and types of its parameters.
    pub(crate) params: Vec<(String, Type)>,
    /// Type of its result.
    pub(crate) result: Option<Type>,
    /// Whether its result is a WIT result, whose error is a failure of the tool.
    pub(crate) fallible: bool,
}

impl Signature {
    /// Type of what a function returns that can fail, once it did not.
    pub(crate) fn ok_type(&self) -> Option<&Type> {
        match &self.result {
            Some(Type::Variant(cases)) => cases.first().and_then(|(_, ty)| ty.as_ref()),
            _ => None,
        }
    }
}

/// The capability's description.
#[derive(Deserialize)]
pub(crate) struct Described {
    id: String,
    title: String,
    version: String,
    summary: String,
    /// Whether its functions reach nothing outside of the call.
    pure: bool,
    tools: Vec<DescribedTool>,
}

#[derive(Deserialize)]
struct DescribedTool {
    name: String,
    title: String,
    description: String,
    input_schema: String,
    output_schema: Option<String>,
}

impl Tables {
    /// Reads them.
    pub(crate) fn read() -> Self {
        let mut rest = memory::tables();
        let mut texts = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk() {
            let (text, after) = after.split_at(u32::from_le_bytes(*length) as usize);
            texts.push(core::str::from_utf8(text).expect("everwit wrap writes texts"));
            rest = after;
        }
        Self { texts }
    }

    /// The description.
    pub(crate) fn description(&self) -> Described {
        let text = self.texts.first().expect("everwit wrap writes a description");
        serde_json::from_str(text).expect("everwit wrap writes the description as it is read here")
    }

    /// The index and the signature of a tool's function; none if there is no such tool.
    pub(crate) fn function(&self, tool: &str) -> Option<(u32, Signature)> {
        let mut functions = self.texts.iter().skip(1).step_by(2).zip(self.texts.iter().skip(2).step_by(2)).zip(0..);
        let ((_, signature), index) = functions.find(|((name, _), _)| **name == tool)?;
        Some((index, serde_json::from_str(signature).expect("everwit wrap writes signatures as they are read here")))
    }
}

impl From<Described> for Description {
    fn from(described: Described) -> Self {
        // A function that reaches nothing changes nothing, however often it is called.
        let effects = Effects { read_only: described.pure, idempotent: described.pure, ..Effects::default() };
        let tool = |tool: DescribedTool| ToolDescription {
            name: tool.name,
            title: tool.title,
            description: tool.description,
            input_schema: tool.input_schema,
            output_schema: tool.output_schema,
            effects,
        };
        Description {
            id: described.id,
            title: described.title,
            version: described.version,
            summary: described.summary,
            instructions: None,
            config_schema: None,
            tools: described.tools.into_iter().map(tool).collect(),
            dependencies: Vec::new(),
            features: Vec::new(),
            permissions: Permissions::default(),
        }
    }
}
