//! Numbers about many numbers.

use everwit_guest::{Failure, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::cell::Cell;
use crate::selection::check_clauses;
use crate::table::{Column, Kind, Table};

/// One value to compute.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aggregate {
    /// What to compute. Missing values are left out. `count` counts values, or rows if it has no
    /// column; `distinct` counts different values
    pub(crate) op: Op,
    /// Name of the column; only `count` works without
    pub(crate) column: Option<String>,
    /// Name of the result, `<op>_<column>` otherwise
    #[serde(rename = "as")]
    pub(crate) name: Option<String>,
}

/// What to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Op {
    Count,
    Sum,
    Mean,
    Min,
    Max,
    Median,
    Distinct,
}

/// An aggregate that fits its table.
pub(crate) struct Bound<'a> {
    pub(crate) name: String,
    op: Op,
    column: Option<&'a Column>,
}

/// A computed value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Cell(Cell),
    /// A sum of integers, which may take more than 64 bits.
    Sum(i128),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Cell(cell) => cell.serialize(serializer),
            Value::Sum(sum) => serializer.serialize_i128(*sum),
        }
    }
}

/// Checks aggregates against a table.
pub(crate) fn bind<'a>(aggregates: &[Aggregate], table: &'a Table) -> Result<Vec<Bound<'a>>> {
    if aggregates.is_empty() {
        return Err(Failure::invalid("no_aggregates", "`aggregates` is empty; ask for at least one"));
    }
    check_clauses("aggregates", aggregates.len())?;
    aggregates.iter().map(|aggregate| aggregate.bind(table)).collect()
}

impl Aggregate {
    fn bind<'a>(&self, table: &'a Table) -> Result<Bound<'a>> {
        let column = self.column.as_deref().map(|name| table.column(name)).transpose()?;
        let word = self.op.word();
        if let Some(column) = column {
            let numeric = column.kind.is_numeric() || column.kind == Kind::Empty;
            if matches!(self.op, Op::Sum | Op::Mean | Op::Median) && !numeric {
                let (name, kind) = (&column.name, column.kind.word());
                return Err(Failure::invalid("not_numeric", format!("`{word}` needs numbers, and column `{name}` is {kind}")));
            }
        } else if self.op != Op::Count {
            return Err(Failure::invalid("missing_column", format!("`{word}` needs a column")));
        }
        let name = match (&self.name, column) {
            (Some(name), _) => name.clone(),
            (None, Some(column)) => format!("{word}_{}", column.name),
            (None, None) => word.to_owned(),
        };
        Ok(Bound { name, op: self.op, column })
    }
}

impl Op {
    fn word(self) -> &'static str {
        match self {
            Op::Count => "count",
            Op::Sum => "sum",
            Op::Mean => "mean",
            Op::Min => "min",
            Op::Max => "max",
            Op::Median => "median",
            Op::Distinct => "distinct",
        }
    }
}

impl Bound<'_> {
    /// Computes it over some rows of the table.
    pub(crate) fn compute(&self, rows: &[usize]) -> Result<Value> {
        let Some(column) = self.column else {
            return Ok(count(rows.len()));
        };
        let mut cells: Vec<&Cell> = rows.iter().map(|&row| &column.cells[row]).filter(|cell| !cell.is_null()).collect();
        Ok(match self.op {
            Op::Count => count(cells.len()),
            Op::Sum if cells.is_empty() => Value::Cell(Cell::Null),
            Op::Sum => finite(sum(&cells), column)?,
            Op::Mean => mean(&cells, column)?,
            Op::Min => Value::Cell(cells.into_iter().min().cloned().unwrap_or(Cell::Null)),
            Op::Max => Value::Cell(cells.into_iter().max().cloned().unwrap_or(Cell::Null)),
            Op::Median => {
                cells.sort_unstable();
                Value::Cell(median(&cells))
            }
            Op::Distinct => {
                cells.sort_unstable();
                count(distinct(&cells))
            }
        })
    }
}

/// The mean of numbers; null if there are none. The sum is rounded once, and the quotient once.
pub(crate) fn mean(cells: &[&Cell], column: &Column) -> Result<Value> {
    if cells.is_empty() {
        return Ok(Value::Cell(Cell::Null));
    }
    let sum = match finite(sum(cells), column)? {
        Value::Sum(sum) => sum as f64,
        Value::Cell(Cell::Float(sum)) => sum,
        Value::Cell(_) => return Ok(Value::Cell(Cell::Null)),
    };
    Ok(Value::Cell(Cell::Float(sum / cells.len() as f64)))
}

/// The median of sorted numbers; null if there are none. Between two integers it is an integer
/// where that is exact.
pub(crate) fn median(sorted: &[&Cell]) -> Cell {
    let upper = sorted.len() / 2;
    let Some(&high) = sorted.get(upper) else {
        return Cell::Null;
    };
    if !sorted.len().is_multiple_of(2) {
        return high.clone();
    }
    let low = sorted[upper - 1];
    match (low, high) {
        (Cell::Int(low), Cell::Int(high)) => {
            let double = i128::from(*low) + i128::from(*high);
            match i64::try_from(double / 2) {
                Ok(half) if double % 2 == 0 => Cell::Int(half),
                _ => Cell::Float(double as f64 / 2.0),
            }
        }
        _ => Cell::Float(float(low).midpoint(float(high))),
    }
}

