//! The tools against answers computed independently, by `testdata/expected.py`; and their
//! refusals.

use everwit_guest::testing;
use serde_json::{Value, json};

use crate::ThisCapability;

/// Relative difference that two correct roundings of the same float may have.
const TOLERANCE: f64 = 1e-14;

#[test]
fn tools_give_the_known_answers() {
    let expected = include_str!("../testdata/expected.json");
    let cases: Vec<Value> = serde_json::from_str(expected).expect("is JSON");
    assert!(cases.len() > 8);
    for case in cases {
        let tool = case["tool"].as_str().expect("is a text");
        let data = match case["data"].as_str() {
            Some("cars.json") => include_str!("../testdata/cars.json"),
            Some("seattle-weather.csv") => include_str!("../testdata/seattle-weather.csv"),
            other => panic!("unknown data {other:?}"),
        };
        let mut arguments = case["arguments"].clone();
        arguments["data"] = json!(data);
        let result = testing::call::<ThisCapability>(tool, &arguments).expect("is answered");
        compare(&result, &case["result"], &format!("{tool} {}", case["arguments"]));
    }
}

/// Integers must be the same integers; floats may differ in the last digits.
fn compare(result: &Value, expected: &Value, place: &str) {
    match (result, expected) {
        (Value::Object(left), Value::Object(right)) => {
            let names = |map: &serde_json::Map<String, Value>| -> Vec<String> { map.keys().cloned().collect() };
            assert_eq!(names(left), names(right), "{place}");
            for (name, value) in left {
                compare(value, &right[name], &format!("{place}.{name}"));
            }
        }
        (Value::Array(left), Value::Array(right)) => {
            assert_eq!(left.len(), right.len(), "{place}");
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(left, right, &format!("{place}[{index}]"));
            }
        }
        (Value::Number(left), Value::Number(right)) if left.is_f64() && right.is_f64() => {
            let (left, right) = (left.as_f64(), right.as_f64());
            let (left, right) = left.zip(right).expect("both are floats");
            let difference = (left - right).abs();
            assert!(difference <= TOLERANCE * right.abs(), "{place}: {left} and {right}");
        }
        _ => assert_eq!(result, expected, "{place}"),
    }
}

const TABLE: &str = "name,price,sold\npear,1.5,2024-01-01\nplum,2,2024-01-02\n";

fn refusal(tool: &str, arguments: Value) -> String {
    let mut arguments = arguments;
    arguments["data"] = json!(TABLE);
    let failure = testing::call::<ThisCapability>(tool, &arguments).expect_err("is refused");
    assert_eq!(failure.kind(), "invalid-arguments");
    format!("{}: {}", failure.code(), failure.message())
}

#[test]
fn unknown_columns_come_with_the_known_ones() {
    let unknown = "unknown_column: there is no column `cost`; the columns are: name, price, sold";
    let condition = json!({"column": "cost", "op": "eq", "value": 1});
    assert_eq!(refusal("filter", json!({"conditions": [condition]})), unknown);
    assert_eq!(refusal("filter", json!({"columns": ["cost"]})), unknown);
    assert_eq!(refusal("filter", json!({"sort": [{"column": "cost"}]})), unknown);
    let count = json!([{"op": "count"}]);
    assert_eq!(refusal("group", json!({"group_by": ["cost"], "aggregates": count})), unknown);
    let sum = json!([{"op": "sum", "column": "cost"}]);
    assert_eq!(refusal("aggregate", json!({"aggregates": sum})), unknown);
    let sort = json!({"group_by": ["name"], "aggregates": count, "sort": [{"column": "price"}]});
    assert_eq!(refusal("group", sort), "unknown_column: there is no column `price`; the columns are: name, count");
}

#[test]
fn conditions_must_fit_their_column() {
    let check = |column: &str, op: &str, value: Value, message: &str| {
        let condition = json!({"column": column, "op": op, "value": value});
        let refusal = refusal("filter", json!({"conditions": [condition]}));
        assert_eq!(refusal, format!("invalid_condition: {message}"));
    };
    check("name", "gt", json!(3), "`gt` on column `name` got 3, and the column is text");
    check("price", "eq", json!("cheap"), "`eq` on column `price` got \"cheap\", and the column is number");
    check("price", "contains", json!("1"), "`contains` on column `price` works on text, and the column is number");
    check("price", "in", json!(1), "`in` on column `price` takes a list of values");
    check("price", "is_null", json!(1), "`is_null` on column `price` takes no value");
    check("price", "eq", json!(null), "`eq` on column `price` takes a number, a text or a truth value; see also `is_null`");
}

#[test]
fn aggregates_must_fit_their_column() {
    let check = |aggregates: Value, message: &str| {
        assert_eq!(refusal("aggregate", json!({"aggregates": aggregates})), message);
    };
    check(json!([{"op": "mean", "column": "name"}]), "not_numeric: `mean` needs numbers, and column `name` is text");
    check(json!([{"op": "sum"}]), "missing_column: `sum` needs a column");
    check(json!([]), "no_aggregates: `aggregates` is empty; ask for at least one");
    check(
        json!([{"op": "count"}, {"op": "sum", "column": "price", "as": "count"}]),
        "duplicate_name: two values of the result are named `count`; rename one with `as`",
    );
    let many = vec![json!({"op": "count"}); 65];
    check(json!(many), "too_many_clauses: there are 65 aggregates, and at most 64 are allowed");
}

#[test]
fn limits_are_checked() {
    assert_eq!(refusal("filter", json!({"limit": 1001})), "invalid_limit: `limit` is 1001, and must be 1 to 1000");
    assert_eq!(refusal("filter", json!({"limit": 0})), "invalid_limit: `limit` is 0, and must be 1 to 1000");
}

#[test]
fn numbers_may_come_as_text() {
    let condition = json!({"column": "price", "op": "le", "value": "1.5"});
    let arguments = json!({"data": TABLE, "conditions": [condition], "columns": ["name"]});
    let result = testing::call::<ThisCapability>("filter", &arguments).expect("is answered");
    assert_eq!(result, json!({"matched": 1, "returned": 1, "rows": [{"name": "pear"}]}));
}

#[test]
fn missing_values_make_a_group_of_their_own() {
    let arguments = json!({
        "data": r#"[{"a": "x", "n": 1}, {"n": 2}, {"a": null, "n": 3.5}]"#,
        "group_by": ["a"],
        "aggregates": [{"op": "sum", "column": "n"}],
        "sort": [{"column": "sum_n", "descending": true}],
    });
    let result = testing::call::<ThisCapability>("group", &arguments).expect("is answered");
    assert_eq!(result["groups"], json!([{"a": null, "sum_n": 5.5}, {"a": "x", "sum_n": 1}]));
}
