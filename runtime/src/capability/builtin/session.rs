//! `session`: what a session is, and its title.

use std::sync::LazyLock;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::support::{arguments, failed, json_output, store_failure, unknown_tool};
use crate::capability::{CallError, Capability, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use crate::component::Effects;
use crate::limits::MAX_TITLE_BYTES;
use crate::session::Session;
use crate::store::StoreError;

/// How often a title is written anew when somebody else changes the session in between.
const MAX_WRITE_ATTEMPTS: usize = 5;

static TOOLS: LazyLock<[ToolDefinition; 2]> = LazyLock::new(|| {
    [
        ToolDefinition {
            name: "get_session_info".to_owned(),
            title: "Session info".to_owned(),
            description: "Tells id, title, status, language, labels and times of this session, and what it runs on.".to_owned(),
            input_schema: json!({ "type": "object", "properties": {}, "additionalProperties": false }),
            effects: Effects { read_only: true, destructive: false, idempotent: true, open_world: false },
        },
        ToolDefinition {
            name: "write_session_title".to_owned(),
            title: "Write session title".to_owned(),
            description: "Gives this session a title; it replaces the one before.".to_owned(),
            input_schema: json!({
                "type": "object",
                "properties": {
                    "title": {
                        "type": "string",
                        "pattern": "\\S",
                        "maxLength": MAX_TITLE_BYTES,
                        "description": "A few words that tell what the session is about.",
                    },
                },
                "required": ["title"],
                "additionalProperties": false,
            }),
            effects: Effects { read_only: false, destructive: false, idempotent: true, open_world: false },
        },
    ]
});

/// Tells models about their session and lets them title it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionCapability;

#[async_trait]
impl Capability for SessionCapability {
    fn id(&self) -> &str {
        "session"
    }

    fn name(&self) -> &str {
        "Session"
    }

    fn description(&self) -> &str {
        "Tells about the session and gives it a title."
    }

    fn tools(&self) -> &[ToolDefinition] {
        &*TOOLS
    }

    async fn call_tool(&self, call: &ToolCallContext, tool: &str, arguments: Value) -> ToolOutcome {
        ToolOutcome::native(match tool {
            "get_session_info" => info(call).await,
            "write_session_title" => write_title(call, arguments).await,
            _ => Err(unknown_tool(tool)),
        })
    }
}

#[derive(Deserialize)]
struct TitleCall {
    title: String,
}

async fn session(call: &ToolCallContext) -> Result<Session, CallError> {
    let found = call.services.backends.session_store.get_session(call.org_id, call.session_id).await.map_err(store_failure)?;
    found.ok_or_else(|| failed("not-found", "no_session", format!("there is no session {}; it was deleted", call.session_id)))
}

async fn info(call: &ToolCallContext) -> Result<ToolOutput, CallError> {
    let session = session(call).await?;
    json_output(&json!({
        "session_id": session.id,
        "title": session.title,
        "status": session.status,
        "harness_id": session.harness_id,
        "agent_id": session.agent_id,
        "locale": session.locale,
        "tags": session.tags,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
    }))
}

async fn write_title(call: &ToolCallContext, given: Value) -> Result<ToolOutput, CallError> {
    let given: TitleCall = arguments(given)?;
    let title = given.title.trim();
    if title.is_empty() || title.len() > MAX_TITLE_BYTES {
        let message = format!("a title has 1 to {MAX_TITLE_BYTES} bytes, but this one has {}; give another", title.len());
        return Err(failed("invalid-arguments", "invalid_title", message));
    }
    for _ in 0..MAX_WRITE_ATTEMPTS {
        let before = session(call).await?;
        let written = json!({ "session_id": before.id, "title": title, "previous_title": before.title });
        // A call that runs again after a crash must not count as another change.
        if before.title.as_deref() == Some(title) {
            return json_output(&written);
        }
        let after = Session { title: Some(title.to_owned()), version: before.version + 1, updated_at: call.services.clock.now(), ..before };
        match call.services.backends.session_store.update_session(call.org_id, after).await {
            Ok(()) => return json_output(&written),
            Err(StoreError::Stale { .. }) => {}
            Err(error) => return Err(store_failure(error)),
        }
    }
    Err(failed("conflict", "changed", format!("the session was changed {MAX_WRITE_ATTEMPTS} times meanwhile; try again")))
}
