//! From what a caller writes to the thing: names work wherever ids work, and what another org
//! has does not exist.

use std::str::FromStr;

use everwit_runtime::agent::Agent;
use everwit_runtime::component::Component;
use everwit_runtime::harness::Harness;
use everwit_runtime::id::{HarnessId, OrgId};
use everwit_runtime::provider::{Model, Provider};
use everwit_runtime::session::Session;

use super::App;
use crate::problem::Problem;

/// A harness by id or name.
pub(crate) async fn harness(app: &App, org: OrgId, reference: &str) -> Result<Harness, Problem> {
    find_harness(app, org, reference).await?.ok_or_else(|| Problem::not_found("harness", reference))
}

/// As [`harness`]; none if there is no such harness.
pub(crate) async fn find_harness(app: &App, org: OrgId, reference: &str) -> Result<Option<Harness>, Problem> {
    let store = &app.stores.harness_store;
    Ok(match FromStr::from_str(reference) {
        Ok(id) => store.get_harness(org, id).await?,
        Err(_) => store.find_harness(org, reference).await?,
    })
}

/// The harness of what names none.
pub(crate) async fn base_harness(app: &App, org: OrgId) -> Result<HarnessId, Problem> {
    app.seeder.base_harness(org).await?.ok_or_else(|| {
        let detail = "no harness is named, the org has no base harness, and the platform has none with the role base; \
                      name one, or set base_harness_id of the org";
        Problem::conflict("no_base_harness", detail)
    })
}

/// An agent by id or name.
pub(crate) async fn agent(app: &App, org: OrgId, reference: &str) -> Result<Agent, Problem> {
    find_agent(app, org, reference).await?.ok_or_else(|| Problem::not_found("agent", reference))
}

/// As [`agent`]; none if there is no such agent.
pub(crate) async fn find_agent(app: &App, org: OrgId, reference: &str) -> Result<Option<Agent>, Problem> {
    let store = &app.stores.agent_store;
    Ok(match FromStr::from_str(reference) {
        Ok(id) => store.get_agent(org, id).await?,
        Err(_) => store.find_agent(org, reference).await?,
    })
}

/// A session by id.
pub(crate) async fn session(app: &App, org: OrgId, reference: &str) -> Result<Session, Problem> {
    find_session(app, org, reference).await?.ok_or_else(|| Problem::not_found("session", reference))
}

/// As [`session`]; none if there is no such session.
pub(crate) async fn find_session(app: &App, org: OrgId, reference: &str) -> Result<Option<Session>, Problem> {
    let Ok(id) = reference.parse() else { return Ok(None) };
    Ok(app.stores.session_store.get_session(org, id).await?)
}

/// A provider by id or name.
pub(crate) async fn provider(app: &App, org: OrgId, reference: &str) -> Result<Provider, Problem> {
    let store = &app.stores.provider_store;
    let found = match FromStr::from_str(reference) {
        Ok(id) => store.get_provider(org, id).await?,
        Err(_) => store.find_provider(org, reference).await?,
    };
    found.ok_or_else(|| Problem::not_found("provider", reference))
}

/// A model by id.
pub(crate) async fn model(app: &App, org: OrgId, reference: &str) -> Result<Model, Problem> {
    let absent = || Problem::not_found("model", reference);
    let id = reference.parse().map_err(|_| absent())?;
    app.stores.provider_store.get_model(org, id).await?.ok_or_else(absent)
}

/// A component by id or by its capability id.
pub(crate) async fn component(app: &App, org: OrgId, reference: &str) -> Result<Component, Problem> {
    let store = &app.stores.component_store;
    let found = match FromStr::from_str(reference) {
        Ok(id) => store.get_component(org, id).await?,
        Err(_) => store.find_component(org, reference).await?,
    };
    found.ok_or_else(|| Problem::not_found("component", reference))
}
