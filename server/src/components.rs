//! Components as the server uses them: admission, the capabilities they become, and the policy
//! of activation. The only file of the server that knows the sandbox.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use axum::body::Bytes;
use everwit_runtime::Error;
use everwit_runtime::capability::{Capability, CapabilityRegistry, CapabilitySource};
use everwit_runtime::component::{
    CREDENTIALS, Component, ComponentDescription, ComponentKind, ComponentVersion, CredentialPlace, Digest, Grant, Permissions,
    changed_text,
};
use everwit_runtime::connection::ConnectionProviderRegistry;
use everwit_runtime::driver::DriverRegistry;
use everwit_runtime::egress::{Gateway, GatewayConfig, PrivateTarget};
use everwit_runtime::id::OrgId;
use everwit_runtime::limits::MAX_PAGE;
use everwit_runtime::sandbox::{ComponentCapabilities, ComponentConnectionProviders, ComponentDrivers, Sandbox, Swept, compile_child};
use everwit_runtime::store::{ComponentStore, Page, RuntimeBackends};

pub(crate) use everwit_runtime::sandbox::{
    Admission, AdmitError, Check, CheckOutcome, CheckResult, CompilerCommand, Finding as ComponentFinding, Rejection, SandboxConfig, Terms,
};

/// Compiles a component if this process was started for that, and tells the exit code; none if it
/// is to do its own work.
///
/// Components are compiled in children of the host's own binary. An embedder's `main` therefore
/// begins with `if let Some(code) = everwit_server::run_as_compile_child() { return code; }`,
/// before any thread is started; or it names another program in
/// [`ServerConfig::compiler`](crate::ServerConfig::compiler).
pub fn run_as_compile_child() -> Option<ExitCode> {
    compile_child()
}

/// The gateway of this process, with the private targets that the operator allows.
///
/// # Errors
/// If the roots of trust cannot be read.
pub(crate) fn start_gateway(private_targets: Vec<PrivateTarget>) -> Result<Arc<Gateway>, Error> {
    Ok(Arc::new(Gateway::new(GatewayConfig { private_targets, ..GatewayConfig::default() })?))
}

/// Built-in capabilities and the components of all orgs.
#[derive(Clone)]
pub(crate) struct Components {
    /// What turns and checks ask: built-ins first, then the org's active components.
    pub(crate) source: Arc<dyn CapabilitySource>,
    /// The capabilities that ship with the platform.
    pub(crate) built_ins: CapabilityRegistry,
    /// The drivers of the platform, then the org's.
    pub(crate) drivers: Arc<ComponentDrivers>,
    /// The connection providers of the platform, then the org's.
    pub(crate) connection_providers: Arc<ComponentConnectionProviders>,
    pinned: Arc<ComponentCapabilities>,
    sandbox: Sandbox,
}

impl Components {
    /// The capabilities, drivers and connection providers of a platform.
    pub(crate) fn new(
        built_ins: CapabilityRegistry,
        drivers: DriverRegistry,
        connection_providers: ConnectionProviderRegistry,
        store: Arc<dyn ComponentStore>,
        sandbox: Sandbox,
    ) -> Self {
        let drivers = Arc::new(ComponentDrivers::new(drivers, store.clone(), sandbox.clone()));
        let connection_providers = Arc::new(ComponentConnectionProviders::new(connection_providers, store.clone(), sandbox.clone()));
        let pinned = Arc::new(ComponentCapabilities::new(built_ins.clone(), store, sandbox.clone()));
        Self { source: pinned.clone(), built_ins, drivers, connection_providers, pinned, sandbox }
    }

    /// Examines a component: structure, compilation, description. Stores nothing but the
    /// compiled artifact.
    ///
    /// # Errors
    /// The findings, or why it could not be examined.
    pub(crate) async fn admit(&self, wasm: Bytes) -> Result<Admission, AdmitError> {
        self.sandbox.admit(wasm).await
    }

    /// Removes compiled code that nobody has the component of, see [`Sandbox::sweep`].
    ///
    /// # Errors
    /// Those of the store; that the directory cannot be used.
    pub(crate) async fn sweep(&self, store: &dyn ComponentStore, after: Option<Digest>) -> Result<Swept, Error> {
        self.sandbox.sweep(store, after).await
    }

