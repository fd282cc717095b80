//! `session_storage`: small values that a session keeps beside its files, by key.

use std::sync::LazyLock;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::support::{MAX_RESULT_BYTES, arguments, failed, json_bytes, json_output, store_failure};
use crate::capability::{CallError, Capability, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use crate::component::Effects;
use crate::limits::MAX_KV_KEYS;
use crate::store::KvScope;

/// Id of the capability. Components cannot have it: their ids have no underscore.
const ID: &str = "session_storage";
/// Longest key, in bytes.
const MAX_KEY_BYTES: usize = 255;

static FEATURES: LazyLock<[String; 1]> = LazyLock::new(|| ["key_value".to_owned()]);

static TOOLS: LazyLock<[ToolDefinition; 1]> = LazyLock::new(|| {
    [ToolDefinition {
        name: "kv_store".to_owned(),
        title: "Key-value store".to_owned(),
        description: "Keeps small texts of the session by key: set, get, delete, or list all keys.".to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "operation": {"type": "string", "enum": ["set", "get", "delete", "list"], "description": "What to do."},
                "key": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_BYTES, "description": "The key; for set, get and delete."},
                "value": {"type": "string", "description": "The text to keep; for set. What is there is replaced."},
                "after": {"type": "string", "description": "For list: only keys behind this one, in byte order."},
            },
            "required": ["operation"],
            "additionalProperties": false,
        }),
        effects: Effects { read_only: false, destructive: false, idempotent: true, open_world: false },
    }]
});

/// Keeps small values of a session by key.
#[derive(Debug, Clone, Copy, Default)]
pub struct SessionStorageCapability;

#[async_trait]
impl Capability for SessionStorageCapability {
    fn id(&self) -> &str {
        ID
    }

    fn name(&self) -> &str {
        "Session storage"
    }

    fn description(&self) -> &str {
        "Keeps small values of the session by key."
    }

    fn system_prompt_addition(&self) -> Option<&str> {
        Some("kv_store keeps small values for the whole session. Setting a key replaces what it had.")
    }

    fn tools(&self) -> &[ToolDefinition] {
        &*TOOLS
    }

    fn features(&self) -> &[String] {
        &*FEATURES
    }

    async fn call_tool(&self, call: &ToolCallContext, _tool: &str, arguments: Value) -> ToolOutcome {
        ToolOutcome::native(kv_store(call, arguments).await)
    }
}

#[derive(Deserialize)]
struct KvCall {
    operation: Operation,
    key: Option<String>,
    value: Option<String>,
    after: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Set,
    Get,
    Delete,
    List,
}

async fn kv_store(call: &ToolCallContext, given: Value) -> Result<ToolOutput, CallError> {
    let given: KvCall = arguments(given)?;
    let (store, scope) = (&call.services.backends.kv, KvScope::of_session(call.org_id, call.session_id));
    let missing = |name: &str| failed("invalid-arguments", "missing_argument", format!("this operation needs {name:?}"));
    let key = given.key.as_deref().ok_or_else(|| missing("key"));
    match given.operation {
        Operation::Set => {
            let (key, value) = (key?, given.value.ok_or_else(|| missing("value"))?);
            if key.len() > MAX_KEY_BYTES {
                return Err(failed(
                    "limit",
                    "key_too_long",
                    format!("the key has {} bytes; at most {MAX_KEY_BYTES} are allowed", key.len()),
                ));
            }
            store.put(&scope, key, value.into_bytes(), None).await.map_err(store_failure)?;
            json_output(&json!({ "operation": "set", "key": key, "success": true }))
        }
        Operation::Get => {
            let key = key?;
            let entry = store.get(&scope, key).await.map_err(store_failure)?;
            let value = entry.map(|entry| String::from_utf8_lossy(&entry.value).into_owned());
            json_output(&json!({ "operation": "get", "key": key, "found": value.is_some(), "value": value }))
        }
        Operation::Delete => {
            let key = key?;
            let found = store.get(&scope, key).await.map_err(store_failure)?.is_some();
            store.remove(&scope, key, None).await.map_err(store_failure)?;
            json_output(&json!({ "operation": "delete", "key": key, "deleted": found }))
        }
        Operation::List => {
            let most = u32::try_from(MAX_KV_KEYS).unwrap_or(u32::MAX);
            let all = store.keys(&scope, "", given.after.as_deref(), most).await.map_err(store_failure)?;
            let sizes = all.iter().scan(0, |sum, key| {
                *sum += json_bytes(key) + 1;
                Some(*sum)
            });
            let keys = &all[..sizes.take_while(|&sum| sum <= MAX_RESULT_BYTES).count()];
            let note = keys.last().filter(|_| keys.len() < all.len()).map(|last| format!("there are more; call list with after={last:?}"));
            json_output(&json!({ "operation": "list", "count": keys.len(), "keys": keys, "note": note }))
        }
    }
}
