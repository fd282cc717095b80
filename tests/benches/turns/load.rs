//! Clients that send one request after the other, and how long their answers take.

use std::time::{Duration, Instant};

use futures::future::join_all;

/// Sends a request and waits until all of its answer is there.
pub(crate) trait Client {
    async fn send(&mut self);
}

/// What was measured.
#[derive(Default)]
pub(crate) struct Load {
    /// Time of each request, sorted only when it is asked for.
    times: Vec<Duration>,
    /// From the first request to the last answer.
    elapsed: Duration,
}

impl Load {
    pub(crate) fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.elapsed += other.elapsed;
    }

    /// Requests per second, of all clients together.
    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The time within which so many of a hundred requests were answered.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times[(times.len() * percent / 100).min(times.len() - 1)]
    }
}

/// Has each client send so many requests, all clients at once.
pub(crate) async fn together<C: Client>(clients: &mut [C], requests: usize) -> Load {
    let started = Instant::now();
    let times = join_all(clients.iter_mut().map(|client| async move {
        let mut times = Vec::with_capacity(requests);
        for _ in 0..requests {
            let started = Instant::now();
            client.send().await;
            times.push(started.elapsed());
        }
        times
    }))
    .await;
    Load { times: times.into_iter().flatten().collect(), elapsed: started.elapsed() }
}
