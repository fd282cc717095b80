//! Building: all problems at once, nothing stored if there is one, and what a durable store has
//! stays.

use std::sync::Arc;

use everwit_runtime::agent::Agent;
use everwit_runtime::driver::llmsim::LlmSimConfig;
use everwit_runtime::harness::Harness;
use everwit_runtime::id::{HarnessId, SessionId};
use everwit_runtime::in_process::{BuildError, BuildProblem};
use everwit_runtime::session::Session;
use everwit_runtime::store::sqlite::SqliteStore;
use everwit_runtime::store::{Page, RuntimeBackends};
use everwit_runtime::{DriverId, DriverRegistry, InProcessRuntime, InProcessRuntimeBuilder, ResolvedModel};
use uuid::Uuid;

async fn problems(builder: InProcessRuntimeBuilder) -> Vec<BuildProblem> {
    match builder.build().await {
        Err(BuildError::Invalid(problems)) => problems,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was built"),
    }
}

#[tokio::test]
async fn all_problems_are_told_at_once_and_nothing_is_stored() {
    let nowhere = HarnessId::from_uuid(Uuid::from_u128(1));
    let backends = RuntimeBackends::in_memory();
    let good = Harness::new("good", "");
    let builder = InProcessRuntimeBuilder::new()
        .backends(backends.clone())
        .harness(good.clone())
        .harness(Harness::new("good", "").with_capability("no-such-thing"))
        .harness(Harness::new("Bad Name", ""))
        .agent(Agent::new("lost", "", nowhere))
        .session(Session::new(nowhere))
        .seed_text_file(SessionId::from_uuid(Uuid::from_u128(2)), "no/../path", "");
    let found = problems(builder).await;
    let has = |what: &str, test: &dyn Fn(&BuildProblem) -> bool| assert!(found.iter().any(test), "{what} is missing in {found:#?}");
    has("the model", &|problem| *problem == BuildProblem::NoDefaultModel);
    has("the twin", &|problem| matches!(problem, BuildProblem::Duplicate { what: "harnesses", name } if name == "good"));
    has(
        "the capability",
        &|problem| matches!(problem, BuildProblem::UnknownCapability { capability, .. } if capability == "no-such-thing"),
    );
    has("the name", &|problem| matches!(problem, BuildProblem::InvalidName { name, .. } if name == "Bad Name"));
    has("the agent's harness", &|problem| matches!(problem, BuildProblem::Dangling { from, what: "harness", .. } if from.contains("lost")));
    has(
        "the session's harness",
        &|problem| matches!(problem, BuildProblem::Dangling { from, what: "harness", .. } if from.starts_with("session_")),
    );
    has("the path", &|problem| matches!(problem, BuildProblem::SeededFile { .. }));
    has("the file's session", &|problem| matches!(problem, BuildProblem::Dangling { what: "session", .. }));

    let org = everwit_runtime::in_process::LOCAL_ORG;
    let stored = backends.harness_store.list_harnesses(org, Page { offset: 0, limit: 10 }).await.unwrap();
    assert_eq!(stored.total, 0);
}

#[tokio::test]
async fn a_model_needs_its_driver() {
    let model =
        ResolvedModel { model: "gpt".into(), provider_type: DriverId::OpenAi, api_key: None, base_url: None, provider_metadata: None };
    let builder = InProcessRuntimeBuilder::new().driver_registry(DriverRegistry::new()).default_model(model);
    let found = problems(builder).await;
    assert!(matches!(&found[..], [BuildProblem::UnknownDriver { driver: DriverId::OpenAi, .. }]), "{found:?}");
    assert!(found[0].to_string().contains("registered are: none"), "{}", found[0]);
}

async fn durable(store: &Arc<SqliteStore>, answer: &str) -> InProcessRuntime {
    let session = SessionId::from_uuid(Uuid::from_u128(9));
    InProcessRuntimeBuilder::new()
        .backends(RuntimeBackends::from_store(store.clone()))
        .llm_sim(LlmSimConfig::fixed(answer))
        .single_session(|single| single.session_id(session).harness("base", "First prompt.").agent("helper", "Helps."))
        .seed_text_file(session, "/a.txt", answer)
        .build()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_conversation_goes_on_in_a_durable_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&folder.path().join("everwit.db")).await.unwrap());
    let first = durable(&store, "one").await;
    let session = first.default_session_id().unwrap();
    first.run_text_turn(session, "Hello").await.unwrap();
    first.shutdown().await;

    let second = durable(&store, "two").await;
    assert_eq!(second.default_session_id(), Some(session));
    assert_eq!(second.recover().await.unwrap(), 0, "no turn was left open");
    second.run_text_turn(session, "Again").await.unwrap();
    let texts: Vec<String> = second.messages(session).await.unwrap().iter().map(|message| message.text()).collect();
    assert_eq!(texts, ["Hello", "one", "Again", "two"]);
    let file = second.read_file(session, "/a.txt").await.unwrap().unwrap();
    assert_eq!(file.content, b"one", "what is stored stays");
}

#[tokio::test]
async fn a_stored_harness_is_not_replaced_by_another_of_its_name() {
    let backends = RuntimeBackends::in_memory();
    let builder = || InProcessRuntimeBuilder::new().backends(backends.clone()).llm_sim(LlmSimConfig::echo());
    let harness = Harness::new("base", "Kept.");
    builder().harness(harness.clone()).build().await.unwrap();
    builder().harness(Harness { system_prompt: Some("Changed.".to_owned()), ..harness.clone() }).build().await.unwrap();
    let found = problems(builder().harness(Harness::new("base", "Other."))).await;
    assert!(matches!(&found[..], [BuildProblem::NameTaken { stored, .. }] if *stored == harness.id.to_string()), "{found:?}");
    let stored = backends.harness_store.find_harness(everwit_runtime::in_process::LOCAL_ORG, "base").await.unwrap().unwrap();
    assert_eq!(stored.system_prompt.as_deref(), Some("Kept."));
}
