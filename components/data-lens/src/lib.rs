//! A capability that looks into tables: CSV or JSON text in, descriptions, selections and
//! summaries out.
//!
//! Numbers are exact where they can be. An integer stays one, of up to 64 bits; longer ones are
//! kept as text, digit by digit. Sums of integers are exact. Decimals are 64-bit floats, and
//! their sums are compensated, so that the result does not depend on the order of the rows by
//! more than its last digits.

mod cell;
mod condition;
mod grouping;
mod load;
mod profile;
mod selection;
mod statistics;
mod table;
#[cfg(test)]
mod tests;
pub mod tools;

use everwit_guest::capability;

capability! {
    id: "data-lens",
    title: "Data lens",
    summary: "Describes, filters, groups and aggregates tables given as CSV or JSON.",
    instructions: "Use the data-lens tools for any question about a table instead of reading or \
        computing by eye: call `describe` first to learn the columns and their types, then \
        `filter`, `group` or `aggregate`.",
    tools: [tools::describe, tools::filter, tools::group, tools::aggregate],
    config: load::Settings,
    features: ["tables"],
}
