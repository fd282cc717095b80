//! Asking a vendor which models there are, with a codec.

use bytes::BytesMut;

use super::CodecDriver;
use crate::driver::{DriverContext, DriverError, DriverErrorKind, ModelInfo};
use crate::egress::EgressRequest;

/// Longest list, in bytes. One of several hundred models with descriptions has about 500 KiB.
const MAX_LIST_BYTES: usize = 4 << 20;

impl CodecDriver {
    /// The models of the provider; none if its protocol has no list. One try.
    ///
    /// # Errors
    /// As for a completion.
    pub(super) async fn discover(&self, context: &DriverContext) -> Result<Option<Vec<ModelInfo>>, DriverError> {
        let Some(mut discovery) = self.protocol.discovery().await? else { return Ok(None) };
        let base_url = self.base_url()?;
        let mut config = self.config.clone();
        config.base_url = Some(base_url.to_owned());
        let request = discovery.begin(&config).await?;
        let request = EgressRequest {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body,
            ..EgressRequest::default()
        };
        let mut response = context.send(base_url, request, &mut context.quota()).await?;
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
