//! A component as just another capability, and the registry that finds both kinds.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::Sandbox;
use super::accounts::Account;
use super::bindings::exports::everwit::capability::tools::Context;
use super::call::{self, Circumstances, Finished};
use super::convert;
use super::loaded::Loaded;
use super::pseudonym::Pseudonyms;
use super::state::Subject;
use crate::capability::{
    CallError, Capability, CapabilityRegistry, CapabilitySource, RiskLevel, StopKind, ToolCallContext, ToolDefinition, ToolOutcome,
    ToolOutput, tool_name,
};
use crate::component::{
    CallUsage, Component, ComponentDescription, ComponentKind, ComponentVersion, Digest, Effects, Grant, Permissions, Receipt,
    ToolDescription,
};
use crate::error::Error;
use crate::event::PinnedCapability;
use crate::harness::VersionChoice;
use crate::id::{OrgId, SessionId, TurnId};
use crate::limits::Budget;
use crate::store::ComponentStore;
use crate::usage::HeldCall;

/// One version of a component, ready to be called.
pub struct ComponentCapability {
    sandbox: Sandbox,
    loaded: Arc<Loaded>,
    description: ComponentDescription,
    tools: Vec<ToolDefinition>,
    version: Option<u32>,
    digest: Digest,
    subject: Arc<Subject>,
    pseudonyms: Pseudonyms,
    budget: Budget,
}

/// What a tenant decided about a component: which version it is, what it may, how much.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Version number in its org; none for a component that was not uploaded.
    pub version: Option<u32>,
    /// What it may reach.
    pub grant: Grant,
    /// Limits of its calls.
    pub budget: Budget,
}

impl ComponentCapability {
    pub(super) fn new(sandbox: Sandbox, loaded: Arc<Loaded>, description: ComponentDescription, digest: Digest, terms: Terms) -> Self {
        let Terms { version, grant, budget } = terms;
        let tools = description.tools.iter().map(|tool| definition(tool, &grant)).collect();
        let secrets = description.permissions.secrets.clone();
        let subject = Arc::new(Subject { component: description.id.clone(), grant, secrets });
        let pseudonyms = sandbox.pseudonyms(&description.id);
        Self { sandbox, loaded, description, tools, version, digest, subject, pseudonyms, budget }
    }

    /// What it asks for.
    pub fn permissions(&self) -> &Permissions {
        &self.description.permissions
    }

    fn context(&self, call: &ToolCallContext) -> Context {
        Context {
            org: self.pseudonyms.of(OrgId::PREFIX, call.org_id.uuid()),
            session: self.pseudonyms.of(SessionId::PREFIX, call.session_id.uuid()),
            turn: self.pseudonyms.of(TurnId::PREFIX, call.turn_id.uuid()),
            idempotency_key: call.idempotency_key.clone(),
            config: call.config.to_string(),
            locale: call.locale.clone(),
            extra: Vec::new(),
        }
    }
}

/// A tool that may send requests reaches outside, whatever its author says.
fn definition(tool: &ToolDescription, grant: &Grant) -> ToolDefinition {
    let open_world = tool.effects.open_world || !grant.http.is_empty() || !grant.tools.is_empty();
    ToolDefinition {
        name: tool.name.clone(),
        title: tool.title.clone(),
        description: tool.description.clone(),
        input_schema: tool.input_schema.clone(),
        effects: Effects { open_world, ..tool.effects },
    }
}

#[async_trait]
impl Capability for ComponentCapability {
    fn id(&self) -> &str {
        &self.description.id
    }

    fn name(&self) -> &str {
        &self.description.title
    }

    fn description(&self) -> &str {
        &self.description.summary
    }

    fn system_prompt_addition(&self) -> Option<&str> {
        self.description.instructions.as_deref()
    }

    fn tools(&self) -> &[ToolDefinition] {
        &self.tools
    }

    fn dependencies(&self) -> &[String] {
        &self.description.dependencies
    }

    fn risk_level(&self) -> RiskLevel {
        self.subject.grant.risk_level()
    }

    fn config_schema(&self) -> Option<&Value> {
        Some(&self.description.config_schema)
    }

