//! The conformance suite: what every engine must do, one function per case, for engines of this
//! crate and of others.
//!
//! An engine is tested at a [`Site`]: over a durable store, with workers that die without warning.
//! Workers run [`Script`], which does what the text of a turn's message says and keeps what it has
//! done in the store, so that a case sees it from any process.
//!
//! [`engine_conformance_tests!`](crate::engine_conformance_tests) makes one test of each case:
//!
//! ```text
//! async fn open() -> MySite { … }
//! everwit_runtime::engine_conformance_tests!(my_engine, crate::open);
//! ```
//!
//! Each case needs a database of its own, because engines look across all sessions. Cases panic
//! with what they found.

mod cases;
mod script;
mod session;

use std::sync::Arc;

use async_trait::async_trait;

pub use script::Script;
pub use session::{Bench, until};

use super::Engine;
use crate::store::RuntimeBackends;

/// Where an engine is tested.
#[async_trait]
pub trait Site: Send + Sync {
    /// The store that control plane and workers use, over connections of the caller's own.
    fn stores(&self) -> RuntimeBackends;

    /// The engine, as a control plane has it.
    fn engine(&self) -> Arc<dyn Engine>;

    /// Starts one more worker with four slots. It runs [`Script`].
    async fn start_worker(&mut self);

    /// Ends the workers as a power cut does: nothing of them runs on, and nothing is told to anybody.
    /// Whoever else runs in their processes ends with them and is started anew.
    async fn kill_workers(&mut self);

    /// Ends the control plane likewise, and starts it anew.
    async fn kill_control_plane(&mut self);
}

/// Calls a macro with the list of cases, behind arguments of its own.
#[doc(hidden)]
#[macro_export]
macro_rules! __engine_conformance_cases {
    ($callback:ident!($($arguments:tt)*)) => {
        $crate::$callback! { [$($arguments)*]
            a_turn_runs_once_however_often_it_is_submitted
            turns_of_a_session_run_one_at_a_time_in_order_of_submission
            sessions_run_at_the_same_time
            turns_wait_for_a_worker
            a_step_is_run_again_after_its_worker_died
            a_signal_ends_a_wait
            a_signal_that_comes_before_the_wait_is_kept
            a_wait_ends_after_its_limit
            a_wait_survives_the_death_of_everybody
            a_pause_is_kept_although_there_are_signals
            a_pause_survives_the_death_of_everybody
            a_cancel_reaches_a_running_step
            a_cancel_ends_a_wait
            a_cancel_of_a_queued_turn_leaves_the_running_one_alone
            an_ended_turn_cannot_be_cancelled
            a_failed_step_is_tried_again
            an_engine_tells_what_it_knows
            what_the_engine_was_not_told_is_reconciled
            an_answer_that_the_engine_was_not_told_of_is_reconciled
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __engine_conformance_runner {
    ([] $($case:ident)*) => {
        /// Names of the cases.
        pub const CASES: &[&str] = &[$(stringify!($case)),*];

        /// Runs one case.
        ///
        /// # Panics
        /// If the engine fails it, and for a name that is not in [`CASES`].
        pub async fn run(name: &str, site: &mut dyn Site) {
            let mut bench = Bench::new(site).await;
            $(if name == stringify!($case) {
                return Box::pin(cases::$case(&mut bench)).await;
            })*
            panic!("{name:?} is no case of the suite");
        }
    };
}

crate::__engine_conformance_cases! { __engine_conformance_runner!() }

#[doc(hidden)]
#[macro_export]
macro_rules! __engine_conformance_tests {
    ([$name:ident, $open:path] $($case:ident)*) => {
        mod $name {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let mut site = $open().await;
                $crate::engine::conformance::run(stringify!($case), &mut site).await;
            })*
        }
    };
}

/// One test of each case in a module of this name; `open` is the path of an async function
/// without arguments that returns a [`Site`](crate::engine::conformance::Site).
#[macro_export]
macro_rules! engine_conformance_tests {
    ($name:ident, $open:path) => {
        $crate::__engine_conformance_cases! { __engine_conformance_tests!($name, $open) }
    };
}
