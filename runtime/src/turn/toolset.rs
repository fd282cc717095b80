//! The tools of one turn, ready to be offered, checked and called.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use jsonschema::{PatternOptions, Validator};
use moka::sync::Cache;
use serde_json::Value;

use super::context_error::ContextError;
use super::resolve::ResolvedCapability;
use crate::capability::{
    CallError, Capability, Failure, OfferedToolInfo, SettledBy, ToolCallContext, ToolDefinition, ToolOutcome, has_secrets,
};
use crate::client_tool::ClientTool;
use crate::component::Effects;
use crate::driver::OfferedTool;
use crate::event::RequestKind;

/// Findings that one refusal lists; the first ones are enough to correct a call.
const MAX_FINDINGS: usize = 5;
/// Longest finding, in bytes; the wrong value itself is part of it.
const MAX_FINDING_BYTES: usize = 500;

/// A tool with all that a call needs.
pub struct BoundTool {
    /// The capability that has it.
    pub capability: Arc<dyn Capability>,
    /// The agent's configuration of that capability.
    pub config: Value,
    /// As the capability defines it.
    pub definition: ToolDefinition,
    arguments: Arc<Validator>,
}

impl BoundTool {
    /// Checks the arguments of a call.
    ///
    /// # Errors
    /// What is wrong where, by which rule of the schema.
    pub fn check(&self, arguments: &Value) -> Result<(), String> {
        if !arguments.is_object() {
            return Err("the arguments are not a JSON object (rule \"type\")".to_owned());
        }
        check(&self.arguments, arguments)?;
        self.capability.check_arguments(&self.definition.name, arguments)
    }
}

impl fmt::Debug for BoundTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundTool").field("capability", &self.capability.id()).field("tool", &self.definition.name).finish_non_exhaustive()
    }
}

/// Tools by the name under which the model knows them.
#[derive(Debug, Default)]
pub struct Toolset {
    tools: BTreeMap<String, BoundTool>,
    outside: BTreeMap<String, RequestKind>,
    /// How long results of clients are waited for, where the tool says so.
    timeouts: BTreeMap<String, Duration>,
}

/// The client-side tools of an agent or session, as a capability of the turn. Nothing of it can
/// be called: clients execute them.
struct ClientTools {
    tools: Vec<ToolDefinition>,
}

/// Id under which client-side tools appear.
pub(super) const CLIENT_TOOLS_ID: &str = "client_side_tools";

#[async_trait]
impl Capability for ClientTools {
    fn id(&self) -> &str {
        CLIENT_TOOLS_ID
    }

    fn name(&self) -> &str {
        "Client-side tools"
    }

    fn description(&self) -> &str {
        "Tools that the client of the session executes."
    }

    fn tools(&self) -> &[ToolDefinition] {
        &self.tools
    }

    fn settled_by(&self, _tool: &str) -> SettledBy {
        SettledBy::Client
    }

    async fn call_tool(&self, _call: &ToolCallContext, tool: &str, _arguments: Value) -> ToolOutcome {
        let failure = Failure::new("unavailable", "client_side", format!("{tool:?} is executed by the client, not by the platform"));
        ToolOutcome::native(Err(CallError::Failed(failure)))
    }
}

fn client_tool(tool: &ClientTool) -> ToolDefinition {
    ToolDefinition {
        name: tool.name.clone(),
        title: tool.display_name.clone().unwrap_or_else(|| tool.name.clone()),
        description: tool.description.clone(),
        input_schema: tool.parameters.clone(),
        effects: Effects { open_world: true, ..Effects::default() },
    }
}

