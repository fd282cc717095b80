//! Providers and models that an org has from the start, so that a key is all that is missing. Only
//! those are seeded whose driver the platform has; each is seeded once, so that what an org
//! renamed, changed or deleted stays so.

use everwit_runtime::driver::{DriverId, DriverRegistry};
use everwit_runtime::id::{ModelId, OrgId, ProviderId};
use everwit_runtime::provider::{Model, ModelSource, Provider, ProviderStatus};
use everwit_runtime::store::{RuntimeBackends, Seeded, StoreError, StoreResult};

use crate::moments::Moments;

/// A stock provider with its models: vendor's name, name for people, capabilities.
struct Stock {
    driver: DriverId,
    name: &'static str,
    models: &'static [(&'static str, &'static str, &'static [&'static str])],
}

/// All stock providers. None has credentials. Models that vendors retire often are left to
/// discovery, so the lists are short.
const STOCK: &[Stock] = &[
    Stock { driver: DriverId::LlmSim, name: "Simulator", models: &[("llmsim-model", "Simulated model", &["tools"])] },
    Stock {
        driver: DriverId::OpenAi,
        name: "OpenAI",
        models: &[
            ("gpt-5.2", "GPT-5.2", &["tools", "vision", "reasoning"]),
            ("gpt-5-mini", "GPT-5 mini", &["tools", "vision", "reasoning"]),
        ],
    },
    Stock {
        driver: DriverId::Anthropic,
        name: "Anthropic",
        models: &[
            ("claude-opus-4-5", "Claude Opus 4.5", &["tools", "vision", "reasoning"]),
            ("claude-sonnet-4-5", "Claude Sonnet 4.5", &["tools", "vision", "reasoning"]),
            ("claude-haiku-4-5", "Claude Haiku 4.5", &["tools", "vision", "reasoning"]),
        ],
    },
    Stock {
        driver: DriverId::Gemini,
        name: "Google Gemini",
        models: &[
            ("gemini-2.5-pro", "Gemini 2.5 Pro", &["tools", "vision", "reasoning"]),
            ("gemini-2.5-flash", "Gemini 2.5 Flash", &["tools", "vision", "reasoning"]),
        ],
    },
    Stock { driver: DriverId::OpenRouter, name: "OpenRouter", models: &[("openrouter/auto", "Auto", &["tools"])] },
    // Deployments and regions decide which models these have.
    Stock { driver: DriverId::AzureOpenAi, name: "Azure OpenAI", models: &[] },
    Stock { driver: DriverId::Bedrock, name: "Amazon Bedrock", models: &[] },
    Stock { driver: DriverId::OpenAiCompletions, name: "OpenAI-compatible", models: &[] },
];

/// What seeding did, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SeedReport {
    /// Providers and models that are new.
    pub(crate) added: Vec<String>,
    /// What was not seeded, and why.
    pub(crate) skipped: Vec<String>,
}

/// Gives an org the stock providers and models whose drivers are registered, and logs what it
/// did. Can be repeated.
///
/// # Errors
/// Those of the store.
pub(crate) async fn providers_and_models(
    stores: &RuntimeBackends,
    moments: &Moments,
    org: OrgId,
    drivers: &DriverRegistry,
) -> StoreResult<SeedReport> {
    let mut report = SeedReport::default();
    for stock in STOCK {
        if !drivers.has(&stock.driver) {
            report.skipped.push(format!("{} with {} models: driver {} is not registered", stock.name, stock.models.len(), stock.driver));
            continue;
        }
        seed_stock(stores, moments, org, stock, &mut report).await?;
    }
    if !report.added.is_empty() {
        tracing::info!(%org, added = ?report.added, "seeded providers and models");
    }
    tracing::debug!(%org, skipped = ?report.skipped, "providers and models that were not seeded");
    Ok(report)
}

