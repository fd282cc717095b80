//! `everwit mcp`: one component as an MCP server over stdin and stdout, in the sandbox of `everwit call`.
//!
//! The part of the protocol that such a server needs is four methods over lines of JSON, which are here, with a limit on what a
//! line holds; what a call is to the component is the workbench's.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use everwit_runtime::capability::{Capability, ToolCallContext, ToolOutcome, ToolOutput, ToolSink};
use everwit_runtime::component::{ComponentDescription, ToolDescription};
use everwit_runtime::limits::MAX_JSON_BYTES;
use everwit_runtime::message::ContentPart;
use everwit_runtime::turn::{NestedCalls, Toolset};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::call::{object, receipt_line, tell_logs};
use super::output::{Failure, note};
use super::workbench::{GrantArgs, Opened, Workbench, objection, open};

/// Versions of the protocol that are spoken, oldest first. They do not differ in what is used here.
const VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// Bytes of one message: the arguments of a call, and the frame around them.
const MAX_MESSAGE_BYTES: usize = MAX_JSON_BYTES + (64 << 10);
/// Calls that wait or run at once.
const MAX_CALLS: usize = 64;
/// Notes of progress that wait to be written; what comes while there are so many is not told.
const MAX_NOTES: usize = 64;

/// Codes of JSON-RPC.
const PARSE_ERROR: i32 = -32_700;
const INVALID_REQUEST: i32 = -32_600;
const METHOD_NOT_FOUND: i32 = -32_601;
const INVALID_PARAMS: i32 = -32_602;
/// Ours: the same request can succeed later.
const BUSY: i32 = -32_000;

const HELP: &str = "\
For a client's configuration: command \"everwit\", arguments [\"mcp\", \"/path/to/FILE.wasm\"]. Nothing is granted but by the flags; buckets that
are allowed last as long as the process. What the component logs goes to stderr, with the receipt of each call.

Exit codes: 0 the client closed the connection, 1 failed, 2 wrong usage.";

/// Options of `everwit mcp`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct McpArgs {
    /// The component.
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Configuration of the capability as a JSON object.
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = object)]
    config: Map<String, Value>,
    #[command(flatten)]
    grants: GrantArgs,
}

pub(crate) async fn run(args: McpArgs) -> Result<(), Failure> {
    let Opened { bench, capability, description: about, tools } = open(&args.file, &args.grants, &args.config).await?;
    // One org for the process, so that what a call stores is there for the next one.
    let first = bench.context(args.config.clone(), None);
    args.grants.put_files(&bench, &first).await?;
    let server = Server { bench, capability, about, tools, config: args.config, first };
    server.serve(BufReader::new(tokio::io::stdin())).await
}

/// The component as a server.
struct Server {
    bench: Workbench,
    capability: Arc<dyn Capability>,
    about: ComponentDescription,
    tools: Arc<Toolset>,
    config: Map<String, Value>,
    first: ToolCallContext,
}

/// Calls that run, and how to cancel them. A request's id is text or a number, so its JSON tells it from others.
struct Calls {
    running: JoinSet<(Value, ToolOutcome)>,
    cancel: HashMap<String, CancellationToken>,
    noted: mpsc::Sender<Value>,
    notes: mpsc::Receiver<Value>,
}

/// Progress of a call, or its end.
enum Event {
    Noted(Value),
    Ended(Box<Result<(Value, ToolOutcome), JoinError>>),
}

impl Calls {
    fn none() -> Self {
        let (noted, notes) = mpsc::channel(MAX_NOTES);
        Self { running: JoinSet::new(), cancel: HashMap::new(), noted, notes }
    }

    /// What happens next: none while no call runs. May be dropped at any time and loses nothing.
    async fn next(&mut self) -> Event {
        tokio::select! {
            Some(note) = self.notes.recv() => Event::Noted(note),
            Some(ended) = self.running.join_next() => Event::Ended(Box::new(ended)),
        }
    }