impl Toolset {
    /// Collects the tools of capabilities and of clients, and compiles their schemas. A tool that
    /// the session defines takes the place of the agent's with the same name.
    pub(super) fn bind(capabilities: &[ResolvedCapability], agent: &[ClientTool], session: &[ClientTool]) -> Result<Self, ContextError> {
        let mut toolset = Self::default();
        for resolved in capabilities {
            toolset.add(&resolved.capability, &resolved.config)?;
        }
        let mut client: BTreeMap<&str, &ClientTool> = BTreeMap::new();
        client.extend(agent.iter().chain(session).map(|tool| (tool.name.as_str(), tool)));
        if !client.is_empty() {
            let timeout = |tool: &&ClientTool| Some((tool.name.clone(), Duration::from_secs(tool.timeout_seconds?.into())));
            toolset.timeouts = client.values().filter_map(timeout).collect();
            let tools = client.into_values().map(client_tool).collect();
            let capability: Arc<dyn Capability> = Arc::new(ClientTools { tools });
            toolset.add(&capability, &Value::Null)?;
        }
        toolset.outside = toolset.find_outside(capabilities);
        Ok(toolset)
    }

    /// The tools of capabilities with their configurations, for calls outside of a turn.
    ///
    /// # Errors
    /// Two tools have one name, or a schema cannot be used.
    pub fn of(capabilities: impl IntoIterator<Item = (Arc<dyn Capability>, Value)>) -> Result<Self, ContextError> {
        let resolved = |(capability, config): (Arc<dyn Capability>, Value)| {
            let id = capability.id().to_owned();
            ResolvedCapability { id, capability, config, listed_by: Vec::new(), configured_by: None }
        };
        let capabilities: Vec<ResolvedCapability> = capabilities.into_iter().map(resolved).collect();
        Self::bind(&capabilities, &[], &[])
    }

    fn add(&mut self, capability: &Arc<dyn Capability>, config: &Value) -> Result<(), ContextError> {
        for definition in capability.tools() {
            let name = capability.offered_name(&definition.name);
            if let Some(first) = self.tools.get(&name) {
                let first = first.capability.id().to_owned();
                return Err(ContextError::ToolClash { tool: name, first, second: capability.id().to_owned() });
            }
            let what = || format!("input schema of tool {:?}", definition.name);
            let arguments = compile(&definition.input_schema, capability.id(), what)?;
            let (capability, config) = (capability.clone(), config.clone());
            self.tools.insert(name, BoundTool { capability, config, definition: definition.clone(), arguments });
        }
        Ok(())
    }

    /// The tools whose calls wait for somebody outside. Whoever settles a call may refuse it, so
    /// that only calls that the platform executes need an approval.
    fn find_outside(&self, capabilities: &[ResolvedCapability]) -> BTreeMap<String, RequestKind> {
        let kind = |(name, tool): (&String, &BoundTool)| {
            let info = OfferedToolInfo { name, capability_id: tool.capability.id(), effects: tool.definition.effects };
            let kind = match tool.capability.settled_by(&tool.definition.name) {
                SettledBy::Client => RequestKind::ClientSide,
                SettledBy::Person => RequestKind::Question,
                SettledBy::Capability => {
                    let gated = capabilities.iter().any(|gate| gate.capability.requires_approval(&gate.config, &info));
                    return gated.then(|| (name.clone(), RequestKind::Approval));
                }
            };
            Some((name.clone(), kind))
        };
        self.tools.iter().filter_map(kind).collect()
    }

    /// The tools whose calls wait for somebody outside, by the name under which models know them.
    pub fn outside(&self) -> &BTreeMap<String, RequestKind> {
        &self.outside
    }

    /// How long a call of a tool waits for its client; none if the tool does not say.
    pub(super) fn timeout(&self, name: &str) -> Option<Duration> {
        self.timeouts.get(name).copied()
    }

    /// Looks a tool up.
    pub fn get(&self, name: &str) -> Option<&BoundTool> {
        self.tools.get(name)
    }

    /// Looks a tool up by `capability/tool`; with it comes the name under which models know it.
    pub fn by_capability(&self, name: &str) -> Option<(&str, &BoundTool)> {
        let (capability, tool) = name.split_once('/')?;
        let is_it = |bound: &BoundTool| bound.capability.id() == capability && bound.definition.name == tool;
        self.tools.iter().find(|(_, bound)| is_it(bound)).map(|(name, bound)| (name.as_str(), bound))
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(String::as_str)
    }

