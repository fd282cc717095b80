//! A model provider that Everwit does not know, under an id of its own, with credentials that are
//! no API key.
//!
//! ```sh
//! cargo run -p everwit-runtime --example external_driver
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use async_trait::async_trait;
use everwit_runtime::driver::{
    BoxedChatDriver, ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverConfig, DriverContext, DriverError, DriverErrorKind,
    ProviderMetadata,
};
use everwit_runtime::{DriverId, DriverRegistry, InProcessRuntimeBuilder, ResolvedModel};
use futures::{StreamExt, stream};

/// Stands for a gateway that is paid by account. A real one would send the request through the
/// host's egress gateway.
struct AccountDriver {
    account: Option<String>,
    has_token: bool,
}

impl AccountDriver {
    fn new(config: &DriverConfig) -> Self {
        let metadata = config.metadata.as_ref();
        Self {
            account: metadata.and_then(|metadata| metadata.account_id.clone()),
            has_token: metadata.is_some_and(|metadata| metadata.refresh_token.is_some()),
        }
    }
}

#[async_trait]
impl ChatDriver for AccountDriver {
    async fn complete(&self, request: ChatRequest, _context: DriverContext) -> Result<ChatStream, DriverError> {
        // A driver that was given no credentials fails; it does not look for some elsewhere.
        let Some(account) = self.account.as_deref().filter(|_| self.has_token) else {
            let message = "this provider needs a refresh token and an account id; set provider_metadata";
            return Err(DriverError::new(DriverErrorKind::Configuration, message));
        };
        let text = format!("{} answers {} message(s) on the account {account}.", request.model, request.messages.len());
        let events = [ChatEvent::Text(text), ChatEvent::finish("stop")];
        Ok(stream::iter(events.map(Ok)).boxed())
    }
}

fn drivers() -> DriverRegistry {
    let mut drivers = DriverRegistry::new();
    drivers.register_external("openai-codex", |config: &DriverConfig| Box::new(AccountDriver::new(config)) as BoxedChatDriver);
    drivers
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = ResolvedModel {
        model: "gpt-5-codex".into(),
        provider_type: DriverId::External("openai-codex".into()),
        api_key: None,
        base_url: None,
        provider_metadata: Some(ProviderMetadata { refresh_token: Some("a-token".into()), account_id: Some("acct-7".into()), extra: None }),
    };
    println!("{model:?}");
    let runtime = InProcessRuntimeBuilder::new()
        .driver_registry(drivers())
        .default_model(model)
        .single_session(|session| session.harness("base", "You are a helpful assistant."))
        .build()
        .await?;
    let session = runtime.default_session_id().ok_or("there is a session")?;
    println!("{}", runtime.run_text_turn(session, "Hello").await?.response);
    Ok(())
}
