//! What one call may use of the network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use super::EgressError;

/// What one call may still use of the network. Responses that are being read keep counting
/// against it.
#[derive(Debug)]
pub struct EgressQuota {
    max_requests: u32,
    requests: u32,
    meter: Meter,
    deadline: Instant,
}

impl EgressQuota {
    /// A quota of `requests` requests, and of `bytes` bytes of request and response bodies
    /// together. Nothing goes on after `deadline`.
    pub fn new(requests: u32, bytes: u64, deadline: Instant) -> Self {
        Self { max_requests: requests, requests: 0, meter: Meter { max: bytes, left: Arc::new(AtomicU64::new(bytes)) }, deadline }
    }

    /// Requests so far that their grant allowed.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// Bytes of bodies so far.
    pub fn bytes(&self) -> u64 {
        self.meter.max - self.meter.left.load(Ordering::Relaxed)
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// Counts a request and its body.
    pub(super) fn take(&mut self, body: usize) -> Result<(), EgressError> {
        if self.requests >= self.max_requests {
            return Err(EgressError::limit(format!("this call may make {} HTTP requests, and has", self.max_requests)));
        }
        self.requests += 1;
        self.meter.take(body)
    }
}

/// Counts the bytes of bodies.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    max: u64,
    left: Arc<AtomicU64>,
}

impl Meter {
    /// Counts `bytes`. What does not fit uses up the rest, so that nothing more gets through.
    pub(super) fn take(&self, bytes: usize) -> Result<(), EgressError> {
        let bytes = bytes as u64;
        let update = |left: u64| Some(left.saturating_sub(bytes));
        // The closure always answers, so both arms hold what was left before.
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update).unwrap_or_else(|left| left);
        if bytes > left {
            return Err(EgressError::limit(format!("this call may move {} bytes of HTTP bodies, and has", self.max)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::EgressErrorKind;
    use super::*;

    #[tokio::test]
    async fn counts_requests_and_bytes_to_the_last() {
        let mut quota = EgressQuota::new(2, 10, Instant::now());
        assert_eq!(quota.take(4), Ok(()));
        assert_eq!(quota.meter().take(6), Ok(()));
        assert_eq!(quota.take(0), Ok(()));
        assert_eq!(quota.take(0).map_err(|error| error.kind), Err(EgressErrorKind::Limit));
        assert_eq!((quota.requests(), quota.bytes()), (2, 10));
    }

    #[tokio::test]
    async fn what_does_not_fit_uses_up_the_rest() {
        let quota = EgressQuota::new(0, 10, Instant::now());
        assert!(quota.meter().take(11).is_err());
        assert!(quota.meter().take(1).is_err());
        assert_eq!(quota.bytes(), 10);
    }
}