    /// Writes what has happened.
    async fn tell(&mut self, event: Event) -> Result<(), Failure> {
        let ended = match event {
            Event::Noted(note) => return send(&note).await,
            Event::Ended(ended) => *ended,
        };
        // What it has noted goes before its result, after which the client expects no more.
        while let Ok(note) = self.notes.try_recv() {
            send(&note).await?;
        }
        let (id, outcome) = ended.map_err(|error| Failure::failed(format!("a call ended without an outcome: {error}")))?;
        self.cancel.remove(&id.to_string());
        tell_logs(&outcome.logs);
        outcome.receipt.iter().for_each(|receipt| note(&receipt_line(receipt)));
        send(&answer(&id, result(outcome))).await
    }
}

/// Where a call's progress goes: to the client that gave a token for it.
struct Notes {
    token: Value,
    noted: mpsc::Sender<Value>,
}

impl ToolSink for Notes {
    fn progress(&self, done: u64, total: Option<u64>, note: &str) {
        let mut params = json!({ "progressToken": self.token, "progress": done, "message": note });
        if let Some(total) = total {
            params["total"] = total.into();
        }
        // Progress is only for who looks on; a client that does not read loses some of it.
        let _ = self.noted.try_send(json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }));
    }

    fn emit(&self, _parts: &[ContentPart]) {
        // The protocol has no partial results; the outcome holds what was emitted.
    }
}

impl Server {
    /// Answers until the client closes the connection.
    async fn serve(&self, mut input: impl AsyncBufRead + Unpin) -> Result<(), Failure> {
        let mut calls = Calls::none();
        let mut line = Vec::new();
        loop {
            let mut limited = (&mut input).take((MAX_MESSAGE_BYTES + 1 - line.len()) as u64);
            tokio::select! {
                // What was read of a line stays in `line` when a call ends meanwhile.
                read = limited.read_until(b'\n', &mut line) => {
                    let read = read.map_err(|error| Failure::failed(format!("cannot read from the client: {error}")))?;
                    if line.len() > MAX_MESSAGE_BYTES {
                        return Err(Failure::failed(format!("the client sent a message of more than {MAX_MESSAGE_BYTES} bytes")));
                    }
                    if line.last() != Some(&b'\n') && read > 0 {
                        continue;
                    }
                    if read == 0 && line.is_empty() {
                        break;
                    }
                    let message = std::mem::take(&mut line);
                    if let Some(answer) = self.take(&message, &mut calls) {
                        send(&answer).await?;
                    }
                }
                event = calls.next() => calls.tell(event).await?,
            }
        }
        // A client that has asked everything may still listen.
        while !calls.running.is_empty() {
            let event = calls.next().await;
            calls.tell(event).await?;
        }
        Ok(())
    }

    /// What is answered to a message at once; nothing to a notification, and to a call when it has run.
    fn take(&self, message: &[u8], calls: &mut Calls) -> Option<Value> {
        if message.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        let message: Value = match serde_json::from_slice(message) {
            Ok(message) => message,
            Err(error) => return Some(refusal(&Value::Null, PARSE_ERROR, &format!("not JSON: {error}"))),
        };
        let (method, params) = (message["method"].as_str(), &message["params"]);
        let id = &message["id"];
        match (method, id) {
            (Some("notifications/cancelled"), Value::Null) => {
                calls.cancel.get(&params["requestId"].to_string()).iter().for_each(|cancel| cancel.cancel());
                None
            }
            // Another notification, or an answer to what was never asked.
            (Some(_), Value::Null) | (None, Value::String(_) | Value::Number(_)) => None,
            (Some("initialize"), _) => Some(answer(id, self.introduction(params))),
            (Some("ping"), _) => Some(answer(id, json!({}))),
            (Some("tools/list"), _) => Some(answer(id, json!({ "tools": self.about.tools.iter().map(tool).collect::<Vec<_>>() }))),
            (Some("tools/call"), _) => self.call(id, params, calls),
            (Some(method), _) => Some(refusal(id, METHOD_NOT_FOUND, &format!("{method:?} is no method of this server"))),
            (None, _) => Some(refusal(&Value::Null, INVALID_REQUEST, "a message has a method")),
        }
    }

