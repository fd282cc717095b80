//! Running with one control of the runtime switched off, for `cargo xtask test mutations`.

use std::sync::Once;

/// Switches off the control that the environment names. Called wherever tests make something that
/// has controls.
#[expect(clippy::disallowed_methods, reason = "it is how a test process is told which control to run without")]
pub(crate) fn apply() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Ok(control) = std::env::var("EVERWIT_MUTATION") {
            everwit_runtime::mutation::switch_off(&control);
        }
    });
}
