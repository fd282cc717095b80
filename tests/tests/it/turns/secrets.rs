//! Credentials of a model are nowhere but in the hands of its driver.

use std::sync::Arc;

use async_trait::async_trait;
use everwit_runtime::driver::{
    ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverConfig, DriverContext, DriverError, DriverErrorKind, DriverId, ProviderMetadata,
    ResolvedModel,
};
use everwit_runtime::driver_registry::DriverRegistry;
use everwit_runtime::error::Error;
use everwit_runtime::turn::{TurnPlatform, assemble_turn_context, context_report, inspect_turn_context};
use futures::{StreamExt, stream};
use secrecy::ExposeSecret;
use serde_json::json;

use super::rig::Rig;
use crate::support::log::Log;

/// One for each place where a provider's configuration may hold a credential.
const PLANTED: [&str; 8] = [
    "planted-api-key-0001",
    "planted-refresh-token-0002",
    "planted-account-0003",
    "planted-extra-0004",
    "planted-nested-0005",
    "planted-user-0006",
    "planted-password-0007",
    "planted-query-0008",
];

fn planted() -> ResolvedModel {
    let [api_key, refresh, account, extra, nested, user, password, query] = PLANTED;
    ResolvedModel {
        model: "gossip-1".to_owned(),
        provider_type: DriverId::External("gossip".to_owned()),
        api_key: Some(api_key.into()),
        base_url: Some(format!("https://{user}:{password}@vendor.example/v1?key={query}")),
        provider_metadata: Some(ProviderMetadata {
            refresh_token: Some(refresh.into()),
            account_id: Some(account.to_owned()),
            extra: Some(json!({"token": extra, "more": [{"token": nested}]})),
        }),
    }
}

/// How a driver fails.
#[derive(Debug, Clone, Copy)]
enum Failure {
    /// Before the first event, so that the call is tried again.
    Refusal,
    /// In the middle of its answer.
    BreakOff,
    /// Not at all.
    None,
}

/// A driver that repeats everything that it was given, as vendors do that quote a wrong key.
struct Gossip {
    config: DriverConfig,
    failure: Failure,
}

impl Gossip {
    fn error(&self) -> DriverError {
        let config = &self.config;
        let metadata = config.metadata.as_ref().expect("it was given");
        let told = [
            config.api_key.as_ref().map(|key| key.expose_secret().to_owned()),
            config.base_url.clone(),
            metadata.refresh_token.as_ref().map(|token| token.expose_secret().to_owned()),
            metadata.account_id.clone(),
            metadata.extra.as_ref().map(|extra| extra.to_string()),
        ];
        let told: Vec<String> = told.into_iter().flatten().collect();
        for secret in PLANTED {
            assert!(told.iter().any(|text| text.contains(secret)), "the driver gets {secret}");
        }
        DriverError::new(DriverErrorKind::Unavailable, format!("the vendor refuses {}", told.join(" ")))
    }
}

#[async_trait]
impl ChatDriver for Gossip {
    async fn complete(&self, _request: ChatRequest, _context: DriverContext) -> Result<ChatStream, DriverError> {
        let half = ChatEvent::Text("half".to_owned());
        let events = match self.failure {
            Failure::Refusal => return Err(self.error()),
            Failure::BreakOff => vec![Ok(half), Err(self.error())],
            Failure::None => vec![Ok(half), Ok(ChatEvent::finish("stop"))],
        };
        Ok(stream::iter(events).boxed())
    }
}

async fn rig(failure: Failure) -> Rig {
    let mut rig = Rig::with_driver(super::history::Recording::default()).await;
    let mut drivers = DriverRegistry::new();
    drivers.register_external("gossip", move |config| Box::new(Gossip { config: config.clone(), failure }));
    rig.platform = TurnPlatform { drivers: Arc::new(drivers), default_model: planted(), ..rig.platform };
    rig
}

/// Everything that the runtime says of a turn: events, live ones included, contexts, reports.
async fn said(failure: Failure) -> Vec<String> {
    let rig = rig(failure).await;
    let mut listener = rig.listen();
    let mut said = vec![format!("{:?}", rig.ask("go").await)];
    while let Ok(event) = listener.try_recv() {
        said.push(serde_json::to_string(&*event).unwrap());
        said.push(format!("{event:?}"));
    }
    said.push(serde_json::to_string(&rig.events().await).unwrap());
    let sources = rig.platform.sources();
    let context = inspect_turn_context(sources, rig.org, rig.session).await.unwrap();
    said.extend([format!("{context:?}"), format!("{context:#?}"), format!("{:?}", context.model_with_provider.driver_config())]);
    let report = context_report(sources, rig.org, rig.session).await.unwrap();
    said.extend([format!("{report:?}"), serde_json::to_string(&report).unwrap()]);
    let error = assemble_turn_context(sources, rig.org, rig.session, Vec::new(), None).await.unwrap_err();
    said.extend([format!("{error:?}"), error.to_string(), Error::from(error).to_string()]);
    let unknown = DriverRegistry::new().create(&planted().provider_type, &planted().driver_config()).err().unwrap();
    said.extend([format!("{unknown:?}"), unknown.to_string()]);
    said
}

fn assert_clean(what: &str, text: &str) {
    for secret in PLANTED {
        assert!(!text.contains(secret), "{what} shows {secret}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_credential_is_in_anything_that_the_runtime_says() {
    for failure in [Failure::Refusal, Failure::BreakOff, Failure::None] {
        let log = Log::default();
        let guard = log.capture();
        let said = said(failure).await;
        drop(guard);
        let logged = log.text();
        assert_clean("the log", &logged);
        for text in &said {
            assert_clean(&format!("{failure:?}"), text);
        }
        let failed = !matches!(failure, Failure::None);
        assert_eq!(logged.contains("a model call failed"), failed, "{logged}");
        assert_eq!(said.iter().any(|text| text.contains("the vendor refuses [redacted]")), failed, "the rest of an error is told");
    }
}
