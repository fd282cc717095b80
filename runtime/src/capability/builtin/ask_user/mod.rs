//! `ask_user`: structured questions to the user. The turn waits for the answers, which come as the
//! result of the call; a message instead of an answer ends the turn.

mod answer;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::support::unknown_tool;
use crate::capability::{AnswerProblem, Capability, SettledBy, ToolCallContext, ToolDefinition, ToolOutcome};
use crate::component::Effects;

/// Most questions of one call: what fits on one card.
const MAX_QUESTIONS: usize = 4;
/// Most options of one question.
const MAX_OPTIONS: usize = 6;
/// Longest label of a question, in characters.
const MAX_HEADER_CHARACTERS: usize = 16;
/// Longest id, label or description, in characters.
const MAX_LABEL_CHARACTERS: usize = 200;
/// Longest question, in characters.
const MAX_QUESTION_CHARACTERS: usize = 2_000;

static TOOLS: LazyLock<[ToolDefinition; 1]> = LazyLock::new(|| {
    let text = |most: usize, description: &str| json!({"type": "string", "pattern": "\\S", "maxLength": most, "description": description});
    let option = json!({
        "type": "object",
        "properties": {
            "label": text(MAX_LABEL_CHARACTERS, "The answer in a few words."),
            "description": text(MAX_LABEL_CHARACTERS, "What choosing it means."),
            "default": {"type": "boolean", "description": "Whether you suggest it."},
        },
        "required": ["label", "description"],
        "additionalProperties": false,
    });
    let question = json!({
        "type": "object",
        "properties": {
            "kind": {"type": "string", "enum": ["choice", "text"], "description": "choice (if absent) offers options; text has none."},
            "id": text(MAX_LABEL_CHARACTERS, "Name of the answer; question_1, question_2 and so on if absent."),
            "header": text(MAX_HEADER_CHARACTERS, "Label of one or two words."),
            "question": text(MAX_QUESTION_CHARACTERS, "The question."),
            "multi_select": {"type": "boolean", "description": "Whether several options may be chosen; false if absent."},
            "allow_other": {"type": "boolean", "description": "Whether the user may answer freely instead; true if absent."},
            "options": {"type": "array", "maxItems": MAX_OPTIONS, "items": option, "description": "2 to 6, the likeliest first."},
        },
        "required": ["header", "question"],
        "additionalProperties": false,
    });
    [ToolDefinition {
        name: "ask_user".to_owned(),
        title: "Ask the user".to_owned(),
        description: "Asks the user 1 to 4 questions and waits for the answers. For decisions and preferences, not for permission to do \
                      something."
            .to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": {"questions": {"type": "array", "minItems": 1, "maxItems": MAX_QUESTIONS, "items": question}},
            "required": ["questions"],
            "additionalProperties": false,
        }),
        effects: Effects { read_only: true, destructive: false, idempotent: true, open_world: false },
    }]
});

/// Lets models ask their user. Whoever shows the questions answers the call with all of them, for example
/// `{"status": "answered", "answers": [{"id": "question_1", "selected": ["Yes"]}, {"id": "question_2",
/// "text": "By Friday"}]}`, or with `{"status": "declined"}`. `selected` has labels of options, `text` a
/// free answer where one is allowed. What does not fit the questions is refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct AskUserCapability;

#[async_trait]
impl Capability for AskUserCapability {
    fn id(&self) -> &str {
        "ask_user"
    }

    fn name(&self) -> &str {
        "Ask user"
    }

    fn description(&self) -> &str {
        "Lets the model ask the user structured questions and wait for the answers."
    }

    fn system_prompt_addition(&self) -> Option<&str> {
        Some(
            "Ask with ask_user only when you cannot go on without a decision of the user; ask everything at once, and never what you can \
             find out yourself. Do not ask a declined question again. An answer to a question is no permission for something that cannot \
             be undone.",
        )
    }

    fn tools(&self) -> &[ToolDefinition] {
        &*TOOLS
    }

    fn settled_by(&self, _tool: &str) -> SettledBy {
        SettledBy::Person
    }

    fn check_arguments(&self, _tool: &str, arguments: &Value) -> Result<(), String> {
        let asked: AskCall = serde_json::from_value(arguments.clone()).map_err(|error| error.to_string())?;
        let mut ids = BTreeSet::new();
        for (at, question) in asked.questions.iter().enumerate() {
            let place = format!("/questions/{at}");
            question.check().map_err(|problem| format!("at {place}: {problem}"))?;
            if let Some(id) = &question.id
                && !ids.insert(id)
            {
                return Err(format!("at {place}/id: {id:?} is the id of another question as well"));
            }
        }
        Ok(())
    }

    fn check_answer(&self, _tool: &str, arguments: &Value, answer: &Value) -> Result<(), Vec<AnswerProblem>> {
        // What was asked has passed `check_arguments`.
        let Ok(asked) = serde_json::from_value::<AskCall>(arguments.clone()) else { return Ok(()) };
        let problems = answer::problems(&asked.questions, answer);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    async fn call_tool(&self, _call: &ToolCallContext, tool: &str, _arguments: Value) -> ToolOutcome {
        ToolOutcome::native(Err(unknown_tool(tool)))
    }
}

#[derive(Deserialize)]
struct AskCall {
    questions: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    kind: Kind,
    id: Option<String>,
    #[serde(default)]
    multi_select: bool,
    #[serde(default = "yes")]
    allow_other: bool,
    #[serde(default)]
    options: Vec<Choice>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Choice,
    Text,
}

#[derive(Deserialize)]
struct Choice {
    label: String,
    #[serde(default)]
    default: bool,
}

impl Question {
    fn check(&self) -> Result<(), String> {
        match self.kind {
            Kind::Text if self.options.is_empty() => return Ok(()),
            Kind::Text => return Err("a question of kind text has no options".to_owned()),
            Kind::Choice if self.options.len() < 2 => {
                return Err(format!("a question of kind choice has 2 to {MAX_OPTIONS} options; use kind text for a free answer"));
            }
            Kind::Choice => {}
        }
        let labels: BTreeSet<&str> = self.options.iter().map(|option| option.label.as_str()).collect();
        if labels.len() < self.options.len() {
            return Err("two options have the same label".to_owned());
        }
        if !self.multi_select && self.options.iter().filter(|option| option.default).count() > 1 {
            return Err("only one option can be the default, because only one can be chosen".to_owned());
        }
        Ok(())
    }
}