async fn seed_stock(stores: &RuntimeBackends, moments: &Moments, org: OrgId, stock: &Stock, report: &mut SeedReport) -> StoreResult<()> {
    let store = &stores.provider_store;
    let seed = format!("provider:{}", stock.driver);
    let provider = match store.seed_provider(org, &seed, provider(stock, moments)).await {
        Ok(Seeded::Added(id)) => {
            report.added.push(stock.name.to_owned());
            id
        }
        Ok(Seeded::Before(id)) if store.get_provider(org, id).await?.is_some() => id,
        Ok(Seeded::Before(_)) => {
            report.skipped.push(format!("{}: the org deleted it", stock.name));
            return Ok(());
        }
        Err(StoreError::Duplicate { .. }) => {
            report.skipped.push(format!("{}: the org has another provider of that name", stock.name));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for &(model_id, display_name, capabilities) in stock.models {
        let model = model(provider, model_id, display_name, capabilities, moments);
        match store.seed_model(org, &format!("model:{}/{model_id}", stock.driver), model).await {
            Ok(Seeded::Added(_)) => report.added.push(format!("{}: {model_id}", stock.name)),
            Ok(Seeded::Before(_)) => {}
            // The org added it itself, or deletes the provider right now.
            Err(StoreError::Duplicate { .. } | StoreError::NotFound { .. }) => {
                report.skipped.push(format!("{}: {model_id}: the org has it, or deleted its provider", stock.name));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn provider(stock: &Stock, moments: &Moments) -> Provider {
    let now = moments.now();
    Provider {
        id: ProviderId::from_uuid(moments.uuid()),
        name: stock.name.to_owned(),
        provider_type: stock.driver.clone(),
        base_url: None,
        status: ProviderStatus::Active,
        api_key: None,
        provider_metadata: None,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

fn model(provider_id: ProviderId, model_id: &str, display_name: &str, capabilities: &[&str], moments: &Moments) -> Model {
    let now = moments.now();
    Model {
        id: ModelId::from_uuid(moments.uuid()),
        provider_id,
        model_id: model_id.to_owned(),
        display_name: display_name.to_owned(),
        capabilities: capabilities.iter().map(|&word| word.to_owned()).collect(),
        profile: serde_json::Map::new(),
        enabled: true,
        is_favorite: false,
        is_default: false,
        source: ModelSource::Predefined,
        stale: false,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

#[cfg(test)]
mod tests {
    use everwit_runtime::driver::llmsim::{LlmSimConfig, register_driver};
    use everwit_runtime::store::Page;
    use uuid::Uuid;

    use super::*;

    const ALL: Page = Page { offset: 0, limit: 100 };

    fn org() -> OrgId {
        OrgId::from_uuid(Uuid::from_u128(1))
    }

    async fn seed(stores: &RuntimeBackends, drivers: &DriverRegistry) -> SeedReport {
        providers_and_models(stores, &Moments::system(), org(), drivers).await.unwrap()
    }

    fn simulator() -> DriverRegistry {
        let mut drivers = DriverRegistry::new();
        register_driver(&mut drivers, LlmSimConfig::echo());
        drivers
    }

    #[tokio::test]
    async fn only_what_has_a_driver_is_seeded_and_the_rest_is_told() {
        let stores = RuntimeBackends::in_memory();
        let nothing = seed(&stores, &DriverRegistry::new()).await;
        assert_eq!((nothing.added.len(), nothing.skipped.len()), (0, STOCK.len()));
        assert_eq!(stores.provider_store.list_models(org(), None, ALL).await.unwrap().total, 0);
        let report = seed(&stores, &simulator()).await;
        assert_eq!(report.added, ["Simulator", "Simulator: llmsim-model"]);
        assert!(report.skipped.iter().any(|skipped| skipped.contains("Anthropic") && skipped.contains("anthropic is not registered")));
        assert_eq!(seed(&stores, &simulator()).await.added, Vec::<String>::new());
    }

    #[tokio::test]
    async fn what_an_org_changed_or_deleted_stays_so() {
        let stores = RuntimeBackends::in_memory();
        seed(&stores, &simulator()).await;
        let store = &stores.provider_store;
        let seeded = store.find_provider(org(), "Simulator").await.unwrap().unwrap();
        let mine = Provider { name: "Mine".to_owned(), version: 2, ..seeded };
        store.update_provider(org(), mine.clone()).await.unwrap();
        let model = store.list_models(org(), None, ALL).await.unwrap().items.remove(0);
        store.remove_model(org(), model.id, 1).await.unwrap();
        seed(&stores, &simulator()).await;
        assert_eq!(store.list_providers(org(), ALL).await.unwrap().items, std::slice::from_ref(&mine));
        assert_eq!(store.list_models(org(), None, ALL).await.unwrap().total, 0);
        store.remove_provider(org(), mine.id, 2).await.unwrap();
        let report = seed(&stores, &simulator()).await;
        assert!(report.skipped.contains(&"Simulator: the org deleted it".to_owned()), "{report:?}");
        assert_eq!(store.list_providers(org(), ALL).await.unwrap().total, 0);
    }

    #[tokio::test]
    async fn a_provider_of_the_same_name_is_left_alone() {
        let stores = RuntimeBackends::in_memory();
        let own = Provider { provider_type: DriverId::External("own".to_owned()), ..provider(&STOCK[0], &Moments::system()) };
        stores.provider_store.add_provider(org(), own.clone()).await.unwrap();
        let report = seed(&stores, &simulator()).await;
        assert!(report.added.is_empty() && report.skipped.iter().any(|skipped| skipped.contains("another provider of that name")));
        assert_eq!(stores.provider_store.list_providers(org(), ALL).await.unwrap().items, [own]);
    }
}
