//! From JSON to the values that a function takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use everwit_guest::Failure;
use serde_json::Value;

use crate::memory;
use crate::types::{Layout, Type};

/// What is wrong with an argument, and where in it.
#[derive(Debug)]
pub(crate) struct Fault {
    place: Vec<String>,
    expected: String,
}

impl Fault {
    fn expected(what: impl Into<String>) -> Self {
        Self { place: Vec::new(), expected: what.into() }
    }

    /// The same, told of what contains it.
    pub(crate) fn within(mut self, name: &impl ToString) -> Self {
        self.place.push(name.to_string());
        self
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let place: String = fault.place.iter().rev().map(|name| format!("/{name}")).collect();
        Failure::invalid("wrong_type", format!("{place}: expected {}", fault.expected))
    }
}

/// Writes a value to where it has to lie.
pub(crate) fn store(ty: &Type, value: &Value, to: &mut [u8]) -> Result<(), Fault> {
    match ty {
        Type::String | Type::Bytes | Type::List(_) => {
            let (address, length) = pointed(ty, value)?;
            to[..4].copy_from_slice(&address.to_le_bytes());
            to[4..8].copy_from_slice(&length.to_le_bytes());
        }
        Type::Record(_) | Type::Tuple(_) => {
            let parts = parts(ty, value)?;
            for ((name, ty, value), offset) in parts.iter().zip(Layout::offsets(parts.iter().map(|(_, ty, _)| *ty))) {
                store(ty, value, &mut to[offset..]).map_err(|fault| fault.within(name))?;
            }
        }
        Type::Flags(names) => {
            for (word, bits) in flags(names, value)?.iter().enumerate() {
                let size = Layout::of(ty).size.min(4);
                to[4 * word..4 * word + size].copy_from_slice(&bits.to_le_bytes()[..size]);
            }
        }
        Type::Option(_) | Type::Variant(_) | Type::Enum(_) => {
            let (case, payload) = chosen(ty, value)?;
            let cases = ty.cases().unwrap_or_default();
            let size = Layout::discriminant(cases.len());
            to[..size].copy_from_slice(&case.to_le_bytes()[..size]);
            if let (Some(payload), Some(Some(ty))) = (payload, cases.get(case)) {
                store(ty, payload, &mut to[Layout::payload_offset(&cases)..])?;
            }
        }
        scalar => {
            let size = Layout::of(scalar).size;
            to[..size].copy_from_slice(&bits(scalar, value)?.to_le_bytes()[..size]);
        }
    }
    Ok(())
}

/// Adds the slots of a value. A slot holds the bits of a number, whichever core type it has: where cases of different
/// types share one, the canonical ABI keeps the bits.
pub(crate) fn flatten(ty: &Type, value: &Value, slots: &mut Vec<u64>) -> Result<(), Fault> {
    match ty {
        Type::String | Type::Bytes | Type::List(_) => {
            let (address, length) = pointed(ty, value)?;
            slots.extend([u64::from(address), u64::from(length)]);
        }
        Type::Record(_) | Type::Tuple(_) => {
            for (name, ty, value) in parts(ty, value)? {
                flatten(ty, value, slots).map_err(|fault| fault.within(&name))?;
            }
        }
        Type::Flags(names) => slots.extend(flags(names, value)?.into_iter().map(u64::from)),
        Type::Option(_) | Type::Variant(_) | Type::Enum(_) => {
            let end = slots.len() + ty.flat_count();
            let (case, payload) = chosen(ty, value)?;
            slots.push(case as u64);
            if let (Some(payload), Some(Some(ty))) = (payload, ty.cases().unwrap_or_default().get(case)) {
                flatten(ty, payload, slots)?;
            }
            slots.resize(end, 0);
        }
        scalar => slots.push(bits(scalar, value)?),
    }
    Ok(())
}

/// Address and length of a string's or list's content.
fn pointed(ty: &Type, value: &Value) -> Result<(u32, u32), Fault> {
    let kept = |content: &[u8]| {
        let place = memory::allocate(content.len());
        place.copy_from_slice(content);
        (memory::address(place), content.len() as u32)
    };
    match (ty, value) {
        (Type::String, Value::String(text)) => Ok(kept(text.as_bytes())),
        (Type::String, _) => Err(Fault::expected("a string")),
        (Type::Bytes, Value::String(text)) => match STANDARD.decode(text) {
            Ok(bytes) => Ok(kept(&bytes)),
            Err(error) => Err(Fault::expected(format!("bytes in base64: {error}"))),
        },
        (Type::Bytes, _) => Err(Fault::expected("bytes in base64")),
        (Type::List(item), Value::Array(values)) => {
            let size = Layout::of(item).size;
            let place = memory::allocate(size * values.len());
            for (index, value) in values.iter().enumerate() {
                store(item, value, &mut place[index * size..]).map_err(|fault| fault.within(&index))?;
            }
            Ok((memory::address(place), values.len() as u32))
        }
        _ => Err(Fault::expected("an array")),
    }
}

