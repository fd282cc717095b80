//! Validation of what callers send. All findings are collected; nothing is stored before the
//! list is empty.

use everwit_runtime::capability::{Capability, REDACTED, restore_config};
use everwit_runtime::client_tool::{ClientTool, MAX_CLIENT_TOOLS};
use everwit_runtime::file::InitialFile;
use everwit_runtime::harness::CapabilityConfig;
use everwit_runtime::id::{ModelId, OrgId};
use everwit_runtime::limits::{
    DEFAULT_MAX_ITERATIONS, MAX_CAPABILITIES, MAX_DESCRIPTION_BYTES, MAX_INITIAL_FILE_BYTES, MAX_INITIAL_FILES, MAX_NAME_BYTES,
    MAX_SYSTEM_PROMPT_BYTES, MAX_TITLE_BYTES,
};
use everwit_runtime::mutation::off;
use serde::Deserialize;
use serde_json::Value;

use super::App;
use super::risk::require_consent;
use crate::auth::Caller;
use crate::problem::{Finding, Problem};
use crate::schema;

/// Labels of one resource.
const MAX_TAGS: usize = 50;
/// Most model calls of one turn that a resource may ask for.
const MAX_ITERATIONS: u32 = 10 * DEFAULT_MAX_ITERATIONS;
/// Names that are segments of routes, where a resource of that name could not be reached.
const RESERVED_NAMES: [&str; 1] = ["preview"];
/// Findings that one answer lists; a wrong body of millions of items need not be told completely.
const MAX_FINDINGS: usize = 100;

/// Collects findings about one request body.
#[derive(Default)]
pub(crate) struct Checks {
    findings: Vec<Finding>,
}

impl Checks {
    /// Adds a finding.
    pub(crate) fn add(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }

