//! The `everwit` command.

fn main() -> std::process::ExitCode {
    everwit_server::main()
}
