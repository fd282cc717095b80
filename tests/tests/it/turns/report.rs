//! Reports of contexts: who contributed what, who set which value, and drafts.

use std::sync::Arc;

use everwit_runtime::capability::CapabilityRegistry;
use everwit_runtime::driver::llmsim::{LlmSimConfig, ToolCallConfig};
use everwit_runtime::harness::{CapabilityConfig, Harness};
use everwit_runtime::id::HarnessId;
use everwit_runtime::tokens::estimate_tokens;
use everwit_runtime::turn::{
    ContextReport, Contribution, Contributor, SectionKind, assemble_turn_context, context_report, inspect_turn_context,
    preview_turn_context,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::context::{Plain, agent};
use super::rig::{Rig, call, harness};

/// A session on `leaf`, which extends `base`, with the agent "clerk": notes is listed by all of
/// them, extra by the session, base-notes by notes.
async fn layered() -> Rig {
    let config = LlmSimConfig::fixed("done").with_tool_calls(ToolCallConfig::Fixed(vec![call("take")]));
    let mut rig = Rig::new(config).await;
    let mut registry = CapabilityRegistry::new();
    let notes = Plain::new("notes", &["base-notes"]).with_addition("Take notes.");
    registry.register(notes.with_tool("take", json!({"type": "object"})));
    registry.register(Plain::new("base-notes", &[]).with_tool("keep", json!({"type": "object"})));
    registry.register(Plain::new("extra", &[]));
    registry.register_arc(rig.desk.clone());
    rig.platform.capabilities = Arc::new(registry);
    let stores = &rig.platform.backends;
    let root = stores.harness_store.find_harness(rig.org, "base").await.unwrap().unwrap();
    let notes = CapabilityConfig::with_config("notes", json!({"size": 1}));
    let root = Harness { capabilities: vec![notes], version: 2, ..root };
    stores.harness_store.update_harness(rig.org, root.clone()).await.unwrap();
    let leaf = Harness { parent_harness_id: Some(root.id), ..harness(0xd, "leaf") };
    stores.harness_store.add_harness(rig.org, leaf.clone()).await.unwrap();
    let clerk = agent(leaf.id);
    stores.agent_store.add_agent(rig.org, clerk.clone()).await.unwrap();
    rig.session = rig
        .add_session(leaf.id, |session| {
            session.agent_id = Some(clerk.id);
            session.locale = Some("uk-UA".to_owned());
            session.system_prompt = Some("Prompt of the session.".to_owned());
            session.capabilities = vec![CapabilityConfig::new("extra"), CapabilityConfig::new("NOTES")];
        })
        .await;
    rig
}

async fn report(rig: &Rig) -> ContextReport {
    context_report(rig.platform.sources(), rig.org, rig.session).await.unwrap()
}

fn named(contributor: &Contributor) -> String {
    match contributor {
        Contributor::Platform => "platform".to_owned(),
        Contributor::Harness { name, .. } => format!("harness {name}"),
        Contributor::Agent { name, .. } => format!("agent {name}"),
        Contributor::Session { .. } => "session".to_owned(),
        Contributor::Organization => "organization".to_owned(),
        Contributor::Capability { id } => format!("capability {id}"),
    }
}

/// The contributions to a section, as text.
fn told(report: &ContextReport, section: SectionKind) -> Vec<String> {
    let own = report.contributions.iter().filter(|contribution| contribution.section == section);
    let tell = |own: &Contribution| format!("{} {} {}", named(&own.contributor), own.name.as_deref().unwrap_or("-"), own.items);
    own.map(tell).collect()
}

fn assert_sums(report: &ContextReport) {
    let kinds: Vec<SectionKind> = report.sections.iter().map(|section| section.section).collect();
    assert_eq!(kinds, [SectionKind::SystemPrompt, SectionKind::Tools, SectionKind::Messages]);
    for section in &report.sections {
        let own = || report.contributions.iter().filter(|own| own.section == section.section);
        assert_eq!(section.bytes, own().map(|own| own.bytes).sum::<usize>(), "{section:?}");
        assert_eq!(section.items, own().map(|own| own.items).sum::<usize>(), "{section:?}");
        assert_eq!(section.estimated_tokens, own().map(|own| own.estimated_tokens).sum::<u64>(), "{section:?}");
    }
    assert!(report.contributions.iter().all(|own| own.estimated_tokens == estimate_tokens(own.bytes)));
    assert_eq!(report.estimated_input_tokens, report.sections.iter().map(|section| section.estimated_tokens).sum::<u64>());
}

#[tokio::test]
async fn each_part_of_a_prompt_has_its_contributor() {
    let rig = layered().await;
    let context = inspect_turn_context(rig.platform.sources(), rig.org, rig.session).await.unwrap();
    let prompt = &context.runtime_agent.system_prompt;
    let parts: Vec<(String, &str)> =
        context.provenance.prompt.iter().map(|part| (named(&part.contributor), prompt[part.range.clone()].trim())).collect();
    let expected = [
        ("harness base", "Prompt of base."),
        ("harness leaf", "Prompt of leaf."),
        ("agent clerk", "Prompt of the agent."),
        ("session", "Prompt of the session."),
        ("capability notes", "<capability id=\"notes\">\nTake notes.\n</capability>"),
    ];
    assert_eq!(parts, expected.map(|(who, text)| (who.to_owned(), text)));
    let whole: String = context.provenance.prompt.iter().map(|part| &prompt[part.range.clone()]).collect();
    assert_eq!(whole, *prompt, "the parts are all of the prompt");
    assert_eq!(context.report().sections[0].bytes, prompt.len());
}

#[tokio::test]
async fn tools_messages_and_values_have_their_contributors() {
    let rig = layered().await;
    let before = report(&rig).await;
    assert_sums(&before);
    assert_eq!(told(&before, SectionKind::Tools), ["capability base-notes keep 1", "capability notes take 1"]);
    assert_eq!(told(&before, SectionKind::Messages), [] as [&str; 0]);
    assert_eq!(before.cumulative_usage, Some(Default::default()));

    rig.ask("hello").await;
    let after = report(&rig).await;
    assert_sums(&after);
    assert_eq!(told(&after, SectionKind::Messages), ["session user 1", "session agent 2", "capability notes tool_result 1"]);
    assert!(after.estimated_input_tokens > before.estimated_input_tokens);
    assert!(after.cumulative_usage.is_some_and(|usage| usage.output_tokens > 0), "{after:?}");

    let settings: Vec<(&str, &Value, String)> =
        after.settings.iter().map(|setting| (setting.name.as_str(), &setting.value, named(&setting.set_by))).collect();
    let expected = [
        ("model", json!("sim"), "platform"),
        ("locale", json!("uk-UA"), "session"),
        ("max_iterations", json!(7), "agent clerk"),
        ("config:notes", json!({"size": 2}), "agent clerk"),
    ];
    assert_eq!(settings, expected.each_ref().map(|(name, value, by)| (*name, value, (*by).to_owned())));

    let origins: Vec<(&str, Vec<String>)> =
        after.capabilities.iter().map(|origin| (origin.id.as_str(), origin.listed_by.iter().map(named).collect())).collect();
    let expected: [(&str, &[&str]); 3] =
        [("base-notes", &["capability notes"]), ("notes", &["harness base", "agent clerk", "session"]), ("extra", &["session"])];
    assert_eq!(origins, expected.map(|(id, by)| (id, by.iter().map(|by| (*by).to_owned()).collect::<Vec<_>>())));
}

#[tokio::test]
async fn a_turn_runs_on_what_inspection_shows() {
    let rig = layered().await;
    rig.ask("hello").await;
    let shown = inspect_turn_context(rig.platform.sources(), rig.org, rig.session).await.unwrap();
    let used = assemble_turn_context(rig.platform.sources(), rig.org, rig.session, shown.messages.clone(), Some(&shown.pins)).await;
    let used = used.unwrap();
    assert_eq!(used.report(), shown.report());
    assert_eq!(used.provenance, shown.provenance);
    assert_eq!(used.runtime_agent.system_prompt, shown.runtime_agent.system_prompt);
}

#[tokio::test]
async fn drafts_are_merged_like_what_is_stored() {
    let rig = layered().await;
    let stored = inspect_turn_context(rig.platform.sources(), rig.org, rig.session).await.unwrap();
    let leaf = stored.harness_chain[1].clone();
    let draft = Harness { id: HarnessId::from_uuid(Uuid::from_u128(0xfeed)), name: "draft".to_owned(), ..leaf };
    let sources = rig.platform.sources();
    let preview = preview_turn_context(sources, rig.org, draft.clone(), stored.agent.clone()).await.unwrap();
    let expected = "Prompt of base.\n\nPrompt of leaf.\n\nPrompt of the agent.\n\n<capability id=\"notes\">\nTake notes.\n</capability>";
    assert_eq!(preview.runtime_agent.system_prompt, expected);
    assert_eq!(preview.runtime_agent.max_iterations, 7);
    assert_eq!(told(&preview.report(), SectionKind::SystemPrompt)[1], "harness draft - 1");
    assert_eq!(rig.platform.backends.harness_store.find_harness(rig.org, "draft").await.unwrap(), None, "nothing is stored");

    let orphan = Harness { parent_harness_id: Some(HarnessId::from_uuid(Uuid::from_u128(0xdead))), ..draft };
    let error = preview_turn_context(sources, rig.org, orphan, None).await.unwrap_err();
    assert_eq!(error.code(), "harness_missing");
}