    /// 422 if there is any finding.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.findings.is_empty() { Ok(()) } else { Err(Problem::invalid(self.findings)) }
    }

    /// An addressable name.
    pub(crate) fn name(&mut self, pointer: &str, name: &str) {
        let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if name.len() > MAX_NAME_BYTES && !off("server.names") || !name.split('-').all(word) {
            let detail =
                format!("a name is lower-case letters and digits, in words joined by single hyphens, at most {MAX_NAME_BYTES} bytes");
            self.add(Finding::at(pointer, "invalid_name", detail).fix("for example \"support-agent\""));
        }
        if RESERVED_NAMES.contains(&name) {
            self.add(Finding::at(pointer, "reserved_name", format!("{name:?} is part of a route")).fix("choose another name"));
        }
    }

    /// A text with a limit in bytes and without U+0000, which not every database can store.
    pub(crate) fn text(&mut self, pointer: &str, text: Option<&str>, limit: usize) {
        let Some(text) = text else { return };
        if text.len() > limit && !off("server.text_bytes") {
            self.add(Finding::at(pointer, "too_long", format!("{} bytes; at most {limit} are allowed", text.len())));
        }
        if text.contains('\0') {
            self.add(Finding::at(pointer, "invalid_text", "it has the character U+0000").fix("remove that character"));
        }
    }

    /// A display name or title.
    pub(crate) fn title(&mut self, pointer: &str, title: Option<&str>) {
        self.text(pointer, title, MAX_TITLE_BYTES);
    }

    /// A description.
    pub(crate) fn description(&mut self, description: Option<&str>) {
        self.text("/description", description, MAX_DESCRIPTION_BYTES);
    }

    /// A system prompt.
    pub(crate) fn system_prompt(&mut self, prompt: Option<&str>) {
        self.text("/system_prompt", prompt, MAX_SYSTEM_PROMPT_BYTES);
    }

    /// Labels.
    pub(crate) fn tags(&mut self, tags: &[String]) {
        if tags.len() > MAX_TAGS && !off("server.tags") {
            self.add(Finding::at("/tags", "too_many", format!("{} tags; at most {MAX_TAGS} are allowed", tags.len())));
        }
        for (at, tag) in tags.iter().enumerate().take(MAX_TAGS) {
            if tag.is_empty() || tag.len() > MAX_NAME_BYTES {
                self.add(Finding::at(format!("/tags/{at}"), "invalid_tag", format!("a tag has 1 to {MAX_NAME_BYTES} bytes")));
            }
        }
    }

    /// Tools that clients execute: not too many, each with a name of its own and a schema.
    pub(crate) fn client_tools(&mut self, tools: &[ClientTool]) {
        if tools.len() > MAX_CLIENT_TOOLS && !off("server.client_tools") {
            let detail = format!("{} tools; at most {MAX_CLIENT_TOOLS} are allowed", tools.len());
            return self.add(Finding::at("/tools", "too_many", detail));
        }
        for (at, tool) in tools.iter().enumerate() {
            for (field, detail) in tool.problems() {
                self.add(Finding::at(format!("/tools/{at}/{field}"), "invalid_tool", detail));
            }
            self.text(&format!("/tools/{at}/description"), Some(&tool.description), MAX_DESCRIPTION_BYTES);
            if tools[..at].iter().any(|earlier| earlier.name == tool.name) {
                let detail = format!("tool {:?} is in the list already", shown(&tool.name));
                self.add(Finding::at(format!("/tools/{at}/name"), "duplicate", detail));
            }
        }
    }

    /// Files that sessions start with: not too many, decodable, and each with a path of its own that
    /// is not a directory of another.
    pub(crate) fn initial_files(&mut self, files: &[InitialFile]) {
        let bytes: usize = files.iter().map(|file| file.content.len()).sum();
        if (files.len() > MAX_INITIAL_FILES || bytes > MAX_INITIAL_FILE_BYTES) && !off("server.initial_files") {
            let detail = format!(
                "{} files with {bytes} bytes; at most {MAX_INITIAL_FILES} files with {MAX_INITIAL_FILE_BYTES} bytes are allowed",
                files.len()
            );
            return self.add(Finding::at("/initial_files", "too_large", detail));
        }
        for (at, file) in files.iter().enumerate() {
            let others = files.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, other)| &other.path);
            let mut clashing = others.filter(|other| **other == file.path || other.is_below(&file.path));
            if file.path.is_root() || clashing.next().is_some() {
                let detail = format!("{} is a directory, or the path of another file in the list", file.path);
                self.add(Finding::at(format!("/initial_files/{at}/path"), "taken_path", detail).fix("choose another path"));
            }
            if let Err(error) = file.encoding.decode(&file.content) {
                self.add(Finding::at(format!("/initial_files/{at}/content"), "not_base64", format!("it is not base64: {error}")));
            }
        }
    }

    /// A BCP 47 language tag, by its outer form.
    pub(crate) fn locale(&mut self, pointer: &str, locale: Option<&str>) {
        let Some(locale) = locale else { return };
        let subtag = |tag: &str| (1..=8).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if locale.len() > MAX_NAME_BYTES || !locale.split('-').all(subtag) {
            self.add(Finding::at(pointer, "invalid_locale", "a locale is a BCP 47 language tag").fix("for example \"uk-UA\""));
        }
    }

    /// The most model calls of a turn.
    pub(crate) fn max_iterations(&mut self, iterations: Option<u32>) {
        if iterations.is_some_and(|count| count == 0 || count > MAX_ITERATIONS && !off("server.iterations")) {
            self.add(Finding::at("/max_iterations", "out_of_range", format!("it must be between 1 and {MAX_ITERATIONS}")));
        }
    }

    /// The id of a model that can be used.
    pub(crate) async fn model(&mut self, app: &App, org: OrgId, pointer: &str, id: Option<&str>) -> Result<Option<ModelId>, Problem> {
        let Some(text) = id else { return Ok(None) };
        let found = match text.parse() {
            Ok(id) => app.stores.provider_store.get_model(org, id).await?,
            Err(_) => None,
        };
        match &found {
            None => {
                let detail = format!("there is no model {:?}", shown(text));
                self.add(Finding::at(pointer, "unknown_model", detail).fix("GET /v1/models lists the ids of all models"));
            }
            Some(model) if !model.enabled => {
                let detail = format!("model {:?} is disabled", model.model_id);
                self.add(Finding::at(pointer, "disabled", detail).fix("enable it, or choose another one"));
            }
            Some(_) => {}
        }
        Ok(found.map(|model| model.id))
    }

    /// Fields that this server cannot honour.
    pub(crate) fn unsupported(&mut self, fields: &[(&str, &Unsupported)]) {
        for (pointer, _) in fields.iter().filter(|(_, field)| field.says_something()) {
            let detail = "this server does not support the field, and ignoring it would mislead";
            self.add(Finding::at(*pointer, "unsupported", detail).fix("leave it out"));
        }
    }

    /// As [`Self::assigned_capabilities`], if a change touches them. A list that stays as it was is not
    /// judged again: what it refers to may have been archived since.
    pub(crate) async fn changed_capabilities(
        &mut self,
        app: &App,
        caller: &Caller,
        list: Option<&mut Vec<CapabilityConfig>>,
        stored: &[CapabilityConfig],
    ) -> Result<(), Problem> {
        match list {
            Some(list) => self.assigned_capabilities(app, caller, list, stored).await,
            None => Ok(()),
        }
    }

    /// As [`Self::capabilities`], of capabilities that somebody is given.
    pub(crate) async fn assigned_capabilities(
        &mut self,
        app: &App,
        caller: &Caller,
        list: &mut [CapabilityConfig],
        stored: &[CapabilityConfig],
    ) -> Result<(), Problem> {
        self.capabilities(app, caller.org, list, stored).await?;
        require_consent(app, caller, list, stored).await
    }

    /// Capability references: known, named once, with a configuration that their schema accepts. What
    /// is redacted in a configuration becomes what is `stored` for the same capability.
    pub(crate) async fn capabilities(
        &mut self,
        app: &App,
        org: OrgId,
        list: &mut [CapabilityConfig],
        stored: &[CapabilityConfig],
    ) -> Result<(), Problem> {
        if list.len() > MAX_CAPABILITIES && !off("server.capabilities") {
            let detail = format!("{} capabilities; at most {MAX_CAPABILITIES} are allowed", list.len());
            self.add(Finding::at("/capabilities", "too_many", detail));
            return Ok(());
        }
        for at in 0..list.len() {
            let (earlier, rest) = list.split_at_mut(at);
            let Some(reference) = rest.first_mut() else { break };
            let pointer = format!("/capabilities/{at}");
            if earlier.iter().any(|earlier| earlier.id.eq_ignore_ascii_case(&reference.id)) {
                let detail = format!("capability {:?} is in the list already", shown(&reference.id));
                self.add(Finding::at(format!("{pointer}/ref"), "duplicate", detail));
                continue;
            }
            if let Some(choice) = reference.choice() {
                if reference.version.is_some() && reference.channel.is_some() {
                    let detail = "a version and a channel; the entry can ask for one of them";
                    self.add(Finding::at(format!("{pointer}/channel"), "contradiction", detail).fix("leave one out"));
                    continue;
                }
                match app.components.source.find_chosen(org, &reference.id, &choice).await? {
                    Ok(capability) => self.entry(&pointer, &*capability, reference, stored),
                    Err(problem) => {
                        let field = if reference.version.is_some() { "version" } else { "channel" };
                        self.add(Finding::at(format!("{pointer}/{field}"), "version_unavailable", problem));
                    }
                }
                continue;
            }
            match app.components.source.find(org, &reference.id).await? {
                Some(capability) => self.entry(&pointer, &*capability, reference, stored),
                None => {
                    let detail = format!("there is no capability {:?}", shown(&reference.id));
                    let fix = match app.components.available_ids(&app.stores, org).await?.as_slice() {
                        [] => "there is none yet: upload a component to /v1/components".to_owned(),
                        ids => format!("available: {}", ids.join(", ")),
                    };
                    self.add(Finding::at(format!("{pointer}/ref"), "unknown_capability", detail).fix(fix));
                }
            }
        }
        Ok(())
    }

    /// An entry whose capability is known.
    fn entry(&mut self, pointer: &str, capability: &dyn Capability, entry: &mut CapabilityConfig, stored: &[CapabilityConfig]) {
        if self.restore(pointer, capability, entry, stored) {
            self.config(pointer, capability, entry.config.as_ref());
        }
    }

    /// Puts stored values in the places of what is redacted; false if there is none for one.
    fn restore(&mut self, pointer: &str, capability: &dyn Capability, sent: &mut CapabilityConfig, stored: &[CapabilityConfig]) -> bool {
        let Some(config) = &mut sent.config else { return true };
        let known = stored.iter().find(|stored| stored.id.eq_ignore_ascii_case(&sent.id)).and_then(|stored| stored.config.as_ref());
        match restore_config(capability.config_schema(), config, known) {
            Ok(restored) => *config = restored,
            Err(places) => {
                for place in places {
                    let detail = format!("{REDACTED:?} keeps a stored value, and there is none here");
                    self.add(Finding::at(format!("{pointer}/config{place}"), "nothing_stored", detail).fix("send the value itself"));
                }
                return false;
            }
        }
        true
    }

    fn config(&mut self, pointer: &str, capability: &dyn Capability, config: Option<&Value>) {
        let empty = Value::Object(serde_json::Map::new());
        let (pointer, config) = (format!("{pointer}/config"), config.unwrap_or(&empty));
        let before = self.findings.len();
        if let Some(schema) = capability.config_schema() {
            self.against_schema(&pointer, schema, config);
        }
        if self.findings.len() > before {
            return;
        }
        for problem in capability.validate_config(config).err().into_iter().flatten() {
            self.add(Finding::at(&*pointer, "invalid_config", problem));
        }
    }

    /// A value that a JSON Schema judges.
    pub(crate) fn against_schema(&mut self, pointer: &str, schema: &Value, value: &Value) {
        for violation in schema::violations(schema, value) {
            self.add(Finding::at(format!("{pointer}{}", violation.pointer), "schema_violation", violation.detail));
        }
    }
}

