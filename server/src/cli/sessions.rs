//! `everwit sessions`: the sessions of a server, what happens in one, and an end or a way on for its turn.

use clap::{Args, Subcommand};
use everwit_runtime::id::SessionId;
use serde_json::Value;
use url::form_urlencoded;

use super::client::{Server, ServerArgs};
use super::follow::Follower;
use super::output::{Failure, Style, harmless, print};

/// Characters of an event's content in one line.
const MAX_SHOWN: usize = 160;

/// Options of `everwit sessions`.
#[derive(Debug, Args)]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    command: SessionsCommand,
}

#[derive(Debug, Subcommand)]
enum SessionsCommand {
    /// List sessions, the latest first.
    List {
        /// Only those of the agent with this id or name.
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        /// How many, up to 100.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
        limit: u8,
        #[command(flatten)]
        server: ServerArgs,
        /// Print the server's answer as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Print what happens in a session, one event a line, from its beginning on, until Ctrl-C.
    Watch {
        /// The session.
        session: SessionId,
        /// Leave out what happened before.
        #[arg(long)]
        new: bool,
        /// Leave out what comes in pieces: the words of answers as they are written.
        #[arg(long)]
        stored: bool,
        #[command(flatten)]
        server: ServerArgs,
        /// Print each event as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// End the turn that a session is in.
    Cancel {
        /// The session.
        session: SessionId,
        #[command(flatten)]
        server: ServerArgs,
        /// Print the server's answer as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Let a session go on that is paused at the soft limit of a budget.
    Resume {
        /// The session.
        session: SessionId,
        #[command(flatten)]
        server: ServerArgs,
        /// Print the server's answer as one JSON object.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(args: SessionsArgs) -> Result<(), Failure> {
    match args.command {
        SessionsCommand::List { agent, limit, server, json } => {
            let server = Server::at(&server)?;
            let page = |offset: u64, limit: u8| {
                let mut query = form_urlencoded::Serializer::new(String::new());
                query.append_pair("offset", &offset.to_string()).append_pair("limit", &limit.to_string());
                query.extend_pairs(agent.iter().map(|agent| ("agent_id", agent)));
                format!("v1/sessions?{}", query.finish())
            };
            // The server lists the oldest first.
            let total = server.get(&page(0, 1)).await?["total"].as_u64().unwrap_or_default();
            let mut answer = server.get(&page(total.saturating_sub(limit.into()), limit)).await?;
            answer["data"].as_array_mut().into_iter().for_each(|sessions| sessions.reverse());
            if json {
                return print(&answer.to_string());
            }
            let lines: Vec<String> = answer["data"].as_array().into_iter().flatten().map(line).collect();
            print(&if lines.is_empty() { "there is no such session".to_owned() } else { lines.join("\n") })
        }
        SessionsCommand::Watch { session, new, stored, server, json } => {
            let server = Server::at(&server)?;
            let mut events = Follower::open(&server, session, (!new).then_some(0)).await?;
            loop {
                let event = events.next().await?;
                if stored && event["sequence"].is_null() {
                    continue;
                }
                print(&if json { event.to_string() } else { event_line(&event) })?;
            }
        }
        SessionsCommand::Cancel { session, server, json } => ask(&server, &format!("v1/sessions/{session}/cancel"), json).await,
        SessionsCommand::Resume { session, server, json } => ask(&server, &format!("v1/sessions/{session}/resume"), json).await,
    }
}

/// Sends what needs no words, and prints the status that comes of it.
async fn ask(server: &ServerArgs, path: &str, json: bool) -> Result<(), Failure> {
    let answer = Server::at(server)?.post(path, "application/json", Vec::new()).await?;
    print(&if json { answer.to_string() } else { text(&answer["status"]) })
}

fn line(session: &Value) -> String {
    let title = session["title"].as_str().map(|title| format!("  {}", harmless(title))).unwrap_or_default();
    format!("{}  {:<24}  {}{title}", text(&session["id"]), text(&session["status"]), text(&session["updated_at"]))
}

/// Sequence, time, type and the beginning of the content.
fn event_line(event: &Value) -> String {
    let sequence = event["sequence"].as_u64().map_or_else(|| "-".to_owned(), |sequence| sequence.to_string());
    let content = event["data"].to_string();
    let cut = &content[..content.floor_char_boundary(MAX_SHOWN)];
    let more = if cut.len() < content.len() { "…" } else { "" };
    let content = Style::stdout().dim(&format!("{}{more}", harmless(cut)));
    format!("{sequence:>5}  {}  {:<26}  {content}", text(&event["ts"]), text(&event["type"]))
}

fn text(value: &Value) -> String {
    harmless(value.as_str().unwrap_or_default())
}
