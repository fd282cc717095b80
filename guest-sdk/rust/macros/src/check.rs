//! The contract's rules for literals.

use syn::{Error, LitStr, Result};

/// Collects faults, so that all of them are reported at once.
#[derive(Default)]
pub(crate) struct Faults(Option<Error>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Error) {
        match &mut self.0 {
            Some(faults) => faults.combine(fault),
            None => self.0 = Some(fault),
        }
    }

    /// Keeps the value, or the fault.
    pub(crate) fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|fault| self.add(fault)).ok()
    }

    pub(crate) fn finish(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

/// A rule for a text; the error says what the text must be.
pub(crate) type Rule = fn(&str) -> core::result::Result<(), String>;

pub(crate) fn literal(text: &LitStr, rule: Rule) -> Result<()> {
    rule(&text.value()).map_err(|fault| Error::new(text.span(), fault))
}

/// Ids of capabilities.
pub(crate) fn id(text: &str) -> core::result::Result<(), String> {
    let words = text.split('-').all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    demand(
        words && text.len() <= 64,
        "an id is lower-case words of letters and digits, joined by `-`, at most 64 bytes: \
         for example \"data-lens\"",
    )
}

/// Names of tools.
pub(crate) fn tool_name(text: &str) -> core::result::Result<(), String> {
    let start = text.starts_with(|c: char| c.is_ascii_lowercase());
    let rest = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    demand(start && rest && text.len() <= 64, "a tool's name is snake_case in ASCII, begins with a letter, and has at most 64 bytes")
}

/// Names of key-value buckets and secrets.
pub(crate) fn kebab(text: &str) -> core::result::Result<(), String> {
    let fits = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    demand(fits && (1..=64).contains(&text.len()), "a name is 1 to 64 characters of a-z, 0-9 and `-`")
}

/// Human-readable names.
pub(crate) fn title(text: &str) -> core::result::Result<(), String> {
    filled(text)?;
    demand(text.len() <= 128, "a title has at most 128 bytes")
}

pub(crate) fn summary(text: &str) -> core::result::Result<(), String> {
    filled(text)?;
    demand(text.len() <= 1024, "a summary has at most 1 KiB")
}

pub(crate) fn instructions(text: &str) -> core::result::Result<(), String> {
    demand(text.len() <= 16 * 1024, "instructions have at most 16 KiB")
}

pub(crate) fn description(text: &str) -> core::result::Result<(), String> {
    demand(text.len() <= 4 * 1024, "a description has at most 4 KiB")
}

/// Semantic versions, as far as their three numbers go.
pub(crate) fn version(text: &str) -> core::result::Result<(), String> {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = core.split('.').collect();
    let fits = numbers.iter().all(|number| number.parse::<u64>().is_ok());
    demand(fits && numbers.len() == 3, "a version is semantic, for example \"1.2.0\"")
}

pub(crate) fn host(text: &str) -> core::result::Result<(), String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let name = match name.rsplit_once(':') {
        Some((name, port)) => {
            demand(port.parse::<u16>().is_ok(), "a port is a number to 65535")?;
            name
        }
        None => name,
    };
    let fits = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
    demand(
        fits && !name.is_empty(),
        "a host is a name in lower case without scheme or path, for example \
         \"api.example.com\", \"*.example.com\" or \"api.example.com:8443\"",
    )
}

pub(crate) fn method(text: &str) -> core::result::Result<(), String> {
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase());
    demand(fits, "a method is in upper case, for example \"POST\"")
}

pub(crate) fn path_prefix(text: &str) -> core::result::Result<(), String> {
    demand(text.starts_with('/'), "a path begins with `/`")
}

pub(crate) fn place(text: &str) -> core::result::Result<(), String> {
    let name = text.strip_prefix("header:").or_else(|| text.strip_prefix("query:"));
    demand(name.is_some_and(|name| !name.is_empty()), "a place is \"header:<name>\" or \"query:<name>\"")
}

pub(crate) fn files(text: &str) -> core::result::Result<(), String> {
    demand(["none", "read", "write"].contains(&text), "access to files is \"none\", \"read\" or \"write\"")
}

pub(crate) fn foreign_tool(text: &str) -> core::result::Result<(), String> {
    let fits = text.split_once('/').is_some_and(|(capability, tool)| id(capability).is_ok() && tool_name(tool).is_ok());
    demand(fits, "another capability's tool is \"capability/tool\"")
}

pub(crate) fn filled(text: &str) -> core::result::Result<(), String> {
    demand(!text.trim().is_empty(), "this must not be empty")
}

fn demand(fits: bool, rule: &str) -> core::result::Result<(), String> {
    if fits { Ok(()) } else { Err(rule.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: Rule, fits: &[&str], misfits: &[&str]) {
        for text in fits {
            assert_eq!(rule(text), Ok(()), "{text:?}");
        }
        for text in misfits {
            assert!(rule(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn rules_accept_what_the_contract_accepts() {
        let long = "a".repeat(65);
        check(id, &["a", "data-lens", "x2"], &["", "-a", "a--b", "A", "a_b", &long]);
        check(tool_name, &["a", "get_2"], &["", "_a", "2a", "get-it", "Get", &long]);
        check(kebab, &["a", "a-1"], &["", "a_b", &long]);
        check(version, &["1.2.0", "1.2.0-rc.1+b"], &["", "1.2", "1.2.x", "v1.2.3"]);
        check(host, &["a.example.com", "*.example.com", "localhost:8080"], &["", "https://a.com", "A.com", "a.com/x", "a.com:x", "*."]);
        check(place, &["header:authorization", "query:key"], &["", "header:", "cookie:a"]);
        check(foreign_tool, &["calc/add"], &["calc", "calc/Add", "calc/add/x"]);
    }
}
