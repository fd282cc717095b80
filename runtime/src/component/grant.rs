//! Grants: what a tenant allows one component version. Deciding is pure; the egress gateway
//! and the imports ask, they do not decide.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FileAccess, HttpPermission, Permissions};
use crate::capability::RiskLevel;
use crate::mutation::off;

/// Methods of requests that change nothing.
const SAFE_METHODS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// What a tenant allows one component version. Nothing by default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Grant {
    /// HTTP hosts with methods and paths.
    pub http: Vec<HttpPermission>,
    /// Secret name of the component → name of the org's secret.
    pub secrets: BTreeMap<String, String>,
    /// Secrets, by the component's names for them, whose values it may read. Nothing that it asks for is granted
    /// so by default, and each use is in the audit log.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reveal: Vec<String>,
    /// Access to session files.
    pub files: FileAccess,
    /// Key-value buckets.
    pub kv: Vec<String>,
    /// Tools of other capabilities, as `capability/tool`.
    pub tools: Vec<String>,
}

/// What of a request a grant is asked about. Host and scheme come out of a parsed URL, so they
/// are normalised.
#[derive(Debug, Clone, Copy)]
pub struct HttpRequestParts<'a> {
    /// Upper-case method.
    pub method: &'a str,
    /// Lower-case host as the URL parser writes it.
    pub host: &'a str,
    /// Port, the scheme's default included.
    pub port: u16,
    /// Whether a permission without a port covers it: HTTPS on 443. Plain HTTP needs its port
    /// spelled out, so that a grant for a host does not allow sending in the clear.
    pub default_port: bool,
    /// Path, starting with a slash.
    pub path: &'a str,
}

/// A denial that says what to grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not granted; to allow it, activate the version with {fix}")]
pub struct GrantError {
    /// What was asked for.
    pub what: String,
    /// The piece of a grant that would allow it, as JSON.
    pub fix: String,
}

impl Grant {
    /// Everything that `permissions` asks for except secrets, which need a binding, and reading them.
    pub fn everything_asked(permissions: &Permissions) -> Self {
        Self {
            http: permissions.http.clone(),
            secrets: BTreeMap::new(),
            reveal: Vec::new(),
            files: permissions.files,
            kv: permissions.kv.clone(),
            tools: permissions.tools.clone(),
        }
    }

    /// Whether `permissions` allows as much as this grant gives. A grant beyond what the
    /// component asks for is refused at activation, so that a review of what it asks is a
    /// review of what it can do. Returns what goes beyond.
    pub fn beyond(&self, permissions: &Permissions) -> Vec<String> {
        let mut beyond = Vec::new();
        for (at, entry) in self.http.iter().enumerate() {
            let asked = permissions.http.iter().any(|asked| covers(asked, entry));
            if !asked {
                beyond.push(format!("http/{at}: {:?} is not among the hosts, methods and paths that the component asks for", entry.host));
            }
        }
        for name in self.secrets.keys() {
            if !permissions.secrets.iter().any(|asked| &asked.name == name) {
                beyond.push(format!("secrets/{name}: the component asks for no secret of this name"));
            }
        }
        for (at, name) in self.reveal.iter().enumerate() {
            if !self.secrets.contains_key(name) {
                beyond.push(format!("reveal/{at}: no secret is bound to {name:?}"));
            }
        }
        if self.files > permissions.files {
            beyond.push("files: more than the component asks for".to_owned());
        }
        for (list, granted, asked) in [("kv", &self.kv, &permissions.kv), ("tools", &self.tools, &permissions.tools)] {
            for (at, name) in granted.iter().enumerate() {
                if !asked.contains(name) {
                    beyond.push(format!("{list}/{at}: the component does not ask for {name:?}"));
                }
            }
        }
        beyond
    }

    /// How much harm a component with this grant can do when a model misuses it. It follows from what the
    /// component may do, not from what its author says: reading a secret and sending requests that
    /// change something are high, everything else that reaches outside the session is medium.
    pub fn risk_level(&self) -> RiskLevel {
        let changes = |permission: &HttpPermission| permission.methods.iter().any(|method| !SAFE_METHODS.contains(&method.as_str()));
        if !self.reveal.is_empty() || self.http.iter().any(changes) {
            return RiskLevel::High;
        }
        let within_the_session = Self { files: self.files, ..Self::default() };
        if *self == within_the_session { RiskLevel::Low } else { RiskLevel::Medium }
    }

    /// Whether a bucket may be used.
    ///
    /// # Errors
    /// A denial that names the bucket.
    pub fn allows_bucket(&self, bucket: &str) -> Result<(), GrantError> {
        if self.kv.iter().any(|granted| granted == bucket) || off("grant.kv") {
            return Ok(());
        }
        Err(GrantError { what: format!("the key-value bucket {bucket:?}"), fix: format!("{{\"kv\":[{bucket:?}]}}") })
    }

