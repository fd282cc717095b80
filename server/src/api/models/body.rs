//! Models as they are sent and answered.

use everwit_runtime::driver::DriverId;
use everwit_runtime::driver::profile::facts_of;
use everwit_runtime::id::{ModelId, ProviderId};
use everwit_runtime::provider::{Model, ModelSource, Provider, ProviderStatus};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::extract::given;

/// A new model of a provider.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CreateModelRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateModel {
    /// Name as the vendor spells it, unique at the provider.
    #[schema(example = "gpt-5.2")]
    pub(super) model_id: String,
    /// Name for people; the vendor's name if absent.
    pub(super) display_name: Option<String>,
    /// What it can do, for example "vision".
    #[serde(default)]
    pub(super) capabilities: Vec<String>,
    /// What is known of it: limits, prices, modalities.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub(super) profile: Map<String, Value>,
    /// Whether it can be used.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub(super) enabled: bool,
    /// Whether lists show it first.
    #[serde(default)]
    pub(super) is_favorite: bool,
    /// Whether it becomes the model of sessions that name none.
    #[serde(default)]
    pub(super) is_default: bool,
}

fn yes() -> bool {
    true
}

/// What to change of a model: absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UpdateModelRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateModel {
    /// Id or name of the provider that has it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false)]
    pub(super) provider_id: Option<String>,
    /// Name as the vendor spells it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false)]
    pub(super) model_id: Option<String>,
    /// Name for people.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = String, required = false)]
    pub(super) display_name: Option<String>,
    /// What it can do, all of it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<String>, required = false)]
    pub(super) capabilities: Option<Vec<String>>,
    /// What is known of it, all of it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Object, required = false)]
    pub(super) profile: Option<Map<String, Value>>,
    /// Whether it can be used.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = bool, required = false)]
    pub(super) enabled: Option<bool>,
    /// Whether lists show it first.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = bool, required = false)]
    pub(super) is_favorite: Option<bool>,
    /// Whether it is the model of sessions that name none; it takes the place of another.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = bool, required = false)]
    pub(super) is_default: Option<bool>,
}

/// A model at a provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
pub(crate) struct ModelBody {
    /// Id.
    id: ModelId,
    /// The provider that has it.
    provider_id: ProviderId,
    /// Name of that provider.
    provider_name: String,
    /// Its driver.
    #[schema(value_type = String)]
    provider_type: DriverId,
    /// Whether turns can use it: enabled, at an active provider whose driver there is.
    healthy: bool,
    /// Name as the vendor spells it.
    model_id: String,
    /// Name for people.
    display_name: String,
    /// What it can do.
    capabilities: Vec<String>,
    /// What is known of it: what the org or the vendor's list says, over what the platform knows.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object, required = false)]
    profile: Map<String, Value>,
    /// Whether it can be used.
    enabled: bool,
    /// Whether lists show it first.
    is_favorite: bool,
    /// Whether it is the model of sessions that name none.
    is_default: bool,
    /// Where the org knows it from.
    source: ModelSource,
    /// Whether the provider's list had it once and has it no more.
    stale: bool,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl ModelBody {
    /// A model of `provider`; `has_driver` says whether its driver is there.
    pub(super) fn new(model: Model, provider: Provider, has_driver: bool) -> Self {
        Self {
            profile: facts_of(&provider.provider_type, &model.model_id, &model.profile),
            id: model.id,
            provider_id: model.provider_id,
            healthy: model.enabled && has_driver && provider.status == ProviderStatus::Active,
            provider_name: provider.name,
            provider_type: provider.provider_type,
            model_id: model.model_id,
            display_name: model.display_name,
            capabilities: model.capabilities,
            enabled: model.enabled,
            is_favorite: model.is_favorite,
            is_default: model.is_default,
            source: model.source,
            stale: model.stale,
            created_at: model.created_at,
            updated_at: model.updated_at,
        }
    }
}

impl UpdateModel {
    /// Makes the changes but that of the provider.
    pub(super) fn apply(self, model: &mut Model) {
        if let Some(model_id) = self.model_id {
            model.model_id = model_id;
        }
        if let Some(display_name) = self.display_name {
            model.display_name = display_name;
        }
        if let Some(capabilities) = self.capabilities {
            model.capabilities = capabilities;
        }
        if let Some(profile) = self.profile {
            model.profile = profile;
        }
        if let Some(enabled) = self.enabled {
            model.enabled = enabled;
        }
        if let Some(is_favorite) = self.is_favorite {
            model.is_favorite = is_favorite;
        }
        if let Some(is_default) = self.is_default {
            model.is_default = is_default;
        }
    }
}
