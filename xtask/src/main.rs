//! The project's commands. `cargo xtask help` lists them.
//!
//! Everything here starts other programs and says what they do and how long they take. It is
//! compiled before each command, so it stays small and nearly free of dependencies.

mod authoring;
mod bench;
mod components;
mod demo;
mod fuzz;
mod mutations;
mod pages;
mod postgres;
mod process;
mod project;
mod python;
mod schemathesis;
mod soak;
mod steps;
mod temporal;
mod test;
mod tools;
mod vendor_clients;
mod wasm_target;
mod zlib;

use std::process::ExitCode;

use process::{Error, Result};

const HELP: &str = "\
cargo xtask COMMAND

  demo [--once] [--data-dir DIR]   start the server, upload components, run an agent that uses them
  test                             build everything and run all tests, lints included
  test components                  build every guest from source; run the tests of SDKs, templates and components, the conformance suite among them
  test mutations                   switch each control of the sandbox off in turn and expect a test to fail
  soak NAME [ROUNDS]               10,000 mutated uploads (`uploads`), a million mutations of each fuzz target (`fuzz`), 100,000 mixed calls
                                   (`calls`, or `calls --minutes N`, whose result is written down), or 1,000 calls of one org beside another's 200 spinning guests (`fairness`)
  soak --turns N --kill-every S    turns on processes that are killed every S seconds or so; --site sqlite, postgres or temporal; --seed
  fuzz TARGET [--seconds N]        a fuzz target under a fuzzer that is guided by what it covers: upload, description, event, codec, sse
  components                       build the shipped components and the test guests
  bench [NAME]                     run the benchmarks, or one of them; `everruns` runs by name only
  ci                               dependency checks, then `test`; installs cargo-deny if it is missing
  bless [FILTER]                   accept changed contracts and snapshots; review the diff afterwards
  postgres COMMAND…                run a command, such as `cargo nextest run`, beside a PostgreSQL server for the tests
  temporal [FILTER]                run the tests of the engine for many machines, beside the servers that they need
  authoring [LANGUAGE]             do what the pages of docs/authoring say, all or one of them; `test` does it by itself
  schemathesis                     try the API of a real server by its OpenAPI document; `test` does it by itself
  vendor-clients                   install the vendors' own clients, which the tests run; `test` does it by itself
  wrap-adapter                     compile the adapter that `everwit wrap` carries; needed once its source changes
  wasm-target [--debian]           add Rust's wasm32-unknown-unknown target; `components` does it by itself
  help                             this text

demo: --once stops the server after the turn and exits; --data-dir keeps the data there,
otherwise it starts empty each time, in the target directory.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    // `cargo xtask demo -- --once` and `cargo xtask demo --once` are the same.
    let arguments: Vec<&str> = arguments.iter().copied().filter(|&argument| argument != "--").collect();
    match arguments.as_slice() {
        ["demo", options @ ..] => demo::run(&demo::Options::parse(options)?),
        ["test"] => test::test(),
        ["test", "components"] => test::of_components(),
        ["test", "mutations"] => mutations::run_command(),
        ["ci"] => test::ci(),
        ["soak", "turns", options @ ..] => soak::Turns::parse(options)?.run(),
        ["soak", option, ..] if option.starts_with("--") => soak::Turns::parse(&arguments[1..])?.run(),
        ["soak", "calls", "--minutes", minutes] => soak::run_calls(minutes),
        ["soak", name] => soak::run_command(name, None),
        ["soak", name, rounds] => soak::run_command(name, Some(rounds)),
        ["fuzz", target] => fuzz::run_command(target, None),
        ["fuzz", target, "--seconds", seconds] => fuzz::run_command(target, Some(seconds)),
        ["components"] => components::run_command(),
        ["bench", names @ ..] if names.len() < 2 => bench::run_command(names.first().copied()),
        ["bless", filters @ ..] if filters.len() < 2 => test::bless(filters.first().copied()),
        ["postgres", command @ ..] => postgres::run_command(command),
        ["temporal", filters @ ..] if filters.len() < 2 => temporal::run_command(filters.first().copied()),
        ["authoring", languages @ ..] if languages.len() < 2 => authoring::run_command(languages.first().copied()),
        ["schemathesis"] => schemathesis::run_command(),
        ["vendor-clients"] => vendor_clients::run_command(),
        ["wrap-adapter"] => components::wrap_adapter(),
        ["wasm-target"] => wasm_target::ensure().map(drop),
        ["wasm-target", "--debian"] => wasm_target::from_debian().map(drop),
        ["help" | "--help" | "-h"] | [] => {
            eprint!("{HELP}");
            Ok(())
        }
        other => Err(Error::new(format!("unknown command: {}", other.join(" "))).fix("`cargo xtask help` lists the commands")),
    }
}
