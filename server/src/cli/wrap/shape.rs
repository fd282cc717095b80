//! WIT's types as JSON Schema, and as the adapter reads them.

use serde_json::{Map, Value, json};
use wit_parser::{Docs, Resolve, Type, TypeDefKind};

use super::reflect::identifier;

/// Types that one function's parameters and results may be made of. Types cannot contain themselves, but a few that use each other
/// twice grow without bound once they are written out.
const MAX_PARTS: usize = 1_000;

/// Which way values go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    In,
    Out,
}

/// A type.
#[derive(Debug)]
pub(super) struct Shape {
    /// As the adapter reads it.
    pub(super) ty: Value,
    /// JSON Schema of its values.
    pub(super) schema: Value,
    /// Whether null is one of them.
    pub(super) nullable: bool,
}

impl Shape {
    fn plain(ty: &str, schema: Value) -> Self {
        Self { ty: ty.into(), schema, nullable: false }
    }

    fn described(mut self, docs: &Docs) -> Self {
        if let (Some(fields), Some(text)) = (self.schema.as_object_mut(), docs.contents.as_deref().map(str::trim)) {
            fields.insert("description".to_owned(), text.into());
        }
        self
    }
}

/// Writes out the types of one function.
pub(super) struct Shaper<'a> {
    resolve: &'a Resolve,
    parts: usize,
}

impl<'a> Shaper<'a> {
    pub(super) fn new(resolve: &'a Resolve) -> Self {
        Self { resolve, parts: 0 }
    }

