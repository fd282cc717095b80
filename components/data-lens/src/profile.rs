//! What there is to know about each column.

use everwit_guest::Result;
use serde::Serialize;

use crate::cell::Cell;
use crate::statistics::{self, Value};
use crate::table::{Column, Kind, Table};

/// Examples of a column.
const EXAMPLES: usize = 3;

/// Longest text that is shown whole, in characters.
const TEXT_CHARS: usize = 80;

/// A described table.
#[derive(Serialize)]
pub(crate) struct Profile<'a> {
    rows: usize,
    columns: Vec<ColumnProfile<'a>>,
}

#[derive(Serialize)]
struct ColumnProfile<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    kind: Kind,
    /// Values that are not missing.
    count: usize,
    nulls: usize,
    /// Different values.
    distinct: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<Cell>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<Cell>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mean: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    median: Option<Cell>,
    /// The first different values.
    examples: Vec<Cell>,
}

/// Describes a table.
pub(crate) fn profile(table: &Table) -> Result<Profile<'_>> {
    Ok(Profile { rows: table.rows, columns: table.columns.iter().map(column).collect::<Result<_>>()? })
}

fn column(column: &Column) -> Result<ColumnProfile<'_>> {
    let values = || column.cells.iter().filter(|cell| !cell.is_null());
    let mut sorted: Vec<&Cell> = values().collect();
    sorted.sort_unstable();
    let numeric = column.kind.is_numeric();
    // The ends of values of several types say nothing.
    let ordered = column.kind != Kind::Mixed;
    let end = |cell: Option<&&Cell>| cell.filter(|_| ordered).map(|cell| short(cell));
    let mut examples: Vec<&Cell> = Vec::new();
    for value in values() {
        if examples.len() == EXAMPLES {
            break;
        }
        if !examples.contains(&value) {
            examples.push(value);
        }
    }
    Ok(ColumnProfile {
        name: &column.name,
        kind: column.kind,
        count: sorted.len(),
        nulls: column.cells.len() - sorted.len(),
        distinct: statistics::distinct(&sorted),
        min: end(sorted.first()),
        max: end(sorted.last()),
        mean: numeric.then(|| statistics::mean(&sorted, column)).transpose()?,
        median: numeric.then(|| statistics::median(&sorted)),
        examples: examples.into_iter().map(short).collect(),
    })
}

/// A value to look at: a long text is cut.
fn short(cell: &Cell) -> Cell {
    match cell {
        Cell::Text(text) => match text.char_indices().nth(TEXT_CHARS) {
            Some((end, _)) => Cell::Text(format!("{}…", &text[..end])),
            None => cell.clone(),
        },
        other => other.clone(),
    }
}
