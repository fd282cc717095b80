//! `everwit workers`: who runs turns, and a pause for one of them. Needs a key of scope operator.

use clap::{Args, Subcommand};
use everwit_runtime::id::WorkerId;
use serde_json::Value;

use super::client::{Server, ServerArgs};
use super::output::{Failure, harmless, print};

/// Options of `everwit workers`.
#[derive(Debug, Args)]
pub(crate) struct WorkersArgs {
    #[command(subcommand)]
    command: WorkersCommand,
}

#[derive(Debug, Subcommand)]
enum WorkersCommand {
    /// List workers, in order of their start.
    List {
        /// How many, up to 100.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
        limit: u8,
        /// Skip as many.
        #[arg(long, default_value_t = 0)]
        offset: u32,
        #[command(flatten)]
        output: Output,
    },
    /// Have a worker take up no further turns; the steps that it runs end.
    Drain {
        /// The worker.
        worker: WorkerId,
        #[command(flatten)]
        output: Output,
    },
    /// Have a worker that drains take up turns again.
    Resume {
        /// The worker.
        worker: WorkerId,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Args)]
struct Output {
    #[command(flatten)]
    server: ServerArgs,
    /// Print the server's answer as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: WorkersArgs) -> Result<(), Failure> {
    match args.command {
        WorkersCommand::List { limit, offset, output } => {
            let answer = Server::at(&output.server)?.get(&format!("v1/workers?limit={limit}&offset={offset}")).await?;
            if output.json {
                return print(&answer.to_string());
            }
            let lines: Vec<String> = answer["data"].as_array().into_iter().flatten().map(line).collect();
            print(&if lines.is_empty() { "there are no workers".to_owned() } else { lines.join("\n") })
        }
        WorkersCommand::Drain { worker, output } => tell(worker, "drain", &output).await,
        WorkersCommand::Resume { worker, output } => tell(worker, "resume", &output).await,
    }
}

async fn tell(worker: WorkerId, what: &str, output: &Output) -> Result<(), Failure> {
    let path = format!("v1/workers/{worker}/{what}");
    let answer = Server::at(&output.server)?.post(&path, "application/json", Vec::new()).await?;
    if output.json {
        return print(&answer.to_string());
    }
    print(&line(&answer))
}

fn line(worker: &Value) -> String {
    let text = |name: &str| harmless(worker[name].as_str().unwrap_or_default());
    let (running, slots) = (&worker["running"], &worker["slots"]);
    format!("{}  {:<8}  {running} of {slots} turns  {}  seen {}", text("id"), text("state"), text("version"), text("seen_at"))
}
