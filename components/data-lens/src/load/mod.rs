//! From text to a table.

mod csv;
mod json;
mod kinds;

use everwit_guest::{Context, Failure, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::table::{self, Table};

/// How an agent configures the capability.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Texts that mean a missing value in CSV. Take "NA" out for data in which it is a value,
    /// such as the country code of Namibia.
    null_values: Vec<String>,
}

/// The form of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lines with a header, separated by comma, semicolon, tab or vertical bar
    Csv,
    /// An array of objects
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        let words = ["", "NA", "N/A", "NaN", "null", "NULL", "None"];
        Settings { null_values: words.map(str::to_owned).to_vec() }
    }
}

/// Reads a table.
pub(crate) fn load(ctx: &Context, data: &str, format: Option<Format>) -> Result<Table> {
    // Spreadsheets put a byte order mark first.
    let data = data.strip_prefix('\u{feff}').unwrap_or(data);
    if data.trim().is_empty() {
        return Err(Failure::invalid("no_data", "the data is empty"));
    }
    let table = match format.unwrap_or_else(|| detect(data)) {
        Format::Csv => csv::load(data, &ctx.config::<Settings>()?.null_values)?,
        Format::Json => json::load(data)?,
    };
    Ok(table)
}

/// JSON begins with a bracket, which no sensible header does.
fn detect(data: &str) -> Format {
    if data.trim_start().starts_with(['[', '{']) { Format::Json } else { Format::Csv }
}

/// Checks a table's size, as far as it is known.
fn check_size(rows: usize, columns: usize) -> Result<()> {
    if columns > table::COLUMNS {
        return Err(table::too_large("columns", table::COLUMNS));
    }
    if rows > table::ROWS {
        return Err(table::too_large("rows", table::ROWS));
    }
    if rows * columns > table::CELLS {
        return Err(table::too_large("cells", table::CELLS));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Kind;

    /// Names, kinds and cells of a table, as text.
    fn show(data: &str) -> String {
        let table = load(&Context::default(), data, None).expect("loads");
        let column = |column: &crate::table::Column| {
            let cells = serde_json::to_string(&column.cells).expect("writes");
            format!("{} {} {cells}", column.name, column.kind.word())
        };
        table.columns.iter().map(column).collect::<Vec<_>>().join("\n")
    }

    fn fail(data: &str) -> String {
        let failure = load(&Context::default(), data, None).expect_err("is refused");
        assert_eq!(failure.kind(), "invalid-arguments");
        format!("{}: {}", failure.code(), failure.message())
    }

    #[test]
    fn kinds_are_inferred_from_csv() {
        assert_eq!(
            show(
                "\u{feff}id,code, price ,ok,on,big,none\n1,007,1.5,true,2024-02-29,1,NA\n\
                 -2,\"a,b\",2,FALSE,,99999999999999999999,\n"
            ),
            "id integer [1,-2]\n\
             code text [\"007\",\"a,b\"]\n\
             price number [1.5,2]\n\
             ok boolean [true,false]\n\
             on date [\"2024-02-29\",null]\n\
             big text [\"1\",\"99999999999999999999\"]\n\
             none empty [null,null]"
        );
    }

    #[test]
    fn separators_are_detected() {
        assert_eq!(show("a;b\n1,5;2\n"), "a text [\"1,5\"]\nb integer [2]");
        assert_eq!(show("a\tb\n1\t2\n"), "a integer [1]\nb integer [2]");
        assert_eq!(show("\"a,b\"|c\n1|2\n"), "a,b integer [1]\nc integer [2]");
        assert_eq!(show("a\n1\n"), "a integer [1]");
    }

    #[test]
    fn missing_names_are_made_up() {
        assert_eq!(show(",a\n0,1\n"), "column_1 integer [0]\na integer [1]");
    }

    #[test]
    fn json_keeps_its_types() {
        assert_eq!(
            show(
                r#" [{"b": 1, "a": "1", "n": [1, {"x": 2}]}, {"a": null, "b": 2.5, "c": true},
                 {"big": 18446744073709551616, "a": 1}]"#
            ),
            "b number [1,2.5,null]\n\
             a mixed [\"1\",null,1]\n\
             n text [\"[1, {\\\"x\\\": 2}]\",null,null]\n\
             c boolean [null,true,null]\n\
             big text [null,null,\"18446744073709551616\"]"
        );
    }

    #[test]
    fn one_object_is_a_table_of_one_row() {
        assert_eq!(show(r#"{"a": 1}"#), "a integer [1]");
    }

    #[test]
    fn null_values_are_configurable() {
        let ctx = Context::default().with_config(&serde_json::json!({"null_values": ["-"]})).expect("json");
        let table = load(&ctx, "country\nNA\n-\n", None).expect("loads");
        assert_eq!(table.columns[0].kind, Kind::Text);
        assert!(table.columns[0].cells[1].is_null());
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(fail("  \n"), "no_data: the data is empty");
        assert_eq!(fail("a,b\n1,2\n3\n"), "invalid_csv: line 3 has 1 fields, and the header has 2");
        assert_eq!(fail("a,b,a\n1,2,3\n"), "duplicate_column: two columns are named `a`");
        assert_eq!(
            fail("[1]"),
            "invalid_json: expected an array of objects: invalid type: integer `1`, expected an \
             object at line 1 column 2"
        );
        assert!(fail(r#"[{"a": }]"#).starts_with("invalid_json: expected value"));
    }

    #[test]
    fn sizes_are_limited() {
        let wide = vec!["x"; table::COLUMNS + 1];
        let header: Vec<_> = wide.iter().enumerate().map(|(at, x)| format!("{x}{at}")).collect();
        let fault = "table_too_large: the table has more than";
        assert_eq!(fail(&header.join(",")), format!("{fault} 500 columns; pass a part of it"));
        let long = "a\n".to_owned() + &"1\n".repeat(table::ROWS + 1);
        assert_eq!(fail(&long), format!("{fault} 100000 rows; pass a part of it"));
        let sparse: Vec<_> = (0..2100).map(|at| format!(r#"{{"c{}": 1}}"#, at % 490)).collect();
        let sparse = format!("[{}]", sparse.join(","));
        assert_eq!(fail(&sparse), format!("{fault} 1000000 cells; pass a part of it"));
    }
}