    fn offered_name(&self, tool: &str) -> String {
        tool_name(self.id(), tool)
    }

    fn pin(&self) -> PinnedCapability {
        PinnedCapability { id: self.description.id.clone(), version: self.version, digest: Some(self.digest) }
    }

    async fn call_tool(&self, call: &ToolCallContext, tool: &str, arguments: Value) -> ToolOutcome {
        let context = self.context(call);
        let arguments = arguments.to_string();
        let account = Account {
            session: call.session_id,
            has_session: call.has_session,
            call: call.idempotency_key.clone(),
            services: call.services.clone(),
        };
        let circumstances = Circumstances {
            org: call.org_id,
            subject: &self.subject,
            budget: &self.budget,
            cancel: &call.cancel,
            sink: &call.sink,
            effects: self.tools.iter().find(|known| known.name == tool).map_or_else(Effects::default, |known| known.effects),
            account: Some(&account),
        };
        let held = match HeldCall::hold(call, &self.budget, !self.subject.grant.http.is_empty()).await {
            Ok(held) => held,
            Err(refused) => {
                let usage = CallUsage { fuel_limit: self.budget.fuel, ..CallUsage::default() };
                return ToolOutcome { result: Err(CallError::Stopped(refused)), receipt: Some(self.receipt(usage)), logs: Vec::new() };
            }
        };
        let (services, shares) = (self.sandbox.services(), self.sandbox.shares());
        let finished = call::call_tool(services, shares, &self.loaded, circumstances, (context, tool.to_owned(), arguments)).await;
        let Finished { result, emitted, output_left, mut usage, http_bytes, logs, mut outlets, missing } = finished;
        if let Some(held) = held {
            held.settle(usage.fuel, http_bytes).await;
        }
        let result = match result {
            Ok(Ok(output)) => {
                let bytes = convert::output_bytes(&output);
                usage.bytes_out += bytes as u64;
                self.check_output(bytes as u64, output_left)
                    .and_then(|()| convert::output(output).map_err(|stop| CallError::Stopped(stop.into())))
            }
            // It failed because of what its user has not connected yet.
            Ok(Err(failure)) => Err(match missing {
                Some(provider) => CallError::ConnectionRequired { provider },
                None => CallError::Failed(convert::failure(failure)),
            }),
            Err(stopped) => Err(CallError::Stopped(stopped)),
        };
        let result = match result {
            Ok(output) => {
                let ToolOutput { parts, structured } = outlets.output(output);
                Ok(ToolOutput { parts: emitted.into_iter().chain(parts).collect(), structured })
            }
            Err(error) => Err(outlets.error(error)),
        };
        ToolOutcome { result, receipt: Some(self.receipt(usage)), logs }
    }
}

impl ComponentCapability {
    fn receipt(&self, usage: CallUsage) -> Receipt {
        Receipt { component: self.description.id.clone(), version: self.version, digest: self.digest, usage }
    }

    /// Partial output and result share one limit.
    fn check_output(&self, bytes: u64, left: u64) -> Result<(), CallError> {
        if bytes <= left {
            return Ok(());
        }
        let (limit, emitted) = (self.budget.output_bytes, self.budget.output_bytes - left);
        let message = format!("the result has {bytes} bytes and partial output had {emitted}; together {limit} are allowed");
        Err(CallError::Stopped(call::stopped(StopKind::Output, message)))
    }
}

/// What an org's turns can use: the platform's own capabilities, then the org's active
/// components. Built-in ids win.
#[derive(Clone)]
pub struct ComponentCapabilities {
    built_ins: CapabilityRegistry,
    components: Arc<dyn ComponentStore>,
    sandbox: Sandbox,
}

impl ComponentCapabilities {
    /// Joins both.
    pub fn new(built_ins: CapabilityRegistry, components: Arc<dyn ComponentStore>, sandbox: Sandbox) -> Self {
        Self { built_ins, components, sandbox }
    }

    /// The platform's own.
    pub fn built_ins(&self) -> &CapabilityRegistry {
        &self.built_ins
    }

