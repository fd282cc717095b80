//! Running with one control of the runtime or the server switched off, for `cargo xtask test mutations`.

use std::sync::Once;

/// Names the control.
const VARIABLE: &str = "EVERWIT_MUTATION";

/// What a server of a test is told of it.
pub(crate) fn environment() -> Option<(&'static str, String)> {
    control().map(|control| (VARIABLE, control))
}

/// Switches off the control that the environment names. Called wherever tests make something that
/// has controls.
pub(crate) fn apply() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Some(control) = control() {
            everwit_runtime::mutation::switch_off(&control);
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "it is how a test process is told which control to run without")]
fn control() -> Option<String> {
    std::env::var(VARIABLE).ok()
}
