//! The entry to a completion: tries until an answer begins. The one place that tries again.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::try_unfold;
use tokio::time::Instant;

use super::guard::Guarded;
use crate::driver::{
    ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverContext, DriverError, DriverErrorKind, ResolvedModel, RetryPolicy,
};
use crate::error::ErrorKind;
use crate::event::Retries;

/// A completion that has begun, or has failed before it did.
pub struct Started {
    /// Its events, of which the first one has arrived. Its errors have no credentials of the model
    /// in them. `Finish` is the last event, and there is one unless the stream fails.
    pub stream: Result<ChatStream, DriverError>,
    /// The tries, if it took more than one.
    pub retries: Option<Retries>,
}

/// Starts a completion: tries again while nothing of an answer was seen and the error passes.
/// Dropping the future or the stream cancels it.
pub async fn complete(driver: &dyn ChatDriver, model: &ResolvedModel, mut request: ChatRequest, context: &DriverContext) -> Started {
    request.keep_opaque_of(&model.provider_type);
    let (policy, started) = (context.host.settings.retry, Instant::now());
    let mut retries = Retries { attempts: 1, total_wait_ms: 0 };
    loop {
        let begun = begin(driver, model, request.clone(), context.clone()).await;
        let wait = begun.as_ref().err().and_then(|error| policy.wait(error, retries.attempts, started.elapsed(), || fraction(context)));
        let (Err(error), Some(wait)) = (&begun, wait) else {
            return Started { stream: begun, retries: (retries.attempts > 1).then_some(retries) };
        };
        tracing::info!(%error, ?wait, "a model call was refused; trying again");
        tokio::select! {
            biased;
            () = context.cancel.cancelled() => {
                let error = DriverError::new(DriverErrorKind::Cancelled, "the model call was cancelled");
                return Started { stream: Err(error), retries: Some(retries) };
            }
            () = tokio::time::sleep(wait) => {}
        }
        retries.attempts += 1;
        retries.total_wait_ms += u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    }
}

async fn begin(
    driver: &dyn ChatDriver,
    model: &ResolvedModel,
    request: ChatRequest,
    context: DriverContext,
) -> Result<ChatStream, DriverError> {
    let stream = driver.complete(request, context).await.map_err(|error| model.redact_error(error))?;
    let mut answer = Guarded::new(stream);
    let first: Option<ChatEvent> = answer.next().await.map_err(|error| model.redact_error(error))?;
    let model = model.clone();
    let rest = try_unfold((answer, model), async |(mut answer, model)| match answer.next().await {
        Ok(event) => Ok(event.map(|event| (event, (answer, model)))),
        Err(error) => Err(model.redact_error(error)),
    });
    Ok(futures::stream::iter(first.map(Ok)).chain(rest).boxed())
}

impl RetryPolicy {
    /// How long to wait before another try; none if that is pointless, not allowed any more, or
    /// would come too late. `random` is from 0 to 1.
    fn wait(&self, error: &DriverError, attempts: u32, elapsed: Duration, random: impl FnOnce() -> f64) -> Option<Duration> {
        if error.kind() != ErrorKind::Unavailable || attempts >= self.attempts {
            return None;
        }
        let wait = match error.retry_after_ms.map(Duration::from_millis) {
            Some(wait) if wait > self.longest_wait => return None,
            Some(wait) => wait,
            None => self.first_wait.saturating_mul(2u32.saturating_pow(attempts - 1)).min(self.longest_wait),
        };
        // Never earlier than the vendor asks for, and not together with everybody else. Whole
        // milliseconds are what timers count in.
        let spread = wait.as_secs_f64() * 1_000.0 * random() / 2.0;
        let wait = wait + Duration::from_millis(spread as u64);
        (elapsed + wait <= self.window).then_some(wait)
    }
}

/// A random number from 0 to 1, of the random bits at the end of an id.
fn fraction(context: &DriverContext) -> f64 {
    let [.., a, b, c, d] = context.host.ids.next().into_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(kind: DriverErrorKind, retry_after: Option<u64>, attempts: u32, elapsed: u64, random: f64) -> Option<u128> {
        let error = DriverError { retry_after_ms: retry_after, ..DriverError::new(kind, "no") };
        RetryPolicy::default().wait(&error, attempts, Duration::from_secs(elapsed), || random).map(|wait| wait.as_millis())
    }

    #[test]
    fn waits_grow_and_are_spread() {
        let unavailable = |attempts, random| wait(DriverErrorKind::Unavailable, None, attempts, 0, random);
        assert_eq!([unavailable(1, 0.0), unavailable(2, 0.0), unavailable(3, 0.0)], [Some(500), Some(1_000), None]);
        assert_eq!([unavailable(1, 0.5), unavailable(1, 1.0)], [Some(625), Some(750)]);
    }

    #[test]
    fn a_vendor_is_given_the_time_that_it_asks_for_or_none() {
        let limited = |ms, elapsed| wait(DriverErrorKind::RateLimited, Some(ms), 1, elapsed, 0.0);
        assert_eq!([limited(7_000, 0), limited(60_000, 0), limited(60_001, 0)], [Some(7_000), Some(60_000), None]);
        assert_eq!([limited(60_000, 60), limited(60_000, 61)], [Some(60_000), None], "the window is two minutes");
    }

    #[test]
    fn errors_that_last_are_not_tried_again() {
        for kind in
            [DriverErrorKind::QuotaExhausted, DriverErrorKind::Authentication, DriverErrorKind::AnswerTooLarge, DriverErrorKind::Internal]
        {
            assert_eq!(wait(kind, Some(1), 1, 0, 0.0), None, "{kind:?}");
        }
    }
}
