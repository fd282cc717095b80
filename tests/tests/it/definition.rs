//! Platform definitions: everything that is wrong with one is told at once, and equal ones have
//! equal digests.

use async_trait::async_trait;
use everwit_runtime::capability::{ToolCallContext, ToolOutcome, ToolOutput};
use everwit_runtime::limits::MAX_HARNESS_DEPTH;
use everwit_runtime::platform::{DefinitionProblem, SeedAgent};
use everwit_runtime::{
    BuiltInCapabilityDefinition, BuiltInHarnessDefinition, BuiltInHarnessRole, Capability, CapabilityRegistry, PlatformDefinition,
    PlatformDefinitionBuilder,
};
use serde_json::{Value, json};

/// A capability that only describes itself.
#[derive(Clone)]
struct Described {
    id: &'static str,
    needs: Vec<String>,
    schema: Option<Value>,
    prompt: Option<&'static str>,
}

fn described(id: &'static str) -> Described {
    Described { id, needs: Vec::new(), schema: None, prompt: None }
}

fn needing(id: &'static str, needs: &[&str]) -> Described {
    Described { needs: needs.iter().map(|&id| id.to_owned()).collect(), ..described(id) }
}

#[async_trait]
impl Capability for Described {
    fn id(&self) -> &str {
        self.id
    }

    fn name(&self) -> &str {
        "A name"
    }

    fn description(&self) -> &str {
        "A description"
    }

    fn system_prompt_addition(&self) -> Option<&str> {
        self.prompt
    }

    fn dependencies(&self) -> &[String] {
        &self.needs
    }

    fn config_schema(&self) -> Option<&Value> {
        self.schema.as_ref()
    }

    async fn call_tool(&self, _call: &ToolCallContext, _tool: &str, _arguments: Value) -> ToolOutcome {
        ToolOutcome::native(Ok(ToolOutput::text("")))
    }
}

fn harness(key: &str) -> BuiltInHarnessDefinition {
    BuiltInHarnessDefinition::new(key, key, "", "")
}

#[track_caller]
fn check(builder: PlatformDefinitionBuilder, expected: &[DefinitionProblem]) {
    let found = builder.build().err().map(|errors| errors.0).unwrap_or_default();
    assert_eq!(found, expected);
}

fn text(value: &str) -> String {
    value.to_owned()
}

#[test]
fn capabilities_need_what_they_depend_on_and_no_circle() {
    let builder = PlatformDefinition::builder;
    check(builder().capability(needing("a", &["B"])).capability(described("b")), &[]);
    let unknown = DefinitionProblem::UnknownDependency { capability: text("a"), dependency: text("gone") };
    check(builder().capability(needing("a", &["gone"])), &[unknown]);
    let circle = DefinitionProblem::DependencyCycle(["a", "b", "a"].map(text).to_vec());
    check(builder().capability(needing("a", &["b"])).capability(needing("b", &["a"])).capability(needing("c", &["a"])), &[circle]);
    check(builder().capability(needing("a", &["a"])), &[DefinitionProblem::DependencyCycle(["a", "a"].map(text).to_vec())]);
}

#[test]
fn the_configuration_of_a_harness_is_held_against_the_schema() {
    let schema = json!({ "type": "object", "properties": { "depth": { "type": "integer" } }, "required": ["depth"] });
    let with = |config: Option<Value>| {
        let capability = BuiltInCapabilityDefinition { id: text("a"), config };
        let builder = PlatformDefinition::builder().capability(Described { schema: Some(schema.clone()), ..described("a") });
        builder.add_built_in_harness(harness("h").with_capabilities([capability]))
    };
    check(with(Some(json!({ "depth": 1 }))), &[]);
    for (config, reason) in [(Some(json!({ "depth": "x" })), "/depth"), (None, "required")] {
        let problems = with(config).build().err().expect("it is wrong").0;
        assert!(matches!(&problems[..], [DefinitionProblem::BadConfig { problems, .. }] if problems.contains(reason)), "{problems:?}");
    }
    let broken = PlatformDefinition::builder().capability(Described { schema: Some(json!({ "type": 7 })), ..described("a") });
    assert!(matches!(&broken.build().err().expect("it is wrong").0[..], [DefinitionProblem::BadSchema { .. }]));
}

