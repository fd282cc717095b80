//! From a builder to a runtime.

use std::sync::Arc;

use super::LOCAL_ORG;
use super::builder::{InProcessRuntimeBuilder, ModelChoice};
use super::check::{self, Check};
#[cfg(feature = "sandbox")]
use super::component::Surroundings;
use super::problem::BuildError;
#[cfg(not(feature = "sandbox"))]
use super::problem::BuildProblem;
use super::runtime::{InProcessRuntime, Parts};
use super::seed::Ground;
use crate::clock::{Clock, SystemClock};
use crate::driver::llmsim::register_driver;
use crate::driver::{DriverHost, DriverId, DriverRegistry, ResolvedModel, StoredTokens};
use crate::egress::{Gateway, GatewayConfig};
use crate::id::{IdSource, RandomIds};
use crate::store::RuntimeBackends;
use crate::turn::TurnPlatform;
use crate::usage::OrgAllowance;

/// Name of the simulated model if nobody names another.
const SIMULATED_MODEL: &str = "llmsim-model";

pub(super) async fn build(builder: InProcessRuntimeBuilder) -> Result<InProcessRuntime, BuildError> {
    let mut problems = Vec::new();
    let hosting = builder.hosting;
    let clock: Arc<dyn Clock> = hosting.clock.unwrap_or_else(|| Arc::new(SystemClock));
    let ids: Arc<dyn IdSource> = hosting.ids.unwrap_or_else(|| Arc::new(RandomIds::new(clock.clone())));
    let backends = hosting.backends.unwrap_or_else(RuntimeBackends::in_memory);
    let egress = match hosting.egress {
        Some(egress) => egress,
        None => Arc::new(Gateway::new(GatewayConfig::default())?),
    };
    let mut definition = builder.definition;
    for capability in builder.capabilities {
        definition.capability_registry_mut().register_arc(capability);
    }
    if let Some(drivers) = builder.drivers {
        *definition.driver_registry_mut() = drivers;
    }
    let default_model = choose_model(builder.model, definition.driver_registry_mut());

    #[cfg(feature = "sandbox")]
    let cache = {
        let surroundings = Surroundings { backends: &backends, gateway: &egress, clock: &clock };
        builder.components.open(&mut definition, surroundings, &mut problems).await?
    };
    #[cfg(not(feature = "sandbox"))]
    if let Err(errors) = definition.validate() {
        problems.extend(errors.0.into_iter().map(BuildProblem::from));
    }
    problems.extend(check::model(default_model.as_ref(), definition.driver_registry()));

    let org = backends.org_store.default_org(LOCAL_ORG, clock.now()).await?;
    let ground = Ground { backends: &backends, org, clock: clock.as_ref(), ids: ids.as_ref() };
    let mut seeds = builder.seeds;
    let roles = seeds.add_templates(&ground, &definition).await?;
    let default_session = seeds.unfold_single(&ground, &roles).await?;
    Check { ground: &ground, definition: &definition, problems: &mut problems }.seeds(&seeds).await?;
    let Some(default_model) = default_model.filter(|_| problems.is_empty()) else { return Err(BuildError::Invalid(problems)) };
    seeds.store(&ground).await?;

    let driver_host = DriverHost::new(egress.clone(), clock.clone(), ids.clone()).with_keeper(Arc::new(StoredTokens::new(&backends)));
    let platform = TurnPlatform {
        capabilities: Arc::new(definition.capability_registry().clone()),
        drivers: Arc::new(definition.driver_registry().clone()),
        backends,
        default_model,
        driver_host: Arc::new(driver_host),
        wait_limit: builder.turns.wait,
        allowance: OrgAllowance::default(),
        clock,
        ids,
        egress,
    };
    Ok(InProcessRuntime::new(Parts {
        platform,
        org,
        default_session,
        roles,
        turns: builder.turns,
        #[cfg(feature = "sandbox")]
        cache,
    }))
}

/// Registers the simulator and finds the default model.
fn choose_model(choice: ModelChoice, drivers: &mut DriverRegistry) -> Option<ResolvedModel> {
    let simulated = choice.simulator.is_some();
    if let Some(config) = choice.simulator {
        register_driver(drivers, config);
    }
    choice.default.or_else(|| {
        simulated.then(|| ResolvedModel {
            model: SIMULATED_MODEL.to_owned(),
            provider_type: DriverId::LlmSim,
            api_key: None,
            base_url: None,
            provider_metadata: None,
        })
    })
}
