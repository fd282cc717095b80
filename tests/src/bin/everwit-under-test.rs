//! The `everwit` command, built along with the tests so that they always run the current one.

fn main() -> std::process::ExitCode {
    everwit_server::main()
}
