//! Checks of what a component says about itself, before anybody is asked to believe it.

use std::collections::HashSet;

use serde_json::Value;

use super::Finding;
use super::placeholders::Place;
use super::text::escape;
use crate::component::{CREDENTIALS, CallUsage, ComponentDescription, DriverDescription, HttpPermission, Permissions, ToolDescription};
use crate::limits::MAX_NAME_BYTES;
use crate::mutation::off;

/// Tools of one capability.
const MAX_TOOLS: usize = 128;
/// Bytes of one JSON Schema.
const MAX_SCHEMA_BYTES: usize = 16 << 10;
/// Bytes of a title.
const MAX_TITLE_BYTES: usize = 128;
/// Bytes of a summary.
const MAX_SUMMARY_BYTES: usize = 1 << 10;
/// Bytes of instructions.
const MAX_INSTRUCTIONS_BYTES: usize = 16 << 10;
/// Bytes of a tool's description.
const MAX_TOOL_DESCRIPTION_BYTES: usize = 4 << 10;
/// Bytes of a tool's name with its capability's, as most model vendors accept.
const MAX_TOOL_NAME_BYTES: usize = 64;
/// Tables and further memories count toward the peak too; what is below one megabyte is not growth.
const GROWTH_SLACK_BYTES: u64 = 1 << 20;
/// Credentials of a driver, each place counted.
const MAX_CREDENTIALS: usize = 8;
/// Models that a driver knows without asking.
const MAX_MODELS: usize = 256;
/// Bytes of a model's name or title.
const MAX_MODEL_NAME_BYTES: usize = 256;
/// Entries in each list of permissions, dependencies or features.
const MAX_ENTRIES: usize = 64;
/// Methods of one HTTP permission; there are not that many.
const MAX_METHODS: usize = 16;
/// Bytes of a permission's shorter texts: a reason, a path, a place, a name.
const MAX_ENTRY_BYTES: usize = 512;
/// Values that a contract does not name, in one place.
const MAX_EXTRA: usize = 16;

/// Longest part of a validator's words, which quote the schema.
const MAX_SHOWN_BYTES: usize = 300;
/// How to name buckets and secrets.
const NAME_FIX: &str = "use lower-case letters, digits and hyphens, at most 64 bytes";

/// All that is wrong with a description.
pub(super) fn description(description: &ComponentDescription) -> Vec<Finding> {
    let mut check = Check::default();
    let with_underscores = description.driver.is_some() || description.connection.is_some();
    check.rule("/id", is_id(&description.id) || (with_underscores && is_id_or_built_in(&description.id)), "invalid_id", || {
        (format!("the id is {:?}", description.id), "use lower-case letters, digits and single hyphens, at most 64 bytes".to_owned())
    });
    if let Some(driver) = &description.driver {
        check.driver(driver);
    }
    if let Some(connection) = &description.connection {
        check.connection(connection);
    }
    check.text("/title", &description.title, 1, MAX_TITLE_BYTES);
    check.text("/summary", &description.summary, 1, MAX_SUMMARY_BYTES);
    check.text("/instructions", description.instructions.as_deref().unwrap_or(""), 0, MAX_INSTRUCTIONS_BYTES);
    check.rule("/version", is_version(&description.version), "invalid_version", || {
        (format!("the version is {:?}", description.version), "use a semantic version such as \"1.0.0\"".to_owned())
    });
    check.schema("/config_schema", &description.config_schema);
    check.rule("/tools", description.tools.len() <= MAX_TOOLS, "too_many_tools", || {
        (format!("there are {} tools", description.tools.len()), format!("offer at most {MAX_TOOLS}, or split the capability"))
    });
    let mut names = HashSet::new();
    for (at, tool) in description.tools.iter().take(MAX_TOOLS).enumerate() {
        check.tool(at, &description.id, tool);
        check.rule(&format!("/tools/{at}/name"), names.insert(&tool.name), "duplicate_tool", || {
            (format!("{:?} is the name of two tools", tool.name), "rename one of them".to_owned())
        });
    }
    check.entries("/dependencies", description.dependencies.len());
    for (at, id) in description.dependencies.iter().take(MAX_ENTRIES).enumerate() {
        check.rule(&format!("/dependencies/{at}"), is_id_or_built_in(id), "invalid_id", || {
            (format!("{id:?} cannot be the id of a capability"), "name the capability as its own description does".to_owned())
        });
    }
    check.entries("/features", description.features.len());
    for (at, feature) in description.features.iter().take(MAX_ENTRIES).enumerate() {
        check.text(&format!("/features/{at}"), feature, 1, MAX_NAME_BYTES);
    }
    check.permissions(&description.permissions);
    check.extra("/extra", &description.extra);
    check.findings
}