    /// A type.
    ///
    /// # Errors
    /// Why its values cannot be written as JSON, as the rest of a sentence.
    pub(super) fn shape(&mut self, ty: &Type, way: Direction) -> Result<Shape, String> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(format!("makes it consist of more than {MAX_PARTS} types once they are written out; use fewer, flatter types"));
        }
        let whole = |name: &str, least: i64, most: u64| Shape::plain(name, json!({ "type": "integer", "minimum": least, "maximum": most }));
        Ok(match ty {
            Type::Bool => Shape::plain("bool", json!({ "type": "boolean" })),
            Type::U8 => whole("u8", 0, u8::MAX.into()),
            Type::U16 => whole("u16", 0, u16::MAX.into()),
            Type::U32 => whole("u32", 0, u32::MAX.into()),
            Type::U64 => whole("u64", 0, u64::MAX),
            Type::S8 => whole("s8", i8::MIN.into(), i8::MAX as u64),
            Type::S16 => whole("s16", i16::MIN.into(), i16::MAX as u64),
            Type::S32 => whole("s32", i32::MIN.into(), i32::MAX as u64),
            Type::S64 => whole("s64", i64::MIN, i64::MAX as u64),
            Type::F32 => float("f32", way),
            Type::F64 => float("f64", way),
            Type::Char => Shape::plain("char", json!({ "type": "string", "minLength": 1, "maxLength": 1 })),
            Type::String => Shape::plain("string", json!({ "type": "string" })),
            Type::ErrorContext => return Err("is an error context, which is no data; use a string".to_owned()),
            Type::Id(id) => {
                let definition = &self.resolve.types[*id];
                self.defined(&definition.kind, way)?.described(&definition.docs)
            }
        })
    }

    fn defined(&mut self, kind: &TypeDefKind, way: Direction) -> Result<Shape, String> {
        Ok(match kind {
            TypeDefKind::Type(other) => self.shape(other, way)?,
            TypeDefKind::List(Type::U8) => Shape::plain("bytes", json!({ "type": "string", "contentEncoding": "base64" })),
            TypeDefKind::List(item) => {
                let item = self.shape(item, way)?;
                Shape { ty: json!({ "list": item.ty }), schema: json!({ "type": "array", "items": item.schema }), nullable: false }
            }
            TypeDefKind::Option(some) => {
                let some = self.shape(some, way)?;
                let schema = if some.nullable { object([("some".to_owned(), some.schema)], &["some".to_owned()]) } else { some.schema };
                Shape { ty: json!({ "option": some.ty }), schema: json!({ "anyOf": [schema, { "type": "null" }] }), nullable: true }
            }
            TypeDefKind::Record(record) => {
                let fields =
                    record.fields.iter().map(|field| Ok((identifier(&field.name), self.shape(&field.ty, way)?.described(&field.docs))));
                let fields = fields.collect::<Result<Vec<_>, String>>()?;
                // What a function returns has all fields; what it is given may leave options out.
                let required = fields.iter().filter(|(_, shape)| way == Direction::Out || !shape.nullable).map(|(name, _)| name.clone());
                let required: Vec<String> = required.collect();
                let ty = json!({ "record": fields.iter().map(|(name, shape)| json!([name, shape.ty])).collect::<Vec<_>>() });
                Shape { ty, schema: object(fields.into_iter().map(|(name, shape)| (name, shape.schema)), &required), nullable: false }
            }
            TypeDefKind::Tuple(tuple) => {
                let items = tuple.types.iter().map(|ty| self.shape(ty, way)).collect::<Result<Vec<_>, _>>()?;
                let (types, schemas): (Vec<Value>, Vec<Value>) = items.into_iter().map(|item| (item.ty, item.schema)).unzip();
                let count = schemas.len();
                let schema = json!({ "type": "array", "prefixItems": schemas, "minItems": count, "maxItems": count });
                Shape { ty: json!({ "tuple": types }), schema, nullable: false }
            }
            TypeDefKind::Variant(variant) => {
                self.cases(variant.cases.iter().map(|case| (identifier(&case.name), case.ty, Some(&case.docs))), way)?
            }
            TypeDefKind::Result(result) => {
                self.cases([("ok".to_owned(), result.ok, None), ("err".to_owned(), result.err, None)].into_iter(), way)?
            }
            TypeDefKind::Enum(names) => {
                let shape = self.cases(names.cases.iter().map(|case| (identifier(&case.name), None, Some(&case.docs))), way)?;
                let names: Vec<String> = names.cases.iter().map(|case| identifier(&case.name)).collect();
                Shape { ty: json!({ "enum": names }), ..shape }
            }
            TypeDefKind::Flags(flags) => {
                let names: Vec<String> = flags.flags.iter().map(|flag| identifier(&flag.name)).collect();
                let schema = json!({ "type": "array", "items": { "type": "string", "enum": names }, "uniqueItems": true });
                Shape { ty: json!({ "flags": names }), schema, nullable: false }
            }
            TypeDefKind::Resource | TypeDefKind::Handle(_) => {
                return Err("has a resource in it, which would be gone after the call; use plain data".to_owned());
            }
            TypeDefKind::Future(_) | TypeDefKind::Stream(_) => {
                return Err(format!("has a {} in it, which outlives no call; use a list", kind.as_str()));
            }
            TypeDefKind::Map(..) | TypeDefKind::FixedLengthList(..) | TypeDefKind::Unknown => {
                return Err(format!("has a {} in it, which is not supported; use a list", kind.as_str()));
            }
        })
    }

    /// A variant: the name of a case, or an object of that name and the case's value.
    fn cases<'d>(
        &mut self,
        cases: impl Iterator<Item = (String, Option<Type>, Option<&'d Docs>)>,
        way: Direction,
    ) -> Result<Shape, String> {
        let (mut types, mut names, mut choices) = (Vec::new(), Vec::new(), Vec::new());
        for (name, ty, docs) in cases {
            let shape = ty.map(|ty| self.shape(&ty, way)).transpose()?;
            types.push(json!([name, shape.as_ref().map(|shape| &shape.ty)]));
            let comment = docs.filter(|docs| !docs.is_empty());
            let mut choice = Shape { ty: Value::Null, schema: Value::Null, nullable: false };
            match (shape, comment) {
                (None, None) => {
                    names.push(name);
                    continue;
                }
                (None, Some(_)) => choice.schema = json!({ "const": name }),
                (Some(shape), _) => choice.schema = object([(name.clone(), shape.schema)], &[name]),
            }
            choices.push(choice.described(comment.unwrap_or(&Docs::default())).schema);
        }
        let named = json!({ "type": "string", "enum": names });
        if !names.is_empty() && !choices.is_empty() {
            choices.insert(0, named.clone());
        }
        let schema = if choices.is_empty() { named } else { json!({ "anyOf": choices }) };
        Ok(Shape { ty: json!({ "variant": types }), schema, nullable: false })
    }
}

/// JSON has no other names for what is no finite number.
fn float(name: &str, way: Direction) -> Shape {
    let number = json!({ "type": "number" });
    let schema = match way {
        Direction::In => number,
        Direction::Out => json!({ "anyOf": [number, { "type": "string", "enum": ["NaN", "Infinity", "-Infinity"] }] }),
    };
    Shape::plain(name, schema)
}

fn object(properties: impl IntoIterator<Item = (String, Value)>, required: &[String]) -> Value {
    let properties: Map<String, Value> = properties.into_iter().collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}
