//! Trying a provider out: one completion, of which the first event is enough.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use everwit_runtime::Error;
use everwit_runtime::driver::{
    BoxedChatDriver, ChatDriver, ChatRequest, DriverContext, DriverError, DriverErrorKind, DriverId, DriverSource, ResolvedModel, complete,
};
use everwit_runtime::id::{MessageId, ModelId, OrgId};
use everwit_runtime::limits::MAX_PAGE;
use everwit_runtime::message::{ContentPart, Message, Role};
use everwit_runtime::provider::{Model, Provider};
use everwit_runtime::store::Page;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use url::Url;
use utoipa::ToSchema;

use crate::api::extract::OptionalJsonBody;
use crate::api::{App, resolve};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};

/// How long a provider has for the first event of its answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to try.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = TestProviderRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestProvider {
    /// Id of a model of the provider; its first enabled one if absent.
    #[schema(value_type = Option<String>, pattern = "^model_[0-9a-f]{32}$")]
    model_id: Option<ModelId>,
}

/// How the trial went.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProviderTest)]
pub(crate) struct ProviderTest {
    /// `ok` if the model began to answer.
    status: TestStatus,
    /// Id of the driver.
    #[schema(value_type = String)]
    provider_type: DriverId,
    /// Where requests went: origin and path of the base URL. Absent if nothing was sent anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    /// Model that was asked.
    model: String,
    /// Until the first event of the answer, or the error, in milliseconds.
    latency_ms: u64,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<TestError>,
}

/// How a trial ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum TestStatus {
    /// The model began to answer.
    Ok,
    /// It did not.
    Failed,
}

/// What went wrong with a trial.
#[derive(Debug, Serialize, ToSchema)]
struct TestError {
    /// Class, for example "authentication".
    #[schema(value_type = String)]
    kind: DriverErrorKind,
    /// A sentence without credentials.
    message: String,
    /// What to do about it.
    fix: &'static str,
}

impl TestError {
    fn new(error: DriverError, model: &ResolvedModel) -> Self {
        let fix = match error.kind {
            DriverErrorKind::Configuration => "check provider_type, base_url and credentials of the provider",
            DriverErrorKind::Authentication => "set another api_key; the vendor does not accept this one",
            DriverErrorKind::RateLimited => "wait, or ask the vendor for a higher limit",
            DriverErrorKind::ModelNotAvailable => {
                "try another model_id; POST /v1/providers/{provider}/sync-models asks the vendor which there are"
            }
            DriverErrorKind::Timeout | DriverErrorKind::Unavailable => "try again later; if it stays so, check base_url",
            DriverErrorKind::InvalidResponse => "check base_url: what answers there does not speak the driver's protocol",
            _ => "the message says what the vendor or the driver does not accept",
        };
        Self { kind: error.kind, message: model.redact(&error.to_string()), fix }
    }
}

/// Try a provider
///
/// Asks one of its models for a word, and stops at the first event of the answer. A provider that
/// does not answer is a result, not an error: the status is 200.
#[utoipa::path(
    post,
    path = "/providers/{provider}/test",
    tag = "providers",
    params(("provider" = String, Path, description = "Id or name")),
    request_body = Option<TestProvider>,
    responses((status = 200, body = ProviderTest)),
)]
pub(crate) async fn test_provider(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    OptionalJsonBody(request): OptionalJsonBody<TestProvider>,
) -> Result<Json<ProviderTest>, Problem> {
    let provider = resolve::provider(&app, caller.org, &reference).await?;
    let model = model_to_try(&app, caller.org, &provider, request.unwrap_or_default().model_id).await?;
    let resolved = provider.resolve(&app.stores.cipher, caller.org, &model.model_id).await.map_err(Error::from)?;
    let id = MessageId::from_uuid(app.moments.uuid());
    let content = vec![ContentPart::text("Answer with one word.")];
    let message =
        Message { id, role: Role::User, content, metadata: serde_json::Map::new(), controls: None, created_at: app.moments.now() };
    let context = DriverContext { provider: Some(provider.id), ..DriverContext::new(caller.org, app.turns.driver_host.clone()) };
    let started = Instant::now();
    let (outcome, endpoint) = match driver(app.drivers.as_ref(), caller.org, &resolved).await {
        Ok(driver) => (first_event(&*driver, &resolved, message, context).await, driver.endpoint()),
        Err(error) => (Err(error), None),
    };
    let error = outcome.err().map(|error| TestError::new(error, &resolved));
    Ok(Json(ProviderTest {
        status: if error.is_none() { TestStatus::Ok } else { TestStatus::Failed },
        provider_type: resolved.provider_type,
        endpoint: endpoint.and_then(|url| without_query(&url)),
        model: resolved.model,
        latency_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        error,
    }))
}

/// Origin and path of a URL: queries of some vendors hold keys.
fn without_query(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    Some(format!("{}{}", url.origin().ascii_serialization(), url.path().trim_end_matches('/')))
}

/// The driver of a model.
pub(crate) async fn driver(drivers: &dyn DriverSource, org: OrgId, model: &ResolvedModel) -> Result<BoxedChatDriver, DriverError> {
    let found = drivers.driver(org, &model.provider_type).await;
    let found = found.map_err(|error| DriverError::new(DriverErrorKind::Internal, error.to_string()))?;
    let missing = || DriverError::new(DriverErrorKind::Configuration, format!("no driver {} is registered", model.provider_type));
    Ok(found.ok_or_else(missing)?.create(&model.driver_config()))
}

/// Waits for the first event of an answer, as long as a caller will.
async fn first_event(driver: &dyn ChatDriver, model: &ResolvedModel, message: Message, context: DriverContext) -> Result<(), DriverError> {
    let request = ChatRequest { model: model.model.clone(), messages: vec![Arc::new(message)], ..ChatRequest::default() };
    let first = async { complete(driver, model, request, &context).await.stream.map(drop) };
    tokio::time::timeout(PATIENCE, first).await.unwrap_or_else(|_| {
        let message = format!("the provider did not begin to answer within {} seconds", PATIENCE.as_secs());
        Err(DriverError::new(DriverErrorKind::Timeout, message))
    })
}

async fn model_to_try(app: &App, org: OrgId, provider: &Provider, id: Option<ModelId>) -> Result<Model, Problem> {
    let store = &app.stores.provider_store;
    let found = match id {
        Some(id) => store.get_model(org, id).await?.filter(|model| model.provider_id == provider.id),
        None => {
            let page = Page { offset: 0, limit: MAX_PAGE };
            store.list_models(org, Some(provider.id), page).await?.items.into_iter().find(|model| model.enabled)
        }
    };
    found.ok_or_else(|| {
        let detail = match id {
            Some(id) => format!("provider {:?} has no model {id}", provider.name),
            None => format!("provider {:?} has no enabled model that could be asked", provider.name),
        };
        let fix = format!("add one: POST /v1/providers/{}/models", provider.id);
        Problem::invalid(vec![Finding::at("/model_id", "unknown_model", detail).fix(fix)])
    })
}
