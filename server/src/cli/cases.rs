//! Test cases of a component: what a tool is called with, and what must come back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use everwit_runtime::capability::{CallError, ToolOutcome, ToolOutput};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::call::text_of;
use super::output::Failure;

/// Folder of a project with its cases.
pub(super) const FOLDER: &str = "cases";
/// Size of one file of cases, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// One file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    #[serde(rename = "case")]
    cases: Vec<Case>,
}

/// One call and what is expected of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// What it shows.
    pub(super) name: String,
    /// Name of the tool.
    pub(super) tool: String,
    /// Its arguments.
    #[serde(default)]
    pub(super) arguments: Map<String, Value>,
    /// Configuration of the capability.
    #[serde(default)]
    pub(super) config: Map<String, Value>,
    /// BCP 47 tag of the user's language.
    pub(super) locale: Option<String>,
    /// Hosts that are granted, out of those that the component asks for. Buckets and files that it asks for are granted.
    #[serde(default)]
    pub(super) allow_http: Vec<String>,
    /// Text files that the session has, by their paths.
    #[serde(default)]
    pub(super) files: BTreeMap<String, String>,
    /// The result as text, exactly.
    text: Option<String>,
    /// The structured result, exactly; whole numbers equal those with a fraction of zero.
    result: Option<Value>,
    /// A JSON Schema that the structured result must match.
    schema: Option<Value>,
    /// That and how the call fails.
    failure: Option<ExpectedFailure>,
    /// Fuel that the call may use at most.
    pub(super) max_fuel: Option<u64>,
}

/// How a call must fail. What is absent may be anything.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedFailure {
    /// Class of the failure, or the limit that ended the call.
    kind: Option<String>,
    /// The tool's own code.
    code: Option<String>,
    /// Part of the message.
    message: Option<String>,
}