    /// Why an upload may not have an id; none if it may.
    pub(crate) fn reserved(&self, kind: ComponentKind, id: &str) -> Option<String> {
        let taken = match kind {
            ComponentKind::Capability => self.built_ins.has(id),
            ComponentKind::Driver => self.drivers.is_reserved(id),
            ComponentKind::ConnectionProvider => self.connection_providers.is_reserved(id),
        };
        taken.then(|| format!("{id:?} is the id of a built-in {}; give the component another id", kind.as_str().replace('-', " ")))
    }

    /// One version of a component as a capability, active or not.
    ///
    /// # Errors
    /// Those of the store and the sandbox.
    pub(crate) async fn version(&self, org: OrgId, component: &Component, version: u32) -> Result<Arc<dyn Capability>, Error> {
        self.pinned.version(org, component, version).await
    }

    /// Ids of all capabilities that the org can use, in order.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn available_ids(&self, stores: &RuntimeBackends, org: OrgId) -> Result<Vec<String>, Error> {
        let mut ids: Vec<String> = self.built_ins.list().map(|capability| capability.id().to_owned()).collect();
        ids.extend(active_components(stores, org).await?.into_iter().map(|(component, _)| component.name));
        ids.sort();
        Ok(ids)
    }
}

/// The org's capabilities that new turns can use, each with its active version.
///
/// # Errors
/// Those of the store.
pub(crate) async fn active_components(stores: &RuntimeBackends, org: OrgId) -> Result<Vec<(Component, ComponentVersion)>, Error> {
    let store = &stores.component_store;
    let (mut active, mut offset) = (Vec::new(), 0);
    loop {
        let listing = store.list_components(org, Page { offset, limit: MAX_PAGE }).await?;
        let count = listing.items.len();
        for component in listing.items {
            if let (ComponentKind::Capability, Some(number), None) = (component.kind, component.active_version, component.archived_at)
                && let Some(version) = store.get_version(org, component.id, number).await?
            {
                active.push((component, version));
            }
        }
        offset += MAX_PAGE;
        if count < MAX_PAGE as usize || u64::from(offset) >= listing.total {
            return Ok(active);
        }
    }
}

/// What a new version asks for beyond what its tenant has agreed to already: the grant of the
/// active version, and nothing if there is none. One sentence each.
pub(crate) fn asked_beyond(asked: &Permissions, active: Option<&ComponentVersion>) -> Vec<String> {
    let none = (Grant::default(), Permissions::default());
    let (grant, known) = active.map_or((&none.0, &none.1), |version| (&version.grant, &version.description.permissions));
    let agreed = Permissions {
        http: grant.http.clone(),
        secrets: Vec::new(),
        files: grant.files,
        kv: grant.kv.clone(),
        tools: grant.tools.clone(),
        extra: Vec::new(),
    };
    let mut beyond: Vec<String> = Grant::everything_asked(asked).beyond(&agreed).into_iter().map(in_short).collect();
    for secret in &asked.secrets {
        let unchanged = known
            .secrets
            .iter()
            .any(|earlier| (&earlier.name, &earlier.host, &earlier.place) == (&secret.name, &secret.host, &secret.place));
        if !unchanged || !grant.secrets.contains_key(&secret.name) {
            beyond.push(format!("secrets/{}: for host {:?}, at {:?}", secret.name, secret.host, secret.place));
        }
    }
    for entry in asked.extra.iter().filter(|entry| !known.extra.contains(entry)) {
        beyond.push(format!("extra/{}: {:?}", entry.0, entry.1));
    }
    beyond
}

/// Credentials that a new version of a driver or of a connection provider gets to see itself, or
/// puts where the active version did not, and another way to connect. A first version is agreed to
/// by whoever configures a provider with it, or activates it.
pub(crate) fn credentials_beyond(asked: &ComponentDescription, active: Option<&ComponentVersion>) -> Vec<String> {
    let Some(active) = active.map(|active| &active.description) else { return Vec::new() };
    let mut beyond = Vec::new();
    if let (Some(new), Some(old)) = (&asked.driver, &active.driver) {
        beyond.extend(places_beyond("driver", &CREDENTIALS, &new.credentials, &old.credentials));
    }
    if let (Some(new), Some(old)) = (&asked.connection, &active.connection) {
        let names: BTreeSet<&str> = old.credentials.iter().map(|credential| credential.name.as_str()).collect();
        beyond.extend(places_beyond("connection", &Vec::from_iter(names), &new.credentials, &old.credentials));
        if new.method != old.method {
            beyond.push("connection/method: accounts would be connected in another way".to_owned());
        }
    }
    beyond
}

