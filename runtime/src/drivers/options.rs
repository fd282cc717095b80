//! The options of a driver that are nobody else's business, checked before they are sent.

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::driver::{ChatRequest, DriverError, DriverErrorKind, DriverId};

/// Most of a message about an option, in characters; it can repeat the option's value.
const MAX_MESSAGE_CHARACTERS: usize = 300;

/// The options that a driver takes, as the `properties` of a JSON Schema. All others are refused,
/// so that none can change what is the driver's or the host's business.
pub(super) fn schema(properties: &Value) -> Validator {
    let schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    jsonschema::validator_for(&schema).expect("the schema of a driver's options is one")
}

/// The options of a request for one driver.
///
/// # Errors
/// `InvalidRequest` for one that it does not have, or a value that does not fit.
pub(super) fn of(request: &ChatRequest, driver: &DriverId, schema: &Validator) -> Result<Map<String, Value>, DriverError> {
    let options = Value::Object(request.options_of(driver));
    if let Some(error) = schema.iter_errors(&options).next() {
        let path = error.instance_path().to_string();
        let message: String = format!("driver option {driver}{path}: {error}").chars().take(MAX_MESSAGE_CHARACTERS).collect();
        return Err(DriverError::new(DriverErrorKind::InvalidRequest, message));
    }
    let Value::Object(options) = options else { return Ok(Map::new()) };
    Ok(options)
}

/// Sets a member if there is a value.
pub(super) fn set(body: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body[name] = value.into();
    }
}

/// Sets members as they are named.
pub(super) fn set_all(body: &mut Value, values: Map<String, Value>) {
    for (name, value) in values {
        body[name] = value;
    }
}

/// A list as JSON; none if it is empty.
pub(super) fn some_list(list: Vec<Value>) -> Option<Value> {
    (!list.is_empty()).then_some(Value::Array(list))
}

/// A temperature in the digits that somebody wrote: 0.7 as a 32-bit number is not 0.7 as a 64-bit
/// one.
pub(super) fn temperature(request: &ChatRequest) -> Option<Value> {
    let digits = request.temperature?.to_string();
    serde_json::from_str(&digits).ok()
}
