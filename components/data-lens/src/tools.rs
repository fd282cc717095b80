//! The tools. Each loads its table, for nothing survives a call.

use everwit_guest::prelude::*;

use crate::condition::Condition;
use crate::load::{Format, load};
use crate::selection::{Request, Sort};
use crate::statistics::Aggregate;
use crate::{grouping, profile, selection};

/// Describes a table: for each column its type, how many values are there, missing and
/// different, the smallest and largest, mean and median of numbers, and a few examples.
///
/// Use it first, to learn the names and types of the columns.
#[tool(read_only)]
pub fn describe(
    ctx: &Context,
    /// The table: CSV with a header, or a JSON array of objects
    data: &str,
    /// Form of the data; detected if not given
    format: Option<Format>,
) -> Result<Output> {
    Output::data(&profile::profile(&load(ctx, data, format)?)?)
}

/// Returns the rows of a table that fulfil all conditions, sorted, and cut to a limit.
#[tool(read_only)]
pub fn filter(
    ctx: &Context,
    /// The table: CSV with a header, or a JSON array of objects
    data: &str,
    /// Form of the data; detected if not given
    format: Option<Format>,
    /// Conditions that all must hold; without any, all rows are returned
    #[serde(default)]
    conditions: Vec<Condition>,
    /// Columns to return, in this order; all if not given
    columns: Option<Vec<String>>,
    /// Sort keys, the most important first; the order of the data if not given
    #[serde(default)]
    sort: Vec<Sort>,
    /// Rows to skip, to continue an earlier result at its `next_offset`
    #[serde(default)]
    offset: usize,
    /// Most rows to return, 100 if not given
    #[schemars(range(min = 1, max = selection::LIMIT))]
    limit: Option<usize>,
) -> Result<Output> {
    let limit = selection::limit(limit)?;
    let table = load(ctx, data, format)?;
    let shown = selection::columns(&table, columns.as_deref())?;
    let request = Request { conditions: &conditions, sort: &sort, offset, limit };
    Output::data(&selection::select(&table, &shown, &request)?)
}

/// Groups the rows of a table by the values of some columns, and computes aggregates of each
/// group: count, sum, mean, min, max, median or distinct.
#[tool(read_only)]
pub fn group(
    ctx: &Context,
    /// The table: CSV with a header, or a JSON array of objects
    data: &str,
    /// Form of the data; detected if not given
    format: Option<Format>,
    /// Columns whose values make a group
    #[schemars(length(min = 1))]
    group_by: &[String],
    /// What to compute of each group
    #[schemars(length(min = 1))]
    aggregates: &[Aggregate],
    /// Sort keys, which may be results too, such as `mean_price`; the group columns' order if
    /// not given
    #[serde(default)]
    sort: Vec<Sort>,
    /// Most groups to return, 100 if not given
    #[schemars(range(min = 1, max = selection::LIMIT))]
    limit: Option<usize>,
) -> Result<Output> {
    let limit = selection::limit(limit)?;
    let table = load(ctx, data, format)?;
    Output::data(&grouping::groups(&table, group_by, aggregates, &sort, limit)?)
}

/// Computes aggregates of a whole table: count, sum, mean, min, max, median or distinct.
#[tool(read_only)]
pub fn aggregate(
    ctx: &Context,
    /// The table: CSV with a header, or a JSON array of objects
    data: &str,
    /// Form of the data; detected if not given
    format: Option<Format>,
    /// What to compute
    #[schemars(length(min = 1))]
    aggregates: &[Aggregate],
) -> Result<Output> {
    Output::data(&grouping::whole(&load(ctx, data, format)?, aggregates)?)
}
