//! From what a function returns to JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::memory;
use crate::types::{Layout, Type};

/// Reads a value from where it lies.
pub(crate) fn load(ty: &Type, from: &[u8]) -> Value {
    match ty {
        Type::Bool => (from[0] != 0).into(),
        Type::U8 => from[0].into(),
        Type::U16 => u16::from_le_bytes(first(from)).into(),
        Type::U32 => word(from).into(),
        Type::U64 => u64::from_le_bytes(first(from)).into(),
        Type::S8 => i8::from_le_bytes(first(from)).into(),
        Type::S16 => i16::from_le_bytes(first(from)).into(),
        Type::S32 => i32::from_le_bytes(first(from)).into(),
        Type::S64 => i64::from_le_bytes(first(from)).into(),
        // By its digits: the nearest double has many more.
        Type::F32 => float(f32::from_le_bytes(first(from)).to_string().parse().unwrap_or(f64::NAN)),
        Type::F64 => float(f64::from_le_bytes(first(from))),
        Type::Char => char::from_u32(word(from)).unwrap_or(char::REPLACEMENT_CHARACTER).to_string().into(),
        Type::String => String::from_utf8_lossy(content(from, 1)).into(),
        Type::Bytes => STANDARD.encode(content(from, 1)).into(),
        Type::List(item) => {
            let size = Layout::of(item).size;
            content(from, size).chunks_exact(size).map(|value| load(item, value)).collect()
        }
        Type::Record(fields) => {
            let offsets = Layout::offsets(fields.iter().map(|(_, ty)| ty));
            let values = fields.iter().zip(offsets).map(|((name, ty), offset)| (name.clone(), load(ty, &from[offset..])));
            Value::Object(values.collect())
        }
        Type::Tuple(types) => types.iter().zip(Layout::offsets(types.iter())).map(|(ty, offset)| load(ty, &from[offset..])).collect(),
        Type::Flags(names) => {
            let is_set = |index: usize| from[index / 8] & (1 << (index % 8)) != 0;
            names.iter().enumerate().filter(|(index, _)| is_set(*index)).map(|(_, name)| Value::from(name.as_str())).collect()
        }
        Type::Option(_) | Type::Variant(_) | Type::Enum(_) => case(ty, from),
    }
}

fn case(ty: &Type, from: &[u8]) -> Value {
    let cases = ty.cases().unwrap_or_default();
    let number = match Layout::discriminant(cases.len()) {
        1 => from[0].into(),
        2 => u16::from_le_bytes(first(from)).into(),
        _ => word(from),
    } as usize;
    let payload = cases.get(number).copied().flatten().map(|ty| load(ty, &from[Layout::payload_offset(&cases)..]));
    match (ty, payload) {
        (Type::Option(some), Some(value)) if some.is_nullable() => tagged("some", value),
        (Type::Option(_), payload) => payload.unwrap_or(Value::Null),
        (Type::Variant(cases), Some(value)) => tagged(&cases[number].0, value),
        (Type::Variant(cases), None) => cases[number].0.as_str().into(),
        (Type::Enum(names), _) => names[number].as_str().into(),
        _ => Value::Null,
    }
}

fn tagged(name: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value)]))
}

/// The content of a string or list whose address and length lie here, of items of some size.
fn content(from: &[u8], size: usize) -> &'static [u8] {
    memory::read(word(from), word(&from[4..]) as usize * size)
}

fn word(from: &[u8]) -> u32 {
    u32::from_le_bytes(first(from))
}

/// The first bytes; a layout has as many as its type is read from.
fn first<const N: usize>(from: &[u8]) -> [u8; N] {
    *from.first_chunk().expect("a value takes the bytes of its layout")
}

/// JSON has no other name for what is no finite number.
fn float(number: f64) -> Value {
    match serde_json::Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => "NaN".into(),
        None => if number > 0.0 { "Infinity" } else { "-Infinity" }.into(),
    }
}
