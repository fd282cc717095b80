//! A capability as an author writes it, tested natively: schemas, dispatch, failures.

#![expect(clippy::unwrap_used, reason = "in a test, a panic with the error is the report")]

use everwit_guest::bindings::exports::everwit::capability::{describe, tools};
use everwit_guest::prelude::*;
use everwit_guest::{Capability, call, clock, kv, log, testing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How this capability is configured.
#[derive(Deserialize, JsonSchema)]
struct Settings {
    /// Added to each sum
    offset: i64,
}

/// Which way to round.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Rounding {
    Up,
    Down,
}

#[derive(Serialize, JsonSchema)]
struct Division {
    quotient: i64,
    remainder: i64,
}

/// Adds numbers and the configured offset.
///
/// Use it for sums of any length.
#[tool(read_only)]
fn add(
    ctx: &Context,
    /// The numbers
    numbers: &[i64],
) -> Result<i64> {
    Ok(numbers.iter().sum::<i64>() + ctx.config::<Settings>()?.offset)
}

/// Divides.
#[tool(read_only, idempotent, output_schema, title = "Divide integers")]
fn divide(
    dividend: i64,
    /// Not zero
    #[schemars(range(min = 1))]
    divisor: i64,
    rounding: Option<Rounding>,
) -> Result<Division> {
    if divisor == 0 {
        return Err(Failure::invalid("zero_divisor", "divide by something else"));
    }
    let quotient = match rounding {
        Some(Rounding::Up) => dividend.div_euclid(divisor) + 1,
        Some(Rounding::Down) | None => dividend.div_euclid(divisor),
    };
    Ok(Division { quotient, remainder: dividend - quotient * divisor })
}

/// Greets; the argument is borrowed, and has a default.
#[tool(name = "hello")]
fn greet(#[serde(default = "world")] name: &str) -> Result<String, std::fmt::Error> {
    log::info(format_args!("greeting {name}"));
    Ok(format!("Hello, {name}!"))
}

fn world() -> String {
    "world".into()
}

mod notes {
    use super::*;

    /// Appends to the notes.
    #[tool(destructive, open_world)]
    pub(crate) fn append(r#type: String, mut times: u8) -> Result<Output> {
        let bucket = kv::bucket("notes");
        while times > 0 {
            call::progress(1, None, Some(&"ä".repeat(600)))?;
            let key = format!("{type}-{}", clock::now_ms());
            bucket.put_json(&key, &times, kv::Expect::Absent)?;
            times -= 1;
        }
        let keys = bucket.keys("").collect::<Result<Vec<_>, _>>()?;
        Output::text("appended").structured(&keys)
    }
}

capability! {
    id: "calc",
    title: "Calculator",
    summary: concat!("Adds", " and divides."),
    instructions: "Prefer exact results.",
    tools: [add, divide, greet, notes::append],
    config: Settings,
    dependencies: ["files"],
    features: ["exact"],
    permissions: {
        http: [{ host: "*.example.com", methods: ["GET"], path_prefix: "/v1/", reason: "Rates" }],
        secrets: [{ name: "key", host: "api.example.com", place: "query:key", required: false }],
        kv: ["notes"],
    },
}

fn described() -> describe::Description {
    <ThisCapability as describe::Guest>::describe()
}

fn schema(tool: usize) -> Value {
    serde_json::from_str(&described().tools[tool].input_schema).unwrap()
}

fn configured() -> Context {
    Context::default().with_config(&json!({"offset": 10})).unwrap()
}

