//! `stateless_todo_list`: a plan that lives in the conversation and nowhere else.

use std::sync::LazyLock;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::support::{MAX_RESULT_BYTES, arguments, failed, json_output};
use crate::capability::{CallError, Capability, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use crate::component::Effects;

/// Most tasks of one list.
const MAX_TODOS: usize = 100;
/// Longest wording of a task, in characters.
const MAX_WORDING_CHARACTERS: usize = 500;

static TOOLS: LazyLock<[ToolDefinition; 1]> = LazyLock::new(|| {
    let wording =
        |description: &str| json!({"type": "string", "pattern": "\\S", "maxLength": MAX_WORDING_CHARACTERS, "description": description});
    [ToolDefinition {
        name: "write_todos".to_owned(),
        title: "Write to-do list".to_owned(),
        description: "Writes down the whole list of tasks; it replaces the list before.".to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": {
                "todos": {
                    "type": "array",
                    "maxItems": MAX_TODOS,
                    "description": "All tasks in order, also those that are done.",
                    "items": {
                        "type": "object",
                        "properties": {
                            "content": wording("What to do, for example: Run the tests."),
                            "activeForm": wording("The same while it is done, for example: Running the tests."),
                            "status": {"type": "string", "enum": ["pending", "in_progress", "completed"], "description": "How far it is."},
                        },
                        "required": ["content", "activeForm", "status"],
                        "additionalProperties": false,
                    },
                },
            },
            "required": ["todos"],
            "additionalProperties": false,
        }),
        effects: Effects { read_only: true, destructive: false, idempotent: true, open_world: false },
    }]
});

/// Lets models plan work of several steps. The conversation is the only memory of the list.
#[derive(Debug, Clone, Copy, Default)]
pub struct StatelessTodoListCapability;

#[async_trait]
impl Capability for StatelessTodoListCapability {
    fn id(&self) -> &str {
        "stateless_todo_list"
    }

    fn name(&self) -> &str {
        "To-do list"
    }

    fn description(&self) -> &str {
        "Lets the model keep a list of tasks in the conversation."
    }

    fn system_prompt_addition(&self) -> Option<&str> {
        Some(
            "Plan work of three or more steps with write_todos. Send the whole list each time, keep one task in_progress while you \
             work on it, and mark a task completed as soon as it is done.",
        )
    }

    fn tools(&self) -> &[ToolDefinition] {
        &*TOOLS
    }

    async fn call_tool(&self, _call: &ToolCallContext, _tool: &str, arguments: Value) -> ToolOutcome {
        ToolOutcome::native(write_todos(arguments))
    }
}

#[derive(Deserialize)]
struct TodoCall {
    todos: Vec<Todo>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Todo {
    content: String,
    active_form: String,
    status: TodoStatus,
}

#[derive(Deserialize, Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum TodoStatus {
    Pending,
    InProgress,
    Completed,
}

fn write_todos(given: Value) -> Result<ToolOutput, CallError> {
    let TodoCall { todos } = arguments(given)?;
    let count = |status| todos.iter().filter(|todo| todo.status == status).count();
    let in_progress = count(TodoStatus::InProgress);
    let note = (in_progress > 1).then(|| format!("{in_progress} tasks are in_progress; work on one at a time"));
    let list = json!({
        "total": todos.len(),
        "pending": count(TodoStatus::Pending),
        "in_progress": in_progress,
        "completed": count(TodoStatus::Completed),
        "todos": todos,
        "note": note,
    });
    let bytes = list.to_string().len();
    if bytes > MAX_RESULT_BYTES {
        let message = format!("the list has {bytes} bytes; at most {MAX_RESULT_BYTES} are allowed; word the tasks more briefly");
        return Err(failed("limit", "list_too_large", message));
    }
    json_output(&list)
}