    fn introduction(&self, params: &Value) -> Value {
        let asked = VERSIONS.into_iter().find(|version| params["protocolVersion"] == *version);
        let about = &self.about;
        json!({
            "protocolVersion": asked.unwrap_or(VERSIONS[VERSIONS.len() - 1]),
            "capabilities": { "tools": {} },
            "serverInfo": { "name": about.id, "title": about.title, "version": about.version },
            "instructions": about.instructions.as_ref().unwrap_or(&about.summary),
        })
    }

    /// Starts a call; what is wrong with it is answered at once.
    fn call(&self, id: &Value, params: &Value, calls: &mut Calls) -> Option<Value> {
        let empty = Map::new();
        let (Some(name), Some(arguments)) = (params["name"].as_str(), params.get("arguments").map_or(Some(&empty), Value::as_object))
        else {
            return Some(refusal(id, INVALID_PARAMS, "a call has a name and, if any, an object of arguments"));
        };
        if let Some(objection) = objection(&*self.capability, name, arguments, &self.config) {
            // The client's model can mend its arguments, and nothing else.
            return Some(match self.about.tools.iter().any(|tool| tool.name == name) {
                true => answer(id, failed(&objection)),
                false => refusal(id, INVALID_PARAMS, &objection),
            });
        }
        if calls.running.len() >= MAX_CALLS {
            return Some(refusal(id, BUSY, &format!("{MAX_CALLS} calls are under way; try again when one has ended")));
        }
        let cancel = CancellationToken::new();
        calls.cancel.insert(id.to_string(), cancel.clone());
        let mut context = self.bench.context(self.config.clone(), None);
        (context.org_id, context.session_id, context.cancel) = (self.first.org_id, self.first.session_id, cancel);
        context.nested = Some(NestedCalls::new(self.tools.clone()));
        if let Some(token) = params["_meta"].get("progressToken") {
            context.sink = Arc::new(Notes { token: token.clone(), noted: calls.noted.clone() });
        }
        let (capability, name, arguments, id) = (self.capability.clone(), name.to_owned(), arguments.clone(), id.clone());
        calls.running.spawn(async move { (id, capability.call_tool(&context, &name, Value::Object(arguments)).await) });
        None
    }
}

fn answer(id: &Value, result: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

fn refusal(id: &Value, code: i32, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

async fn send(message: &Value) -> Result<(), Failure> {
    let mut stdout = tokio::io::stdout();
    // A message is one line: JSON text has no line break of its own.
    let written = stdout.write_all(format!("{message}\n").as_bytes()).await;
    written.and(stdout.flush().await).map_err(|error| Failure::failed(format!("cannot write to the client: {error}")))
}

/// A tool in the protocol's words.
fn tool(about: &ToolDescription) -> Value {
    let effects = about.effects;
    let mut tool = json!({
        "name": about.name,
        "title": about.title,
        "description": about.description,
        "inputSchema": about.input_schema,
        "annotations": {
            "title": about.title,
            "readOnlyHint": effects.read_only,
            "destructiveHint": effects.destructive,
            "idempotentHint": effects.idempotent,
            "openWorldHint": effects.open_world,
        },
    });
    // The protocol knows structured results that are objects alone.
    if let Some(schema) = about.output_schema.as_ref().filter(|schema| schema["type"] == "object") {
        tool["outputSchema"] = schema.clone();
    }
    tool
}

/// The outcome of a call. A failure is a result that says so: the client's model is to see it.
fn result(outcome: ToolOutcome) -> Value {
    match outcome.result {
        Ok(ToolOutput { parts, structured }) => {
            let mut result = json!({ "content": parts.into_iter().map(block).collect::<Vec<_>>(), "isError": false });
            if let Some(structured) = structured.filter(Value::is_object) {
                result["structuredContent"] = structured;
            }
            result
        }
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(message: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": message }], "isError": true })
}

fn block(part: ContentPart) -> Value {
    match part {
        ContentPart::Text { text } => json!({ "type": "text", "text": text }),
        ContentPart::Image { base64: Some(data), media_type: Some(media_type), .. } => {
            json!({ "type": "image", "data": data, "mimeType": media_type })
        }
        other => json!({ "type": "text", "text": serde_json::to_string(&other).unwrap_or_default() }),
    }
}
