//! Runs a worker of the SDK. It is bound to one thread and must be shut down to its end, or threads of the SDK panic.

use std::time::Duration;

use everwit_runtime::Error;
use everwit_runtime::engine::Working;
use temporalio_client::Client;
use temporalio_sdk::runtime::RuntimeOptions;
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// End of the name of the task queue of the workflows.
const SESSIONS: &str = "-sessions";
/// End of the name of that of the activities.
const STEPS: &str = "-steps";

/// Task queue of an installation's workflows.
pub(crate) fn sessions_queue(installation: &str) -> String {
    format!("{installation}{SESSIONS}")
}

/// Task queue of the activities that the workflows of a queue have done.
pub(crate) fn steps_queue(sessions_queue: &str) -> String {
    let installation = sessions_queue.strip_suffix(SESSIONS).unwrap_or(sessions_queue);
    format!("{installation}{STEPS}")
}

/// How long Temporal waits for the server that has a workflow in its memory before it asks any other.
pub(crate) const STICKY: Duration = Duration::from_secs(1);

/// Runs a worker until its shutdown.
pub(crate) fn run(client: Client, options: WorkerOptions, shutdown: CancellationToken) -> Result<Working, Error> {
    let (handle, (ended, end)) = (Handle::current(), oneshot::channel());
    let work = move || {
        let result = handle.block_on(until(client, options, shutdown));
        // Whoever does not wait does not want to know.
        let _ = ended.send(result);
    };
    let thread = std::thread::Builder::new().name("temporal".to_owned()).spawn(work);
    thread.map_err(|error| Error::Internal(format!("no thread for a worker: {error}")))?;
    Ok(Box::pin(async move { end.await.unwrap_or_else(|_| Err(Error::Internal("a worker of Temporal panicked".to_owned()))) }))
}

async fn until(client: Client, options: WorkerOptions, shutdown: CancellationToken) -> Result<(), Error> {
    let unavailable = |error: &dyn std::fmt::Display| Error::Unavailable(format!("a worker of Temporal cannot work: {error}"));
    let silent = RuntimeOptions::builder().heartbeat_interval(None).build();
    let silent = silent.map_err(|error| Error::Internal(format!("options of the Temporal SDK: {error}")))?;
    let runtime = Runtime::from_current_tokio(silent).map_err(|error| unavailable(&error))?;
    let mut worker = Worker::new(&runtime, client, options).map_err(|error| unavailable(&error))?;
    let stop = worker.shutdown_handle();
    let mut run = std::pin::pin!(worker.run());
    let ended = tokio::select! {
        ended = &mut run => ended,
        () = shutdown.cancelled() => {
            stop();
            run.await
        }
    };
    ended.map_err(|error| unavailable(&error))
}
