//! Which functions a component exports, and the tools that they become.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use wit_parser::{Function as WitFunction, FunctionKind, Resolve, Type, TypeDefKind, WorldId, WorldItem, WorldKey};

use super::shape::{Direction, Shaper};

/// A function that becomes a tool.
#[derive(Debug)]
pub(super) struct Function {
    /// Name of the tool.
    pub(super) tool: String,
    /// The interface that it is of, or its own name.
    pub(super) key: WorldKey,
    /// The function.
    pub(super) function: WitFunction,
    /// How it is called, as the adapter reads it.
    pub(super) signature: Value,
    /// The tool as the adapter describes it.
    pub(super) description: Value,
}

/// A function that cannot be a tool: its name, and why.
type LeftOut = (String, String);

/// The functions of a world's exports, with those that cannot be tools apart.
pub(super) fn functions(resolve: &Resolve, world: WorldId) -> (Vec<Function>, Vec<LeftOut>) {
    let mut exported: Vec<(&WorldKey, &WitFunction)> = Vec::new();
    for (key, item) in &resolve.worlds[world].exports {
        match item {
            WorldItem::Function(function) => exported.push((key, function)),
            WorldItem::Interface { id, .. } => exported.extend(resolve.interfaces[*id].functions.values().map(|function| (key, function))),
            WorldItem::Type { .. } => {}
        }
    }
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for (_, function) in &exported {
        *uses.entry(identifier(&function.name)).or_default() += 1;
    }
    let (mut functions, mut left_out) = (Vec::new(), Vec::new());
    for (key, function) in exported {
        let place = match key {
            WorldKey::Name(_) => function.name.clone(),
            key => format!("{}#{}", resolve.name_world_key(key), function.name),
        };
        let plain = identifier(&function.name);
        // Only functions that share a name need that of their interface.
        let tool = match (key, uses.get(&plain)) {
            (WorldKey::Interface(id), Some(2..)) => {
                let interface = resolve.interfaces[*id].name.as_deref().unwrap_or_default();
                format!("{}_{plain}", identifier(interface))
            }
            _ => plain,
        };
        match tool_of(resolve, key, function, tool, &place) {
            Ok(function) if functions.iter().all(|other: &Function| other.tool != function.tool) => functions.push(function),
            Ok(function) => left_out.push((place, format!("another function is called {} already", function.tool))),
            Err(reason) => left_out.push((place, reason)),
        }
    }
    (functions, left_out)
}

fn tool_of(resolve: &Resolve, key: &WorldKey, function: &WitFunction, tool: String, place: &str) -> Result<Function, String> {
    /// Longest name of a tool, in bytes.
    const MAX_NAME_BYTES: usize = 64;
    match function.kind {
        FunctionKind::Freestanding => {}
        FunctionKind::AsyncFreestanding => return Err("it is asynchronous; export it as an ordinary function".to_owned()),
        _ => return Err("it belongs to a resource, which would be gone after the call; export a function on plain data".to_owned()),
    }
    if tool.len() > MAX_NAME_BYTES {
        return Err(format!("its name has more than {MAX_NAME_BYTES} bytes; give it a shorter one"));
    }
    let mut shaper = Shaper::new(resolve);
    let (mut parameters, mut properties, mut required) = (Vec::new(), Map::new(), Vec::new());
    for parameter in &function.params {
        let name = identifier(&parameter.name);
        let shape = shaper.shape(&parameter.ty, Direction::In).map_err(|reason| format!("its parameter {} {reason}", parameter.name))?;
        if !shape.nullable {
            required.push(name.clone());
        }
        parameters.push(json!([name, shape.ty]));
        properties.insert(name, shape.schema);
    }
    let in_result = |reason| format!("its result {reason}");
    let result = function.result.as_ref().map(|ty| shaper.shape(ty, Direction::Out)).transpose().map_err(in_result)?;
    let parts = function.result.as_ref().and_then(|ty| fallible(resolve, ty));
    let returned = match parts {
        Some(ok) => ok,
        None => function.result,
    };
    let output =
        returned.filter(|ty| !is_string(resolve, ty)).map(|ty| shaper.shape(&ty, Direction::Out)).transpose().map_err(in_result)?;
    let comment = function.docs.contents.as_deref().map(str::trim).filter(|text| !text.is_empty());
    Ok(Function {
        key: key.clone(),
        function: function.clone(),
        signature: json!({ "params": parameters, "result": result.map(|shape| shape.ty), "fallible": parts.is_some() }),
        description: json!({
            "name": tool,
            "title": title(&function.name),
            "description": comment.map_or_else(|| format!("The function {place} of a component."), ToOwned::to_owned),
            "input_schema": json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false }).to_string(),
            "output_schema": output.map(|shape| shape.schema.to_string()),
        }),
        tool,
    })
}

/// What a function returns that can fail, once it did not; none if it cannot.
fn fallible(resolve: &Resolve, ty: &Type) -> Option<Option<Type>> {
    match ty {
        Type::Id(id) => match &resolve.types[*id].kind {
            TypeDefKind::Type(other) => fallible(resolve, other),
            TypeDefKind::Result(result) => Some(result.ok),
            _ => None,
        },
        _ => None,
    }
}

/// Text is shown to models as it is.
fn is_string(resolve: &Resolve, ty: &Type) -> bool {
    match ty {
        Type::String => true,
        Type::Id(id) => matches!(&resolve.types[*id].kind, TypeDefKind::Type(other) if is_string(resolve, other)),
        _ => false,
    }
}

/// A name of WIT as a name in JSON.
pub(super) fn identifier(name: &str) -> String {
    name.replace('-', "_").to_ascii_lowercase()
}

/// A name of WIT as a title.
pub(super) fn title(name: &str) -> String {
    let words = name.replace('-', " ");
    let (first, rest) = words.split_at(words.chars().next().map_or(0, char::len_utf8));
    format!("{}{rest}", first.to_uppercase())
}
