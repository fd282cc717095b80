//! What the stock server is made of.

use everwit_runtime::driver::llmsim::{LlmSimConfig, register_driver};
use everwit_runtime::drivers::register_all;
use everwit_runtime::{
    BuiltInCapabilityDefinition, BuiltInHarnessDefinition, BuiltInHarnessRole, CapabilityRegistry, DriverRegistry, PlatformDefinition,
};

const BASE_PROMPT: &str = "You are a helpful assistant. Use the tools you have when they help to answer.";
const CHAT_PROMPT: &str = "You are a helpful assistant. Answer briefly, in the language of the question.";

/// What the harness for everyday work has.
const GENERIC: [&str; 6] = ["current_time", "session", "stateless_todo_list", "agent_instructions", "compaction", "loop_detection"];

/// The definition of the stock server, to start from: all built-in capabilities, the simulated
/// model and the drivers of the known vendors, and the harnesses `base`, `generic` (role default) and `chat`.
pub fn oss_platform_definition() -> PlatformDefinition {
    let mut drivers = DriverRegistry::new();
    register_driver(&mut drivers, LlmSimConfig::interactive());
    register_all(&mut drivers);
    let mut platform = PlatformDefinition::new(CapabilityRegistry::with_builtins(), drivers);
    let harness = BuiltInHarnessDefinition::new;
    *platform.built_in_harnesses_mut() = vec![
        harness("base", "Base", "What sessions and agents run on if they name no harness.", BASE_PROMPT)
            .with_roles([BuiltInHarnessRole::Base])
            .with_tags(["built-in"]),
        harness("generic", "Generic", "For everyday work: the usual tools.", "")
            .with_parent_key("base")
            .with_roles([BuiltInHarnessRole::Default])
            .with_tags(["built-in"])
            .with_capabilities(GENERIC.map(BuiltInCapabilityDefinition::new)),
        harness("chat", "Chat", "What the chat session of each caller runs on.", CHAT_PROMPT)
            .with_roles([BuiltInHarnessRole::Chat])
            .with_tags(["built-in"])
            .with_capabilities([BuiltInCapabilityDefinition::new("current_time")]),
    ];
    platform
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stock_definition_is_consistent_and_has_every_role() {
        let platform = oss_platform_definition();
        platform.validate().unwrap();
        for role in BuiltInHarnessRole::ALL {
            assert!(platform.harness_for_role(role).is_some(), "{role:?}");
        }
    }
}
