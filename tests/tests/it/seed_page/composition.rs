//! The platform definition: a preset that is changed, a definition from nothing, and roles.

use everwit_runtime::driver::llmsim::{LlmSimConfig, register_driver};
use everwit_runtime::platform::DefinitionProblem;
use everwit_runtime::{
    BuiltInCapabilityDefinition, BuiltInHarnessDefinition, BuiltInHarnessRole, CapabilityRegistry, ConnectionProvider,
    CurrentTimeCapability, DriverId, DriverRegistry, PlatformDefinition,
};

struct Daytona;

impl ConnectionProvider for Daytona {
    fn id(&self) -> &str {
        "daytona"
    }

    fn name(&self) -> &str {
        "Daytona"
    }
}

fn minimal() -> BuiltInHarnessDefinition {
    BuiltInHarnessDefinition::new("minimal", "Minimal", "Minimal embedded harness", "You are a helpful assistant.")
        .with_roles([BuiltInHarnessRole::Base, BuiltInHarnessRole::Default])
        .with_tags(["minimal", "built-in"])
        .with_capabilities([BuiltInCapabilityDefinition::new("current_time")])
}

/// What a distribution would ship: the thing to be changed.
fn preset() -> PlatformDefinition {
    let base = BuiltInHarnessDefinition::new("base", "Base", "Stock", "Stock prompt.").with_roles([BuiltInHarnessRole::Base]);
    let chat = BuiltInHarnessDefinition::new("chat", "Chat", "Stock", "Chat prompt.").with_roles([BuiltInHarnessRole::Chat]);
    PlatformDefinition::builder()
        .capability(CurrentTimeCapability)
        .connection_provider(Daytona)
        .built_in_harnesses([base, chat])
        .build()
        .unwrap()
}

#[test]
fn a_preset_is_changed_part_by_part() {
    let mut platform = preset();
    assert!(platform.connection_providers_mut().unregister("daytona"));
    assert!(!platform.capability_registry_mut().unregister("daytona"), "it was never there");
    platform
        .built_in_harnesses_mut()
        .retain(|harness| !harness.has_role(BuiltInHarnessRole::Base) && !harness.has_role(BuiltInHarnessRole::Default));
    platform.built_in_harnesses_mut().push(minimal());
    platform.validate().unwrap();
    let keys: Vec<&str> = platform.built_in_harnesses().iter().map(|harness| harness.key.as_str()).collect();
    assert_eq!(keys, ["chat", "minimal"]);
    assert!(!platform.connection_providers().has("daytona"));
}

#[test]
fn a_definition_from_nothing_has_what_is_registered_and_nothing_else() {
    let mut capabilities = CapabilityRegistry::new();
    capabilities.register(CurrentTimeCapability);
    let mut drivers = DriverRegistry::new();
    register_driver(&mut drivers, LlmSimConfig::echo());
    let platform = PlatformDefinition::builder()
        .capability_registry(capabilities)
        .driver_registry(drivers)
        .built_in_harnesses([minimal()])
        .build()
        .unwrap();
    let ids: Vec<&str> = platform.capability_registry().list().map(|capability| capability.id()).collect();
    assert_eq!(ids, ["current_time"]);
    assert_eq!(platform.driver_registry().ids().collect::<Vec<_>>(), [&DriverId::LlmSim]);
    assert_eq!(platform.connection_providers().list().count(), 0);
    assert_eq!(PlatformDefinition::default().capability_registry().list().count(), 0);
}

#[test]
fn a_clone_shares_its_capabilities_and_changes_alone() {
    let server = preset();
    let mut worker = server.clone();
    let shared = server.capability_registry().get("current_time").unwrap();
    assert!(std::sync::Arc::ptr_eq(&shared, &worker.capability_registry().get("current_time").unwrap()));
    worker.capability_registry_mut().unregister("current_time");
    assert!(server.capability_registry().has("current_time"));
}

#[test]
fn behaviour_follows_roles_and_not_names() {
    let mut platform = preset();
    assert_eq!(platform.harness_for_role(BuiltInHarnessRole::Chat).map(|harness| harness.key.as_str()), Some("chat"));
    assert_eq!(platform.harness_for_role(BuiltInHarnessRole::Default), None);
    let internal = BuiltInHarnessDefinition::new("internal-default", "Internal Default", "", "").with_roles([BuiltInHarnessRole::Default]);
    platform.add_built_in_harness(internal);
    assert_eq!(platform.harness_for_role(BuiltInHarnessRole::Default).map(|harness| harness.key.as_str()), Some("internal-default"));
}

#[test]
fn a_definition_that_cannot_work_tells_all_problems_at_once() {
    let lost = BuiltInHarnessDefinition::new("minimal", "Lost", "", "").with_parent_key("nowhere");
    let refused = PlatformDefinition::builder().built_in_harnesses([minimal(), lost]).build();
    let Err(errors) = refused else { panic!("it cannot work") };
    let (capability, harness, parent) = ("current_time".to_owned(), "minimal".to_owned(), "nowhere".to_owned());
    let expected = [
        DefinitionProblem::UnknownCapability { harness: harness.clone(), capability },
        DefinitionProblem::DuplicateHarnessKey(harness.clone()),
        DefinitionProblem::DanglingParent { harness, parent },
    ];
    for problem in expected {
        assert!(errors.0.contains(&problem), "{problem} is missing in {errors}");
    }
}

#[test]
fn capability_ids_have_no_case() {
    let mut registry = CapabilityRegistry::with_builtins();
    assert!(registry.has("Current_Time") && registry.get("CURRENT_TIME").is_some());
    assert!(registry.unregister("CURRENT_time"));
    assert!(!registry.has("current_time"));
}
