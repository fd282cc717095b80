//! Providers: accounts at model vendors.

mod body;
mod test;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use everwit_runtime::Error;
use everwit_runtime::driver::ProviderMetadata;
use everwit_runtime::id::{OrgId, ProviderId};
use everwit_runtime::limits::MAX_NAME_BYTES;
use everwit_runtime::provider::{Provider, ProviderStatus};
use everwit_runtime::store::StoreError;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::api::check::Checks;
use crate::api::extract::{IfMatch, JsonBody, Query, Tagged};
use crate::api::idempotency::{Once, Replayed};
use crate::api::page::{List, PageParams, Search, filtered};
use crate::api::{App, resolve};
use crate::auth::Caller;
use crate::problem::{Finding, Problem};
use body::{CreateProvider, ProviderBody, UpdateProvider};
pub(crate) use test::{__path_test_provider, driver, test_provider};

/// Longest base URL, in bytes.
const MAX_URL_BYTES: usize = 2_048;
/// Longest API key, in bytes.
const MAX_API_KEY_BYTES: usize = 16 << 10;
/// Largest metadata, in bytes of JSON.
const MAX_PROVIDER_METADATA_BYTES: usize = 64 << 10;

/// List providers
#[utoipa::path(
    get,
    path = "/providers",
    tag = "providers",
    params(PageParams, Search),
    responses((status = 200, body = List<ProviderBody>)),
)]
pub(crate) async fn list_providers(
    State(app): State<App>,
    caller: Caller,
    Query((page, search)): Query<(PageParams, Search)>,
) -> Result<Json<List<ProviderBody>>, Problem> {
    let page = page.into();
    let list = |page| app.stores.provider_store.list_providers(caller.org, page);
    let wanted = |provider: &Provider| search.matches([Some(&*provider.name), Some(provider.provider_type.as_str())]);
    let listing = if search.is_empty() { list(page).await? } else { filtered(page, list, wanted).await? };
    let mut registered = Vec::with_capacity(listing.items.len());
    for provider in &listing.items {
        registered.push(app.drivers.has_driver(caller.org, &provider.provider_type).await?);
    }
    let mut registered = registered.into_iter();
    Ok(Json(List::new(listing, page, |provider| ProviderBody::new(registered.next().unwrap_or(false), provider))))
}

/// Create a provider
///
/// Credentials are encrypted before they are stored, and are never shown again.
#[utoipa::path(
    post,
    path = "/providers",
    tag = "providers",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Name of the request; a repetition within a day has no second effect"),
    ),
    request_body = CreateProvider,
    responses((status = 201, body = ProviderBody), (status = 409, description = "The name is taken")),
)]
pub(crate) async fn create_provider(
    State(app): State<App>,
    caller: Caller,
    Once { body, key }: Once<CreateProvider>,
) -> Result<(StatusCode, Replayed<Tagged<Json<ProviderBody>>>), Problem> {
    let (mut provider, api_key, metadata) = body.into_provider(&app)?;
    let claimed = key.claim(&app, caller.org).await?;
    provider.id = ProviderId::from_uuid(claimed.id);
    if claimed.repeated
        && let Some(made) = app.stores.provider_store.get_provider(caller.org, provider.id).await?
    {
        return Ok((StatusCode::CREATED, Replayed(true, shown(&app, caller.org, made).await?)));
    }
    let cipher = &app.stores.cipher;
    provider.set_api_key(cipher, caller.org, api_key.as_ref()).await.map_err(Error::from)?;
    provider.set_metadata(cipher, caller.org, metadata.as_ref()).await.map_err(Error::from)?;
    app.stores.provider_store.add_provider(caller.org, provider.clone()).await?;
    Ok((StatusCode::CREATED, Replayed(false, shown(&app, caller.org, provider).await?)))
}

