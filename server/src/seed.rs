//! Built-in resources: what every org has without anybody creating it.

use everwit_runtime::harness::{Harness, ResourceStatus};
use everwit_runtime::id::{HarnessId, OrgId};
use everwit_runtime::store::{RuntimeBackends, StoreError, StoreResult};

use crate::moments::Moments;

/// Name of the harness that sessions and agents get if they name none.
pub(crate) const BASE_HARNESS: &str = "base";
const BASE_PROMPT: &str = "You are a helpful assistant. Use the tools you have when they help to answer.";

/// The org's base harness; seeds it if the org is new.
///
/// # Errors
/// Those of the store.
pub(crate) async fn base_harness(stores: &RuntimeBackends, moments: &Moments, org: OrgId) -> StoreResult<Harness> {
    if let Some(harness) = stores.harness_store.find_harness(org, BASE_HARNESS).await? {
        return Ok(harness);
    }
    let now = moments.now();
    let harness = Harness {
        id: HarnessId::from_uuid(moments.uuid()),
        name: BASE_HARNESS.to_owned(),
        display_name: Some("Base".to_owned()),
        description: Some("What sessions and agents run on if they name no harness.".to_owned()),
        system_prompt: Some(BASE_PROMPT.to_owned()),
        parent_harness_id: None,
        default_model_id: None,
        capabilities: Vec::new(),
        initial_files: Vec::new(),
        tags: Vec::new(),
        is_built_in: true,
        status: ResourceStatus::Active,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    match stores.harness_store.add_harness(org, harness.clone()).await {
        Ok(()) => Ok(harness),
        // Another request seeded it in the meantime.
        Err(StoreError::Duplicate { what, id }) => {
            let found = stores.harness_store.find_harness(org, BASE_HARNESS).await?;
            found.ok_or(StoreError::Duplicate { what, id })
        }
        Err(error) => Err(error),
    }
}
