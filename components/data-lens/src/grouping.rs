//! Aggregates over groups of rows, or over all of them.

use core::cmp::Ordering;
use std::collections::BTreeMap;

use everwit_guest::{Failure, Result};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::cell::Cell;
use crate::selection::{Sort, check_clauses, compare};
use crate::statistics::{Aggregate, Value, bind};
use crate::table::{Column, Table, unknown_column};

/// Named values, written as a JSON object in their order.
pub(crate) struct Record(Vec<(String, Value)>);

/// All rows, aggregated.
#[derive(Serialize)]
pub(crate) struct Whole {
    rows: usize,
    values: Record,
}

/// Groups, aggregated.
#[derive(Serialize)]
pub(crate) struct Groups {
    /// How many there are.
    total: usize,
    /// How many are in this result.
    returned: usize,
    groups: Vec<Record>,
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Aggregates all rows.
pub(crate) fn whole(table: &Table, aggregates: &[Aggregate]) -> Result<Whole> {
    let bound = bind(aggregates, table)?;
    check_names(bound.iter().map(|aggregate| aggregate.name.as_str()))?;
    let rows: Vec<usize> = (0..table.rows).collect();
    let values = bound.iter().map(|aggregate| {
        let value = aggregate.compute(&rows)?;
        Ok((aggregate.name.clone(), value))
    });
    Ok(Whole { rows: table.rows, values: Record(values.collect::<Result<_>>()?) })
}

/// Groups rows by equal values and aggregates each group. Groups come in the order of `sort`,
/// which names columns of the result, and otherwise in the order of their values.
pub(crate) fn groups(table: &Table, by: &[String], aggregates: &[Aggregate], sort: &[Sort], limit: usize) -> Result<Groups> {
    if by.is_empty() {
        return Err(Failure::invalid("no_group_columns", "`group_by` is empty; name at least one column, or use `aggregate`"));
    }
    check_clauses("group columns", by.len())?;
    check_clauses("sort keys", sort.len())?;
    let keys: Vec<&Column> = by.iter().map(|name| table.column(name)).collect::<Result<_>>()?;
    let bound = bind(aggregates, table)?;
    let names: Vec<&str> = (by.iter().map(String::as_str)).chain(bound.iter().map(|aggregate| aggregate.name.as_str())).collect();
    check_names(names.iter().copied())?;
    let order = order(sort, &names)?;
    let mut members: BTreeMap<Vec<&Cell>, Vec<usize>> = BTreeMap::new();
    for row in 0..table.rows {
        let key = keys.iter().map(|column| &column.cells[row]).collect();
        members.entry(key).or_default().push(row);
    }
    let total = members.len();
    let mut groups = Vec::with_capacity(total);
    for (key, rows) in members {
        let mut values: Vec<Value> = key.into_iter().cloned().map(Value::Cell).collect();
        for aggregate in &bound {
            values.push(aggregate.compute(&rows)?);
        }
        groups.push(values);
    }
    groups.sort_by(|left, right| {
        let by_key = |&(index, descending): &(usize, bool)| compare_values(&left[index], &right[index], descending);
        let decisive = order.iter().map(by_key).find(|order| order.is_ne());
        decisive.unwrap_or(Ordering::Equal)
    });
    groups.truncate(limit);
    let record = |values: Vec<Value>| Record(names.iter().map(|name| (*name).to_owned()).zip(values).collect());
    Ok(Groups { total, returned: groups.len(), groups: groups.into_iter().map(record).collect() })
}

/// Where the sort keys are among the result's columns.
fn order(sort: &[Sort], names: &[&str]) -> Result<Vec<(usize, bool)>> {
    sort.iter()
        .map(|key| {
            let index = names.iter().position(|name| *name == key.column);
            let index = index.ok_or_else(|| unknown_column(&key.column, names.iter().copied()))?;
            Ok((index, key.descending))
        })
        .collect()
}

fn compare_values(left: &Value, right: &Value, descending: bool) -> Ordering {
    match (left, right) {
        (Value::Cell(left), Value::Cell(right)) => compare(left, right, descending),
        (Value::Sum(left), Value::Sum(right)) if descending => right.cmp(left),
        (Value::Sum(left), Value::Sum(right)) => left.cmp(right),
        // One column can hold both kinds of sum, if only some groups have decimals.
        (Value::Sum(sum), Value::Cell(_)) => compare(&nearest(*sum), cell(right), descending),
        (Value::Cell(_), Value::Sum(sum)) => compare(cell(left), &nearest(*sum), descending),
    }
}

/// A sum as a cell, rounded if it takes more than 64 bits.
fn nearest(sum: i128) -> Cell {
    i64::try_from(sum).map_or(Cell::Float(sum as f64), Cell::Int)
}

fn cell(value: &Value) -> &Cell {
    match value {
        Value::Cell(cell) => cell,
        Value::Sum(_) => &Cell::Null,
    }
}

/// Refuses two values of one name: an object has room for one.
fn check_names<'a>(names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = Vec::new();
    for name in names {
        if seen.contains(&name) {
            return Err(Failure::invalid("duplicate_name", format!("two values of the result are named `{name}`; rename one with `as`")));
        }
        seen.push(name);
    }
    Ok(())
}