/// Whether a rule is switched off, by the code of its finding.
fn is_off(code: &str) -> bool {
    match code {
        "invalid_length" => off("verify.length"),
        "invisible_text" => off("verify.invisible"),
        "too_many_entries" => off("verify.entries"),
        "schema_too_large" => off("verify.schema_bytes"),
        "invalid_place" => off("verify.place"),
        _ => false,
    }
}

#[derive(Default)]
struct Check {
    findings: Vec<Finding>,
}

impl Check {
    fn rule(&mut self, pointer: &str, holds: bool, code: &str, explain: impl FnOnce() -> (String, String)) {
        if !holds && !is_off(code) {
            let (detail, fix) = explain();
            self.findings.push(Finding::new(code, Some(format!("/description{pointer}")), detail, fix));
        }
    }

    fn text(&mut self, pointer: &str, text: &str, least: usize, most: usize) {
        let visible = text.chars().all(|character| !character.is_control() || matches!(character, '\n' | '\t'));
        self.rule(pointer, (least..=most).contains(&text.len()), "invalid_length", || {
            (format!("the text has {} bytes", text.len()), format!("use {least} to {most} bytes"))
        });
        self.rule(pointer, visible && !has_invisible(text), "invisible_text", || {
            ("the text holds control, zero-width or direction-changing characters".to_owned(), "use visible characters only".to_owned())
        });
    }

    fn entries(&mut self, pointer: &str, count: usize) {
        self.rule(pointer, count <= MAX_ENTRIES, "too_many_entries", || {
            (format!("there are {count} entries"), format!("use at most {MAX_ENTRIES}"))
        });
    }

    fn extra(&mut self, pointer: &str, extra: &[(String, String)]) {
        self.rule(pointer, extra.len() <= MAX_EXTRA, "too_many_entries", || {
            (format!("there are {} entries", extra.len()), format!("use at most {MAX_EXTRA}"))
        });
        for (at, (key, value)) in extra.iter().take(MAX_EXTRA).enumerate() {
            self.text(&format!("{pointer}/{at}/0"), key, 1, MAX_NAME_BYTES);
            self.text(&format!("{pointer}/{at}/1"), value, 0, MAX_ENTRY_BYTES);
        }
    }

    fn schema(&mut self, pointer: &str, schema: &Value) {
        let bytes = schema.to_string().len();
        self.rule(pointer, bytes <= MAX_SCHEMA_BYTES, "schema_too_large", || {
            (format!("the schema has {bytes} bytes"), format!("use at most {MAX_SCHEMA_BYTES}"))
        });
        self.rule(pointer, !texts_of(schema).any(has_invisible), "invisible_text", || {
            ("a text of the schema holds zero-width or direction-changing characters".to_owned(), "use visible characters only".to_owned())
        });
        if bytes <= MAX_SCHEMA_BYTES
            && let Err(error) = jsonschema::draft202012::new(schema)
        {
            self.rule(pointer, false, "invalid_schema", || {
                let shown = escape(&error.to_string(), MAX_SHOWN_BYTES);
                (format!("not a usable JSON Schema: {shown}"), "use JSON Schema 2020-12 without remote references".to_owned())
            });
        }
    }

    fn tool(&mut self, at: usize, capability: &str, tool: &ToolDescription) {
        let pointer = |field: &str| format!("/tools/{at}/{field}");
        self.rule(&pointer("name"), is_tool_name(&tool.name), "invalid_tool_name", || {
            (format!("the name is {:?}", tool.name), "start with a lower-case letter; then lower-case letters, digits and _".to_owned())
        });
        let full = crate::capability::tool_name(capability, &tool.name);
        self.rule(&pointer("name"), full.len() <= MAX_TOOL_NAME_BYTES, "tool_name_too_long", || {
            (
                format!("models would see {full:?}, {} bytes", full.len()),
                format!("shorten id or name to {MAX_TOOL_NAME_BYTES} bytes together"),
            )
        });
        self.text(&pointer("title"), &tool.title, 0, MAX_TITLE_BYTES);
        self.text(&pointer("description"), &tool.description, 1, MAX_TOOL_DESCRIPTION_BYTES);
        self.schema(&pointer("input_schema"), &tool.input_schema);
        let is_object = tool.input_schema.get("type").is_some_and(|kind| kind == "object");
        self.rule(&pointer("input_schema"), is_object, "arguments_not_an_object", || {
            ("the schema does not say that arguments are an object".to_owned(), "set \"type\": \"object\"".to_owned())
        });
        if let Some(schema) = &tool.output_schema {
            self.schema(&pointer("output_schema"), schema);
        }
        self.extra(&pointer("extra"), &tool.extra);
    }

