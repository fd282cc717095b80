//! The compiler's process of the tests.

use std::process::ExitCode;

#[expect(clippy::disallowed_methods, reason = "it is how a process of a test is told which control to run without")]
fn main() -> ExitCode {
    if let Ok(control) = std::env::var("EVERWIT_MUTATION") {
        everwit_runtime::mutation::switch_off(&control);
    }
    everwit_runtime::sandbox::compile_child_main()
}
