//! Calling a tool without an agent: to try a version before it is activated, and for programs.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use everwit_runtime::capability::{CallError, Capability, LogLine, NoSink, StopKind, Stopped, ToolCallContext, ToolOutcome, ToolOutput};
use everwit_runtime::component::{Component, ComponentKind, Receipt};
use everwit_runtime::id::{OrgId, SessionId, TurnId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::require_bytes;
use crate::api::check::{Checks, shown};
use crate::api::extract::JsonBody;
use crate::api::idempotency::key_of;
use crate::api::risk::require_allowed;
use crate::api::{App, resolve};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};

/// A call of a tool.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CallToolRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallTool {
    /// Name of the tool within the component.
    tool: String,
    /// Its arguments.
    #[serde(default)]
    arguments: Map<String, Value>,
    /// Configuration of the capability.
    #[serde(default)]
    config: Map<String, Value>,
    /// The version; the active one if absent.
    version: Option<u32>,
}

/// How a call went: `result` or `error`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallToolResponse)]
pub(crate) struct CallOutcome {
    /// What the tool returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<ToolOutput>,
    /// Why it returned nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<CallFailure>,
    /// What the call used.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<Receipt>,
    /// What the component logged, oldest first.
    logs: Vec<LogLine>,
}

/// Why a tool returned nothing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallFailure {
    /// Whether the host ended the call; otherwise the tool itself says that it failed.
    stopped: bool,
    /// Class: the tool's own word, or the limit that ended the call, for example `fuel`.
    kind: String,
    /// Stable code in the tool's own vocabulary.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// A sentence.
    message: String,
    /// Whether the same call can succeed later.
    retryable: bool,
    /// Functions of the component, innermost first, if the host ended the call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    backtrace: Vec<String>,
}

/// Call a tool
///
/// 200 whenever the tool was executed, also if it failed: the body says which. The grant and the
/// limits are those of the version; nothing is granted to a version that was never activated.
#[utoipa::path(
    post,
    path = "/components/{component}/call",
    tag = "components",
    params(
        ("component" = String, Path, description = "Id or name"),
        ("Idempotency-Key" = Option<String>, Header, description = "Handed to the tool, which has no further effect for a key it has seen"),
    ),
    request_body = CallTool,
    responses(
        (status = 200, body = CallOutcome),
        (status = 409, description = "No version is named, and none is active; or its bytes are deleted; or it is a driver"),
        (status = 429, description = "Too many calls run or wait, or the org has used what it may of fuel or HTTP; nothing was executed"),
    ),
)]
pub(crate) async fn call_tool(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<CallTool>,
) -> Result<Json<CallOutcome>, Problem> {
    let key = key_of(&headers)?;
    let component = resolve::component(&app, caller.org, &reference).await?;
    let capability = capability(&app, caller.org, &component, request.version).await?;
    require_allowed(&app, caller.org, &*capability).await?;
    request.check(&*capability)?;
    let context = context(&app, caller.org, request.config, key);
    // Dropped with the request: a caller that hangs up ends the call.
    let outcome = capability.call_tool(&context, &request.tool, Value::Object(request.arguments)).await;
    match outcome.result {
        // Nothing of it was executed.
        Err(CallError::Stopped(Stopped { kind: StopKind::Busy, message, .. })) => {
            Err(Problem::busy(StatusCode::TOO_MANY_REQUESTS, "too_many_calls", message, 1))
        }
        Err(CallError::Stopped(Stopped { kind: StopKind::Quota, message, retry_after_seconds, .. })) => Err(match retry_after_seconds {
            Some(seconds) => Problem::busy(StatusCode::TOO_MANY_REQUESTS, "org_limit", message, seconds),
            None => Problem::new(StatusCode::TOO_MANY_REQUESTS, "org_limit", message),
        }),
        _ => Ok(Json(outcome.into())),
    }
}

async fn capability(app: &App, org: OrgId, component: &Component, version: Option<u32>) -> Result<Arc<dyn Capability>, Problem> {
    if component.kind != ComponentKind::Capability {
        let detail = format!("{:?} is a {}, which has no tools", component.name, component.kind.as_str().replace('-', " "));
        return Err(Problem::conflict("not_a_capability", detail));
    }
    let number = match (version, component.active_version, component.archived_at) {
        (Some(number), ..) => number,
        (None, Some(number), None) => number,
        _ => {
            let detail = format!("no version of {:?} is active; name one with \"version\", or activate one", component.name);
            return Err(Problem::conflict("not_active", detail));
        }
    };
    require_bytes(component, &super::version(app, org, component, &number.to_string()).await?)?;
    Ok(app.components.version(org, component, number).await?)
}

fn context(app: &App, org_id: OrgId, config: Map<String, Value>, key: Option<String>) -> ToolCallContext {
    ToolCallContext {
        org_id,
        session_id: SessionId::from_uuid(app.moments.uuid()),
        has_session: false,
        turn_id: TurnId::from_uuid(app.moments.uuid()),
        idempotency_key: key.unwrap_or_else(|| format!("call_{}", app.moments.uuid().simple())),
        config: Value::Object(config),
        locale: None,
        cancel: CancellationToken::new(),
        sink: Arc::new(NoSink),
        services: app.tool_services.clone(),
    }
}

impl CallTool {
    fn check(&self, capability: &dyn Capability) -> Result<(), Problem> {
        let mut checks = Checks::default();
        match capability.tools().iter().find(|tool| tool.name == self.tool) {
            Some(tool) => checks.against_schema("/arguments", &tool.input_schema, &Value::Object(self.arguments.clone())),
            None => {
                let names: Vec<&str> = capability.tools().iter().map(|tool| tool.name.as_str()).collect();
                let detail = format!("there is no tool {:?}", shown(&self.tool));
                checks.add(Finding::at("/tool", "unknown_tool", detail).fix(format!("available: {}", names.join(", "))));
            }
        }
        if let Some(schema) = capability.config_schema() {
            checks.against_schema("/config", schema, &Value::Object(self.config.clone()));
        }
        checks.finish()
    }
}

impl From<ToolOutcome> for CallOutcome {
    fn from(outcome: ToolOutcome) -> Self {
        let (result, error) = match outcome.result {
            Ok(output) => (Some(output), None),
            Err(error) => (None, Some(error.into())),
        };
        Self { result, error, receipt: outcome.receipt, logs: outcome.logs }
    }
}

impl From<CallError> for CallFailure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Failed(failure) => Self {
                stopped: false,
                kind: failure.kind,
                code: Some(failure.code),
                message: failure.message,
                retryable: failure.retryable,
                backtrace: Vec::new(),
            },
            CallError::ConnectionRequired { .. } => Self {
                stopped: false,
                kind: error.kind().to_owned(),
                code: None,
                message: error.to_string(),
                retryable: false,
                backtrace: Vec::new(),
            },
            CallError::Stopped(stopped) => Self {
                stopped: true,
                kind: stopped.kind.as_str().to_owned(),
                code: None,
                retryable: stopped.kind == StopKind::Busy || stopped.retry_after_seconds.is_some(),
                message: stopped.message,
                backtrace: stopped.backtrace,
            },
        }
    }
}