/// How many different values there are among sorted ones.
pub(crate) fn distinct(sorted: &[&Cell]) -> usize {
    sorted.chunk_by(|left, right| left == right).count()
}

/// The sum of numbers. Integers are summed exactly; once a float is among them, the whole is a
/// float. Floats are summed with Neumaier's compensation, which keeps what plain summation
/// rounds away; the error is then about one unit in the last place, in whatever order they come.
fn sum(cells: &[&Cell]) -> Value {
    // At most 100,000 rows of 64 bits each cannot overflow 128 bits.
    let mut integers: i128 = 0;
    let (mut floats, mut lost, mut any_float) = (0.0_f64, 0.0_f64, false);
    let mut add = |term: f64| {
        let next = floats + term;
        lost += if floats.abs() >= term.abs() { (floats - next) + term } else { (term - next) + floats };
        floats = next;
    };
    for cell in cells {
        match cell {
            Cell::Int(value) => integers += i128::from(*value),
            Cell::Float(value) => {
                any_float = true;
                add(*value);
            }
            Cell::Null | Cell::Bool(_) | Cell::Text(_) => {}
        }
    }
    if !any_float {
        return Value::Sum(integers);
    }
    add(integers as f64);
    Value::Cell(Cell::Float(floats + lost))
}

/// Refuses a sum that left the range of floats, since JSON has no word for it.
fn finite(sum: Value, column: &Column) -> Result<Value> {
    match sum {
        Value::Cell(Cell::Float(float)) if !float.is_finite() => {
            Err(Failure::invalid("overflow", format!("the sum of column `{}` is beyond the range of a 64-bit float", column.name)))
        }
        sum => Ok(sum),
    }
}

fn float(cell: &Cell) -> f64 {
    match cell {
        Cell::Int(value) => *value as f64,
        Cell::Float(value) => *value,
        Cell::Null | Cell::Bool(_) | Cell::Text(_) => 0.0,
    }
}

fn count(count: usize) -> Value {
    Value::Sum(count as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(op: Op, cells: Vec<Cell>) -> String {
        let rows: Vec<_> = (0..cells.len()).collect();
        let column = Column { name: "x".into(), kind: Kind::Number, cells };
        let bound = Bound { name: "x".into(), op, column: Some(&column) };
        match bound.compute(&rows) {
            Ok(value) => serde_json::to_string(&value).expect("writes"),
            Err(failure) => failure.code().to_owned(),
        }
    }

    fn floats(values: &[f64]) -> Vec<Cell> {
        values.iter().copied().map(Cell::Float).collect()
    }

    fn ints(values: &[i64]) -> Vec<Cell> {
        values.iter().copied().map(Cell::Int).collect()
    }

    #[test]
    fn sums_of_integers_are_exact() {
        let large = ints(&[i64::MAX, i64::MAX, 1]);
        assert_eq!(compute(Op::Sum, large), "18446744073709551615");
        assert_eq!(compute(Op::Mean, ints(&[1, 2])), "1.5");
    }

    #[test]
    fn sums_of_floats_are_compensated() {
        assert_eq!(compute(Op::Sum, floats(&[0.1; 10])), "1.0");
        assert_eq!(compute(Op::Sum, floats(&[1.0, 1e100, 1.0, -1e100])), "2.0");
        let mixed = vec![Cell::Int(1), Cell::Float(0.5), Cell::Null];
        assert_eq!(compute(Op::Sum, mixed), "1.5");
        assert_eq!(compute(Op::Sum, floats(&[1e308, 1e308])), "overflow");
    }

    #[test]
    fn medians_are_exact_where_they_can_be() {
        assert_eq!(compute(Op::Median, ints(&[3, 1, 2])), "2");
        assert_eq!(compute(Op::Median, ints(&[4, 2])), "3");
        assert_eq!(compute(Op::Median, ints(&[1, 2])), "1.5");
        assert_eq!(compute(Op::Median, ints(&[-1, -2])), "-1.5");
        assert_eq!(compute(Op::Median, ints(&[i64::MAX, i64::MAX])), i64::MAX.to_string());
        assert_eq!(compute(Op::Median, floats(&[1e308, 1.5e308])), "1.25e+308");
    }

    #[test]
    fn nothing_has_no_value() {
        for op in [Op::Sum, Op::Mean, Op::Min, Op::Max, Op::Median] {
            assert_eq!(compute(op, vec![Cell::Null]), "null");
        }
        assert_eq!(compute(Op::Count, vec![Cell::Null]), "0");
        assert_eq!(compute(Op::Distinct, vec![Cell::Null]), "0");
    }

    #[test]
    fn equal_numbers_are_not_distinct() {
        let cells = vec![Cell::Int(1), Cell::Float(1.0), Cell::Float(1.5)];
        assert_eq!(compute(Op::Distinct, cells), "2");
    }
}
