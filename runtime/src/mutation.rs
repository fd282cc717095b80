//! Controls that the project's own tests switch off, one at a time, to see that a test notices.
//!
//! Only with the feature `testing`. Without it nothing can be switched off, and the compiler knows:
//! [`off`] is `false` and costs nothing.

/// Every control that can be switched off.
pub const CONTROLS: [&str; 54] = [
    "budget.deadline",
    "budget.fuel",
    "budget.handles",
    "budget.host_call_bytes",
    "budget.http_bytes",
    "budget.http_requests",
    "budget.instances",
    "budget.log_bytes",
    "budget.memory",
    "budget.output_bytes",
    "cache.mac",
    "egress.address",
    "egress.header_rules",
    "egress.lanes",
    "egress.request_fields",
    "fair.places",
    "fair.turns",
    "fuel.host_work",
    "fuel.together",
    "fuel.yield_of_host_work",
    "gate.rules",
    "gate.shapes",
    "grant.files",
    "grant.http",
    "grant.kv",
    "grant.reveal",
    "guest.backtrace_frames",
    "guest.failure_bytes",
    "guest.file_bytes",
    "guest.file_entries",
    "guest.file_operations",
    "guest.json_bytes",
    "guest.json_depth",
    "guest.kv_bytes",
    "guest.kv_keys",
    "guest.note_bytes",
    "guest.panic_bytes",
    "guest.random_bytes",
    "guest.read_only",
    "guest.table_entries",
    "reveal.count",
    "reveal.note",
    "scrub.leaving",
    "scrub.responses",
    "secret.host",
    "secret.place",
    "signature.policy",
    "signature.verification",
    "usage.calls",
    "usage.limit",
    "usage.recovery",
    "usage.reservation",
    "versions.agreed",
    "versions.pointers",
];

#[cfg(feature = "testing")]
mod switched {
    use std::sync::OnceLock;

    static OFF: OnceLock<&'static str> = OnceLock::new();

    /// Switches a control off for the rest of this process.
    ///
    /// # Panics
    /// If there is no such control, or another one is off already.
    pub fn switch_off(control: &str) {
        let known = super::CONTROLS.iter().find(|known| **known == control);
        let control = known.unwrap_or_else(|| panic!("{control:?} is none of the controls that can be switched off"));
        assert_eq!(OFF.get_or_init(|| control), control, "one control is off at a time");
    }

    /// Whether a control is switched off.
    pub(crate) fn off(control: &'static str) -> bool {
        debug_assert!(super::CONTROLS.contains(&control), "{control} is not listed");
        OFF.get() == Some(&control)
    }
}

#[cfg(feature = "testing")]
pub(crate) use switched::off;
#[cfg(feature = "testing")]
pub use switched::switch_off;

/// Whether a control is switched off: never, outside the project's tests.
#[cfg(not(feature = "testing"))]
#[inline]
pub(crate) const fn off(_control: &'static str) -> bool {
    false
}
