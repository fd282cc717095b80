//! The `everwit` command, with Temporal as its engine for many machines.

fn main() -> std::process::ExitCode {
    everwit_server::main_with::<everwit_temporal_server::TemporalArgs>()
}
