//! What a native tool may use of its host. There is no other way out of a tool: whatever it
//! reads, stores or fetches goes through here, so that it is scoped, limited and seen.

use std::sync::Arc;

use crate::clock::Clock;
use crate::egress::Gateway;
use crate::id::IdSource;
use crate::store::RuntimeBackends;
use crate::usage::OrgAllowance;

/// Services of the host for native tools; the same value for all calls of a platform. A tool
/// must pass the org and session of its call on to them.
pub struct ToolServices {
    /// Stores.
    pub backends: RuntimeBackends,
    /// The one way to the network.
    pub egress: Arc<Gateway>,
    /// The one source of time.
    pub clock: Arc<dyn Clock>,
    /// The one source of ids and randomness.
    pub ids: Arc<dyn IdSource>,
    /// What every org may use. Its limits of calls hold for calls of components.
    pub allowance: OrgAllowance,
}
