//! Drivers: built-in and custom ids, replacing, case, blank ids, credentials.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use everwit_runtime::driver_registry::{
    BoxedChatDriver, ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverConfig, DriverContext, DriverError, DriverErrorKind,
    ProviderMetadata, RegisterError,
};
use everwit_runtime::llmsim_driver::LlmSimConfig;
use everwit_runtime::{DriverId, DriverRegistry, InProcessRuntimeBuilder, ResolvedModel};
use futures::{StreamExt, stream};
use secrecy::ExposeSecret;

/// Answers with a word, and keeps what it was made from.
struct Codex {
    word: &'static str,
}

#[async_trait]
impl ChatDriver for Codex {
    async fn complete(&self, _request: ChatRequest, _context: DriverContext) -> Result<ChatStream, DriverError> {
        let events = [ChatEvent::Text(self.word.to_owned()), ChatEvent::finish("stop")];
        Ok(stream::iter(events.map(Ok)).boxed())
    }
}

fn answering(word: &'static str) -> impl Fn(&DriverConfig) -> BoxedChatDriver + Send + Sync + 'static {
    move |_| Box::new(Codex { word }) as BoxedChatDriver
}

fn model(id: &str) -> ResolvedModel {
    ResolvedModel {
        model: "gpt-5-codex".into(),
        provider_type: DriverId::External(id.into()),
        api_key: None,
        base_url: None,
        provider_metadata: Some(ProviderMetadata {
            refresh_token: Some("a-refresh-token".into()),
            account_id: Some("an-account".into()),
            extra: None,
        }),
    }
}

async fn answer(drivers: DriverRegistry, model: ResolvedModel) -> String {
    let builder = InProcessRuntimeBuilder::new().driver_registry(drivers).default_model(model);
    let runtime = builder.single_session(|session| session).build().await.unwrap();
    let session = runtime.default_session_id().unwrap();
    runtime.run_text_turn(session, "Hello").await.unwrap().response
}

#[tokio::test]
async fn a_custom_driver_gets_its_credentials_from_the_model_and_from_nowhere_else() {
    let seen: Arc<Mutex<Vec<DriverConfig>>> = Arc::default();
    let mut drivers = DriverRegistry::new();
    let keep = seen.clone();
    drivers.register_external("openai-codex", move |config: &DriverConfig| {
        keep.lock().unwrap().push(config.clone());
        Box::new(Codex { word: "codex" }) as BoxedChatDriver
    });
    assert_eq!(answer(drivers, model("openai-codex")).await, "codex");
    let seen = seen.lock().unwrap();
    let config = seen.first().unwrap();
    assert!(config.api_key.is_none() && config.base_url.is_none());
    let metadata = config.metadata.as_ref().unwrap();
    assert_eq!(metadata.refresh_token.as_ref().map(|token| token.expose_secret()), Some("a-refresh-token"));
    assert_eq!(metadata.account_id.as_deref(), Some("an-account"));
    let shown = format!("{config:?} {:?}", model("openai-codex"));
    assert!(!shown.contains("a-refresh-token") && !shown.contains("an-account"), "{shown}");
}

#[tokio::test]
async fn external_ids_have_no_case_however_they_are_made() {
    for (registered, used) in [("OpenAI-Codex", "openai-codex"), ("openai-codex", "OPENAI-Codex"), (" Mine ", "mine")] {
        let mut drivers = DriverRegistry::new();
        drivers.register_external(registered, answering("found"));
        assert!(drivers.has(&DriverId::External(used.into())), "{registered:?} as {used:?}");
        assert_eq!(answer(drivers, model(used)).await, "found", "{registered:?} as {used:?}");
    }
    let mut drivers = DriverRegistry::new();
    drivers.register(DriverId::External("MixedCase".into()), answering("mixed"));
    assert_eq!(drivers.ids().collect::<Vec<_>>(), [&DriverId::External("mixedcase".into())]);
    drivers.register_or_replace(DriverId::External("MIXEDCASE".into()), answering("replaced"));
    assert_eq!(answer(drivers, model("mixedCASE")).await, "replaced");
}

#[test]
fn a_blank_id_is_an_error_and_not_a_nameless_provider() {
    for blank in ["", " ", "\t\n"] {
        assert!(blank.parse::<DriverId>().is_err());
        assert!(serde_json::from_value::<DriverId>(blank.into()).is_err());
        let mut drivers = DriverRegistry::new();
        let refused = drivers.try_register(DriverId::External(blank.into()), answering("never"));
        assert!(matches!(refused, Err(RegisterError::Blank(_))), "{refused:?}");
        assert!(panics(|| drivers.register_external(blank, answering("never"))));
        assert!(panics(|| drivers.register_or_replace(DriverId::External(blank.into()), answering("never"))));
        assert_eq!(drivers.ids().count(), 0);
    }
}

fn panics(act: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(act)).is_err()
}

