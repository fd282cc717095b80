//! Asking a vendor which models there are, with a codec.

use bytes::BytesMut;

use super::exchange::{Attempt, CodecDriver};
use crate::driver::{DriverContext, DriverError, DriverErrorKind, ModelInfo};

/// Longest list, in bytes. One of several hundred models with descriptions has about 500 KiB.
const MAX_LIST_BYTES: usize = 4 << 20;

impl CodecDriver {
    /// The models of the provider; none if its protocol has no list. One try.
    ///
    /// # Errors
    /// As for a completion.
    pub(super) async fn discover(&self, context: &DriverContext) -> Result<Option<Vec<ModelInfo>>, DriverError> {
        let Some(mut discovery) = self.protocol.discovery().await? else { return Ok(None) };
        let attempt = Attempt::of(self, context)?;
        let mut quota = attempt.line.quota();
        let request = discovery.begin(&attempt.config(&mut quota).await?).await?;
        let mut response = attempt.line.send(request, Some(attempt.owner), &mut quota).await?;
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk(MAX_LIST_BYTES).await? {
            if body.len() + piece.len() > MAX_LIST_BYTES {
                let message = format!("the list of models has more than {MAX_LIST_BYTES} bytes");
                return Err(DriverError::new(DriverErrorKind::InvalidResponse, message));
            }
            body.extend_from_slice(&piece);
        }
        let models = discovery.decode(response.status(), &body).await;
        models
            .map(Some)
            .map_err(|error| DriverError { retry_after_ms: error.retry_after_ms.or_else(|| response.retry_after_ms()), ..error })
    }
}
