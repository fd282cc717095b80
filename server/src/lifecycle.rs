//! Phases of the server's life, and the signals that end it.

use std::sync::Arc;

use tokio::sync::watch;

/// What the server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Serving.
    Running,
    /// Ending: not ready, streams are told to reconnect, running steps come to their end.
    Draining,
    /// Ended but for the requests that are being answered: no new ones.
    Closing,
}

/// The current phase, shared by everything that must know when the end begins.
#[derive(Clone)]
pub(crate) struct Lifecycle {
    phase: Arc<watch::Sender<Phase>>,
}

impl Lifecycle {
    /// A server that runs.
    pub(crate) fn new() -> Self {
        Self { phase: Arc::new(watch::Sender::new(Phase::Running)) }
    }

    /// The current phase.
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Enters a later phase.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Returns once a phase is reached.
    pub(crate) async fn reached(&self, phase: Phase) {
        let mut current = self.phase.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = current.wait_for(|current| *current >= phase).await;
    }
}

/// Waits for SIGTERM or an interrupt. Each call waits for one more signal.
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes the signals over from their default handlers.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub(crate) fn install() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The next signal; says which.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "interrupt",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