/// A field that clients of the wider API send, and that this server does not have: accepted as
/// long as it says nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Unsupported(Value);

impl Unsupported {
    fn says_something(&self) -> bool {
        match &self.0 {
            Value::Null => false,
            Value::Array(items) => !items.is_empty(),
            // Clients spell all fields of nested objects out.
            Value::Object(members) => members.values().any(|member| !member.is_null()),
            _ => true,
        }
    }
}

/// Text of a caller, cut for a message.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(check: impl FnOnce(&mut Checks)) -> bool {
        let mut checks = Checks::default();
        check(&mut checks);
        checks.finish().is_ok()
    }

    #[test]
    fn names_are_words_joined_by_hyphens() {
        for name in ["a", "support-agent", "x1-2-3", &"a".repeat(64)] {
            assert!(accepts(|checks| checks.name("/name", name)), "{name}");
        }
        for name in ["preview", "", "-", "a-", "-a", "a--b", "A", "a_b", "a b", "ä", &"a".repeat(65)] {
            assert!(!accepts(|checks| checks.name("/name", name)), "{name}");
        }
    }

    #[test]
    fn an_unsupported_field_may_be_there_if_it_is_empty() {
        let field = |json: &str| serde_json::from_str::<Unsupported>(json).unwrap();
        for empty in ["null", "[]", "{}", r#"{"model_id":null}"#] {
            assert!(!field(empty).says_something(), "{empty}");
        }
        for given in ["1", "\"x\"", "[1]", r#"{"model_id":"m"}"#, "false"] {
            assert!(field(given).says_something(), "{given}");
        }
    }

    #[test]
    fn locales_have_the_form_of_language_tags() {
        for locale in ["de", "uk-UA", "zh-Hans-CN"] {
            assert!(accepts(|checks| checks.locale("/locale", Some(locale))), "{locale}");
        }
        for locale in ["", "de_DE", "de-", "ninecharss"] {
            assert!(!accepts(|checks| checks.locale("/locale", Some(locale))), "{locale}");
        }
    }
}
