//! `everwit chat`: a conversation with an agent, at a terminal or one message at a time.

mod ask;
mod view;

use std::io::{IsTerminal as _, Read as _};

use clap::Args;
use everwit_runtime::id::SessionId;
use everwit_runtime::limits::MAX_MESSAGE_BYTES;
use serde_json::{Value, json};

use self::view::View;
use super::client::{Server, ServerArgs};
use super::follow::Follower;
use super::output::{Failure, Style, note};

/// Larger than any sequence: the last events are those before it.
const NO_SEQUENCE_YET: u64 = 1 << 53;

const HELP: &str = "\
Without MESSAGE it is a conversation at a terminal, line by line, until Ctrl-D; elsewhere all of stdin is one message. The answer goes to stdout as it
is written, what tools do to stderr. A tool that needs an approval and a question of the agent are asked at the terminal. Ctrl-C ends the turn.

  everwit chat --agent analyst \"How many people live in Oslo?\"
  git diff | everwit chat --agent reviewer
  everwit chat --session session_…          # goes on, also with what an earlier turn waits for

Exit codes: 0 answered; 1 the turn failed, was ended, or waits for somebody; 2 wrong usage.";

/// Options of `everwit chat`.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct ChatArgs {
    /// What to say.
    message: Option<String>,
    /// Id or name of the agent.
    #[arg(long, value_name = "NAME", conflicts_with = "session")]
    agent: Option<String>,
    /// Id or name of the harness; the agent's if absent, and the org's base harness without an agent.
    #[arg(long, value_name = "NAME", conflicts_with = "session")]
    harness: Option<String>,
    /// Go on with this session instead of a new one.
    #[arg(long, value_name = "ID")]
    session: Option<SessionId>,
    #[command(flatten)]
    server: ServerArgs,
    /// Print each event of the turn as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: ChatArgs) -> Result<(), Failure> {
    let server = Server::at(&args.server)?;
    let at_terminal = std::io::stdin().is_terminal();
    // What is to be said is known before anything is made for it.
    let said = match args.message {
        None if at_terminal => None,
        None => Some(piped()?),
        Some(message) => Some(message),
    };
    let session = match args.session {
        Some(session) => session,
        None => begin(&server, args.agent, args.harness).await?,
    };
    let mut talk = Talk { server: &server, session, view: View::new(args.json), at_terminal };
    let outcome = match said {
        Some(message) => talk.say(&message).await,
        None => talk.converse(args.session.is_some()).await,
    };
    if args.session.is_none() {
        note(&Style::stderr().dim(&format!("go on with: everwit chat --session {session}")));
    }
    outcome
}

/// A new session.
async fn begin(server: &Server, agent: Option<String>, harness: Option<String>) -> Result<SessionId, Failure> {
    let session = server.post_json("v1/sessions", &json!({ "agent_id": agent, "harness_id": harness })).await?;
    let id = session["id"].as_str().and_then(|id| id.parse().ok());
    id.ok_or_else(|| Failure::failed("the server's answer has no session"))
}

/// All of stdin.
fn piped() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(MAX_MESSAGE_BYTES as u64 + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::failed(format!("cannot read stdin: {error}")))?;
    if text.len() > MAX_MESSAGE_BYTES {
        return Err(Failure::usage(format!("stdin has more than {MAX_MESSAGE_BYTES} bytes, the most that a message can have")));
    }
    if text.trim().is_empty() {
        return Err(Failure::usage("there is nothing to say: give MESSAGE, or pipe it in"));
    }
    Ok(text)
}

/// A conversation.
struct Talk<'a> {
    server: &'a Server,
    session: SessionId,
    view: View,
    at_terminal: bool,
}