fn places_beyond(kind: &str, names: &[&str], new: &[CredentialPlace], old: &[CredentialPlace]) -> Vec<String> {
    let places = |list: &[CredentialPlace], name: &str| -> BTreeSet<String> {
        list.iter().filter(|credential| credential.name == name).map(|credential| credential.place.clone()).collect()
    };
    let mut beyond = Vec::new();
    for name in names {
        let (before, after) = (places(old, name), places(new, name));
        if after.is_empty() && !before.is_empty() {
            beyond.push(format!("{kind}/credentials/{name}: it would see the value itself"));
        }
        // Where the active version sees the value, it can put it anywhere already.
        let added = after.difference(&before).filter(|_| !before.is_empty());
        beyond.extend(added.map(|place| format!("{kind}/credentials/{name}: at {place:?}")));
    }
    beyond
}

/// Where models would read something else than from the active version. A first version has no
/// other to compare with; who lets an agent use it has chosen it. Of drivers and connection providers
/// models read nothing.
pub(crate) fn text_beyond(new: &ComponentDescription, active: Option<&ComponentVersion>) -> Vec<String> {
    match active {
        Some(active) if new.kind() == ComponentKind::Capability => changed_text(&active.description, new),
        _ => Vec::new(),
    }
}

/// The place of an entry that goes beyond; the reason behind the colon speaks of components and
/// would mislead here.
fn in_short(entry: String) -> String {
    let place = entry.split(':').next().unwrap_or_default();
    format!("{place}: not granted to the active version")
}

/// The grant that gives a version all it asks for, as far as it can be written without the
/// tenant: secrets keep the bindings that the active version has.
pub(crate) fn full_grant(asked: &Permissions, active: Option<&ComponentVersion>) -> Grant {
    let mut grant = Grant::everything_asked(asked);
    if let Some(active) = active {
        let bindings = active.grant.secrets.iter();
        grant.secrets = bindings
            .filter(|(name, _)| asked.secrets.iter().any(|secret| &secret.name == *name))
            .map(|(name, secret)| (name.clone(), secret.clone()))
            .collect();
        grant.reveal = active.grant.reveal.iter().filter(|name| grant.secrets.contains_key(*name)).cloned().collect();
    }
    grant
}

#[cfg(test)]
mod tests {
    use everwit_runtime::component::{Digest, HttpPermission, SecretPermission};
    use everwit_runtime::id::ComponentId;
    use everwit_runtime::limits::Budget;

    use super::*;

    fn asks(hosts: &[&str], kv: &[&str]) -> Permissions {
        let host = |host: &&str| HttpPermission { host: (*host).to_owned(), methods: Vec::new(), path_prefix: None, reason: String::new() };
        Permissions { http: hosts.iter().map(host).collect(), kv: kv.iter().map(|&kv| kv.to_owned()).collect(), ..Permissions::default() }
    }

    fn version(permissions: Permissions, grant: Grant) -> ComponentVersion {
        let description = serde_json::json!({
            "id": "x", "title": "X", "version": "1.0.0", "summary": "", "config_schema": {}, "tools": [], "permissions": permissions,
        });
        ComponentVersion {
            component_id: ComponentId::from_uuid(uuid::Uuid::nil()),
            version: 1,
            digest: Digest::of(b""),
            size: 0,
            description: serde_json::from_value::<ComponentDescription>(description).unwrap(),
            imports: Vec::new(),
            grant,
            budget: Budget::TOOL_CALL,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            activated_at: None,
            signature: None,
            granted_at: None,
            archived_at: None,
            stored_at: None,
        }
    }

    fn with_secret(mut permissions: Permissions, host: &str) -> Permissions {
        let secret = SecretPermission {
            name: "token".into(),
            title: String::new(),
            host: host.into(),
            place: "header:authorization".into(),
            required: true,
        };
        permissions.secrets.push(secret);
        permissions
    }

