//! Filtering, sorting and cutting: from a table to some of its rows.

use core::cmp::Ordering;

use everwit_guest::{Failure, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cell::Cell;
use crate::condition::{Condition, Test};
use crate::table::{Column, Row, Table};

/// Rows of a result if the arguments do not say.
pub(crate) const DEFAULT_LIMIT: usize = 100;

/// Most rows of a result.
pub(crate) const LIMIT: usize = 1000;

/// Most conditions, sort keys or selected columns of one call.
pub(crate) const CLAUSES: usize = 64;

/// A sort key. Missing values come last in either direction.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sort {
    /// Name of the column
    pub(crate) column: String,
    /// Largest first instead of smallest first
    #[serde(default)]
    pub(crate) descending: bool,
}

/// Which rows and columns to return.
pub(crate) struct Request<'a> {
    pub(crate) conditions: &'a [Condition],
    pub(crate) sort: &'a [Sort],
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

/// What a selection returns.
#[derive(Serialize)]
pub(crate) struct Selection<'a> {
    /// Rows that fulfil the conditions.
    matched: usize,
    /// Rows in this result.
    returned: usize,
    /// Where the next part begins, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<usize>,
    rows: Vec<Row<'a>>,
}

/// Selects.
pub(crate) fn select<'a>(table: &'a Table, shown: &'a [&'a Column], request: &Request<'_>) -> Result<Selection<'a>> {
    check_clauses("conditions", request.conditions.len())?;
    check_clauses("sort keys", request.sort.len())?;
    let tests: Vec<Test<'_>> = request.conditions.iter().map(|condition| condition.bind(table)).collect::<Result<_>>()?;
    let mut matches: Vec<usize> = (0..table.rows).filter(|&row| tests.iter().all(|test| test.holds(row))).collect();
    let keys: Vec<(&Column, bool)> =
        request.sort.iter().map(|key| Ok((table.column(&key.column)?, key.descending))).collect::<Result<_>>()?;
    // Stable, so rows that are equal in all keys keep the order of the data.
    matches.sort_by(|&left, &right| {
        let by_key = |&(column, descending): &(&Column, bool)| compare(&column.cells[left], &column.cells[right], descending);
        let decisive = keys.iter().map(by_key).find(|order| order.is_ne());
        decisive.unwrap_or(Ordering::Equal)
    });
    let matched = matches.len();
    let rows: Vec<Row<'_>> = matches.into_iter().skip(request.offset).take(request.limit).map(|row| Row { columns: shown, row }).collect();
    let end = request.offset.saturating_add(rows.len());
    Ok(Selection { matched, returned: rows.len(), next_offset: (end < matched).then_some(end), rows })
}

/// The columns that were asked for, in that order; all of them if none were.
pub(crate) fn columns<'a>(table: &'a Table, names: Option<&[String]>) -> Result<Vec<&'a Column>> {
    let Some(names) = names else {
        return Ok(table.columns.iter().collect());
    };
    check_clauses("selected columns", names.len())?;
    names.iter().map(|name| table.column(name)).collect()
}

/// Checks a limit that came with the arguments.
pub(crate) fn limit(limit: Option<usize>) -> Result<usize> {
    match limit {
        None => Ok(DEFAULT_LIMIT),
        Some(limit) if (1..=LIMIT).contains(&limit) => Ok(limit),
        Some(limit) => Err(Failure::invalid("invalid_limit", format!("`limit` is {limit}, and must be 1 to {LIMIT}"))),
    }
}

/// Compares for sorting: nulls last, whatever the direction.
pub(crate) fn compare(left: &Cell, right: &Cell, descending: bool) -> Ordering {
    match (left.is_null(), right.is_null()) {
        (false, false) if descending => right.cmp(left),
        (false, false) => left.cmp(right),
        (left, right) => left.cmp(&right),
    }
}

pub(crate) fn check_clauses(what: &str, count: usize) -> Result<()> {
    if count <= CLAUSES {
        return Ok(());
    }
    Err(Failure::invalid("too_many_clauses", format!("there are {count} {what}, and at most {CLAUSES} are allowed")))
}