    /// The tools as a model is offered them, by name.
    pub fn offered(&self) -> Vec<OfferedTool> {
        let offer = |(name, tool): (&String, &BoundTool)| OfferedTool {
            name: name.clone(),
            description: tool.definition.description.clone(),
            input_schema: tool.definition.input_schema.clone(),
        };
        self.tools.iter().map(offer).collect()
    }
}

/// As [`compile_schema`], for a schema of a capability.
pub(super) fn compile(schema: &Value, id: &str, what: impl FnOnce() -> String) -> Result<Arc<Validator>, ContextError> {
    compile_schema(schema).map_err(|problem| ContextError::SchemaInvalid { id: id.to_owned(), what: what(), problem })
}

/// Bytes of text of the schemas that are kept compiled, all together.
const MAX_COMPILED_BYTES: u64 = 1 << 20;

/// Compiled schemas by their text. Each turn needs those of all its tools, and compiling them would
/// take longer than everything else that a turn does. What a schema compiles to depends on its
/// text alone, so that it does not matter whose it is.
static COMPILED: LazyLock<Cache<String, Arc<Validator>>> = LazyLock::new(|| {
    let bytes = |text: &String, _: &Arc<Validator>| u32::try_from(text.len()).unwrap_or(u32::MAX);
    Cache::builder().weigher(bytes).max_capacity(MAX_COMPILED_BYTES).build()
});

/// Compiles a schema. Nothing remote is fetched, and patterns run in linear time because the
/// schema may be a stranger's.
pub(crate) fn compile_schema(schema: &Value) -> Result<Arc<Validator>, String> {
    let text = schema.to_string();
    if let Some(compiled) = COMPILED.get(&text) {
        return Ok(compiled);
    }
    let compiled = Arc::new(compile_anew(schema)?);
    COMPILED.insert(text, compiled.clone());
    Ok(compiled)
}

fn compile_anew(schema: &Value) -> Result<Validator, String> {
    let compiled = jsonschema::options().offline().with_pattern_options(PatternOptions::regex()).build(schema);
    compiled.map_err(|error| cut(&error.to_string(), MAX_FINDING_BYTES).to_owned())
}

/// Checks the configuration of a capability, `{}` if there is none: by its schema, if that can be
/// used, then by the capability itself.
pub(crate) fn check_config(capability: &dyn Capability, config: Option<&Value>) -> Result<(), String> {
    let empty = Value::Object(serde_json::Map::new());
    let config = config.unwrap_or(&empty);
    if let Some(schema) = capability.config_schema()
        && let Ok(validator) = compile_schema(schema)
    {
        check_telling(&validator, config, !has_secrets(schema))?;
    }
    capability.validate_config(config).map_err(|problems| problems.join("; "))
}

/// Checks a value; the error lists what is wrong where, by which rule.
pub(super) fn check(validator: &Validator, value: &Value) -> Result<(), String> {
    check_telling(validator, value, true)
}

/// The same; the list quotes parts of the value only if told to.
fn check_telling(validator: &Validator, value: &Value, quotes: bool) -> Result<(), String> {
    let findings: Vec<String> = validator
        .iter_errors(value)
        .take(MAX_FINDINGS)
        .map(|error| {
            let path = error.instance_path().as_str();
            let place = if path.is_empty() { "/" } else { path };
            let text = if quotes { error.to_string() } else { error.masked().to_string() };
            format!("at {place}: {} (rule {:?})", cut(&text, MAX_FINDING_BYTES), error.kind().keyword())
        })
        .collect();
    if findings.is_empty() { Ok(()) } else { Err(findings.join("; ")) }
}

/// The longest start of a text that has at most so many bytes.
pub(super) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
