//! The command line: one file per command group. Data goes to stdout, everything else to
//! stderr.

mod build;
mod call;
mod db;
mod inspect;
mod keys;
mod output;
mod remap;
mod rotate;
mod section;
mod serve;
mod workbench;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::components::run_as_compile_child;
use output::Failure;

/// Runs durable AI agents whose capabilities are sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "everwit", version, about, after_help = EXIT_CODES, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage.\nColours are off if NO_COLOR is set or the output is no terminal.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(crate::config::ServeArgs),
    /// Manage API keys, on the database itself.
    Keys(keys::KeysArgs),
    /// Maintain the database.
    Db(db::DbArgs),
    /// Examine a component: what it is, what it asks for, or why it would be rejected.
    Inspect(inspect::InspectArgs),
    /// Call a tool of a component in the sandbox, without a server.
    Call(call::CallArgs),
    /// Build a component from a Rust or JavaScript project.
    Build(build::BuildArgs),
    /// Turn a core module with embedded WIT into a component.
    Componentize(build::ComponentizeArgs),
    /// Print the OpenAPI document.
    Openapi,
}

/// The `everwit` command: reads the arguments of the process and runs what they say.
pub fn main() -> ExitCode {
    // The compiling child has no business with the rest of the program.
    if let Some(code) = run_as_compile_child() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // Nothing can be done if the terminal is gone.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => serve::run(&args),
        Command::Keys(args) => block_on(keys::run(args)),
        Command::Db(args) => block_on(db::run(args)),
        Command::Inspect(args) => block_on(inspect::run(args)),
        Command::Call(args) => block_on(call::run(args)),
        Command::Build(args) => build::run(&args),
        Command::Componentize(args) => build::run_componentize(&args),
        Command::Openapi => output::print(&crate::api::openapi::pretty()),
    }
}

/// Runs a command that needs an async runtime.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let result = runtime.block_on(future);
    // What still runs in the background must not hold the end up.
    runtime.shutdown_background();
    result
}
