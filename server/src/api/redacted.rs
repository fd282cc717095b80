//! Lists of capabilities as answers show them: without what the schemas of their configurations mark
//! as secret. [`Checks::capabilities`](super::check::Checks::capabilities) is the way back.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use everwit_runtime::capability::{Capability, REDACTED, redact_config};
use everwit_runtime::harness::CapabilityConfig;
use everwit_runtime::id::OrgId;
use serde::Serialize;

use super::App;

/// A list of capabilities without secrets. Made by [`Redaction`] only.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct RedactedCapabilities(Vec<CapabilityConfig>);

/// What there is to know of capabilities to show their configurations.
pub(crate) struct Redaction {
    /// None for those that cannot be found, whose configurations are not shown at all.
    capabilities: HashMap<String, Option<Arc<dyn Capability>>>,
}

impl Redaction {
    /// For the configured capabilities of these ids; each is looked up once.
    pub(crate) async fn of(app: &App, org: OrgId, ids: BTreeSet<String>) -> Self {
        let mut capabilities = HashMap::new();
        for id in ids {
            let found = app.components.source.find(org, &id).await.unwrap_or_else(|error| {
                tracing::warn!(%error, capability = id, "a capability cannot be found; its configurations are not shown");
                None
            });
            capabilities.insert(id, found);
        }
        Self { capabilities }
    }

    /// A list of those.
    pub(crate) fn show(&self, mut list: Vec<CapabilityConfig>) -> RedactedCapabilities {
        for entry in &mut list {
            if let Some(config) = &mut entry.config {
                *config = match self.capabilities.get(&entry.id.to_lowercase()) {
                    Some(Some(capability)) => redact_config(capability.config_schema(), config),
                    _ => REDACTED.into(),
                };
            }
        }
        RedactedCapabilities(list)
    }
}

/// Ids of the capabilities in these lists that are configured.
pub(crate) fn configured<'a>(lists: impl IntoIterator<Item = &'a Vec<CapabilityConfig>>) -> BTreeSet<String> {
    let entries = lists.into_iter().flatten().filter(|entry| entry.config.is_some());
    entries.map(|entry| entry.id.to_lowercase()).collect()
}
