//! Controls that the project's own tests switch off, one at a time, to see that a test notices.
//!
//! The server has some as well. Only with the feature `testing`. Without it nothing can be switched off, and the compiler knows:
//! [`off`] is `false` and costs nothing.

/// Every control that can be switched off.
pub const CONTROLS: [&str; 180] = [
    "answer.bytes",
    "answer.calls",
    "answer.events",
    "answer.frame_bytes",
    "answer.parts",
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
    "calls.waiting",
    "compile.address_space",
    "compile.artifact_bytes",
    "compile.core",
    "compile.cpu",
    "compile.environment",
    "compile.file_bytes",
    "compile.open_files",
    "compile.parallel",
    "compile.privileges",
    "compile.processes",
    "compile.waiting",
    "compile.wall_time",
    "driver.completion_bytes",
    "driver.frame_events",
    "driver.tokens",
    "driver.tool_calls",
    "driver.words",
    "egress.address",
    "egress.connect_time",
    "egress.connection_age",
    "egress.deadline",
    "egress.dial_attempts",
    "egress.first_byte_time",
    "egress.header_rules",
    "egress.idle_connection_time",
    "egress.idle_connections",
    "egress.idle_time",
    "egress.lanes",
    "egress.request_fields",
    "egress.response_head",
    "egress.reuse",
    "egress.sse_event",
    "egress.sse_line",
    "egress.url_bytes",
    "fair.places",
    "fair.turns",
    "file.climbing",
    "file.depth",
    "file.grep_bytes",
    "file.grep_file_bytes",
    "file.grep_matches",
    "file.path_bytes",
    "file.pattern",
    "fuel.host_work",
    "fuel.together",
    "fuel.yield_of_host_work",
    "gate.findings",
    "gate.rules",
    "gate.shapes",
    "grant.files",
    "grant.http",
    "grant.kv",
    "grant.reveal",
    "grant.tools",
    "guest.backtrace_frames",
    "guest.failure_bytes",
    "guest.file_bytes",
    "guest.file_entries",
    "guest.file_operations",
    "guest.http_read",
    "guest.json_bytes",
    "guest.json_depth",
    "guest.kv_bytes",
    "guest.kv_keys",
    "guest.note_bytes",
    "guest.panic_bytes",
    "guest.random_bytes",
    "guest.read_only",
    "guest.table_entries",
    "members.last_owner",
    "members.role",
    "nested.calls",
    "nested.depth",
    "nested.effects",
    "nested.outside",
    "nested.risk",
    "reveal.count",
    "reveal.note",
    "risk.call",
    "risk.turn",
    "scrub.drivers",
    "scrub.leaving",
    "scrub.responses",
    "secret.host",
    "secret.opened_bytes",
    "secret.place",
    "secret.sealed_place",
    "server.body_bytes",
    "server.body_pause",
    "server.capabilities",
    "server.client_tools",
    "server.connections",
    "server.event_bytes",
    "server.head_bytes",
    "server.head_seconds",
    "server.host",
    "server.idempotency_key_bytes",
    "server.initial_files",
    "server.iterations",
    "server.message_bytes",
    "server.message_parts",
    "server.names",
    "server.open_turns",
    "server.request_id_bytes",
    "server.scopes",
    "server.secret_bytes",
    "server.streams",
    "server.tags",
    "server.text_bytes",
    "server.trusted_keys",
    "server.turns_per_minute",
    "server.uploads",
    "signature.policy",
    "signature.verification",
    "store.append_events",
    "store.authorizations",
    "store.budgets",
    "store.channels",
    "store.component_bytes",
    "store.components",
    "store.connections",
    "store.events_page",
    "store.file_bytes",
    "store.files",
    "store.keys",
    "store.kv_bytes",
    "store.kv_keys",
    "store.kv_sizes",
    "store.members",
    "store.org_secrets",
    "store.page",
    "store.queued_turns",
    "store.session_file_bytes",
    "store.session_secrets",
    "store.workers",
    "turn.approval_reason_bytes",
    "turn.capabilities",
    "turn.circles",
    "turn.client_result_bytes",
    "turn.connection_requests",
    "turn.fruitless_attempts",
    "turn.harness_depth",
    "turn.iterations",
    "turn.prompt_bytes",
    "turn.result_bytes",
    "turn.seconds",
    "turn.tool_calls",
    "turn.wait",
    "usage.calls",
    "usage.events",
    "usage.limit",
    "usage.recovery",
    "usage.reservation",
    "usage.soft_limit",
    "verify.entries",
    "verify.invisible",
    "verify.length",
    "verify.place",
    "verify.schema_bytes",
    "versions.agreed",
    "versions.pointers",
    "web.body_bytes",
    "web.redirects",
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
    #[doc(hidden)]
    pub fn off(control: &'static str) -> bool {
        #[cfg(test)]
        super::tests::apply();
        debug_assert!(super::CONTROLS.contains(&control), "{control} is not listed");
        OFF.get() == Some(&control)
    }
}

#[cfg(feature = "testing")]
pub use switched::{off, switch_off};

/// Whether a control is switched off: never, outside the project's tests.
#[cfg(not(feature = "testing"))]
#[doc(hidden)]
#[inline]
pub const fn off(_control: &'static str) -> bool {
    false
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::sync::Once;

    /// Switches off the control that the environment names, for the tests of this crate.
    #[expect(clippy::disallowed_methods, reason = "it is how a test process is told which control to run without")]
    pub(super) fn apply() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            if let Ok(control) = std::env::var("EVERWIT_MUTATION") {
                super::switch_off(&control);
            }
        });
    }
}
