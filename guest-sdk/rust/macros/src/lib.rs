//! The macros of `everwit-guest`; use them through that crate.
//!
//! Every fault of the input is a compile error at the place it is about, and all faults of
//! one input are reported together. What is not a literal is left to the host to check.

mod capability;
mod check;
mod emit;
mod fields;
mod tool;

use proc_macro::TokenStream;

/// Makes a tool of a documented function.
///
/// The function's doc comment is the description that the model reads; a parameter's doc
/// comment describes that argument. The schema of the arguments follows from the types, which
/// need `serde::Deserialize` and `schemars::JsonSchema`: `Option<T>` is optional, and the
/// attributes `#[serde(..)]` and `#[schemars(..)]` work on parameters as on fields. Parameters
/// may be `&str`, `&[T]` or `&T`. A first parameter of type `&Context` is no argument but the
/// call's circumstances. The function returns a `Result` of anything that serialises, of a
/// `String`, or of an `Output`; its error converts into a `Failure`.
///
/// Options, all off by default, since a tool is assumed to have effects that must not be
/// repeated:
/// - `read_only`: changes nothing outside the call
/// - `destructive`: may remove or overwrite what cannot be brought back
/// - `idempotent`: a repetition with the same idempotency key has no further effect
/// - `open_world`: reaches beyond the agent's own data, for example over the network
/// - `output_schema`: promises the structured result's schema, which needs `JsonSchema` of it
/// - `name = ".."`, `title = ".."`: instead of those made from the function's name
///
/// The tool is a type with the function's name, which `capability!` takes. A module of the
/// same name beside it would be a conflict.
///
/// ```text
/// /// Finds the rows that contain a text.
/// #[tool(read_only, title = "Find rows")]
/// fn find(
///     ctx: &Context,
///     /// The text to look for
///     text: &str,
///     /// Most rows to return
///     #[serde(default = "ten")]
///     #[schemars(range(min = 1, max = 100))]
///     limit: usize,
/// ) -> Result<Vec<String>> {
/// ```
#[proc_macro_attribute]
pub fn tool(options: TokenStream, function: TokenStream) -> TokenStream {
    tool::expand(options.into(), function.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Declares the capability that this crate is, and exports it from the component.
///
/// It makes a type `ThisCapability`, on which native tests can call the tools. Required are
/// `id`, `title`, `summary` and `tools`; all the fields:
///
/// ```text
/// capability! {
///     id: "tracker",
///     title: "Issue tracker",
///     summary: "Reads and files issues.",
///     version: "1.2.0",                              // the crate's version otherwise
///     instructions: include_str!("instructions.md"), // for the system prompt
///     tools: [search, issues::create],
///     config: Settings,                              // Deserialize + JsonSchema
///     dependencies: ["files"],
///     features: ["board"],
///     permissions: {
///         http: [{
///             host: "tracker.example.com",
///             methods: ["GET", "POST"],              // GET and HEAD otherwise
///             path_prefix: "/api/",
///             reason: "Reads and files issues",
///         }],
///         secrets: [{
///             name: "tracker-key",
///             title: "API key of the tracker",
///             host: "tracker.example.com",
///             place: "header:authorization",
///             required: true,                        // true otherwise
///         }],
///         kv: ["drafts"],
///         files: "read",
///         tools: ["calc/add"],
///     },
/// }
/// ```
#[proc_macro]
pub fn capability(input: TokenStream) -> TokenStream {
    capability::expand(input.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
