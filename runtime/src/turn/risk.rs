//! The risk that an org allows, held against what its turns work with: when a turn gets its capabilities, and
//! again before its tools are called, so that what was assigned earlier does not go on.

use crate::capability::{Capability, RiskLevel};
use crate::id::OrgId;
use crate::store::{OrgSetupStore, StoreResult};

/// A capability that has more risk than its org allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "capability {id:?} has risk level {}, and this org allows {} at most; an admin of the org can change that: \"max_risk\" of PATCH /v1/orgs/{{org}}",
    level.as_str(),
    allowed.as_str()
)]
pub struct RiskTooHigh {
    /// Id of the capability.
    pub id: String,
    /// What it has.
    pub level: RiskLevel,
    /// What the org allows.
    pub allowed: RiskLevel,
}

/// What an org allows at most those who use something of these levels. It is read only if one of them can be too
/// much; an org that nobody has set up allows everything.
///
/// # Errors
/// Those of the store.
pub async fn allowed_risk(setup: &dyn OrgSetupStore, org: OrgId, used: impl Iterator<Item = RiskLevel>) -> StoreResult<RiskLevel> {
    if used.max().is_none_or(|most| most == RiskLevel::Low) {
        return Ok(RiskLevel::High);
    }
    Ok(setup.get_org(org).await?.map_or(RiskLevel::High, |org| org.max_risk))
}

/// Whether a capability may be used where so much is allowed.
///
/// # Errors
/// Which capability has how much, and who can change what is allowed.
pub fn require_risk(capability: &dyn Capability, allowed: RiskLevel) -> Result<(), RiskTooHigh> {
    let level = capability.risk_level();
    if level > allowed { Err(RiskTooHigh { id: capability.id().to_owned(), level, allowed }) } else { Ok(()) }
}