/// Read a provider
#[utoipa::path(
    get,
    path = "/providers/{provider}",
    tag = "providers",
    params(("provider" = String, Path, description = "Id or name")),
    responses((status = 200, body = ProviderBody)),
)]
pub(crate) async fn get_provider(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
) -> Result<Tagged<Json<ProviderBody>>, Problem> {
    let provider = resolve::provider(&app, caller.org, &reference).await?;
    shown(&app, caller.org, provider).await
}

/// Change a provider
#[utoipa::path(
    patch,
    path = "/providers/{provider}",
    tag = "providers",
    params(
        ("provider" = String, Path, description = "Id or name"),
        ("If-Match" = Option<String>, Header, description = "ETag that the provider must have"),
    ),
    request_body = UpdateProvider,
    responses(
        (status = 200, body = ProviderBody),
        (status = 409, description = "The name is taken"),
        (status = 412, description = "Not at the version of If-Match"),
    ),
)]
pub(crate) async fn update_provider(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
    JsonBody(request): JsonBody<UpdateProvider>,
) -> Result<Tagged<Json<ProviderBody>>, Problem> {
    let mut provider = resolve::provider(&app, caller.org, &reference).await?;
    if_match.check(provider.version)?;
    request.apply(&app, caller.org, &mut provider).await?;
    provider.version += 1;
    provider.updated_at = app.moments.now();
    let updated = app.stores.provider_store.update_provider(caller.org, provider.clone()).await;
    updated.map_err(|error| if_match.lost(error))?;
    shown(&app, caller.org, provider).await
}

