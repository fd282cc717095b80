//! The table of routes while it is put together: modules that are switched off leave no trace.

use std::collections::BTreeSet;

use utoipa::openapi::path::{Operation, PathItem};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::App;

/// A part of the stock HTTP API that can be switched off. Its routes and their documentation
/// vanish; what other parts need of it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Module {
    /// `/v1/agents`.
    Agents,
    /// `/v1/budgets`.
    Budgets,
    /// `/v1/capabilities`.
    Capabilities,
    /// `/v1/components`.
    Components,
    /// `/v1/user/connections`.
    Connections,
    /// `/docs`, and `/openapi.json`.
    Docs,
    /// The events of sessions, also as streams.
    Events,
    /// `/v1/harnesses`.
    Harnesses,
    /// `/healthz` and `/readyz`.
    Health,
    /// `/v1/members`, `/v1/api-keys` and `/v1/me`.
    Members,
    /// The messages of sessions.
    Messages,
    /// `/v1/orgs`.
    Orgs,
    /// `/v1/models`.
    Models,
    /// `/v1/providers`.
    Providers,
    /// `/v1/secrets`.
    Secrets,
    /// The files of sessions.
    SessionFiles,
    /// The key-value data of sessions.
    SessionStorage,
    /// `/v1/sessions`, without messages and events.
    Sessions,
    /// `/v1/workers`.
    Workers,
}

impl Module {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Agents,
        Self::Budgets,
        Self::Capabilities,
        Self::Components,
        Self::Connections,
        Self::Docs,
        Self::Events,
        Self::Harnesses,
        Self::Health,
        Self::Members,
        Self::Messages,
        Self::Models,
        Self::Orgs,
        Self::Providers,
        Self::Secrets,
        Self::SessionFiles,
        Self::SessionStorage,
        Self::Sessions,
        Self::Workers,
    ];

    /// The tag of its operations in the OpenAPI document.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Agents => "agents",
            Self::Budgets => "budgets",
            Self::Capabilities => "capabilities",
            Self::Components => "components",
            Self::Connections => "connections",
            Self::Docs => "docs",
            Self::Events => "events",
            Self::Harnesses => "harnesses",
            Self::Health => "health",
            Self::Members => "members",
            Self::Messages => "messages",
            Self::Models => "models",
            Self::Providers => "providers",
            Self::Secrets => "secrets",
            Self::SessionFiles => "session-files",
            Self::SessionStorage => "session-storage",
            Self::Orgs => "orgs",
            Self::Sessions => "sessions",
            Self::Workers => "workers",
        }
    }
}

/// Modules that are switched off.
pub(crate) type Without = BTreeSet<Module>;

/// A router that takes the routes of modules that are on.
pub(super) struct Table<'a> {
    without: &'a Without,
    router: OpenApiRouter<App>,
}

impl<'a> Table<'a> {
    /// No routes yet.
    pub(super) fn new(without: &'a Without) -> Self {
        Self { without, router: OpenApiRouter::new() }
    }

    /// Adds routes, unless their module is off. The module is what their tag says, so that a
    /// route cannot be in another one than the document tells.
    pub(super) fn routes(mut self, routes: UtoipaMethodRouter<App>) -> Self {
        let off = |operation: &Operation| {
            let tags = operation.tags.iter().flatten();
            tags.into_iter().any(|tag| self.without.iter().any(|module| module.tag() == tag))
        };
        if !routes.1.paths.values().flat_map(operations).any(off) {
            self.router = self.router.routes(routes);
        }
        self
    }

    /// The router; none if it has no routes, to which no layer can be added.
    pub(super) fn finish(self) -> Option<OpenApiRouter<App>> {
        (!self.router.get_openapi().paths.paths.is_empty()).then_some(self.router)
    }
}

fn operations(item: &PathItem) -> impl Iterator<Item = &Operation> {
    [&item.get, &item.post, &item.put, &item.patch, &item.delete].into_iter().flatten()
}