    #[test]
    fn a_first_version_needs_review_for_everything_it_asks() {
        assert_eq!(asked_beyond(&Permissions::default(), None), Vec::<String>::new());
        assert_eq!(asked_beyond(&asks(&["a.test"], &["notes"]), None).len(), 2);
    }

    #[test]
    fn a_new_version_needs_review_for_what_goes_beyond_the_grant() {
        let asked = asks(&["a.test"], &["notes"]);
        let active = version(asked.clone(), full_grant(&asked, None));
        assert_eq!(asked_beyond(&asked, Some(&active)), Vec::<String>::new());
        assert_eq!(asked_beyond(&asks(&[], &["notes"]), Some(&active)), Vec::<String>::new());
        assert_eq!(asked_beyond(&asks(&["a.test", "b.test"], &["notes"]), Some(&active)).len(), 1);
        let narrowed = version(asked.clone(), Grant::default());
        assert_eq!(asked_beyond(&asked, Some(&narrowed)).len(), 2);
    }

    #[test]
    fn a_driver_that_gets_to_see_more_needs_review() {
        let with = |places: &[(&str, &str)]| {
            let credential = |(name, place): &(&str, &str)| serde_json::json!({ "name": name, "place": place });
            let mut version = version(Permissions::default(), Grant::default());
            let driver = serde_json::json!({ "credentials": places.iter().map(credential).collect::<Vec<_>>() });
            version.description.driver = Some(serde_json::from_value(driver).unwrap());
            version
        };
        let beyond = |new: &[(&str, &str)], active: &[(&str, &str)]| credentials_beyond(&with(new).description, Some(&with(active)));
        let placed = [("api-key", "header:authorization")];
        assert_eq!(beyond(&placed, &placed), Vec::<String>::new());
        assert_eq!(beyond(&placed, &[]), Vec::<String>::new());
        assert_eq!(beyond(&[], &placed), ["driver/credentials/api-key: it would see the value itself"]);
        assert_eq!(beyond(&[placed[0], ("api-key", "body")], &placed), ["driver/credentials/api-key: at \"body\""]);
        assert_eq!(credentials_beyond(&with(&[]).description, None), Vec::<String>::new());
    }

    #[test]
    fn a_connection_provider_that_connects_otherwise_needs_review() {
        let with = |place: &str, scopes: &[&str]| {
            let mut version = version(Permissions::default(), Grant::default());
            let oauth = serde_json::json!({ "authorize_url": "https://a.test/a", "token_url": "https://a.test/t", "client_id": "c", "scopes": scopes });
            let connection = serde_json::json!({
                "origin": "https://a.test", "method": { "oauth": oauth }, "credentials": [{ "name": "token", "place": place }],
            });
            version.description.connection = Some(serde_json::from_value(connection).unwrap());
            version
        };
        let active = with("header:authorization", &["read"]);
        let beyond = |version: ComponentVersion| credentials_beyond(&version.description, Some(&active));
        assert_eq!(beyond(active.clone()), Vec::<String>::new());
        assert_eq!(beyond(with("body", &["read"])), ["connection/credentials/token: at \"body\""]);
        assert_eq!(
            beyond(with("header:authorization", &["read", "write"])),
            ["connection/method: accounts would be connected in another way"]
        );
        let mut seen = with("body", &["read"]);
        seen.description.connection.as_mut().unwrap().credentials.clear();
        assert_eq!(beyond(seen), ["connection/credentials/token: it would see the value itself"]);
    }

    #[test]
    fn a_bound_secret_that_moves_to_another_host_needs_review() {
        let asked = with_secret(asks(&[], &[]), "a.test");
        let mut grant = full_grant(&asked, None);
        assert!(grant.secrets.is_empty());
        grant.secrets.insert("token".into(), "org-token".into());
        let active = version(asked.clone(), grant);
        assert_eq!(asked_beyond(&asked, Some(&active)), Vec::<String>::new());
        assert_eq!(asked_beyond(&with_secret(asks(&[], &[]), "evil.test"), Some(&active)).len(), 1);
        assert_eq!(full_grant(&asked, Some(&active)).secrets["token"], "org-token");
    }
}
