//! Types of the Component Model and how their values lie in memory and in slots, as its canonical ABI says.

use serde::Deserialize;

/// A type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Type {
    Bool,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F32,
    F64,
    Char,
    String,
    /// A list of `u8`, in JSON as base64.
    Bytes,
    List(Box<Type>),
    Option(Box<Type>),
    Record(Vec<(String, Type)>),
    Tuple(Vec<Type>),
    /// A variant; a WIT result is one with the cases "ok" and "err".
    Variant(Vec<(String, Option<Type>)>),
    Enum(Vec<String>),
    Flags(Vec<String>),
}

impl Type {
    /// Types of the cases, if it has any.
    pub(crate) fn cases(&self) -> Option<Vec<Option<&Type>>> {
        match self {
            Self::Option(some) => Some(vec![None, Some(some)]),
            Self::Variant(cases) => Some(cases.iter().map(|(_, ty)| ty.as_ref()).collect()),
            Self::Enum(names) => Some(vec![None; names.len()]),
            _ => None,
        }
    }

    /// How many slots a value takes.
    pub(crate) fn flat_count(&self) -> usize {
        match self {
            Self::String | Self::Bytes | Self::List(_) => 2,
            Self::Record(fields) => fields.iter().map(|(_, ty)| ty.flat_count()).sum(),
            Self::Tuple(types) => types.iter().map(Self::flat_count).sum(),
            Self::Flags(names) => names.len().div_ceil(32),
            other => match other.cases() {
                Some(cases) => 1 + cases.into_iter().flatten().map(Self::flat_count).max().unwrap_or(0),
                None => 1,
            },
        }
    }

    /// Whether a value can be written as null.
    pub(crate) fn is_nullable(&self) -> bool {
        matches!(self, Self::Option(_))
    }
}

/// Bytes that a value takes in memory, and what its address is a multiple of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Layout {
    pub(crate) size: usize,
    pub(crate) align: usize,
}

impl Layout {
    const fn scalar(size: usize) -> Self {
        Self { size, align: size }
    }

    /// That of a type.
    pub(crate) fn of(ty: &Type) -> Self {
        match ty {
            Type::Bool | Type::U8 | Type::S8 => Self::scalar(1),
            Type::U16 | Type::S16 => Self::scalar(2),
            Type::U32 | Type::S32 | Type::F32 | Type::Char => Self::scalar(4),
            Type::U64 | Type::S64 | Type::F64 => Self::scalar(8),
            Type::String | Type::Bytes | Type::List(_) => Self { size: 8, align: 4 },
            Type::Record(fields) => Self::of_fields(fields.iter().map(|(_, ty)| ty)),
            Type::Tuple(types) => Self::of_fields(types.iter()),
            Type::Flags(names) => match names.len() {
                ..=8 => Self::scalar(1),
                9..=16 => Self::scalar(2),
                more => Self { size: 4 * more.div_ceil(32), align: 4 },
            },
            Type::Option(_) | Type::Variant(_) | Type::Enum(_) => {
                let cases = ty.cases().unwrap_or_default();
                let (size, payload) = (Self::discriminant(cases.len()), Self::payload(&cases));
                let align = size.max(payload.align);
                Self { size: (size.next_multiple_of(payload.align) + payload.size).next_multiple_of(align), align }
            }
        }
    }

    /// That of values one after the other.
    pub(crate) fn of_fields<'a>(types: impl Iterator<Item = &'a Type>) -> Self {
        let (end, align) = types
            .map(Self::of)
            .fold((0, 1), |(end, align), field| (usize::next_multiple_of(end, field.align) + field.size, align.max(field.align)));
        Self { size: end.next_multiple_of(align), align }
    }

    /// Where each of them begins.
    pub(crate) fn offsets<'a>(types: impl Iterator<Item = &'a Type>) -> impl Iterator<Item = usize> {
        types.map(Self::of).scan(0, |end: &mut usize, field| {
            let start = end.next_multiple_of(field.align);
            *end = start + field.size;
            Some(start)
        })
    }

    /// Bytes of the number of a case.
    pub(crate) fn discriminant(cases: usize) -> usize {
        match cases {
            ..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 4,
        }
    }

    /// Where the values of cases begin.
    pub(crate) fn payload_offset(cases: &[Option<&Type>]) -> usize {
        Self::discriminant(cases.len()).next_multiple_of(Self::payload(cases).align)
    }

    /// Room for the largest of the cases' values.
    fn payload(cases: &[Option<&Type>]) -> Self {
        let payloads = cases.iter().flatten().map(|ty| Self::of(ty));
        payloads.fold(Self { size: 0, align: 1 }, |all, one| Self { size: all.size.max(one.size), align: all.align.max(one.align) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ty(json: &str) -> Type {
        serde_json::from_str(json).expect("a type")
    }

    #[test]
    fn types_are_laid_out_as_the_canonical_abi_says() {
        for (json, size, align, flat) in [
            (r#""bool""#, 1, 1, 1),
            (r#""string""#, 8, 4, 2),
            (r#"{"record": [["a", "u8"], ["b", "u64"], ["c", "u16"]]}"#, 24, 8, 3),
            (r#"{"tuple": ["u8", "char", "u8"]}"#, 12, 4, 3),
            (r#"{"option": "f64"}"#, 16, 8, 2),
            (r#"{"variant": [["ok", "string"], ["err", {"enum": ["a", "b"]}]]}"#, 12, 4, 3),
            (r#"{"variant": [["a", null], ["b", "u16"]]}"#, 4, 2, 2),
            (r#"{"flags": ["a", "b", "c", "d", "e", "f", "g", "h", "i"]}"#, 2, 2, 1),
        ] {
            let ty = ty(json);
            assert_eq!((Layout::of(&ty), ty.flat_count()), (Layout { size, align }, flat), "{json}");
        }
    }
}