    fn driver(&mut self, driver: &DriverDescription) {
        for (at, credential) in driver.credentials.iter().enumerate() {
            let pointer = |field: &str| format!("/driver/credentials/{at}/{field}");
            self.rule(&pointer("name"), CREDENTIALS.contains(&credential.name.as_str()), "invalid_credential", || {
                (format!("{:?} is not the name of a credential", credential.name), format!("use one of {}", CREDENTIALS.join(", ")))
            });
            self.text(&pointer("title"), &credential.title, 0, MAX_TITLE_BYTES);
            self.rule(&pointer("place"), Place::parse(&credential.place).is_some(), "invalid_place", || {
                (format!("{:?} is no place in a request", credential.place), "use header:<name>, query:<name> or body".to_owned())
            });
        }
        for (list, length, most) in
            [("credentials", driver.credentials.len(), MAX_CREDENTIALS), ("models", driver.models.len(), MAX_MODELS)]
        {
            self.rule(&format!("/driver/{list}"), length <= most, "too_many", || {
                (format!("there are {length} entries"), format!("name at most {most}"))
            });
        }
        for (at, model) in driver.models.iter().take(MAX_MODELS).enumerate() {
            self.text(&format!("/driver/models/{at}/id"), &model.id, 1, MAX_MODEL_NAME_BYTES);
            self.text(&format!("/driver/models/{at}/title"), &model.title, 0, MAX_MODEL_NAME_BYTES);
        }
        if let Some(base_url) = &driver.default_base_url {
            let usable = url::Url::parse(base_url).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none() && url.query().is_none()
            });
            self.rule("/driver/default_base_url", usable && base_url.len() <= MAX_SUMMARY_BYTES, "invalid_base_url", || {
                (format!("{base_url:?} is not a base URL"), "use http or https, a host and perhaps a path".to_owned())
            });
        }
    }

    fn permissions(&mut self, permissions: &Permissions) {
        let lists = [
            ("http", permissions.http.len()),
            ("secrets", permissions.secrets.len()),
            ("kv", permissions.kv.len()),
            ("tools", permissions.tools.len()),
        ];
        for (name, length) in lists {
            self.entries(&format!("/permissions/{name}"), length);
        }
        for (at, http) in permissions.http.iter().take(MAX_ENTRIES).enumerate() {
            self.http(&format!("/permissions/http/{at}"), http);
        }
        for (at, secret) in permissions.secrets.iter().take(MAX_ENTRIES).enumerate() {
            let pointer = |field: &str| format!("/permissions/secrets/{at}/{field}");
            self.rule(&pointer("name"), is_bucket(&secret.name), "invalid_secret", || {
                (format!("{:?} is not the name of a secret", secret.name), NAME_FIX.to_owned())
            });
            self.text(&pointer("title"), &secret.title, 0, MAX_TITLE_BYTES);
            self.host(&pointer("host"), &secret.host);
            self.text(&pointer("place"), &secret.place, 1, MAX_ENTRY_BYTES);
            self.rule(&pointer("place"), Place::parse(&secret.place).is_some(), "invalid_place", || {
                let shown: String = secret.place.chars().take(MAX_ENTRY_BYTES).collect();
                (format!("{shown:?} is no place in a request"), "use header:<name>, query:<name> or body".to_owned())
            });
        }
        for (at, tool) in permissions.tools.iter().take(MAX_ENTRIES).enumerate() {
            let named = tool.split_once('/').is_some_and(|(capability, tool)| is_id_or_built_in(capability) && is_tool_name(tool));
            self.rule(&format!("/permissions/tools/{at}"), named, "invalid_tool", || {
                let shown: String = tool.chars().take(MAX_ENTRY_BYTES).collect();
                (format!("{shown:?} is not the name of a capability's tool"), "write \"capability/tool\"".to_owned())
            });
        }
        self.extra("/permissions/extra", &permissions.extra);
        for (at, bucket) in permissions.kv.iter().take(MAX_ENTRIES).enumerate() {
            self.rule(&format!("/permissions/kv/{at}"), is_bucket(bucket), "invalid_bucket", || {
                (format!("{bucket:?} is not a bucket name"), NAME_FIX.to_owned())
            });
        }
    }

    fn http(&mut self, pointer: &str, http: &HttpPermission) {
        self.host(&format!("{pointer}/host"), &http.host);
        let upper = http.methods.iter().all(|method| !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase()));
        let few = http.methods.len() <= MAX_METHODS && http.methods.iter().all(|method| method.len() <= MAX_NAME_BYTES);
        self.rule(&format!("{pointer}/methods"), upper && few, "invalid_method", || {
            let shown: Vec<String> =
                http.methods.iter().take(MAX_METHODS).map(|method| method.chars().take(MAX_NAME_BYTES).collect()).collect();
            (format!("{shown:?} are not at most {MAX_METHODS} methods in upper case"), "use for example [\"GET\", \"POST\"]".to_owned())
        });
        self.text(&format!("{pointer}/path_prefix"), http.path_prefix.as_deref().unwrap_or(""), 0, MAX_ENTRY_BYTES);
        self.text(&format!("{pointer}/reason"), &http.reason, 0, MAX_ENTRY_BYTES);
    }

    fn host(&mut self, pointer: &str, host: &str) {
        self.rule(pointer, is_host(host), "invalid_host", || {
            let shown: String = host.chars().take(MAX_ENTRY_BYTES).collect();
            (format!("{shown:?} is not a host"), "use \"api.example.com\", \"*.example.com\" or \"host:port\" in lower case".to_owned())
        });
    }
}