/// The fields of a record or the items of a tuple, with their names.
fn parts<'a>(ty: &'a Type, value: &'a Value) -> Result<Vec<(String, &'a Type, &'a Value)>, Fault> {
    match (ty, value) {
        (Type::Record(fields), Value::Object(values)) => {
            let part = |(name, ty): &'a (String, Type)| (name.clone(), ty, values.get(name).unwrap_or(&Value::Null));
            Ok(fields.iter().map(part).collect())
        }
        (Type::Tuple(types), Value::Array(values)) if types.len() == values.len() => {
            Ok(types.iter().zip(values).enumerate().map(|(index, (ty, value))| (index.to_string(), ty, value)).collect())
        }
        (Type::Tuple(types), _) => Err(Fault::expected(format!("an array of {}", types.len()))),
        _ => Err(Fault::expected("an object")),
    }
}

/// The number of the case that a value is, and the case's own value.
fn chosen<'a>(ty: &Type, value: &'a Value) -> Result<(usize, Option<&'a Value>), Fault> {
    let (name, payload) = match (ty, value) {
        (Type::Option(_), Value::Null) => return Ok((0, None)),
        (Type::Option(some), Value::Object(tagged)) if some.is_nullable() => match (tagged.get("some"), tagged.len()) {
            (Some(value), 1) => return Ok((1, Some(value))),
            _ => return Err(Fault::expected("null or an object with \"some\"")),
        },
        (Type::Option(some), _) if some.is_nullable() => return Err(Fault::expected("null or an object with \"some\"")),
        (Type::Option(_), value) => return Ok((1, Some(value))),
        (_, Value::String(name)) => (name, None),
        (_, Value::Object(tagged)) if tagged.len() == 1 => {
            tagged.iter().next().map(|(name, value)| (name, Some(value))).expect("it has one")
        }
        _ => return Err(Fault::expected("the name of a case, or an object with it and its value")),
    };
    let known: Vec<(&String, bool)> = match ty {
        Type::Variant(cases) => cases.iter().map(|(name, ty)| (name, ty.is_some())).collect(),
        Type::Enum(names) => names.iter().map(|name| (name, false)).collect(),
        _ => Vec::new(),
    };
    let found = known.iter().position(|(known, has_value)| *known == name && *has_value == payload.is_some());
    let names = || known.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    found.map(|case| (case, payload)).ok_or_else(|| Fault::expected(format!("one of {}", names())))
}

/// The words of a set of flags.
fn flags(names: &[String], value: &Value) -> Result<Vec<u32>, Fault> {
    let expected = || Fault::expected(format!("an array of names out of {}", names.join(", ")));
    let mut words = vec![0; names.len().div_ceil(32)];
    for flag in value.as_array().ok_or_else(expected)? {
        let index = names.iter().position(|name| flag == name.as_str()).ok_or_else(expected)?;
        words[index / 32] |= 1 << (index % 32);
    }
    Ok(words)
}

/// The bits of a number, truth value or character.
fn bits(ty: &Type, value: &Value) -> Result<u64, Fault> {
    let unsigned = |most: u64| whole(value).and_then(|number| u64::try_from(number).ok()).filter(|number| *number <= most);
    let signed =
        |most: i64| whole(value).and_then(|number| i64::try_from(number).ok()).filter(|number| (-most - 1..=most).contains(number));
    let number = match ty {
        Type::Bool => value.as_bool().map(u64::from),
        Type::U8 => unsigned(u8::MAX.into()),
        Type::U16 => unsigned(u16::MAX.into()),
        Type::U32 => unsigned(u32::MAX.into()),
        Type::U64 => unsigned(u64::MAX),
        Type::S8 => signed(i8::MAX.into()).map(|number| u64::from(number as u32)),
        Type::S16 => signed(i16::MAX.into()).map(|number| u64::from(number as u32)),
        Type::S32 => signed(i32::MAX.into()).map(|number| u64::from(number as u32)),
        Type::S64 => signed(i64::MAX).map(|number| number as u64),
        Type::F32 => float(value).map(|number| (number as f32).to_bits().into()),
        Type::F64 => float(value).map(f64::to_bits),
        Type::Char => value.as_str().and_then(only_char).map(|only| u64::from(u32::from(only))),
        _ => None,
    };
    number.ok_or_else(|| Fault::expected(format!("a value of {ty:?}").to_lowercase()))
}

/// A whole number, however it is written.
fn whole(value: &Value) -> Option<i128> {
    let number = value.as_number()?;
    let written = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    // Within these bounds each whole number has a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    written.or_else(|| number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() <= EXACT).map(|float| float as i128))
}

fn float(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        _ => value.as_f64(),
    }
}

fn only_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}