#[test]
fn the_description_is_complete() {
    let description = described();
    assert_eq!(description.id, "calc");
    assert_eq!(description.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(description.summary, "Adds and divides.");
    assert_eq!(description.instructions.as_deref(), Some("Prefer exact results."));
    assert_eq!(description.dependencies, ["files"]);
    assert_eq!(description.features, ["exact"]);
    let config: Value = serde_json::from_str(&description.config_schema).unwrap();
    assert_eq!(config["required"], json!(["offset"]));
    let permissions = description.permissions;
    assert_eq!(permissions.http[0].path_prefix.as_deref(), Some("/v1/"));
    assert_eq!(permissions.http[0].methods, ["GET"]);
    assert_eq!(permissions.secrets[0].title, "key");
    assert!(!permissions.secrets[0].required);
    assert_eq!(permissions.files, "none");
    assert_eq!(permissions.kv, ["notes"]);
}

#[test]
fn doc_comments_become_descriptions() {
    let add = &described().tools[0];
    assert_eq!(add.name, "add");
    assert_eq!(add.title, "Add");
    assert_eq!(add.description, "Adds numbers and the configured offset.\n\nUse it for sums of any length.");
    assert_eq!(
        schema(0),
        json!({
            "type": "object",
            "properties": {
                "numbers": {
                    "type": "array",
                    "items": {"type": "integer"},
                    "description": "The numbers",
                },
            },
            "required": ["numbers"],
            "additionalProperties": false,
        })
    );
}

#[test]
fn types_and_attributes_become_schemas() {
    let divide = schema(1);
    assert_eq!(divide["required"], json!(["dividend", "divisor"]));
    assert_eq!(divide["properties"]["divisor"]["minimum"], json!(1));
    let rounding = divide["properties"]["rounding"].to_string();
    assert!(rounding.contains(r#""enum":["up","down""#), "{rounding}");
    assert!(!rounding.contains("$ref"), "{rounding}");
    let hello = schema(2);
    assert_eq!(hello["properties"]["name"]["default"], json!("world"));
    assert_eq!(hello.get("required"), None);
    assert_eq!(schema(3)["required"], json!(["type", "times"]));
}

#[test]
fn outputs_are_promised_on_request() {
    let tools = described().tools;
    assert_eq!(tools[0].output_schema, None);
    let output: Value = serde_json::from_str(tools[1].output_schema.as_ref().unwrap()).unwrap();
    assert_eq!(output["required"], json!(["quotient", "remainder"]));
}

#[test]
fn effects_are_declared() {
    use everwit_guest::bindings::everwit::types::tools::Effects;

    let effects: Vec<_> = described().tools.iter().map(|tool| tool.effects).collect();
    assert_eq!(
        effects,
        [Effects::READ_ONLY, Effects::READ_ONLY | Effects::IDEMPOTENT, Effects::empty(), Effects::DESTRUCTIVE | Effects::OPEN_WORLD,]
    );
}

#[test]
fn tools_are_called_with_their_context() {
    let numbers = json!({"numbers": [1, 2]});
    let sum = testing::call_in::<ThisCapability>(&configured(), "add", &numbers);
    assert_eq!(sum.unwrap(), json!(13));
    let failure = testing::call::<ThisCapability>("add", &numbers).unwrap_err();
    assert_eq!(failure.code(), "invalid_config");
}

#[test]
fn the_exported_function_converts_both_ways() {
    let context = || tools::Context {
        org: "o".into(),
        session: "s".into(),
        turn: "t".into(),
        idempotency_key: "k".into(),
        config: "{}".into(),
        locale: None,
        extra: vec![("later".into(), "1".into())],
    };
    let call = |name: &str, arguments: Value| <ThisCapability as tools::Guest>::call(context(), name.into(), arguments.to_string());
    let output = call("divide", json!({"dividend": 7, "divisor": 2, "rounding": "up"})).unwrap();
    assert_eq!(output.structured.as_deref(), Some(r#"{"quotient":4,"remainder":-1}"#));
    let failure = call("divide", json!({"dividend": 7, "divisor": 0})).unwrap_err();
    assert_eq!((&*failure.kind, &*failure.code), ("invalid-arguments", "zero_divisor"));
    let failure = call("sub", json!({})).unwrap_err();
    assert_eq!(failure.kind, "not-found");
    assert_eq!(failure.message, "no tool `sub`; there are: add, divide, hello, append");
}

#[test]
fn bad_arguments_are_named() {
    let check = |arguments: &str, message: &str| {
        let failure = ThisCapability::call(&configured(), "divide", arguments).unwrap_err();
        assert_eq!(failure.kind(), "invalid-arguments");
        assert_eq!(failure.message(), message);
    };
    check("{}", "arguments: missing field `dividend`");
    check(r#"{"dividend": "1"}"#, "argument `dividend`: invalid type: string \"1\", expected i64");
    check(
        r#"{"dividend": 1, "divisor": 1, "rounding": "sideways"}"#,
        "argument `rounding`: unknown variant `sideways`, expected `up` or `down`",
    );
    check(
        r#"{"dividend": 1, "divisor": 1, "extra": 1}"#,
        "argument `extra`: unknown field `extra`, expected one of `dividend`, `divisor`, \
         `rounding`",
    );
    check("{}{}", "arguments: missing field `dividend`");
    check(r#"{"dividend": 1, "divisor": 1} x"#, "arguments: trailing characters");
    let failure = ThisCapability::call(&configured(), "add", r#"{"numbers": [1, null]}"#);
    assert_eq!(failure.unwrap_err().message(), "argument `numbers[1]`: invalid type: null, expected i64");
}

#[test]
fn strings_are_text_and_defaults_apply() {
    testing::reset();
    let output = ThisCapability::call(&Context::default(), "hello", "{}").unwrap();
    assert_eq!(output.parts(), [Part::Text("Hello, world!".into())]);
    assert_eq!(output.as_structured(), None);
    assert_eq!(testing::logged()[0].message, "greeting world");
    let output = testing::call::<ThisCapability>("hello", &json!({"name": "A\n"}));
    assert_eq!(output.unwrap(), json!("Hello, A\n!"));
}

#[test]
fn the_host_is_used_through_modules() {
    testing::reset();
    let arguments = || json!({"type": "a", "times": 2});
    let denied = testing::call::<ThisCapability>("append", &arguments()).unwrap_err();
    assert_eq!((denied.kind(), denied.code()), ("denied", "kv_denied"));
    testing::grant_bucket("notes");
    let keys = testing::call::<ThisCapability>("append", &arguments()).unwrap();
    assert_eq!(keys.as_array().unwrap().len(), 2);
    let (done, total, note) = testing::progressed().pop().unwrap();
    assert_eq!((done, total), (1, None));
    assert_eq!(note.unwrap().len(), 1024);
    testing::stop(call::Stop::Deadline);
    let stopped = testing::call::<ThisCapability>("append", &arguments()).unwrap_err();
    assert_eq!((stopped.kind(), stopped.code()), ("timeout", "deadline"));
}
