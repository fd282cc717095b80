//! The compiler's process of the tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    everwit_runtime::sandbox::compile_child_main()
}
