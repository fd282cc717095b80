//! Whether a turn takes longer the more turns its session has had.

use crate::load::{Load, together};
use crate::server::Server;

/// Which turns of a session are compared.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Sessions, one after the other.
    pub(crate) sessions: usize,
    /// Turns before the first window.
    pub(crate) before: usize,
    /// Turns of each window.
    pub(crate) window: usize,
    /// Turns between the windows.
    pub(crate) between: usize,
}

/// Around the 15th and the 1,000th turn.
pub(crate) const FULL: Plan = Plan { sessions: 5, before: 5, window: 20, between: 964 };
pub(crate) const SMOKE: Plan = Plan { sessions: 1, before: 0, window: 1, between: 1 };

impl Plan {
    /// The first and the last turn of each window, counted from 1.
    pub(crate) fn windows(self) -> [(usize, usize); 2] {
        let behind = self.before + self.window + self.between;
        [self.before, behind].map(|skipped| (skipped + 1, skipped + self.window))
    }
}

/// What was measured on one database.
pub(crate) struct Growth {
    pub(crate) database: &'static str,
    pub(crate) early: Load,
    pub(crate) late: Load,
}

impl Growth {
    /// Has text turns in sessions of their own.
    pub(crate) async fn measure(database: &'static str, server: &Server, plan: Plan) -> Self {
        let (mut early, mut late) = (Load::default(), Load::default());
        for _ in 0..plan.sessions {
            let mut client = [server.client("hello").await];
            together(&mut client, plan.before).await;
            early.add(together(&mut client, plan.window).await);
            together(&mut client, plan.between).await;
            late.add(together(&mut client, plan.window).await);
        }
        Self { database, early, late }
    }

    /// How often the median of an early turn fits into that of a late one.
    pub(crate) fn ratio(&self) -> f64 {
        self.late.percentile(50).as_secs_f64() / self.early.percentile(50).as_secs_f64()
    }
}
