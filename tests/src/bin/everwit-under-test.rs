//! The `everwit` command, built along with the tests so that they always run the current one.

#[expect(clippy::disallowed_methods, reason = "it is how a process of a test is told which control to run without")]
fn main() -> std::process::ExitCode {
    if let Ok(control) = std::env::var("EVERWIT_MUTATION") {
        everwit_runtime::mutation::switch_off(&control);
    }
    everwit_server::main()
}
