//! What changes when one version of a component takes the place of another, for the person who
//! decides about it: powers, imports, tools, and every text that a model sees. Pure.

use serde::Serialize;
use serde_json::{Value, json};

use super::{ComponentDescription, ComponentVersion, Permissions, ToolDescription};

/// How something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Only the later version has it.
    Added,
    /// Only the earlier version has it.
    Removed,
    /// Both have it, with different values.
    Changed,
}

/// One difference between two versions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Difference {
    /// How it differs.
    pub change: Change,
    /// Where in the description, for example `permissions/http` or `tools/search/description`.
    pub place: String,
    /// Value in the version that is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub from: Option<Value>,
    /// Value in the version that takes its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub to: Option<Value>,
}

/// All differences between two versions of a component.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionDiff {
    /// Number of the version that is replaced.
    pub from: u32,
    /// Number of the version that takes its place.
    pub to: u32,
    /// Whether the second version asks for anything that the first one did not.
    pub asks_for_more: bool,
    /// What it asks for.
    pub permissions: Vec<Difference>,
    /// Interfaces that it imports.
    pub imports: Vec<Difference>,
    /// Tools that came, went, or have other schemas or effects.
    pub tools: Vec<Difference>,
    /// Text that models see: instructions, and the titles and descriptions of tools in both.
    pub text: Vec<Difference>,
    /// What configuration it accepts, its dependencies and features; of a driver also credentials, base
    /// URL and models; of a connection provider how accounts are connected.
    pub rest: Vec<Difference>,
}

/// Where a model would read something else than before: texts, new tools, and schemas, whose
/// descriptions it reads. What is left out cannot mislead.
pub fn changed_text(before: &ComponentDescription, after: &ComponentDescription) -> Vec<String> {
    let (tools, mut text) = tools(&before.tools, &after.tools);
    text.extend(own_text(before, after));
    let schemas = tools.iter().filter(|difference| difference.place.ends_with("/input_schema"));
    let mut places: Vec<String> = text.iter().chain(schemas).map(|difference| difference.place.clone()).collect();
    let new = after.tools.iter().filter(|new| !before.tools.iter().any(|old| old.name == new.name));
    places.extend(new.map(|tool| format!("tools/{}", tool.name)));
    places.sort();
    places
}

fn own_text(before: &ComponentDescription, after: &ComponentDescription) -> Vec<Difference> {
    let mut text = Vec::new();
    compare(&mut text, "title", &before.title, &after.title);
    compare(&mut text, "summary", &before.summary, &after.summary);
    compare(&mut text, "instructions", &before.instructions, &after.instructions);
    text
}

impl VersionDiff {
    /// Compares two versions.
    pub fn between(from: &ComponentVersion, to: &ComponentVersion) -> Self {
        let (before, after) = (&from.description, &to.description);
        let permissions = permissions(&before.permissions, &after.permissions);
        let (tools, mut tool_text) = tools(&before.tools, &after.tools);
        let mut text = own_text(before, after);
        text.append(&mut tool_text);
        let mut rest = Vec::new();
        compare(&mut rest, "config_schema", &before.config_schema, &after.config_schema);
        compare(&mut rest, "driver", &before.driver, &after.driver);
        compare(&mut rest, "connection", &before.connection, &after.connection);
        sets(&mut rest, "dependencies", &before.dependencies, &after.dependencies, |a, b| a == b);
        sets(&mut rest, "features", &before.features, &after.features, |a, b| a == b);
        let mut imports = Vec::new();
        sets(&mut imports, "imports", &from.imports, &to.imports, |a, b| a == b);
        Self {
            from: from.version,
            to: to.version,
            asks_for_more: permissions.iter().any(|difference| difference.change != Change::Removed && !is_less(difference)),
            permissions,
            imports,
            tools,
            text,
            rest,
        }
    }
}

/// Access to files is the one permission that changes in place; less of it is not more.
fn is_less(difference: &Difference) -> bool {
    let rank = |value: &Option<Value>| ["none", "read", "write"].iter().position(|&name| *value == Some(json!(name)));
    difference.place == "permissions/files" && rank(&difference.to) < rank(&difference.from)
}

fn permissions(before: &Permissions, after: &Permissions) -> Vec<Difference> {
    let mut differences = Vec::new();
    // A reason is a text, not a power.
    let same_host = |a: &super::HttpPermission, b: &super::HttpPermission| {
        (&a.host, &a.methods, &a.path_prefix) == (&b.host, &b.methods, &b.path_prefix)
    };
    let same_secret =
        |a: &super::SecretPermission, b: &super::SecretPermission| (&a.name, &a.host, &a.place) == (&b.name, &b.host, &b.place);
    sets(&mut differences, "permissions/http", &before.http, &after.http, same_host);
    sets(&mut differences, "permissions/secrets", &before.secrets, &after.secrets, same_secret);
    compare(&mut differences, "permissions/files", &before.files, &after.files);
    sets(&mut differences, "permissions/kv", &before.kv, &after.kv, |a, b| a == b);
    sets(&mut differences, "permissions/tools", &before.tools, &after.tools, |a, b| a == b);
    sets(&mut differences, "permissions/extra", &before.extra, &after.extra, |a, b| a == b);
    differences
}

