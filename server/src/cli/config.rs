//! `everwit config`: what the server would run with.

use clap::{ArgMatches, Args, Subcommand};

use super::engine::EngineArgs;
use super::output::{Failure, harmless, note, print};
use crate::config::{Origin, ServeArgs, Setting, settings};

/// Options of `everwit config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs<E: EngineArgs> {
    #[command(subcommand)]
    command: ConfigCommand<E>,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand<E: EngineArgs> {
    /// Print every option of the server with its value; secrets are not shown.
    Show(Box<ShowArgs<E>>),
}

/// Options of `everwit config show`: those of `everwit serve`, and where from.
#[derive(Debug, Args)]
struct ShowArgs<E: EngineArgs> {
    /// Tell for each option whether a flag, a variable or nobody has set it.
    #[arg(long)]
    origins: bool,
    #[command(flatten)]
    serve: ServeArgs,
    #[command(flatten)]
    engine: E,
}

/// Prints what the arguments and the environment come to. `matches` are those of the command `config`.
pub(crate) fn run<E: EngineArgs>(args: &ConfigArgs<E>, matches: &ArgMatches) -> Result<(), Failure> {
    let ConfigCommand::Show(show) = &args.command;
    let matches = matches.subcommand_matches("show").ok_or_else(|| Failure::failed("the arguments of the command are not known"))?;
    if let Err(problems) = show.engine.engine() {
        note(&problems.join("\n"));
    }
    let mut settings = settings::<E>(matches);
    if let (Some(database), Ok(config)) = (settings.iter_mut().find(|setting| setting.option == "--database"), show.serve.database()) {
        // The rest of the URL is no secret, and what an operator wants to see.
        database.value = Some(config.to_string());
    }
    if show.serve.run.json {
        return print(&serde_json::json!(settings).to_string());
    }
    let width = |cell: fn(&Setting) -> usize| settings.iter().map(cell).max().unwrap_or_default();
    let (options, values) = (width(|setting| setting.option.len()), width(|setting| shown(setting).chars().count()));
    let line = |setting: &Setting| match show.origins {
        true => format!("{:<options$}  {:<values$}  {}", setting.option, shown(setting), origin(setting)),
        false => format!("{:<options$}  {}", setting.option, shown(setting)),
    };
    print(&settings.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn shown(setting: &Setting) -> String {
    setting.value.as_deref().map_or_else(|| "-".to_owned(), harmless)
}

fn origin(setting: &Setting) -> String {
    match setting.origin {
        Origin::Flag => "flag".to_owned(),
        Origin::Environment => setting.variable.clone(),
        Origin::Default => "default".to_owned(),
        Origin::Unset => "not set".to_owned(),
    }
}
