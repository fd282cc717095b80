//! The runtime in the embedder's process: the page's quickstart, and the context before a turn.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use everwit_runtime::driver::llmsim::LlmSimConfig;
use everwit_runtime::driver_registry::{ChatDriver, ChatEvent, ChatRequest, ChatStream, DriverContext, DriverError};
use everwit_runtime::harness::Harness;
use everwit_runtime::session::Session;
use everwit_runtime::turn::ContextError;
use everwit_runtime::{
    BuiltInCapabilityDefinition, BuiltInHarnessDefinition, BuiltInHarnessRole, CapabilityRegistry, CurrentTimeCapability, DriverId,
    DriverRegistry, InProcessRuntime, InProcessRuntimeBuilder, InputMessage, PlatformDefinition, ResolvedModel, RuntimeAgent, TurnContext,
    assemble_turn_context, inspect_turn_context,
};
use futures::{StreamExt, stream};

fn simulated() -> ResolvedModel {
    ResolvedModel {
        model: "llmsim-model".into(),
        provider_type: DriverId::LlmSim,
        api_key: Some("fake-key".into()),
        base_url: None,
        provider_metadata: None,
    }
}

#[tokio::test]
async fn the_quickstart_runs() {
    let platform = PlatformDefinition::new(CapabilityRegistry::new(), DriverRegistry::new());
    let harness = Harness::new("embedded", "You are a helpful assistant.");
    let session = Session::new(harness.id);
    let id = session.id;
    let runtime: InProcessRuntime = InProcessRuntimeBuilder::new()
        .platform_definition(platform)
        .llm_sim(LlmSimConfig::fixed("hello from everwit-runtime"))
        .default_model(simulated())
        .capability(CurrentTimeCapability)
        .harness(harness)
        .session(session)
        .build()
        .await
        .unwrap();
    let turn = runtime.run_text_turn(id, "Hello").await.unwrap();
    assert_eq!((turn.response.as_str(), turn.success, turn.iterations), ("hello from everwit-runtime", true, 1));
    assert_eq!(runtime.messages(id).await.unwrap().len(), 2);
    assert!(runtime.events().iter().any(|event| event.data.name() == "turn.completed"), "the default bus keeps events");
}

#[tokio::test]
async fn a_context_can_be_loaded_before_the_first_message_and_after() {
    let runtime = InProcessRuntimeBuilder::new()
        .llm_sim(LlmSimConfig::echo())
        .single_session(|session| {
            session.harness("desk", "At the desk.").with_capability("current_time").agent("helper", "Helps.").locale("de-AT")
        })
        .build()
        .await
        .unwrap();
    let session = runtime.default_session_id().unwrap();

    let context: TurnContext = runtime.load_context(session).await.unwrap();
    assert_eq!(context.messages.len(), 0);
    let RuntimeAgent { model, tools, system_prompt, .. } = &context.runtime_agent;
    assert_eq!((model.as_str(), tools.len(), system_prompt.as_str()), ("llmsim-model", 1, "At the desk.\n\nHelps."));
    assert_eq!(context.harness_chain.len(), 1);
    assert_eq!(context.agent.as_ref().map(|agent| agent.name.as_str()), Some("helper"));
    assert_eq!(context.session.id, session);
    assert_eq!(context.resolved_locale.as_deref(), Some("de-AT"));
    assert_eq!(context.model_with_provider.provider_type, DriverId::LlmSim);

    runtime.run_text_turn(session, "Hello").await.unwrap();
    assert_eq!(runtime.load_context(session).await.unwrap().messages.len(), 2);
}

/// Says "ok" and keeps what it was sent.
#[derive(Clone, Default)]
struct Listening(Arc<Mutex<Vec<ChatRequest>>>);

#[async_trait]
impl ChatDriver for Listening {
    async fn complete(&self, request: ChatRequest, _context: DriverContext) -> Result<ChatStream, DriverError> {
        self.0.lock().unwrap().push(request);
        Ok(stream::iter([Ok(ChatEvent::Text("ok".to_owned())), Ok(ChatEvent::finish("stop"))]).boxed())
    }
}

