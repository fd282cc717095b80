//! `everwit turns`: the turns of a server, those that it gave up among them, and another try for one.

use clap::{Args, Subcommand, ValueEnum};
use everwit_runtime::id::{SessionId, TurnId};
use serde_json::Value;

use super::client::{Server, ServerArgs};
use super::output::{Failure, harmless, print};

/// Options of `everwit turns`.
#[derive(Debug, Args)]
pub(crate) struct TurnsArgs {
    #[command(subcommand)]
    command: TurnsCommand,
}

#[derive(Debug, Subcommand)]
enum TurnsCommand {
    /// List turns, the latest first.
    List {
        /// Only those that ended like this; `sealed` are those that the platform gave up.
        #[arg(long, value_enum)]
        outcome: Option<Outcome>,
        /// Only those of this session.
        #[arg(long, value_name = "ID")]
        session: Option<SessionId>,
        /// How many, up to 100.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
        limit: u8,
        #[command(flatten)]
        server: ServerArgs,
        /// Print the server's answer as one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Send the message of a turn that failed or was sealed once more, as a new turn. Repeating it has no second
    /// effect. Needs a key of scope admin, and is noted in the audit log.
    Retry {
        /// The session.
        session: SessionId,
        /// The turn.
        turn: TurnId,
        #[command(flatten)]
        server: ServerArgs,
        /// Print the server's answer as one JSON object.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Outcome {
    Completed,
    Failed,
    Cancelled,
    Sealed,
    Merged,
}

pub(crate) async fn run(args: TurnsArgs) -> Result<(), Failure> {
    match args.command {
        TurnsCommand::List { outcome, session, limit, server, json } => {
            let mut path = format!("v1/turns?limit={limit}");
            if let Some(outcome) = outcome.and_then(|outcome| outcome.to_possible_value()) {
                path.push_str(&format!("&outcome={}", outcome.get_name()));
            }
            if let Some(session) = session {
                path.push_str(&format!("&session_id={session}"));
            }
            let answer = Server::at(&server)?.get(&path).await?;
            if json {
                return print(&answer.to_string());
            }
            let lines: Vec<String> = answer["data"].as_array().into_iter().flatten().map(line).collect();
            print(&if lines.is_empty() { "there is no such turn".to_owned() } else { lines.join("\n") })
        }
        TurnsCommand::Retry { session, turn, server, json } => {
            let path = format!("v1/sessions/{session}/turns/{turn}/retry");
            let answer = Server::at(&server)?.post(&path, "application/json", Vec::new()).await?;
            if json {
                return print(&answer.to_string());
            }
            print(&format!("{} tries it again", text(&answer["turn_id"])))
        }
    }
}

fn line(turn: &Value) -> String {
    let reason = if turn["reason"].is_string() { format!("  {}: {}", text(&turn["reason"]), text(&turn["detail"])) } else { String::new() };
    let attempts = &turn["attempts"];
    let noun = if *attempts == 1 { "attempt" } else { "attempts" };
    format!("{}  {}  {:<9}  {attempts} {noun}{reason}", text(&turn["session_id"]), text(&turn["id"]), text(&turn["outcome"]))
}

fn text(value: &Value) -> String {
    harmless(value.as_str().unwrap_or_default())
}
