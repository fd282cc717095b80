//! A table in memory, column by column.

use everwit_guest::{Failure, Result};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::cell::Cell;

/// Most rows of a table.
pub(crate) const ROWS: usize = 100_000;

/// Most columns of a table.
pub(crate) const COLUMNS: usize = 500;

/// Most cells of a table, missing ones included: what sparse records would otherwise blow up.
/// Sixteen to twenty-four bytes each.
pub(crate) const CELLS: usize = 1_000_000;

/// A table; all columns are equally long.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) rows: usize,
    pub(crate) columns: Vec<Column>,
}

/// A named column.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) cells: Vec<Cell>,
}

/// What a column holds, apart from missing values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Nothing.
    Empty,
    Boolean,
    /// Integers only.
    Integer,
    /// Numbers, of which at least one is no integer.
    Number,
    /// Texts that are all dates, or all dates with times, of one form that sorts by time.
    Date,
    Text,
    /// Values of several types.
    Mixed,
}

/// A row, written as a JSON object of some columns in the given order.
pub(crate) struct Row<'a> {
    pub(crate) columns: &'a [&'a Column],
    pub(crate) row: usize,
}

impl Table {
    /// Finds a column.
    pub(crate) fn column(&self, name: &str) -> Result<&Column> {
        self.columns
            .iter()
            .find(|column| column.name == name)
            .ok_or_else(|| unknown_column(name, self.columns.iter().map(|column| &*column.name)))
    }
}

impl Kind {
    pub(crate) fn is_numeric(self) -> bool {
        matches!(self, Kind::Integer | Kind::Number)
    }

    /// The word for it in messages and results.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Empty => "empty",
            Kind::Boolean => "boolean",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Date => "date",
            Kind::Text => "text",
            Kind::Mixed => "mixed",
        }
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len()))?;
        for column in self.columns {
            map.serialize_entry(&column.name, &column.cells[self.row])?;
        }
        map.end()
    }
}

/// The failure for a name that is none of the columns.
pub(crate) fn unknown_column<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let known: Vec<_> = known.collect();
    Failure::invalid("unknown_column", format!("there is no column `{name}`; the columns are: {}", known.join(", ")))
}

/// The failure for a table beyond a limit.
pub(crate) fn too_large(what: &str, limit: usize) -> Failure {
    Failure::invalid("table_too_large", format!("the table has more than {limit} {what}; pass a part of it"))
}
