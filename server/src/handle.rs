//! The running of servers and workers, and its end.

use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::error::AppError;
use crate::lifecycle::Signals;

/// A server or worker that runs in a task of its own. Dropping it begins its end.
pub(crate) struct Running {
    stop: DropGuard,
    task: JoinHandle<Result<(), AppError>>,
}

impl Running {
    /// Runs what `live` returns; it must end soon after its token is cancelled.
    pub(crate) fn spawn<F>(live: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<(), AppError>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let task = TaskTracker::new().spawn(live(stop.clone()));
        Self { stop: stop.drop_guard(), task }
    }

    /// Ends it in an orderly way.
    ///
    /// # Errors
    /// Those of its end.
    pub(crate) async fn shutdown(self) -> Result<(), AppError> {
        let Self { stop, task } = self;
        drop(stop);
        joined(task.await)
    }

    /// Waits for a signal and ends it; a second signal ends it at once.
    ///
    /// # Errors
    /// Those of its end.
    pub(crate) async fn until(self, mut signals: Signals) -> Result<(), AppError> {
        let Self { stop, mut task } = self;
        let signal = tokio::select! {
            ended = &mut task => return joined(ended),
            signal = signals.next() => signal,
        };
        tracing::info!(signal, "ending; a second signal ends at once");
        drop(stop);
        tokio::select! {
            ended = &mut task => joined(ended),
            signal = signals.next() => {
                task.abort();
                Err(AppError::Interrupted(signal))
            }
        }
    }
}

fn joined(ended: Result<Result<(), AppError>, JoinError>) -> Result<(), AppError> {
    ended.unwrap_or_else(|error| Err(AppError::Internal(format!("its task ended early: {error}"))))
}