#[tokio::test]
async fn the_inspected_context_is_what_the_model_is_sent() {
    let listening = Listening::default();
    let mut drivers = DriverRegistry::new();
    let driver = listening.clone();
    drivers.register(DriverId::LlmSim, move |_| Box::new(driver.clone()));
    let runtime = InProcessRuntimeBuilder::new()
        .driver_registry(drivers)
        .default_model(simulated())
        .single_session(|session| session.harness("desk", "At the desk.").with_capability("session").agent("helper", "Helps."))
        .build()
        .await
        .unwrap();
    let session = runtime.default_session_id().unwrap();
    for text in ["one", "two"] {
        let context = runtime.load_context(session).await.unwrap();
        runtime.run_text_turn(session, text).await.unwrap();
        let sent = listening.0.lock().unwrap().pop().unwrap();
        assert_eq!((&sent.model, &sent.system_prompt), (&context.runtime_agent.model, &context.runtime_agent.system_prompt));
        assert_eq!(sent.tools, context.runtime_agent.tools);
        let (input, before) = sent.messages.split_last().unwrap();
        assert_eq!((before, input.text().as_str()), (&context.messages[..], text));
    }
}

#[tokio::test]
async fn messages_and_sessions_decide_the_locale() {
    let builder = InProcessRuntimeBuilder::new().llm_sim(LlmSimConfig::echo());
    let runtime = builder.single_session(|session| session.locale("de-AT")).build().await.unwrap();
    let session = runtime.default_session_id().unwrap();
    let locale = async || runtime.load_context(session).await.unwrap().resolved_locale;
    assert_eq!(locale().await.as_deref(), Some("de-AT"), "the session's, before the first message");
    runtime.run_turn(session, InputMessage::text("Olá").with_locale("pt-PT")).await.unwrap();
    assert_eq!(locale().await.as_deref(), Some("pt-PT"), "the message's");
    runtime.run_text_turn(session, "Servus").await.unwrap();
    assert_eq!(locale().await.as_deref(), Some("de-AT"));
}

#[tokio::test]
async fn executing_needs_a_message_and_inspecting_does_not() {
    let mut drivers = DriverRegistry::new();
    everwit_runtime::llmsim_driver::register_driver(&mut drivers, LlmSimConfig::echo());
    let runtime = InProcessRuntimeBuilder::new()
        .driver_registry(drivers)
        .default_model(simulated())
        .single_session(|session| session)
        .build()
        .await
        .unwrap();
    let (session, org, model) = (runtime.default_session_id().unwrap(), runtime.org_id(), simulated());
    let capabilities = CapabilityRegistry::with_builtins();
    let drivers = DriverRegistry::new();
    let sources = everwit_runtime::turn::ContextSources {
        backends: runtime.backends(),
        capabilities: &capabilities,
        drivers: &drivers,
        default_model: &model,
    };
    let refused = assemble_turn_context(sources, org, session, Vec::new(), None).await;
    assert!(matches!(refused, Err(ContextError::NoMessages)));
    assert_eq!(inspect_turn_context(sources, org, session).await.unwrap().messages.len(), 0);
}

#[tokio::test]
async fn sessions_run_on_the_harness_of_the_role_base() {
    let harness = |key: &str, role| {
        BuiltInHarnessDefinition::new(key, key, "", format!("Prompt of {key}."))
            .with_roles([role])
            .with_capabilities([BuiltInCapabilityDefinition::new("current_time")])
    };
    let platform = PlatformDefinition::builder()
        .capability(CurrentTimeCapability)
        .built_in_harnesses([
            harness("talk", BuiltInHarnessRole::Chat),
            harness("ground", BuiltInHarnessRole::Base),
            harness("first", BuiltInHarnessRole::Default),
        ])
        .build()
        .unwrap();
    let builder = InProcessRuntimeBuilder::new().platform_definition(platform).llm_sim(LlmSimConfig::echo());
    let runtime = builder.single_session(|session| session).build().await.unwrap();
    let context = runtime.load_context(runtime.default_session_id().unwrap()).await.unwrap();
    assert_eq!(context.runtime_agent.system_prompt, "Prompt of ground.");
    assert_eq!(context.runtime_agent.tools.len(), 1);
    for (role, prompt) in [(BuiltInHarnessRole::Chat, "Prompt of talk."), (BuiltInHarnessRole::Default, "Prompt of first.")] {
        let session = runtime.add_session(Session::new(runtime.harness_for_role(role).unwrap())).await.unwrap();
        assert_eq!(runtime.load_context(session).await.unwrap().runtime_agent.system_prompt, prompt);
    }
}