fn is_id(id: &str) -> bool {
    id.len() <= MAX_NAME_BYTES && id.split('-').all(|word| !word.is_empty() && word.bytes().all(is_lower_or_digit))
}

/// Built-in capabilities and drivers may have underscores.
fn is_id_or_built_in(id: &str) -> bool {
    is_id(&id.replace('_', "-"))
}

fn is_lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_tool_name(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| is_lower_or_digit(byte) || byte == b'_')
}

fn is_bucket(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(|byte| is_lower_or_digit(byte) || byte == b'-')
}

/// `major.minor.patch` with an optional pre-release and build, as far as ordering needs it.
fn is_version(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or("");
    let numbers: Vec<&str> = core.split('.').collect();
    version.len() <= MAX_NAME_BYTES
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
        && numbers.len() == 3
        && numbers.iter().all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A host as the URL parser would write it, so that a permission cannot look like another host
/// than it matches.
fn is_host(host: &str) -> bool {
    let host = host.strip_prefix("*.").unwrap_or(host);
    match url::Url::parse(&format!("https://{host}/")) {
        Ok(url) => {
            let written = match (url.host_str(), url.port()) {
                (Some(name), Some(port)) => format!("{name}:{port}"),
                (Some(name), None) => name.to_owned(),
                (None, _) => return false,
            };
            (written == host || format!("{written}:443") == host) && url.username().is_empty() && url.path() == "/"
        }
        Err(_) => false,
    }
}

/// All texts of a schema, its names included: a model reads them.
fn texts_of(schema: &Value) -> impl Iterator<Item = &str> {
    let mut open = vec![schema];
    let mut texts = Vec::new();
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => texts.push(text.as_str()),
            Value::Array(items) => open.extend(items),
            Value::Object(members) => {
                texts.extend(members.keys().map(String::as_str));
                open.extend(members.values());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    texts.into_iter()
}

fn has_invisible(text: &str) -> bool {
    text.chars().any(super::text::is_hidden)
}

/// Compares the custom section with what `describe` returned, so that reading the one is as good
/// as running the other.
pub(super) fn section(section: Option<&str>, description: &ComponentDescription) -> Option<Finding> {
    let read = serde_json::from_str::<ComponentDescription>(section?);
    let detail = match read {
        Ok(read) if &read == description => return None,
        Ok(_) => "the custom section everwit:description says something else than describe returns".to_owned(),
        Err(error) => format!("the custom section everwit:description is not a description: {error}"),
    };
    Some(Finding::new("description_differs", Some("/description".to_owned()), detail, "build the component again with `everwit build`"))
}

/// Warns of a component that grew its memory for as little as `describe`: growth multiplies the
/// cost of a call on busy cores.
pub(super) fn growth(usage: &CallUsage, min_memory_bytes: u64) -> Vec<Finding> {
    if usage.peak_memory_bytes <= min_memory_bytes + GROWTH_SLACK_BYTES {
        return Vec::new();
    }
    let detail = format!("its memory grew from {min_memory_bytes} to {} bytes in describe", usage.peak_memory_bytes);
    let fix = "start with enough memory (an allocator over a static arena, or --initial-memory)";
    vec![Finding::new("memory_grows", None, detail, fix)]
}

mod connection;
#[cfg(test)]
mod tests;