/// The cases of a file, or of all `.toml` files of a folder in the order of their names, each with its file's name.
///
/// # Errors
/// There is none, or a file is not made of cases.
pub(super) fn read(place: &Path) -> Result<Vec<(String, Case)>, Failure> {
    let cannot = |path: &Path, error: &dyn std::fmt::Display| Failure::usage(format!("cannot read {}: {error}", path.display()));
    let mut files: Vec<PathBuf> = vec![place.to_owned()];
    if place.is_dir() {
        let entries = fs::read_dir(place).and_then(Iterator::collect::<std::io::Result<Vec<_>>>).map_err(|error| cannot(place, &error))?;
        files = entries.iter().map(fs::DirEntry::path).filter(|path| path.extension().is_some_and(|found| found == "toml")).collect();
        files.sort();
    }
    let mut cases = Vec::new();
    for path in files {
        let size = fs::metadata(&path).map_err(|error| cannot(&path, &error))?.len();
        if size > MAX_FILE_BYTES {
            return Err(cannot(&path, &format!("it has {size} bytes, at most {MAX_FILE_BYTES} are read; make two of it")));
        }
        let text = fs::read_to_string(&path).map_err(|error| cannot(&path, &error))?;
        let file: CaseFile = toml::from_str(&text).map_err(|error| cannot(&path, &error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for case in file.cases {
            case.check().map_err(|error| cannot(&path, &format!("case {:?} {error}", case.name)))?;
            cases.push((name.clone(), case));
        }
    }
    if cases.is_empty() {
        let fix = "write cases/NAME.toml with a [[case]]; everwit test --help shows one";
        return Err(Failure::usage(format!("there are no cases in {}\nto fix it: {fix}", place.display())));
    }
    Ok(cases)
}

impl Case {
    fn check(&self) -> Result<(), &'static str> {
        let results = self.text.is_some() || self.result.is_some() || self.schema.is_some();
        match (results, self.failure.is_some()) {
            (false, false) => Err("expects nothing: give it `text`, `result`, `schema` or `failure`"),
            (true, true) => Err("expects a result and a failure: take one of them out"),
            _ => Ok(()),
        }
    }

    /// What differs from what is expected, one sentence each; nothing if the case passes.
    pub(super) fn judge(&self, outcome: &ToolOutcome) -> Vec<String> {
        let mut problems = match (&outcome.result, &self.failure) {
            (Ok(output), None) => self.judge_output(output),
            (Err(error), Some(expected)) => expected.judge(error),
            (Ok(output), Some(_)) => vec![format!("it returns {:?} instead of failing", text_of(output))],
            (Err(error), None) => vec![format!("it fails ({}): {error}", error.kind())],
        };
        if let (Some(most), Some(receipt)) = (self.max_fuel, &outcome.receipt)
            && receipt.usage.fuel > most
        {
            problems.push(format!("it uses {} fuel, more than max_fuel = {most}", receipt.usage.fuel));
        }
        problems
    }

    fn judge_output(&self, output: &ToolOutput) -> Vec<String> {
        let mut problems = Vec::new();
        let text = text_of(output);
        if let Some(expected) = self.text.as_ref().filter(|expected| **expected != text) {
            problems.push(format!("the text is {text:?}, expected {expected:?}"));
        }
        let Some(structured) = &output.structured else {
            if self.result.is_some() || self.schema.is_some() {
                problems.push(format!("there is no structured result, only the text {text:?}: expect `text`"));
            }
            return problems;
        };
        if let Some(expected) = self.result.as_ref().filter(|expected| !same(expected, structured)) {
            problems.push(format!("the result is {structured}, expected {expected}"));
        }
        for violation in self.schema.iter().flat_map(|schema| crate::schema::violations(schema, structured)) {
            problems.push(format!("the result breaks the schema at {:?}: {}", violation.pointer, violation.detail));
        }
        problems
    }
}

impl ExpectedFailure {
    fn judge(&self, error: &CallError) -> Vec<String> {
        let code = match error {
            CallError::Failed(failure) => failure.code.as_str(),
            _ => "",
        };
        let message = error.to_string();
        let mut problems = Vec::new();
        for (what, found, expected) in [("kind", error.kind(), &self.kind), ("code", code, &self.code)] {
            if let Some(expected) = expected.as_ref().filter(|expected| *expected != found) {
                problems.push(format!("the {what} of the failure is {found:?}, expected {expected:?}"));
            }
        }
        if let Some(part) = self.message.as_ref().filter(|part| !message.contains(*part)) {
            problems.push(format!("the message of the failure is {message:?}, expected {part:?} in it"));
        }
        problems
    }
}

/// Equality of JSON values, where 3 is 3.0.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64() && !(one.is_u64() && other.is_u64()),
        (Value::Array(one), Value::Array(other)) => one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other)),
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(key, value)| other.get(key).is_some_and(|found| same(value, found)))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use everwit_runtime::capability::Failure as ToolFailure;
    use serde_json::json;

    use super::*;

    fn case(text: &str) -> Case {
        toml::from_str(&format!("name = \"n\"\ntool = \"t\"\n{text}")).unwrap()
    }

    #[test]
    fn a_case_expects_something() {
        assert!(case("").check().is_err());
        assert!(case("text = \"x\"\nfailure = {}").check().is_err());
        assert!(case("text = \"x\"").check().is_ok());
        assert!(toml::from_str::<Case>("name = \"n\"\ntool = \"t\"\ntexts = \"x\"").is_err(), "unknown words are errors");
    }

    #[test]
    fn a_result_is_compared_as_text_value_and_by_schema() {
        let outcome = ToolOutcome::native(Ok(ToolOutput::json(json!({ "n": 3.0, "s": ["a"] }))));
        assert_eq!(case("result = { n = 3, s = [\"a\"] }").judge(&outcome), [] as [String; 0]);
        assert_eq!(case("schema = { required = [\"n\"] }").judge(&outcome), [] as [String; 0]);
        for wrong in
            ["result = { n = 3 }", "result = { n = 4, s = [\"a\"] }", "schema = { required = [\"m\"] }", "text = \"x\"", "failure = {}"]
        {
            assert_eq!(case(wrong).judge(&outcome).len(), 1, "{wrong}");
        }
        let plain = ToolOutcome::native(Ok(ToolOutput::text("x")));
        assert_eq!(case("text = \"x\"").judge(&plain), [] as [String; 0]);
        assert!(case("result = { n = 3 }").judge(&plain)[0].contains("no structured result"));
    }

    #[test]
    fn a_failure_is_compared_by_what_is_named() {
        let outcome = ToolOutcome::from(ToolFailure::new("not-found", "no_city", "there is no city \"X\""));
        assert_eq!(
            case("failure = { kind = \"not-found\", code = \"no_city\", message = \"no city\" }").judge(&outcome),
            [] as [String; 0]
        );
        for wrong in ["kind = \"upstream\"", "code = \"x\"", "message = \"Y\""] {
            assert_eq!(case(&format!("failure = {{ {wrong} }}")).judge(&outcome).len(), 1, "{wrong}");
        }
        assert!(case("text = \"x\"").judge(&outcome)[0].contains("it fails (not-found)"));
    }
}