    /// Whether the session's files may be looked at, or changed.
    ///
    /// # Errors
    /// A denial that says which of the two.
    pub fn allows_files(&self, access: FileAccess) -> Result<(), GrantError> {
        if self.files >= access || off("grant.files") {
            return Ok(());
        }
        let (what, needed) = match access {
            FileAccess::Write => ("changing the session's files", "write"),
            FileAccess::Read | FileAccess::None => ("reading the session's files", "read"),
        };
        Err(GrantError { what: what.to_owned(), fix: format!("{{\"files\":{needed:?}}}") })
    }

    /// Whether the value of a secret may be read.
    ///
    /// # Errors
    /// A denial that names the secret.
    pub fn allows_reveal(&self, secret: &str) -> Result<(), GrantError> {
        if self.reveal.iter().any(|granted| granted == secret) || off("grant.reveal") {
            return Ok(());
        }
        Err(GrantError { what: format!("the value of the secret {secret:?}"), fix: format!("{{\"reveal\":[{secret:?}]}}") })
    }

    /// Whether a request may leave, before any address is looked at.
    ///
    /// # Errors
    /// A denial that names host, port, method and path.
    pub fn allows_request(&self, request: &HttpRequestParts<'_>) -> Result<(), GrantError> {
        if self.http.iter().any(|permission| allows(permission, request)) || off("grant.http") {
            return Ok(());
        }
        let host = if request.default_port { request.host.to_owned() } else { format!("{}:{}", request.host, request.port) };
        Err(GrantError {
            what: format!("{} {host}{}", request.method, request.path),
            fix: format!("{{\"http\":[{{\"host\":{host:?},\"methods\":[{:?}]}}]}}", request.method),
        })
    }
}

const DEFAULT_METHODS: [&str; 2] = ["GET", "HEAD"];

fn allows(permission: &HttpPermission, request: &HttpRequestParts<'_>) -> bool {
    let (pattern, port) = split_port(&permission.host);
    let port_matches = port.map_or(request.default_port, |port| port == request.port);
    let method_matches = if permission.methods.is_empty() {
        DEFAULT_METHODS.contains(&request.method)
    } else {
        permission.methods.iter().any(|method| method == request.method)
    };
    port_matches && method_matches && host_matches(pattern, request.host) && path_matches(permission.path_prefix.as_deref(), request.path)
}

fn covers(asked: &HttpPermission, granted: &HttpPermission) -> bool {
    let methods = |permission: &HttpPermission| -> Vec<String> {
        if permission.methods.is_empty() { DEFAULT_METHODS.map(str::to_owned).to_vec() } else { permission.methods.clone() }
    };
    let (asked_host, asked_port) = split_port(&asked.host);
    let (granted_host, granted_port) = split_port(&granted.host);
    let asked_methods = methods(asked);
    let host = asked_host == granted_host || (!granted_host.starts_with("*.") && host_matches(asked_host, granted_host));
    let path = path_matches(asked.path_prefix.as_deref(), granted.path_prefix.as_deref().unwrap_or("/"));
    host && asked_port == granted_port && path && methods(granted).iter().all(|method| asked_methods.contains(method))
}

/// A prefix matches whole path segments: `/v1` allows `/v1` and `/v1/x`, not `/v10`. A path with
/// dot segments never matches a prefix, in whatever spelling, because the server may resolve it:
/// percent-encoded once or more, or with a parameter (`..;x`), which Java servers cut off first.
fn path_matches(prefix: Option<&str>, path: &str) -> bool {
    let prefix = prefix.unwrap_or("/");
    if prefix == "/" || prefix.is_empty() {
        return true;
    }
    let lower = path.to_ascii_lowercase().replace("%25", "%").replace("%2e", ".").replace("%3b", ";");
    let climbs = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    if lower.split(['/', '\\']).any(climbs) || ["%2f", "%5c", "%00", "%25"].iter().any(|separator| lower.contains(separator)) {
        return false;
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn host_matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => host.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => pattern == host,
    }
}

