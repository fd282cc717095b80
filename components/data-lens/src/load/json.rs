//! JSON: an array of objects, or one object.
//!
//! Values are read from their source text, so that no number passes through a type that could
//! round it, and keys keep the order of their first appearance.

use core::fmt;
use std::collections::BTreeMap;

use everwit_guest::{Failure, Result};
use serde::Deserializer;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{check_size, kinds};
use crate::cell::Cell;
use crate::table::{Column, Table};

pub(super) fn load(data: &str) -> Result<Table> {
    let mut builder = Builder::default();
    let mut deserializer = serde_json::Deserializer::from_str(data);
    let read = if data.trim_start().starts_with('{') {
        deserializer.deserialize_map(Record(&mut builder))
    } else {
        deserializer.deserialize_seq(Records(&mut builder))
    };
    let read = read.and_then(|()| deserializer.end());
    if let Some(failure) = builder.failure {
        return Err(failure);
    }
    read.map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Failure::invalid("invalid_json", format!("expected an array of objects: {error}")),
        _ => Failure::invalid("invalid_json", error.to_string()),
    })?;
    let rows = builder.rows;
    let columns = builder.columns.into_iter().map(|(name, mut cells)| {
        cells.resize(rows, Cell::Null);
        let kind = kinds::of(&cells);
        Column { name, kind, cells }
    });
    Ok(Table { rows, columns: columns.collect() })
}

/// A table as it grows.
#[derive(Default)]
struct Builder {
    rows: usize,
    columns: Vec<(String, Vec<Cell>)>,
    positions: BTreeMap<String, usize>,
    /// Why reading was broken off, if the JSON is not to blame.
    failure: Option<Failure>,
}

impl Builder {
    fn put(&mut self, name: String, cell: Cell) -> Result<()> {
        let index = match self.positions.get(&name) {
            Some(index) => *index,
            None => {
                check_size(self.rows, self.columns.len() + 1)?;
                self.positions.insert(name.clone(), self.columns.len());
                self.columns.push((name, Vec::new()));
                self.columns.len() - 1
            }
        };
        let cells = &mut self.columns[index].1;
        // Fills the rows that lacked it; of a key that an object has twice, the last counts.
        cells.resize(self.rows - 1, Cell::Null);
        cells.push(cell);
        Ok(())
    }

    /// Keeps a failure of this crate behind the error that ends the reading.
    fn keep<E: de::Error>(&mut self, result: Result<()>) -> Result<(), E> {
        result.map_err(|failure| {
            self.failure = Some(failure);
            E::custom("broken off")
        })
    }
}

/// The array.
struct Records<'a>(&'a mut Builder);

/// One object of it.
struct Record<'a>(&'a mut Builder);

impl<'de> Visitor<'de> for Records<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<(), A::Error> {
        while records.next_element_seed(Record(self.0))?.is_some() {}
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Record<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Record<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        self.0.rows += 1;
        let size = check_size(self.0.rows, self.0.columns.len());
        self.0.keep(size)?;
        while let Some(name) = fields.next_key::<String>()? {
            let value: &RawValue = fields.next_value()?;
            let cell = cell(value).map_err(de::Error::custom)?;
            let put = self.0.put(name, cell);
            self.0.keep(put)?;
        }
        Ok(())
    }
}

/// A cell from a value's source text. Arrays and objects stay text, and so do numbers that a
/// cell cannot hold exactly.
fn cell(value: &RawValue) -> serde_json::Result<Cell> {
    let text = value.get();
    Ok(match text.as_bytes().first() {
        Some(b'n') => Cell::Null,
        Some(b't') => Cell::Bool(true),
        Some(b'f') => Cell::Bool(false),
        Some(b'"') => Cell::Text(serde_json::from_str(text)?),
        Some(b'[' | b'{') => Cell::Text(text.to_owned()),
        _ => Cell::number(text).unwrap_or_else(|| Cell::Text(text.to_owned())),
    })
}
