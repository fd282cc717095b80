//! Risk of capabilities: who may assign them, and where they are called without a turn.

use std::collections::{BTreeSet, VecDeque};

use axum::http::StatusCode;
use everwit_runtime::capability::{Capability, RiskLevel};
use everwit_runtime::harness::CapabilityConfig;
use everwit_runtime::id::OrgId;
use everwit_runtime::limits::MAX_CAPABILITIES;
use everwit_runtime::store::Scope;
use everwit_runtime::turn::{allowed_risk, require_risk};

use super::App;
use crate::auth::Caller;
use crate::problem::Problem;

/// Lets only admins assign what is of high risk, or depends on something that is. What is `stored` already, in the same
/// choice of a version, was assigned by somebody who could.
///
/// # Errors
/// 403 that names the capabilities; those of the store.
pub(super) async fn require_consent(
    app: &App,
    caller: &Caller,
    list: &[CapabilityConfig],
    stored: &[CapabilityConfig],
) -> Result<(), Problem> {
    if caller.scope >= Scope::Admin {
        return Ok(());
    }
    let same =
        |entry: &CapabilityConfig, other: &CapabilityConfig| entry.id.eq_ignore_ascii_case(&other.id) && entry.choice() == other.choice();
    let mut risky = BTreeSet::new();
    for entry in list.iter().filter(|entry| !stored.iter().any(|other| same(entry, other))).take(MAX_CAPABILITIES) {
        risky.extend(of_high_risk(app, caller.org, entry).await?);
    }
    if risky.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = risky.iter().map(|id| format!("{id:?}")).collect();
    let detail = format!("only a key of scope admin assigns capabilities of high risk: {}", named.join(", "));
    Err(Problem::new(StatusCode::FORBIDDEN, "high_risk", detail))
}

/// Ids of what has high risk among a capability and all that it depends on. Who is unknown has none: whoever checks
/// the entry says so.
async fn of_high_risk(app: &App, org: OrgId, entry: &CapabilityConfig) -> Result<Vec<String>, Problem> {
    let source = &app.components.source;
    let first = match entry.choice() {
        Some(choice) => source.find_chosen(org, &entry.id, &choice).await?.ok(),
        None => source.find(org, &entry.id).await?,
    };
    let (mut risky, mut known, mut queue) = (Vec::new(), BTreeSet::new(), VecDeque::new());
    let mut next = first;
    loop {
        if let Some(capability) = next.take() {
            if capability.risk_level() == RiskLevel::High {
                risky.push(capability.id().to_owned());
            }
            queue.extend(capability.dependencies().iter().map(|id| id.to_lowercase()));
        }
        let Some(id) = queue.pop_front() else { return Ok(risky) };
        if known.len() < MAX_CAPABILITIES && known.insert(id.clone()) {
            next = source.find(org, &id).await?;
        }
    }
}

/// Whether the org allows the risk of a capability that is called without a turn.
///
/// # Errors
/// 403 that says what it allows; those of the store.
pub(super) async fn require_allowed(app: &App, org: OrgId, capability: &dyn Capability) -> Result<(), Problem> {
    let allowed = allowed_risk(&*app.stores.setup_store, org, std::iter::once(capability.risk_level())).await?;
    require_risk(capability, allowed).map_err(|beyond| Problem::new(StatusCode::FORBIDDEN, "risk_too_high", beyond.to_string()))
}