#[tokio::test]
async fn registering_twice_surfaces_and_replacing_is_said_out_loud() {
    let mut drivers = DriverRegistry::new();
    drivers.register(DriverId::OpenAi, answering("first"));
    assert!(panics(|| drivers.register(DriverId::OpenAi, answering("second"))));
    assert!(panics(|| drivers.register_external("OpenAI", answering("second"))), "a built-in slot is not taken by another spelling");
    assert_eq!(drivers.try_register(DriverId::OpenAi, answering("second")), Err(RegisterError::Duplicate(DriverId::OpenAi)));
    assert_eq!(answer(drivers.clone(), model("openai")).await, "first");
    drivers.register_or_replace(DriverId::OpenAi, answering("second"));
    assert_eq!(answer(drivers, model("openai")).await, "second");
}

#[test]
fn built_in_ids_are_those_of_the_page_and_unknown_ones_round_trip() {
    let built_in = [
        ("openai", DriverId::OpenAi),
        ("openrouter", DriverId::OpenRouter),
        ("azure_openai", DriverId::AzureOpenAi),
        ("openai_completions", DriverId::OpenAiCompletions),
        ("anthropic", DriverId::Anthropic),
        ("gemini", DriverId::Gemini),
        ("bedrock", DriverId::Bedrock),
        ("llmsim", DriverId::LlmSim),
        ("somebody-elses", DriverId::External("somebody-elses".into())),
    ];
    for (text, id) in built_in {
        assert_eq!(text.to_uppercase().parse(), Ok(id.clone()));
        let wire = serde_json::to_value(&id).unwrap();
        assert_eq!(wire, text);
        assert_eq!(serde_json::from_value::<DriverId>(wire).unwrap(), id);
    }
}

#[test]
fn built_in_drivers_are_registered_one_by_one_or_all_at_once() {
    let mut some = DriverRegistry::new();
    everwit_runtime::drivers::openai::register_driver(&mut some);
    everwit_runtime::drivers::anthropic::register_driver(&mut some);
    assert_eq!(some.ids().collect::<Vec<_>>(), [&DriverId::OpenAi, &DriverId::Anthropic]);
    assert!(panics(|| everwit_runtime::drivers::openai::register_driver(&mut some)), "a second registration surfaces");
    some.register_or_replace(DriverId::OpenAi, answering("replaced"));

    let mut all = DriverRegistry::new();
    everwit_runtime::drivers::register_all(&mut all);
    everwit_runtime::llmsim_driver::register_driver(&mut all, LlmSimConfig::echo());
    let page = ["openai", "openrouter", "azure_openai", "openai_completions", "anthropic", "gemini", "bedrock", "llmsim"];
    assert!(page.iter().all(|id| all.has(&id.parse().unwrap())), "all ids of the page have a driver");
    assert_eq!(all.ids().count(), page.len());
}

#[test]
fn a_driver_that_is_not_there_is_a_configuration_error() {
    let drivers = DriverRegistry::new();
    let refused = drivers.create(&DriverId::External("nobody".into()), &DriverConfig::default());
    assert_eq!(refused.err().map(|error| error.kind), Some(DriverErrorKind::Configuration));
}
