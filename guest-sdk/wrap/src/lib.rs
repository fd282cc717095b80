//! The adapter that `everwit wrap` puts before a component with plain functions: a capability whose tools are
//! those functions.
//!
//! It knows none of them when it is compiled. `everwit wrap` adds a description and the signatures to its memory, and a
//! module that calls the functions; the adapter interprets the signatures, from JSON to the canonical ABI
//! of the Component Model and back.

mod lift;
mod lower;
mod memory;
mod tables;
mod types;

use everwit_guest::{Capability, Context, Description, Failure, Output, Result, ToolEntry};
use serde_json::{Map, Value};

use crate::tables::{Signature, Tables};
use crate::types::{Layout, Type};

/// Most values that a function takes one by one; more are passed as a pointer to all of them.
const MAX_FLAT_PARAMETERS: usize = 16;

/// The capability.
#[derive(Debug)]
pub struct Wrapped;

impl Capability for Wrapped {
    const TOOLS: &'static [ToolEntry] = &[];

    fn describe() -> Description {
        Tables::read().description().into()
    }

    fn call(_: &Context, name: &str, arguments: &str) -> Result<Output> {
        let tables = Tables::read();
        let Some((index, signature)) = tables.function(name) else {
            return Err(Failure::not_found("unknown_tool", format!("there is no tool {name}")));
        };
        let arguments: Map<String, Value> = serde_json::from_str(arguments)?;
        let mut slots = lowered(&signature, &arguments)?;
        let place = result_place(&signature, &mut slots);
        // The first slot takes a result that needs no memory.
        slots.resize(slots.len().max(1), 0);
        memory::invoke(index, &mut slots);
        let Some(ty) = &signature.result else { return Ok(Output::text("done")) };
        let result = match place {
            Some(place) => lift::load(ty, memory::read(place, Layout::of(ty).size)),
            // What fits one slot lies in memory as the slot's lowest bytes.
            None => lift::load(ty, &slots[0].to_le_bytes()[..Layout::of(ty).size]),
        };
        finish(&signature, result)
    }
}

/// The values that the function is called with.
fn lowered(signature: &Signature, arguments: &Map<String, Value>) -> Result<Vec<u64>> {
    let parameters = &signature.params;
    let absent = Value::Null;
    let values = parameters.iter().map(|(name, ty)| (name, ty, arguments.get(name).unwrap_or(&absent)));
    let mut slots = Vec::new();
    if parameters.iter().map(|(_, ty)| ty.flat_count()).sum::<usize>() <= MAX_FLAT_PARAMETERS {
        for (name, ty, value) in values {
            lower::flatten(ty, value, &mut slots).map_err(|fault| fault.within(name))?;
        }
        return Ok(slots);
    }
    let layout = Layout::of_fields(parameters.iter().map(|(_, ty)| ty));
    let place = memory::allocate(layout.size);
    for ((name, ty, value), offset) in values.zip(Layout::offsets(parameters.iter().map(|(_, ty)| ty))) {
        lower::store(ty, value, &mut place[offset..]).map_err(|fault| fault.within(name))?;
    }
    Ok(vec![memory::address(place).into()])
}

/// Where the result goes, if it does not fit one slot: the function is told as its last value.
fn result_place(signature: &Signature, slots: &mut Vec<u64>) -> Option<u32> {
    let ty = signature.result.as_ref().filter(|ty| ty.flat_count() > 1)?;
    let place = memory::address(memory::allocate(Layout::of(ty).size));
    slots.push(place.into());
    Some(place)
}

/// What the tool returns. An error of the function is a failure for the model.
fn finish(signature: &Signature, result: Value) -> Result<Output> {
    if !signature.fallible {
        return output(signature.result.as_ref(), result);
    }
    let (ok, payload) = match result {
        Value::Object(cases) => cases.into_iter().next().map_or((true, None), |(case, value)| (case == "ok", Some(value))),
        case => (case == "ok", None),
    };
    if ok {
        return match payload {
            Some(value) => output(signature.ok_type(), value),
            None => Ok(Output::text("done")),
        };
    }
    Err(failure(payload))
}

fn output(ty: Option<&Type>, value: Value) -> Result<Output> {
    match (ty, value) {
        (Some(Type::String), Value::String(text)) => Ok(Output::text(text)),
        (_, value) => Output::data(&value),
    }
}

/// The failure that an error of the function is: its code is the name of an error's case, its message the error.
fn failure(error: Option<Value>) -> Failure {
    const UNNAMED: &str = "failed";
    match error {
        None => Failure::upstream(UNNAMED, "the function failed and says nothing more"),
        Some(Value::String(message)) => Failure::upstream(UNNAMED, message),
        Some(Value::Object(error)) => {
            let only = error.iter().next().filter(|_| error.len() == 1);
            let code = only.map_or_else(|| UNNAMED.to_owned(), |(case, _)| case.clone());
            let message = only.and_then(|(_, value)| value.as_str()).map(|text| format!("{code}: {text}"));
            Failure::upstream(code, message.unwrap_or_else(|| Value::Object(error.clone()).to_string()))
        }
        Some(other) => Failure::upstream(UNNAMED, other.to_string()),
    }
}

#[cfg(target_family = "wasm")]
everwit_guest::__private::export_capability!(Wrapped with_types_in everwit_guest::__private::bindings);
