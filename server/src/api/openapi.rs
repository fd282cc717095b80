//! The OpenAPI document: what the routes do not say themselves. Security and error responses
//! are added to every operation here, so that none can lack them.

use everwit_runtime::store::Scope;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;

use super::App;
use super::table::Without;
use crate::auth::scope_name;
use crate::problem::{PROBLEM_JSON, ProblemBody};

const BEARER: &str = "bearer";
const BARE_KEY: &str = "key";

const ABOUT: &str = "Durable AI agents whose capabilities are sandboxed WebAssembly components.

Errors are RFC 9457 problem documents with a stable `code`. Lists have `offset` and `limit`. Names work wherever ids work.";

/// General part of the document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Everwit",
        description = ABOUT,
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT"),
    ),
    servers((url = "/", description = "This server"), (url = "/api", description = "The same")),
    tags(
        (name = "orgs", description = "Settings of a tenant"),
        (name = "members", description = "People who act for a tenant, and API keys"),
        (name = "budgets", description = "How much sessions, agents and the org may use"),
        (name = "harnesses", description = "What agents run on"),
        (name = "agents", description = "Domain configuration on top of a harness"),
        (name = "sessions", description = "Durable conversations"),
        (name = "session-files", description = "Files of a session"),
        (name = "session-storage", description = "Small values and secrets of a session"),
        (name = "messages", description = "What users, agents and tools say"),
        (name = "events", description = "The record of a session"),
        (name = "capabilities", description = "What agents can be given"),
        (name = "components", description = "Uploaded capabilities"),
        (name = "connections", description = "Accounts of the caller at third parties"),
        (name = "providers", description = "Accounts at model vendors"),
        (name = "models", description = "What turns are run with"),
        (name = "secrets", description = "Values that components use and never see"),
        (name = "workers", description = "Processes that run turns; for operators of the installation"),
        (name = "health", description = "State of the server"),
    ),
    components(schemas(ProblemBody)),
)]
struct General;

/// A router with the general part of the document.
pub(crate) fn general(without: &Without) -> OpenApiRouter<App> {
    let mut document = General::openapi();
    if let Some(tags) = &mut document.tags {
        tags.retain(|tag| !without.iter().any(|module| module.tag() == tag.name));
    }
    let components = document.components.get_or_insert_with(Components::default);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("ew_…");
    let bearer = bearer.description(Some("An API key: `Authorization: Bearer ew_…`"));
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer.build()));
    let bare = ApiKeyValue::with_description("Authorization", "The same without the word Bearer: `Authorization: ew_…`");
    components.add_security_scheme(BARE_KEY, SecurityScheme::ApiKey(ApiKey::Header(bare)));
    for (_, name, description) in SHARED {
        components.responses.insert(name.to_owned(), RefOr::T(problem(description)));
    }
    OpenApiRouter::with_openapi(document)
}

/// Error responses that operations share: status, name in the document, description.
const SHARED: [(&str, &str, &str); 10] = [
    ("400", "BadRequest", "The request is malformed"),
    ("401", "Unauthorized", "No valid API key"),
    ("403", "Forbidden", "The key's scope is not enough"),
    ("404", "NotFound", "It does not exist"),
    ("413", "BodyTooLarge", "The body is too large"),
    ("415", "UnsupportedMediaType", "The media type of the body is not accepted"),
    ("422", "Invalid", "The body is not acceptable; errors has everything that is wrong"),
    ("429", "LimitReached", "A limit is reached; see Retry-After"),
    ("500", "Internal", "A defect of the server; the request id leads to its cause in the log"),
    ("503", "Unavailable", "Something needed is not available; see Retry-After"),
];
/// Those that only some operations have.
const WITH_PARAMETER: [&str; 1] = ["404"];
const WITH_BODY: [&str; 3] = ["413", "415", "422"];

/// States the scope and the error responses of every operation of a router.
pub(crate) fn require(document: &mut utoipa::openapi::OpenApi, scope: Scope) {
    let name = scope_name(scope);
    for (path, item) in &mut document.paths.paths {
        let has_parameter = path.contains('{');
        for operation in operations(item) {
            operation.security =
                Some(vec![SecurityRequirement::new(BEARER, [name]), SecurityRequirement::new(BARE_KEY, Vec::<String>::new())]);
            let has_body = operation.request_body.is_some();
            complete(operation);
            for (status, name, _) in SHARED {
                let possible = (has_parameter || !WITH_PARAMETER.contains(&status)) && (has_body || !WITH_BODY.contains(&status));
                if possible {
                    let shared = RefOr::Ref(Ref::from_response_name(name));
                    operation.responses.responses.entry(status.to_owned()).or_insert(shared);
                }
            }
        }
    }
}

/// Every response has a description, and error responses that an operation describes itself are
/// problem documents as well.
fn complete(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if response.description.is_empty() {
            response.description = if status == "201" { "Created".to_owned() } else { "Done".to_owned() };
        }
        if response.content.is_empty() && (status.starts_with('4') || status.starts_with('5')) {
            *response = problem(&response.description);
        }
    }
}

fn problem(description: &str) -> Response {
    let schema = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new().schema(Some(RefOr::Ref(schema))).build();
    ResponseBuilder::new().description(description).content(PROBLEM_JSON, content).build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
}

/// Writes parameters that take the rest of a path as OpenAPI knows them: `{path}`, not `{*path}`.
pub(crate) fn spell_wildcards(document: &mut utoipa::openapi::OpenApi) {
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
}

/// The document as it is checked in: indented, with a newline at its end.
pub(crate) fn pretty() -> String {
    let mut json = serde_json::to_string_pretty(&super::document()).expect("an OpenAPI document has only string keys");
    json.push('\n');
    json
}