/// Delete a provider
///
/// Its credentials and its models are deleted with it. What names one of these models goes on
/// with the next one in line: agent, harness, org, platform.
#[utoipa::path(
    delete,
    path = "/providers/{provider}",
    tag = "providers",
    params(
        ("provider" = String, Path, description = "Id or name"),
        ("If-Match" = Option<String>, Header, description = "ETag that the provider must have"),
    ),
    responses(
        (status = 204, description = "It is deleted"),
        (status = 409, description = "Somebody else changed it at the same time"),
        (status = 412, description = "Not at the version of If-Match"),
    ),
)]
pub(crate) async fn delete_provider(
    State(app): State<App>,
    caller: Caller,
    Path(reference): Path<String>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    let provider = resolve::provider(&app, caller.org, &reference).await?;
    if_match.check(provider.version)?;
    let removed = app.stores.provider_store.remove_provider(caller.org, provider.id, provider.version).await;
    removed.map_err(|error: StoreError| if_match.lost(error))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn shown(app: &App, org: OrgId, provider: Provider) -> Result<Tagged<Json<ProviderBody>>, Problem> {
    let registered = app.drivers.has_driver(org, &provider.provider_type).await?;
    Ok(Tagged(provider.version, Json(ProviderBody::new(registered, provider))))
}

impl CreateProvider {
    /// The provider without its credentials, and these.
    fn into_provider(self, app: &App) -> Result<(Provider, Option<SecretString>, Option<ProviderMetadata>), Problem> {
        let mut checks = Checks::default();
        checks.unsupported(&[("/credentials", &self.credentials), ("/trace", &self.trace)]);
        let metadata = self.provider_metadata.map(ProviderMetadata::from);
        check_credentials(&mut checks, self.api_key.as_ref(), metadata.as_ref());
        let now = app.moments.now();
        let provider = Provider {
            id: ProviderId::from_uuid(app.moments.uuid()),
            name: self.name,
            provider_type: self.provider_type,
            base_url: self.base_url.and_then(|url| base_url(&mut checks, &url)),
            status: self.status.unwrap_or(ProviderStatus::Active),
            api_key: None,
            provider_metadata: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        check_name(&mut checks, &provider.name);
        checks.finish()?;
        Ok((provider, self.api_key, metadata))
    }
}

impl UpdateProvider {
    /// Checks the changes and makes them.
    async fn apply(self, app: &App, org: OrgId, provider: &mut Provider) -> Result<(), Problem> {
        let mut checks = Checks::default();
        let before = (provider.provider_type.clone(), provider.base_url.clone());
        if let Some(name) = self.name {
            provider.name = name;
        }
        if let Some(provider_type) = self.provider_type {
            provider.provider_type = provider_type;
        }
        if let Some(url) = self.base_url {
            provider.base_url = url.and_then(|url| base_url(&mut checks, &url));
        }
        if let Some(status) = self.status {
            provider.status = status;
        }
        let metadata = self.provider_metadata.map(|metadata| metadata.map(ProviderMetadata::from));
        let moved = before != (provider.provider_type.clone(), provider.base_url.clone());
        require_again(&mut checks, "/api_key", moved && provider.api_key.is_some() && self.api_key.is_none());
        require_again(&mut checks, "/provider_metadata", moved && provider.provider_metadata.is_some() && metadata.is_none());
        check_name(&mut checks, &provider.name);
        check_credentials(&mut checks, self.api_key.as_ref().and_then(Option::as_ref), metadata.as_ref().and_then(Option::as_ref));
        checks.finish()?;
        let cipher = &app.stores.cipher;
        if let Some(api_key) = self.api_key {
            provider.set_api_key(cipher, org, api_key.as_ref()).await.map_err(Error::from)?;
        }
        if let Some(metadata) = metadata {
            provider.set_metadata(cipher, org, metadata.as_ref()).await.map_err(Error::from)?;
        }
        Ok(())
    }
}

/// A credential goes only where whoever knows it sends it: a stored one must not be had by
/// pointing its provider at another server.
fn require_again(checks: &mut Checks, pointer: &str, missing: bool) {
    if missing {
        let detail = "the stored credential does not follow the provider to another driver or base URL";
        checks.add(Finding::at(pointer, "credential_required", detail).fix("send it again, or null to remove it"));
    }
}

fn check_name(checks: &mut Checks, name: &str) {
    if name.trim().is_empty() || name.len() > MAX_NAME_BYTES {
        checks.add(Finding::at(
            "/name",
            "invalid_name",
            format!("the name of a provider has 1 to {MAX_NAME_BYTES} bytes and is not blank"),
        ));
    }
}

fn check_credentials(checks: &mut Checks, api_key: Option<&SecretString>, metadata: Option<&ProviderMetadata>) {
    let visible = |key: &str| !key.is_empty() && key.len() <= MAX_API_KEY_BYTES && key.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    if api_key.is_some_and(|key| !visible(key.expose_secret())) {
        let detail = format!("an API key has 1 to {MAX_API_KEY_BYTES} visible ASCII characters, without spaces or line ends");
        checks.add(Finding::at("/api_key", "invalid_api_key", detail));
    }
    let Some(metadata) = metadata else { return };
    let bytes = metadata.refresh_token.as_ref().map_or(0, |token| token.expose_secret().len())
        + metadata.account_id.as_ref().map_or(0, String::len)
        + metadata.extra.as_ref().map_or(0, |extra| extra.to_string().len());
    if bytes > MAX_PROVIDER_METADATA_BYTES {
        let detail = format!("{bytes} bytes; at most {MAX_PROVIDER_METADATA_BYTES} are allowed");
        checks.add(Finding::at("/provider_metadata", "too_long", detail));
    }
}

/// A base URL without slashes at its end; None if it cannot be one.
fn base_url(checks: &mut Checks, text: &str) -> Option<String> {
    let parsed = Url::parse(text).ok().filter(|url| {
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        matches!(url.scheme(), "https" | "http") && url.has_host() && plain && text.len() <= MAX_URL_BYTES
    });
    match parsed {
        Some(url) => Some(url.as_str().trim_end_matches('/').to_owned()),
        None => {
            let detail = format!("a base URL is an http or https URL without user, query and fragment, at most {MAX_URL_BYTES} bytes");
            checks.add(Finding::at("/base_url", "invalid_url", detail).fix("for example \"https://api.example.com/v1\""));
            None
        }
    }
}
