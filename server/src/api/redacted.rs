//! Lists of capabilities as answers show them: without what the schemas of their configurations mark
//! as secret. [`Checks::capabilities`](super::check::Checks::capabilities) is the way back.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use everwit_runtime::capability::{Capability, REDACTED, redact_config};
use everwit_runtime::harness::{CapabilityConfig, VersionChoice};
use everwit_runtime::id::OrgId;
use serde::Serialize;

use super::App;

/// A list of capabilities without secrets. Made by [`Redaction`] only.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct RedactedCapabilities(Vec<CapabilityConfig>);

/// A capability by its id, and the version that is asked for: schemas differ among versions.
pub(crate) type Named = (String, Option<VersionChoice>);

/// What there is to know of capabilities to show their configurations.
pub(crate) struct Redaction {
    /// None for those that cannot be found, whose configurations are not shown at all.
    capabilities: HashMap<Named, Option<Arc<dyn Capability>>>,
}

impl Redaction {
    /// For these configured capabilities; each is looked up once.
    pub(crate) async fn of(app: &App, org: OrgId, named: BTreeSet<Named>) -> Self {
        let mut capabilities = HashMap::new();
        for (id, choice) in named {
            let found = match &choice {
                Some(choice) => app.components.source.find_chosen(org, &id, choice).await.map(Result::ok),
                None => app.components.source.find(org, &id).await,
            };
            let found = found.unwrap_or_else(|error| {
                tracing::warn!(%error, capability = id, "a capability cannot be found; its configurations are not shown");
                None
            });
            capabilities.insert((id, choice), found);
        }
        Self { capabilities }
    }

    /// A list of those.
    pub(crate) fn show(&self, mut list: Vec<CapabilityConfig>) -> RedactedCapabilities {
        for entry in &mut list {
            let named = name(entry);
            if let Some(config) = &mut entry.config {
                *config = match self.capabilities.get(&named) {
                    Some(Some(capability)) => redact_config(capability.config_schema(), config),
                    _ => REDACTED.into(),
                };
            }
        }
        RedactedCapabilities(list)
    }
}

fn name(entry: &CapabilityConfig) -> Named {
    (entry.id.to_lowercase(), entry.choice())
}

/// The capabilities in these lists that are configured.
pub(crate) fn configured<'a>(lists: impl IntoIterator<Item = &'a Vec<CapabilityConfig>>) -> BTreeSet<Named> {
    lists.into_iter().flatten().filter(|entry| entry.config.is_some()).map(name).collect()
}
