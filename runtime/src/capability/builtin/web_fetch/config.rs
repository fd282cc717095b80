//! What an operator decides about `web_fetch`.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::capability::CallError;
use crate::capability::builtin::support::failed;
use crate::component::{Grant, HttpPermission};

/// Entries of a list of hosts.
const MAX_HOSTS: usize = 200;

pub(super) static CONFIG_SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "properties": {
            "allowed_hosts": {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": 260},
                "maxItems": MAX_HOSTS,
                "description": "The only hosts that may be fetched: docs.example.com, *.example.com, or with a port. Absent: every public host.",
            },
            "enable_file_download": {"type": "boolean", "default": false, "description": "Whether what was fetched may be saved to session files."},
        },
        "additionalProperties": false,
    })
});

/// The configuration of one agent.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    allowed_hosts: Option<Vec<String>>,
    pub(super) enable_file_download: bool,
}

impl Config {
    pub(super) fn of(value: &Value) -> Result<Self, CallError> {
        if value.is_null() {
            return Ok(Self::default());
        }
        serde_json::from_value(value.clone())
            .map_err(|error| failed("invalid-config", "invalid_config", format!("the configuration of web_fetch is wrong: {error}")))
    }

    /// The grant for one request. Without a list it covers exactly the URL's own host and port:
    /// whether its addresses are public is judged by the gateway.
    pub(super) fn grant(&self, url: &Url) -> Grant {
        let own = || {
            let host = url.host_str().unwrap_or_default();
            url.port_or_known_default().map(|port| format!("{host}:{port}")).into_iter().collect()
        };
        let hosts: Vec<String> = match &self.allowed_hosts {
            None => own(),
            Some(hosts) => hosts.iter().flat_map(|host| both_schemes(&host.to_lowercase())).collect(),
        };
        let permission = |host| HttpPermission { host, methods: Vec::new(), path_prefix: None, reason: String::new() };
        Grant { http: hosts.into_iter().map(permission).collect(), ..Grant::default() }
    }

    /// The list, for a message about a host that is not on it.
    pub(super) fn listed(&self) -> String {
        self.allowed_hosts.as_deref().unwrap_or_default().join(", ")
    }
}

/// A host without a port stands for HTTPS and HTTP on their usual ports.
fn both_schemes(host: &str) -> Vec<String> {
    let has_port =
        host.rsplit_once(':').is_some_and(|(name, port)| port.parse::<u16>().is_ok() && (!name.contains(':') || name.ends_with(']')));
    if has_port { vec![host.to_owned()] } else { vec![host.to_owned(), format!("{host}:443"), format!("{host}:80")] }
}