/// Splits `host:port`; an IPv6 literal keeps its brackets.
fn split_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.ends_with(':') && (!name.contains(':') || name.ends_with(']')) => {
            port.parse().map_or((host, None), |port| (name, Some(port)))
        }
        _ => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(host: &str, methods: &[&str], path_prefix: Option<&str>) -> HttpPermission {
        HttpPermission {
            host: host.to_owned(),
            methods: methods.iter().map(|&method| method.to_owned()).collect(),
            path_prefix: path_prefix.map(str::to_owned),
            reason: String::new(),
        }
    }

    fn check(granted: HttpPermission, method: &str, host: &str, port: u16, path: &str, expect: bool) {
        let grant = Grant { http: vec![granted.clone()], ..Grant::default() };
        let parts = HttpRequestParts { method, host, port, default_port: port == 443, path };
        assert_eq!(grant.allows_request(&parts).is_ok(), expect, "{granted:?} {method} {host}:{port}{path}");
    }

    #[test]
    fn the_risk_follows_from_what_is_granted() {
        let nothing = Grant::default();
        let http = |methods: &[&str]| Grant { http: vec![permission("a.test", methods, None)], ..Grant::default() };
        let secret = || BTreeMap::from([("key".to_owned(), "secret:key".to_owned())]);
        for (grant, level) in [
            (nothing.clone(), RiskLevel::Low),
            (Grant { files: FileAccess::Write, ..nothing.clone() }, RiskLevel::Low),
            (Grant { kv: vec!["notes".to_owned()], ..nothing.clone() }, RiskLevel::Medium),
            (Grant { tools: vec!["lens".to_owned()], ..nothing.clone() }, RiskLevel::Medium),
            (Grant { secrets: secret(), ..nothing.clone() }, RiskLevel::Medium),
            (http(&[]), RiskLevel::Medium),
            (http(&["GET", "HEAD", "OPTIONS"]), RiskLevel::Medium),
            (http(&["GET", "POST"]), RiskLevel::High),
            (http(&["post"]), RiskLevel::High),
            (Grant { secrets: secret(), reveal: vec!["key".to_owned()], ..nothing }, RiskLevel::High),
        ] {
            assert_eq!(grant.risk_level(), level, "{grant:?}");
        }
    }

    #[test]
    fn a_request_needs_host_port_method_and_path() {
        check(permission("a.test", &[], None), "GET", "a.test", 443, "/x", true);
        check(permission("a.test", &[], None), "HEAD", "a.test", 443, "/x", true);
        check(permission("a.test", &[], None), "POST", "a.test", 443, "/x", false);
        check(permission("a.test", &["POST"], None), "GET", "a.test", 443, "/", false);
        check(permission("a.test", &[], None), "GET", "a.test", 8443, "/", false);
        check(permission("a.test:8443", &[], None), "GET", "a.test", 8443, "/", true);
        check(permission("a.test", &[], None), "GET", "b.a.test", 443, "/", false);
        check(permission("[::1]:80", &[], None), "GET", "[::1]", 80, "/", true);
    }

    #[test]
    fn a_wildcard_covers_subdomains_only() {
        check(permission("*.a.test", &[], None), "GET", "b.a.test", 443, "/", true);
        check(permission("*.a.test", &[], None), "GET", "a.test", 443, "/", false);
        check(permission("*.a.test", &[], None), "GET", "xa.test", 443, "/", false);
        check(permission("*.a.test", &[], None), "GET", ".a.test", 443, "/", false);
    }

    #[test]
    fn a_path_prefix_covers_whole_segments_and_no_climbing() {
        for (path, expect) in [
            ("/v1", true),
            ("/v1/x", true),
            ("/v10", false),
            ("/", false),
            ("/v1/../admin", false),
            ("/v1/%2e%2E/admin", false),
            ("/v1/..%2fadmin", false),
            ("/v1/..\\admin", false),
            ("/v1/..;/admin", false),
            ("/v1/..;x=y/admin", false),
            ("/v1/..%3B/admin", false),
            ("/v1/%252e%252e/admin", false),
            ("/v1/%252E%252E%255cadmin", false),
            ("/v1/x%252fadmin", false),
            ("/v1/%25252e%25252e/admin", false),
            ("/v1/x%00", false),
            ("/v1/./x", false),
            ("/v1/a;b=c/x", true),
            ("/v1/100%25/x", true),
            ("/v1/a..b/.c", true),
        ] {
            check(permission("a.test", &[], Some("/v1")), "GET", "a.test", 443, path, expect);
        }
    }

    #[test]
    fn a_grant_beyond_what_is_asked_is_found() {
        let asked = Permissions {
            http: vec![permission("*.a.test", &["GET", "POST"], Some("/v1"))],
            kv: vec!["notes".to_owned()],
            ..Permissions::default()
        };
        let within =
            Grant { http: vec![permission("b.a.test", &["POST"], Some("/v1/items"))], kv: vec!["notes".to_owned()], ..Grant::default() };
        assert_eq!(within.beyond(&asked), Vec::<String>::new());
        let beyond = Grant {
            http: vec![
                permission("b.a.test", &["DELETE"], Some("/v1")),
                permission("a.test", &[], Some("/v1")),
                permission("b.a.test", &[], None),
            ],
            kv: vec!["other".to_owned()],
            files: FileAccess::Read,
            ..Grant::default()
        };
        assert_eq!(beyond.beyond(&asked).len(), 5);
    }
}
