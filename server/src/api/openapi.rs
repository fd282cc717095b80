//! The OpenAPI document: what the routes do not say themselves. Security and error responses
//! are added to every operation here, so that none can lack them.

use everwit_runtime::store::Scope;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;

use super::App;
use crate::auth::scope_name;
use crate::problem::{PROBLEM_JSON, ProblemBody};

const BEARER: &str = "bearer";
const BARE_KEY: &str = "key";

/// General part of the document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Everwit",
        description = "Durable AI agents whose capabilities are sandboxed WebAssembly components.\n\nErrors are RFC 9457 problem documents with a stable `code`. Lists have `offset` and `limit`. Names work wherever ids work.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT"),
    ),
    servers((url = "/", description = "This server"), (url = "/api", description = "The same")),
    tags(
        (name = "harnesses", description = "What agents run on"),
        (name = "agents", description = "Domain configuration on top of a harness"),
        (name = "sessions", description = "Durable conversations"),
        (name = "messages", description = "What users, agents and tools say"),
        (name = "events", description = "The record of a session"),
        (name = "capabilities", description = "What agents can be given"),
        (name = "components", description = "Uploaded capabilities"),
        (name = "health", description = "State of the server"),
    ),
    components(schemas(ProblemBody)),
)]
struct General;

/// A router with the general part of the document.
pub(crate) fn general() -> OpenApiRouter<App> {
    let mut document = General::openapi();
    let components = document.components.get_or_insert_with(Components::default);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("ew_…");
    let bearer = bearer.description(Some("An API key: `Authorization: Bearer ew_…`"));
    components.add_security_scheme(BEARER, SecurityScheme::Http(bearer.build()));
    let bare = ApiKeyValue::with_description("Authorization", "The same without the word Bearer: `Authorization: ew_…`");
    components.add_security_scheme(BARE_KEY, SecurityScheme::ApiKey(ApiKey::Header(bare)));
    OpenApiRouter::with_openapi(document)
}

/// States the scope and the error responses of every operation of a router.
pub(crate) fn require(document: &mut utoipa::openapi::OpenApi, scope: Scope) {
    let name = scope_name(scope);
    for (path, item) in &mut document.paths.paths {
        let has_parameter = path.contains('{');
        for operation in operations(item) {
            operation.security =
                Some(vec![SecurityRequirement::new(BEARER, [name]), SecurityRequirement::new(BARE_KEY, Vec::<String>::new())]);
            let mut statuses = vec![
                ("400", "The request is malformed"),
                ("401", "No valid API key"),
                ("403", "The key's scope is not enough"),
                ("429", "A limit is reached; see Retry-After"),
                ("500", "A defect of the server; the request id leads to its cause in the log"),
                ("503", "Something needed is not available; see Retry-After"),
            ];
            if has_parameter {
                statuses.push(("404", "It does not exist"));
            }
            if operation.request_body.is_some() {
                statuses.extend([
                    ("413", "The body is too large"),
                    ("415", "The media type is not accepted"),
                    ("422", "The body is not acceptable; errors has everything that is wrong"),
                ]);
            }
            for (status, description) in statuses {
                let responses = &mut operation.responses.responses;
                responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(ResponseBuilder::new().description(description).build()));
            }
            give_problems_their_body(operation);
        }
    }
}

/// All error responses without a body of their own are problem documents.
fn give_problems_their_body(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.content.is_empty()
            && (status.starts_with('4') || status.starts_with('5'))
        {
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

/// The document as it is checked in: indented, with a newline at its end.
pub(crate) fn pretty() -> String {
    let mut json = serde_json::to_string_pretty(&super::document()).expect("an OpenAPI document has only string keys");
    json.push('\n');
    json
}
