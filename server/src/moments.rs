//! Time and ids as one dependency.

use std::sync::Arc;
use std::time::Duration;

use everwit_runtime::clock::{Clock, SystemClock};
use everwit_runtime::id::{IdSource, RandomIds};
use jiff::Timestamp;
use uuid::Uuid;

/// The machine's clock in whole microseconds: the precision that stores keep, so that a value
/// reads the same before and after it was stored.
struct StorableClock;

impl Clock for StorableClock {
    fn now(&self) -> Timestamp {
        let now = SystemClock.now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    fn steady(&self) -> Duration {
        SystemClock.steady()
    }
}

/// Where the server takes the time and new ids from.
#[derive(Clone)]
pub(crate) struct Moments {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
}

impl Moments {
    /// The machine's clock and random ids.
    pub(crate) fn system() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(StorableClock);
        Self { ids: Arc::new(RandomIds::new(clock.clone())), clock }
    }

    /// The current time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new UUIDv7.
    pub(crate) fn uuid(&self) -> Uuid {
        self.ids.next()
    }
}