fn tools(before: &[ToolDescription], after: &[ToolDescription]) -> (Vec<Difference>, Vec<Difference>) {
    let (mut tools, mut text) = (Vec::new(), Vec::new());
    sets(&mut tools, "tools", before, after, |a, b| a.name == b.name);
    for (old, new) in before.iter().filter_map(|old| Some((old, after.iter().find(|new| new.name == old.name)?))) {
        let place = |field: &str| format!("tools/{}/{field}", old.name);
        compare(&mut tools, &place("input_schema"), &old.input_schema, &new.input_schema);
        compare(&mut tools, &place("output_schema"), &old.output_schema, &new.output_schema);
        compare(&mut tools, &place("effects"), &old.effects, &new.effects);
        compare(&mut text, &place("title"), &old.title, &new.title);
        compare(&mut text, &place("description"), &old.description, &new.description);
    }
    (tools, text)
}

fn compare<T: Serialize + PartialEq>(differences: &mut Vec<Difference>, place: &str, from: &T, to: &T) {
    if from != to {
        differences.push(Difference { change: Change::Changed, place: place.to_owned(), from: Some(json!(from)), to: Some(json!(to)) });
    }
}

fn sets<T: Serialize>(differences: &mut Vec<Difference>, place: &str, from: &[T], to: &[T], same: impl Fn(&T, &T) -> bool) {
    let place = || place.to_owned();
    let gone = from.iter().filter(|old| !to.iter().any(|new| same(old, new)));
    differences.extend(gone.map(|old| Difference { change: Change::Removed, place: place(), from: Some(json!(old)), to: None }));
    let new = to.iter().filter(|new| !from.iter().any(|old| same(old, new)));
    differences.extend(new.map(|new| Difference { change: Change::Added, place: place(), from: None, to: Some(json!(new)) }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::{Digest, Grant};
    use crate::id::ComponentId;
    use crate::limits::Budget;

    fn version(number: u32, description: Value) -> ComponentVersion {
        let base = json!({ "id": "x", "title": "X", "version": "1.0.0", "summary": "", "config_schema": {}, "tools": [] });
        let mut merged = base.as_object().cloned().unwrap_or_default();
        merged.extend(description.as_object().cloned().unwrap_or_default());
        ComponentVersion {
            component_id: ComponentId::from_uuid(uuid::Uuid::nil()),
            version: number,
            digest: Digest::of(b""),
            size: 0,
            description: serde_json::from_value::<ComponentDescription>(Value::Object(merged)).unwrap(),
            imports: Vec::new(),
            grant: Grant::default(),
            budget: Budget::TOOL_CALL,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            activated_at: None,
            signature: None,
            granted_at: None,
            archived_at: None,
            stored_at: None,
        }
    }

    fn diff(from: Value, to: Value) -> VersionDiff {
        VersionDiff::between(&version(1, from), &version(2, to))
    }

    fn places(differences: &[Difference]) -> Vec<(Change, &str)> {
        differences.iter().map(|difference| (difference.change, difference.place.as_str())).collect()
    }

    #[test]
    fn equal_versions_do_not_differ() {
        let description = json!({ "permissions": { "kv": ["a"], "files": "read" }, "instructions": "Be brief." });
        let diff = diff(description.clone(), description);
        assert!(!diff.asks_for_more);
        assert_eq!([diff.permissions, diff.imports, diff.tools, diff.text, diff.rest].concat(), []);
    }

    #[test]
    fn new_powers_are_told_apart_from_dropped_ones() {
        let host = |host: &str, reason: &str| json!({ "host": host, "methods": ["GET"], "reason": reason });
        let with = |hosts: Vec<Value>, files: &str| json!({ "permissions": { "http": hosts, "files": files } });
        let more = diff(with(vec![host("a.test", "")], "none"), with(vec![host("b.test", "")], "read"));
        let expected = [(Change::Removed, "permissions/http"), (Change::Added, "permissions/http"), (Change::Changed, "permissions/files")];
        assert_eq!((places(&more.permissions), more.asks_for_more), (expected.to_vec(), true));
        let less = diff(with(vec![host("a.test", "")], "write"), with(Vec::new(), "read"));
        assert!(!less.asks_for_more, "{:?}", less.permissions);
        let reworded = diff(with(vec![host("a.test", "to look")], "none"), with(vec![host("a.test", "to see")], "none"));
        assert_eq!(reworded.permissions, []);
    }

    #[test]
    fn every_text_that_a_model_sees_is_compared() {
        let tool = |name: &str, description: &str, schema: Value| json!({ "name": name, "title": "", "description": description, "input_schema": schema });
        let from = json!({ "instructions": "Be brief.", "tools": [tool("a", "Looks.", json!({})), tool("gone", "", json!({}))] });
        let to = json!({ "tools": [tool("a", "Looks, and tells all.", json!({ "type": "object" })), tool("new", "", json!({}))] });
        let diff = diff(from, to);
        assert_eq!(places(&diff.text), [(Change::Changed, "instructions"), (Change::Changed, "tools/a/description")]);
        let tools = [(Change::Removed, "tools"), (Change::Added, "tools"), (Change::Changed, "tools/a/input_schema")];
        assert_eq!(places(&diff.tools), tools);
        assert!(!diff.asks_for_more);
    }

    #[test]
    fn what_a_model_would_read_anew_is_listed() {
        let tool = |name: &str, schema: Value| json!({ "name": name, "title": "", "description": "", "input_schema": schema });
        let from = version(1, json!({ "tools": [tool("a", json!({})), tool("gone", json!({}))] }));
        let to =
            version(2, json!({ "instructions": "Obey.", "tools": [tool("a", json!({ "description": "x" })), tool("new", json!({}))] }));
        let changed = changed_text(&from.description, &to.description);
        assert_eq!(changed, ["instructions", "tools/a/input_schema", "tools/new"]);
        assert_eq!(changed_text(&from.description, &from.description), Vec::<String>::new());
    }
}
