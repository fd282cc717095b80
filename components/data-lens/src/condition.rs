//! Conditions on a row.

use core::cmp::Ordering;

use everwit_guest::{Failure, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::cell::Cell;
use crate::table::{Column, Kind, Table};

/// A condition on one column. A missing value fulfils only `is_null`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Name of the column
    pub(crate) column: String,
    /// How to compare
    pub(crate) op: Op,
    /// What to compare with, of the column's type; a list for `in` and `not_in`; nothing for
    /// `is_null` and `not_null`
    #[serde(default)]
    pub(crate) value: Value,
}

/// How to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
    Contains,
    StartsWith,
    EndsWith,
    IsNull,
    NotNull,
}

impl Op {
    /// Its name in the arguments.
    fn word(self) -> &'static str {
        match self {
            Op::Eq => "eq",
            Op::Ne => "ne",
            Op::Lt => "lt",
            Op::Le => "le",
            Op::Gt => "gt",
            Op::Ge => "ge",
            Op::In => "in",
            Op::NotIn => "not_in",
            Op::Contains => "contains",
            Op::StartsWith => "starts_with",
            Op::EndsWith => "ends_with",
            Op::IsNull => "is_null",
            Op::NotNull => "not_null",
        }
    }
}

/// A condition that fits its table.
pub(crate) struct Test<'a> {
    column: &'a Column,
    op: Op,
    operands: Vec<Cell>,
}

impl Condition {
    /// Checks the condition against the table.
    pub(crate) fn bind<'a>(&self, table: &'a Table) -> Result<Test<'a>> {
        let column = table.column(&self.column)?;
        let operands = match (self.op, &self.value) {
            (Op::IsNull | Op::NotNull, Value::Null) => Vec::new(),
            (Op::IsNull | Op::NotNull, _) => {
                return Err(self.misfit("takes no value"));
            }
            (Op::In | Op::NotIn, Value::Array(values)) => values.iter().map(|value| self.operand(column, value)).collect::<Result<_>>()?,
            (Op::In | Op::NotIn, _) => return Err(self.misfit("takes a list of values")),
            (Op::Contains | Op::StartsWith | Op::EndsWith, _) => {
                if !matches!(column.kind, Kind::Text | Kind::Date | Kind::Mixed | Kind::Empty) {
                    let word = column.kind.word();
                    return Err(self.misfit(&format!("works on text, and the column is {word}")));
                }
                match &self.value {
                    Value::String(text) => vec![Cell::Text(text.clone())],
                    _ => return Err(self.misfit("takes a text as value")),
                }
            }
            (_, value) => vec![self.operand(column, value)?],
        };
        Ok(Test { column, op: self.op, operands })
    }

    /// A value to compare with, in the column's type. Numbers and truth values may come as
    /// text, which is a common slip and loses nothing.
    fn operand(&self, column: &Column, value: &Value) -> Result<Cell> {
        let cell = match value {
            Value::Bool(value) => Some(Cell::Bool(*value)),
            Value::Number(number) => Cell::number(&number.to_string()),
            Value::String(text) => Some(match column.kind {
                kind if kind.is_numeric() => Cell::number(text.trim()).unwrap_or_else(|| Cell::Text(text.clone())),
                Kind::Boolean if text == "true" => Cell::Bool(true),
                Kind::Boolean if text == "false" => Cell::Bool(false),
                _ => Cell::Text(text.clone()),
            }),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        let Some(cell) = cell else {
            return Err(self.misfit("takes a number, a text or a truth value; see also `is_null`"));
        };
        let fits = match column.kind {
            Kind::Empty | Kind::Mixed => true,
            Kind::Boolean => matches!(cell, Cell::Bool(_)),
            Kind::Integer | Kind::Number => matches!(cell, Cell::Int(_) | Cell::Float(_)),
            Kind::Date | Kind::Text => matches!(cell, Cell::Text(_)),
        };
        if fits {
            return Ok(cell);
        }
        let word = column.kind.word();
        Err(self.misfit(&format!("got {value}, and the column is {word}")))
    }

    fn misfit(&self, what: &str) -> Failure {
        Failure::invalid("invalid_condition", format!("`{}` on column `{}` {what}", self.op.word(), self.column))
    }
}

impl Test<'_> {
    /// Whether a row fulfils it.
    pub(crate) fn holds(&self, row: usize) -> bool {
        let cell = &self.column.cells[row];
        match self.op {
            Op::IsNull => cell.is_null(),
            Op::NotNull => !cell.is_null(),
            _ if cell.is_null() => false,
            Op::In => self.operands.contains(cell),
            Op::NotIn => !self.operands.contains(cell),
            _ => self.operands.first().is_some_and(|operand| self.compare(cell, operand)),
        }
    }

    fn compare(&self, cell: &Cell, operand: &Cell) -> bool {
        match (self.op, cell, operand) {
            (Op::Eq, ..) => cell == operand,
            (Op::Ne, ..) => cell != operand,
            (Op::Contains, Cell::Text(text), Cell::Text(part)) => text.contains(part.as_str()),
            (Op::StartsWith, Cell::Text(text), Cell::Text(part)) => text.starts_with(part.as_str()),
            (Op::EndsWith, Cell::Text(text), Cell::Text(part)) => text.ends_with(part.as_str()),
            // In a mixed column, only what has the operand's type is less or greater.
            (op, ..) if cell.same_type(operand) => match op {
                Op::Lt => cell.cmp(operand) == Ordering::Less,
                Op::Le => cell.cmp(operand) != Ordering::Greater,
                Op::Gt => cell.cmp(operand) == Ordering::Greater,
                Op::Ge => cell.cmp(operand) != Ordering::Less,
                _ => false,
            },
            _ => false,
        }
    }
}
