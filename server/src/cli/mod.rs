//! The command line: one file per command group. Data goes to stdout, everything else to
//! stderr.

mod author_cache;
mod build;
mod call;
mod cases;
mod chat;
mod check;
mod client;
mod components;
mod config;
mod conformance;
mod db;
mod dev;
mod doctor;
mod engine;
mod follow;
mod inspect;
mod keys;
mod mcp;
mod members;
mod move_components;
mod new;
mod output;
mod push;
mod recordings;
mod rotate;
mod serve;
mod sessions;
mod signing_key;
mod test;
mod turns;
mod workbench;
mod worker;
mod workers;
mod wrap;

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::components::run_as_compile_child;
pub use engine::EngineArgs;
use engine::NoEngine;
use output::Failure;

/// Runs durable AI agents whose capabilities are sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "everwit", version, about, after_help = EXIT_CODES, disable_help_subcommand = true)]
struct Cli<E: EngineArgs> {
    #[command(subcommand)]
    command: Command<E>,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage.\nColours are off if NO_COLOR is set or the output is no terminal.";

#[derive(Debug, Subcommand)]
enum Command<E: EngineArgs> {
    /// Run the server.
    Serve(Box<serve::ServeCommand<E>>),
    /// Run turns for servers on other machines.
    Worker(Box<worker::WorkerCommand<E>>),
    /// Tell what the server is configured to do.
    Config(config::ConfigArgs<E>),
    /// Manage API keys, on the database itself.
    Keys(keys::KeysArgs),
    /// Maintain the database.
    Db(db::DbArgs),
    /// Begin a capability in a new directory.
    New(new::NewArgs),
    /// Build a component from a project in Rust, JavaScript, Python, C or Go.
    Build(build::BuildArgs),
    /// Build and test again whenever a source file changes.
    Dev(dev::DevArgs),
    /// Call a tool of a component in the sandbox, without a server.
    Call(call::CallArgs),
    /// Run the test cases of a component in the sandbox.
    Test(test::TestArgs),
    /// Examine a component: what it is, what it asks for, or why it would be rejected.
    Inspect(inspect::InspectArgs),
    /// Store a component on a server, and activate it with consent to what it asks for.
    Push(push::PushArgs),
    /// Make a key to sign components with, and print its public key.
    SigningKey(signing_key::SigningKeyArgs),
    /// Manage the components of a server: which version is used, by whom, and which is not kept.
    Components(components::ComponentsArgs),
    /// Talk to an agent of a server.
    Chat(chat::ChatArgs),
    /// List the sessions of a server, and watch what happens in one.
    Sessions(sessions::SessionsArgs),
    /// List the turns of a server, and retry one that was given up.
    Turns(turns::TurnsArgs),
    /// List the workers of an installation, and have one drain or take up turns again.
    Workers(workers::WorkersArgs),
    /// List the members of an org, add and remove them, and give them roles.
    Members(members::MembersArgs),
    /// Offer a component's tools to an MCP client, over stdin and stdout.
    Mcp(mcp::McpArgs),
    /// Judge a language's SDK by a guest that uses all of it.
    Conformance(conformance::ConformanceArgs),
    /// Say what is missing to build components here.
    Doctor(doctor::DoctorArgs),
    /// Turn a core module with embedded WIT into a component.
    Componentize(build::ComponentizeArgs),
    /// Make a capability of a component with plain functions: one tool a function.
    Wrap(wrap::WrapArgs),
    /// Print the OpenAPI document.
    Openapi,
    /// Print the completions of a shell, for example into a file that your .bashrc sources.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// The `everwit` command: reads the arguments of the process and runs what they say.
pub fn main() -> ExitCode {
    main_with::<NoEngine>()
}

/// The `everwit` command of a program that has an engine for many machines, which `E` are the options of.
pub fn main_with<E: EngineArgs>() -> ExitCode {
    // The compiling child has no business with the rest of the program.
    if let Some(code) = run_as_compile_child() {
        return code;
    }
    let parsed = Cli::<E>::command().try_get_matches().and_then(|matches| Ok((Cli::<E>::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            // Nothing can be done if the terminal is gone.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match run(cli.command, &matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run<E: EngineArgs>(command: Command<E>, matches: &ArgMatches) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => serve::run(&args),
        Command::Worker(args) => worker::run(&args),
        Command::Config(args) => {
            let matches =
                matches.subcommand_matches("config").ok_or_else(|| Failure::failed("the arguments of the command are not known"))?;
            config::run(&args, matches)
        }
        Command::Keys(args) => block_on(keys::run(args)),
        Command::Db(args) => block_on(db::run(args)),
        Command::New(args) => new::run(&args),
        Command::Build(args) => build::run(&args),
        Command::Dev(args) => block_on(dev::run(args)),
        Command::Call(args) => block_on(call::run(args)),
        Command::Test(args) => block_on(test::run(args)),
        Command::Inspect(args) => block_on(inspect::run(args)),
        Command::Push(args) => block_on(push::run(args)),
        Command::SigningKey(args) => signing_key::run(&args),
        Command::Components(args) => block_on(components::run(args)),
        Command::Chat(args) => block_on(chat::run(args)),
        Command::Sessions(args) => block_on(sessions::run(args)),
        Command::Turns(args) => block_on(turns::run(args)),
        Command::Workers(args) => block_on(workers::run(args)),
        Command::Members(args) => block_on(members::run(args)),
        Command::Mcp(args) => block_on(mcp::run(args)),
        Command::Conformance(args) => block_on(conformance::run(args)),
        Command::Doctor(args) => doctor::run(&args),
        Command::Componentize(args) => build::run_componentize(&args),
        Command::Wrap(args) => wrap::run(&args),
        Command::Openapi => output::print(&crate::api::openapi::pretty()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::<E>::command(), "everwit", &mut script);
            output::print(&String::from_utf8_lossy(&script))
        }
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