#[test]
fn harnesses_have_names_parents_and_roles_of_their_own() {
    let builder = |harnesses: &[BuiltInHarnessDefinition]| PlatformDefinition::builder().built_in_harnesses(harnesses.to_vec());
    let long = "x".repeat(65);
    for key in ["", "A", "a_b", "-a", &long] {
        check(builder(&[harness(key)]), &[DefinitionProblem::BadKey { what: "harness", key: text(key) }]);
    }
    check(builder(&[harness("a"), harness("a")]), &[DefinitionProblem::DuplicateHarnessKey(text("a"))]);
    let dangling = DefinitionProblem::DanglingParent { harness: text("a"), parent: text("b") };
    check(builder(&[harness("a").with_parent_key("b")]), &[dangling]);
    let circle = DefinitionProblem::ParentCycle(["a", "b", "a"].map(text).to_vec());
    check(builder(&[harness("a").with_parent_key("b"), harness("b").with_parent_key("a")]), &[circle]);
    let role = BuiltInHarnessRole::Chat;
    let twice = DefinitionProblem::DuplicateRole { role, first: text("a"), second: text("b") };
    check(builder(&[harness("a").with_roles([role]), harness("b").with_roles([role])]), &[twice]);
    let chain = |length: usize| -> Vec<BuiltInHarnessDefinition> {
        let link = |at: usize| if at == 0 { harness("h0") } else { harness(&format!("h{at}")).with_parent_key(format!("h{}", at - 1)) };
        (0..length).map(link).collect()
    };
    check(builder(&chain(MAX_HARNESS_DEPTH)), &[]);
    let length = MAX_HARNESS_DEPTH + 1;
    check(builder(&chain(length)), &[DefinitionProblem::ChainTooLong { harness: format!("h{MAX_HARNESS_DEPTH}"), length }]);
}

#[test]
fn all_problems_are_told_at_once() {
    let unknown = DefinitionProblem::UnknownCapability { harness: text("a"), capability: text("x") };
    let builder = PlatformDefinition::builder()
        .capability(needing("c", &["gone"]))
        .add_built_in_harness(harness("a").with_capabilities([BuiltInCapabilityDefinition::new("x")]).with_parent_key("b"))
        .seed_agent(SeedAgent::new("same", "a", ""))
        .seed_agent(SeedAgent::new("same", "a", ""));
    let expected = [
        DefinitionProblem::UnknownDependency { capability: text("c"), dependency: text("gone") },
        unknown,
        DefinitionProblem::DuplicateAgentKey(text("same")),
        DefinitionProblem::DanglingParent { harness: text("a"), parent: text("b") },
    ];
    check(builder.clone(), &expected);
    let told = builder.build().err().expect("it is wrong").to_string();
    assert!(told.contains("4 problem(s)") && told.contains("\"gone\"") && told.contains("\"same\""), "{told}");
}

#[test]
fn equal_definitions_have_equal_digests_and_others_say_how_they_differ() {
    let build = |capabilities: &[Described], prompt: &str| {
        let mut registry = CapabilityRegistry::new();
        capabilities.iter().cloned().for_each(|capability| registry.register(capability));
        let template = BuiltInHarnessDefinition::new("h", "H", "", prompt);
        let builder = PlatformDefinition::builder().capability_registry(registry).add_built_in_harness(template);
        builder.build().expect("a definition").digest()
    };
    let (a, b) = (described("a"), described("b"));
    let first = build(&[a.clone(), b.clone()], "One.");
    let reordered = build(&[b.clone(), a.clone()], "One.");
    assert_eq!((first.whole(), first.difference(&reordered)), (reordered.whole(), None));
    let other = build(&[Described { prompt: Some("new"), ..a }, described("c")], "Two.");
    assert_ne!(first.whole(), other.whole());
    let difference = first.difference(&other).expect("they differ");
    assert_eq!((&difference.only_first[..], &difference.only_second[..]), (&[text("capability/b")][..], &[text("capability/c")][..]));
    assert_eq!(difference.changed, ["capability/a", "harness/h"]);
}