    /// A version of a component under its own grant and limits, active or not.
    ///
    /// # Errors
    /// `NotFound` if there is no such version; those of the store and the sandbox.
    pub async fn version(&self, org: OrgId, component: &Component, version: u32) -> Result<Arc<dyn Capability>, Error> {
        let version = self.components.get_version(org, component.id, version).await?;
        let version = version.ok_or_else(|| Error::NotFound { what: "version of component", id: component.name.clone() })?;
        self.load(org, version).await
    }

    async fn load(&self, org: OrgId, version: ComponentVersion) -> Result<Arc<dyn Capability>, Error> {
        let ComponentVersion { digest, description, grant, budget, version, .. } = version;
        let wasm = || async move {
            let wasm = self.components.read_wasm(org, digest).await?;
            wasm.ok_or_else(|| Error::Internal(format!("the bytes of {digest} are not stored")))
        };
        let terms = Terms { version: Some(version), grant, budget };
        let capability = self.sandbox.component(digest, description, terms, wasm).await?;
        Ok(Arc::new(capability))
    }
}

#[async_trait]
impl CapabilitySource for ComponentCapabilities {
    async fn find(&self, org: OrgId, id: &str) -> Result<Option<Arc<dyn Capability>>, Error> {
        if let Some(built_in) = self.built_ins.get(id) {
            return Ok(Some(built_in));
        }
        let Some(component) = self.components.find_component(org, &id.to_lowercase()).await? else { return Ok(None) };
        match component.active_version {
            Some(version) if component.archived_at.is_none() && component.kind == ComponentKind::Capability => {
                Ok(Some(self.version(org, &component, version).await?))
            }
            _ => Ok(None),
        }
    }

    async fn find_chosen(&self, org: OrgId, id: &str, choice: &VersionChoice) -> Result<Result<Arc<dyn Capability>, String>, Error> {
        if self.built_ins.has(id) {
            return self.built_ins.find_chosen(org, id, choice).await;
        }
        let found = self.components.find_component(org, &id.to_lowercase()).await?;
        let Some(component) = found.filter(|found| found.kind == ComponentKind::Capability) else {
            return Ok(Err(format!("there is no capability {id:?}")));
        };
        if component.archived_at.is_some() {
            return Ok(Err(format!("capability {id:?} is archived")));
        }
        let number = match choice {
            VersionChoice::Version(number) => *number,
            VersionChoice::Channel(channel) => match component.channels.get(channel) {
                Some(number) => *number,
                None => return Ok(Err(no_channel(&component, channel))),
            },
        };
        match self.components.get_version(org, component.id, number).await? {
            Some(version) if version.is_usable() => Ok(Ok(self.load(org, version).await?)),
            version => Ok(Err(unusable(&component.name, number, version.as_ref()))),
        }
    }

    async fn find_pinned(&self, org: OrgId, pin: &PinnedCapability) -> Result<Option<Arc<dyn Capability>>, Error> {
        let (Some(digest), Some(_)) = (pin.digest, pin.version) else { return self.built_ins.find_pinned(org, pin).await };
        let Some(component) = self.components.find_component(org, &pin.id).await? else { return Ok(None) };
        let Some(version) = pin.version else { return Ok(None) };
        let version = self.components.get_version(org, component.id, version).await?.filter(|found| found.digest == digest);
        match version {
            Some(version) => Ok(Some(self.load(org, version).await?)),
            None => Ok(None),
        }
    }
}

fn no_channel(component: &Component, channel: &str) -> String {
    let known: Vec<&str> = component.channels.keys().map(String::as_str).collect();
    let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has: {}", known.join(", ")) };
    format!("capability {:?} has no channel {channel:?}; {known}", component.name)
}

fn unusable(name: &str, number: u32, version: Option<&ComponentVersion>) -> String {
    let why = match version {
        None => "does not exist",
        Some(version) if version.stored_at.is_none() => "was archived and its bytes are deleted; upload the same bytes again",
        Some(version) if version.archived_at.is_some() => "is archived; activate it, or put it into a channel",
        Some(_) => "was never agreed to; activate it, or put it into a channel",
    };
    format!("version {number} of capability {name:?} {why}")
}
