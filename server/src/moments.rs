//! Time and ids as one dependency.

use std::sync::Arc;

use everwit_runtime::clock::{Clock, SystemClock};
use everwit_runtime::id::{IdSource, RandomIds};
use jiff::Timestamp;
use uuid::Uuid;

/// Where the server takes the time and new ids from.
#[derive(Clone)]
pub(crate) struct Moments {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
}

impl Moments {
    /// The machine's clock and random ids.
    pub(crate) fn system() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
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
