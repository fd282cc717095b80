//! Places between two effects, at which the project's own tests let the process die.
//!
//! Only with the feature `testing`. Without it nothing can be armed, and the library expands each place to
//! nothing.

/// Marks a place that [`FailPoint`](crate::fail_point) lists: the process dies here if that is armed.
macro_rules! fail_point {
    ($place:ident) => {
        failspot::failspot!(<crate::fail_point::FailPoint>::$place crate::fail_point::reached())
    };
}

pub(crate) use fail_point;

failspot::failspot_name! {
    /// Every place.
    pub(crate) enum FailPoint {
        /// A message is written with its turn, and not committed.
        StoreSubmitting,
        /// Both are committed, and no engine knows of the turn.
        StoreSubmitted,
        /// A turn is claimed, and nobody works on it.
        StoreClaimed,
        /// Events are written with what they change of a turn, and not committed: where that takes more than one
        /// statement.
        StoreAppending,
        /// Events are committed, and nobody was told of them.
        StoreAppended,
        /// What somebody outside settled of a turn that waits is written, and not committed.
        StoreAnswering,
        /// It is committed, and no engine knows that the turn can go on.
        StoreAnswered,
        /// That a turn is to be cancelled is stored, and no engine knows.
        StoreCancelling,
        /// What a call may use is set aside, and the call has not begun.
        StoreReserved,
        /// What a call used is counted, and what it gave is not stored.
        StoreSettled,
        /// A budget is topped up, and nobody was told.
        StoreToppedUp,
        /// The bytes of a component are in an object, and no row names it.
        StoreObjectWritten,
        /// No row names an object any more, and it is still there.
        StoreObjectLoose,
        /// The engine knows of a turn, and has not looked for it.
        EngineWoken,
        /// A step is about to begin.
        EngineBegins,
        /// A step has ended, and the engine has not drawn its conclusion.
        EngineEnded,
        /// A turn waits for somebody outside, and the engine knows until when.
        EngineWaits,
        /// A tool has had its effect, and nobody knows.
        ToolReturned,
        /// A request is about to leave.
        GatewayLeaves,
        /// The head of its response is there, and nobody has seen it.
        GatewayAnswered,
        /// All of the response was read, and nobody has seen the end of it.
        GatewayEnded,
    }
}

#[cfg(feature = "testing")]
mod armed {
    use std::sync::atomic::{AtomicU64, Ordering};

    use failspot::flagset::Flags as _;

    use super::FailPoint;

    /// How often the armed place is reached before the process dies.
    static LEFT: AtomicU64 = AtomicU64::new(0);

    /// The names of all places.
    pub fn names() -> impl Iterator<Item = String> {
        FailPoint::LIST.iter().map(|place| format!("{place:?}"))
    }

    /// Lets this process die the `nth` time (from 1) that it reaches a place, as by [`std::process::abort`].
    ///
    /// # Panics
    /// If there is no such place.
    pub fn arm(name: &str, nth: u64) {
        let known = FailPoint::LIST.iter().find(|place| format!("{place:?}") == name);
        let place = known.unwrap_or_else(|| panic!("{name:?} is no place at which a process can die"));
        LEFT.store(nth, Ordering::Relaxed);
        let mut client = FailPoint::testing_client();
        client.set_enabled(*place, true);
        // Its end would disarm the place.
        std::mem::forget(client);
    }

    /// What happens at the armed place.
    pub(crate) fn reached() {
        if LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
            std::process::abort();
        }
    }
}

#[cfg(feature = "testing")]
pub(crate) use armed::reached;
#[cfg(feature = "testing")]
pub use armed::{arm, names};