impl Talk<'_> {
    /// Line by line, until there are no more. A turn that fails does not end it.
    async fn converse(&mut self, known: bool) -> Result<(), Failure> {
        if known && let Some(request) = self.pending().await? {
            let after = request["sequence"].as_u64();
            let events = Follower::open(self.server, self.session, after).await?;
            let turn = text(&request["data"]["turn_id"]);
            // What nobody can settle here does not keep anybody from saying something else.
            told(match self.answer(&request["data"]).await {
                Ok(()) => self.follow(events, turn).await,
                Err(elsewhere) => Err(elsewhere),
            });
        }
        while let Some(line) = ask::line("> ").await? {
            if !line.trim().is_empty() {
                let outcome = self.say(&line).await;
                told(outcome);
            }
        }
        Ok(())
    }

    /// Says something, and shows what comes of it.
    async fn say(&mut self, message: &str) -> Result<(), Failure> {
        // Listening begins before there is something to hear.
        let events = Follower::open(self.server, self.session, None).await?;
        let body = json!({ "message": { "content": [{ "type": "text", "text": message }] } });
        let message = self.server.post_json(&format!("v1/sessions/{}/messages", self.session), &body).await?;
        self.follow(events, text(&message["turn_id"])).await
    }

    /// Shows a turn until it ends.
    async fn follow(&mut self, mut events: Follower<'_>, mut turn: String) -> Result<(), Failure> {
        let mut asked_to_end = false;
        loop {
            let event = tokio::select! {
                event = events.next() => event?,
                pressed = tokio::signal::ctrl_c() => {
                    pressed.map_err(|error| Failure::failed(format!("cannot wait for Ctrl-C: {error}")))?;
                    if std::mem::replace(&mut asked_to_end, true) {
                        return Err(Failure::failed("left; the turn may still be ending"));
                    }
                    let path = format!("v1/sessions/{}/cancel", self.session);
                    self.server.post_json(&path, &json!({ "turn_id": turn })).await?;
                    continue;
                }
            };
            let data = &event["data"];
            if event["context"]["turn_id"] != turn.as_str() && data["turn_id"] != turn.as_str() {
                continue;
            }
            self.view.show(&event)?;
            match event["type"].as_str().unwrap_or_default() {
                "turn.completed" => return Ok(()),
                "turn.failed" => return Err(Failure::failed(format!("the turn failed: {}", text(&data["error"])))),
                "turn.cancelled" => return Err(Failure::failed("the turn was cancelled")),
                "turn.sealed" => return Err(Failure::failed(format!("the turn was given up: {}", text(&data["detail"])))),
                "budget.paused" => return Err(self.paused(data)),
                "turn.merged" => turn = text(&data["into_turn_id"]),
                "tool.call_requested" => self.answer(data).await?,
                _ => {}
            }
        }
    }

    /// That the turn waits until somebody resumes the session.
    fn paused(&self, notice: &Value) -> Failure {
        let resume = format!("everwit sessions resume {}", self.session);
        Failure::failed(format!("the session is paused: {}\n  {resume}", text(&notice["message"])))
    }

    /// What the session waits for since before.
    async fn pending(&self) -> Result<Option<Value>, Failure> {
        let session = self.server.get(&format!("v1/sessions/{}", self.session)).await?;
        if session["status"] != "waiting_for_tool_results" {
            return Ok(None);
        }
        let last = format!("v1/sessions/{}/events?types=tool.call_requested&before_sequence={NO_SEQUENCE_YET}&limit=1", self.session);
        Ok(self.server.get(&last).await?["data"].as_array_mut().and_then(Vec::pop))
    }

    /// Has somebody at the terminal settle what the turn waits for.
    async fn answer(&self, request: &Value) -> Result<(), Failure> {
        let (mut decisions, mut results, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for call in request["tool_calls"].as_array().into_iter().flatten() {
            match call["kind"].as_str().unwrap_or_default() {
                "approval" if self.at_terminal => decisions.push(ask::approval(call).await?),
                "question" if self.at_terminal => results.push(ask::questions(call).await?),
                _ => others.push(ask::elsewhere(call, self.session)),
            }
        }
        for (path, name, settled) in [("tool-approvals", "decisions", decisions), ("tool-results", "tool_results", results)] {
            if !settled.is_empty() {
                self.server.post_json(&format!("v1/sessions/{}/{path}", self.session), &json!({ name: settled })).await?;
            }
        }
        if others.is_empty() { Ok(()) } else { Err(Failure::failed(others.join("\n"))) }
    }
}

/// Shows what became of a turn of a conversation that goes on.
fn told(outcome: Result<(), Failure>) {
    if let Err(failure) = outcome {
        failure.report();
    }
}

fn text(value: &Value) -> String {
    super::output::harmless(value.as_str().unwrap_or_default())
}
