//! What a component may import and must export. Interfaces only: a bare function, type or module
//! has no version and no owner.

use super::finding::{Findings, quoted};
use crate::component::ComponentKind;

/// Interfaces of one package that a component may import.
struct Package {
    /// Namespace and name.
    name: &'static str,
    /// Major and minor version that this host serves; older minors of the same major work too.
    /// For major 0 the minor counts as the major.
    version: (u64, u64),
    interfaces: &'static [&'static str],
}

/// Everything that is linked. What a component is then allowed to do with it is its grant.
const IMPORTS: &[Package] = &[
    Package { name: "everwit:types", version: (1, 0), interfaces: &["common", "content", "tools", "permissions", "chat"] },
    Package { name: "everwit:host", version: (1, 0), interfaces: &["log", "call", "clock", "random"] },
    Package { name: "everwit:kv", version: (1, 0), interfaces: &["store"] },
    Package { name: "everwit:files", version: (1, 0), interfaces: &["store"] },
    Package { name: "everwit:tools", version: (1, 0), interfaces: &["calls"] },
    Package { name: "everwit:http", version: (1, 0), interfaces: &["types", "client"] },
    Package { name: "everwit:secrets", version: (1, 0), interfaces: &["handles", "store", "reveal"] },
    Package { name: "everwit:driver", version: (1, 0), interfaces: &["config"] },
    Package { name: "wasi:io", version: (0, 2), interfaces: &["error", "poll", "streams"] },
    Package { name: "wasi:clocks", version: (0, 2), interfaces: &["monotonic-clock", "wall-clock"] },
    Package { name: "wasi:random", version: (0, 2), interfaces: &["random", "insecure", "insecure-seed"] },
    Package {
        name: "wasi:cli",
        version: (0, 2),
        interfaces: &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    },
    Package { name: "wasi:filesystem", version: (0, 2), interfaces: &["types", "preopens"] },
    Package {
        name: "wasi:sockets",
        version: (0, 2),
        interfaces: &["network", "instance-network", "tcp", "tcp-create-socket", "udp", "udp-create-socket", "ip-name-lookup"],
    },
];

/// What a component can implement.
struct Contract {
    kind: ComponentKind,
    /// Its package.
    name: &'static str,
    /// As for [`Package`].
    version: (u64, u64),
    /// Interfaces that must be exported.
    interfaces: &'static [&'static str],
    /// Packages of ours, and interfaces in them, that it may import; all if empty. What is not a
    /// power is left out: types, and the interfaces of WASI, which all are empty or refuse.
    imports: &'static [(&'static str, &'static [&'static str])],
}

/// The first one is what is missed if a component exports nothing of any.
const CONTRACTS: [Contract; 3] = [
    Contract {
        kind: ComponentKind::Capability,
        name: "everwit:capability",
        version: (1, 0),
        interfaces: &["describe", "tools"],
        imports: &[],
    },
    Contract {
        kind: ComponentKind::Driver,
        name: "everwit:driver",
        version: (1, 0),
        interfaces: &["meta", "codec"],
        imports: &[
            ("everwit:types", &["common", "content", "tools", "permissions", "chat"]),
            ("everwit:host", &["log", "clock", "random"]),
            ("everwit:http", &["types"]),
            ("everwit:driver", &["config"]),
        ],
    },
    Contract {
        kind: ComponentKind::ConnectionProvider,
        name: "everwit:connection",
        version: (1, 0),
        interfaces: &["meta", "validation"],
        imports: &[
            ("everwit:types", &["common", "content", "tools", "permissions", "chat"]),
            ("everwit:host", &["log", "clock", "random"]),
            ("everwit:http", &["types"]),
        ],
    },
];

/// Root imports, and exports, of one component. All interfaces that exist are fewer.
const MAX_NAMES: usize = 128;

/// A root import or export.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) is_instance: bool,
}

/// Root imports and exports, as they are read.
#[derive(Debug, Default)]
pub(super) struct World {
    imports: Vec<Item>,
    exports: Vec<Item>,
    dropped: u64,
}

impl World {
    pub(super) fn import(&mut self, name: &str, is_instance: bool) {
        self.dropped += Self::keep(&mut self.imports, name, is_instance);
    }

    pub(super) fn export(&mut self, name: &str, is_instance: bool) {
        self.dropped += Self::keep(&mut self.exports, name, is_instance);
    }

    /// Keeps a name, cut to what a message can show, and returns how many were not kept.
    fn keep(items: &mut Vec<Item>, name: &str, is_instance: bool) -> u64 {
        /// Longest name that is looked at, in bytes; "everwit:…/…@1.0.0" has about 40.
        const MAX_NAME_BYTES: usize = 256;
        if items.len() >= MAX_NAMES {
            return 1;
        }
        let cut = name.floor_char_boundary(MAX_NAME_BYTES);
        items.push(Item { name: name[..cut].to_owned(), is_instance });
        0
    }

    /// Checks both sides and says what the component is.
    pub(super) fn check(&self, findings: &mut Findings) -> Option<ComponentKind> {
        for (index, import) in self.imports.iter().enumerate() {
            check_import(import, format!("/imports/{index}"), findings);
        }
        if self.dropped > 0 {
            let detail = format!("more than {MAX_NAMES} imports or exports of the component itself ({} were not looked at)", self.dropped);
            findings.add("too_many_imports", None, detail, "target the world everwit:capability/capability; it has about twenty");
        }
        self.check_exports(findings)
    }

    /// Names of the imports, for the inspection.
    pub(super) fn import_names(&self) -> Vec<String> {
        self.imports.iter().map(|item| quoted(&item.name)).collect()
    }

    /// Names of the exports, for the inspection.
    pub(super) fn export_names(&self) -> Vec<String> {
        self.exports.iter().map(|item| quoted(&item.name)).collect()
    }

    fn check_exports(&self, findings: &mut Findings) -> Option<ComponentKind> {
        let names: Vec<Option<Name<'_>>> = self.exports.iter().map(|item| Name::parse(&item.name).filter(|_| item.is_instance)).collect();
        let claimed = CONTRACTS.iter().find(|contract| names.iter().flatten().any(|name| name.package == contract.name));
        let Contract { kind, name: package, version, interfaces, imports } = claimed.unwrap_or(&CONTRACTS[0]);
        self.check_powers(*kind, imports, findings);
        let (major, minor) = version;
        let mut complete = claimed.is_some();
        for interface in *interfaces {
            let is_it = |name: &Name<'_>| name.package == *package && name.interface == *interface;
            let found = names.iter().enumerate().find_map(|(index, name)| name.filter(is_it).map(|name| (index, name)));
            match found {
                Some((_, name)) if name.fits(*version) => continue,
                Some((index, _)) => {
                    let shown = quoted(&self.exports[index].name);
                    let detail = format!("exports {shown}; this host serves {package}@{major}.0 to {major}.{minor}");
                    findings.add("contract_unsupported", Some(format!("/exports/{index}")), detail, OTHER_VERSION);
                }
                None => {
                    let detail = format!("does not export {package}/{interface}@{major}.{minor}.0; it exports {}", self.exported());
                    let fix = match kind {
                        ComponentKind::Capability => "target the world everwit:capability/capability (everwit new shows how)",
                        ComponentKind::Driver => "target the world everwit:driver/driver",
                        ComponentKind::ConnectionProvider => "target the world everwit:connection/connection",
                    };
                    findings.add("export_missing", None, detail, fix);
                }
            }
            complete = false;
        }
        complete.then_some(*kind)
    }

    /// A driver reaches nothing but the origin that its provider is configured with, a connection
    /// provider nothing but the one that it declares, and the host does that for them.
    fn check_powers(&self, kind: ComponentKind, allowed: &[(&str, &[&str])], findings: &mut Findings) {
        if allowed.is_empty() {
            return;
        }
        let (code, who) = match kind {
            ComponentKind::ConnectionProvider => ("import_not_for_connection_providers", "connection provider"),
            ComponentKind::Driver | ComponentKind::Capability => ("import_not_for_drivers", "driver"),
        };
        for (index, import) in self.imports.iter().enumerate() {
            let Some(name) = Name::parse(&import.name).filter(|name| name.package.starts_with("everwit:")) else { continue };
            if !allowed.iter().any(|(package, interfaces)| *package == name.package && interfaces.contains(&name.interface)) {
                let detail = format!("{} is not available to {who}s", quoted(&import.name));
                let fix = format!("a {who} translates and the host talks: it imports everwit:host/log, clock and random, and nothing else");
                findings.add(code, Some(format!("/imports/{index}")), detail, &fix);
            }
        }
    }

    fn exported(&self) -> String {
        /// Names in the message.
        const SHOWN: usize = 5;
        if self.exports.is_empty() {
            return "nothing".to_owned();
        }
        let mut shown = self.exports.iter().take(SHOWN).map(|item| quoted(&item.name)).collect::<Vec<_>>().join(", ");
        if self.exports.len() > SHOWN {
            shown.push_str(", …");
        }
        shown
    }
}

const OTHER_VERSION: &str = "rebuild with an SDK of this host's version, or use a newer host";

fn check_import(import: &Item, pointer: String, findings: &mut Findings) {
    let shown = quoted(&import.name);
    let Some(name) = Name::parse(&import.name).filter(|_| import.is_instance) else {
        let detail = format!("{shown} is not an interface with a version");
        let fix = "import whole interfaces, as in everwit:host/log@1.0.0; a bare function or type has no owner and no version";
        return findings.add("import_not_an_interface", Some(pointer), detail, fix);
    };
    match IMPORTS.iter().find(|package| package.name == name.package && package.interfaces.contains(&name.interface)) {
        Some(package) if name.fits(package.version) => {}
        Some(package) => {
            let (major, minor) = package.version;
            let detail = format!("{shown} is another version than the {}@{major}.{minor} of this host", package.name);
            findings.add("contract_unsupported", Some(pointer), detail, OTHER_VERSION);
        }
        None => findings.add("import_unknown", Some(pointer), format!("{shown} is not available to components"), instead_of(name.package)),
    }
}

/// What to use instead of a package that is not served.
fn instead_of(package: &str) -> &'static str {
    match package {
        "wasi:http" => "use everwit:http/client and ask for the host in `permissions.http`",
        "wasi:keyvalue" | "wasi:blobstore" => "use everwit:kv/store and ask for a bucket in `permissions.kv`",
        "wasi:config" => "read the `config` of the call's context; describe it in `config-schema`",
        "wasi:logging" => "use everwit:host/log",
        _ => {
            "remove the import; available are everwit:host, everwit:kv, everwit:files, everwit:tools, everwit:http, everwit:secrets and the interfaces of wasi:cli@0.2"
        }
    }
}

/// The parts of `namespace:package/interface@major.minor.patch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name<'a> {
    package: &'a str,
    interface: &'a str,
    version: (u64, u64),
}

impl<'a> Name<'a> {
    /// None if it is anything else: pre-releases, URLs and plain names have no place in a contract.
    fn parse(text: &'a str) -> Option<Self> {
        let (path, version) = text.split_once('@')?;
        let (package, interface) = path.split_once('/')?;
        package.split_once(':')?;
        let mut numbers = version.split('.').map(|part| part.parse::<u64>().ok());
        let (major, minor, _patch) = (numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(Self { package, interface, version: (major, minor) })
    }

    /// Whether a host that serves `served` has it: the same major and no newer minor, or for
    /// major 0 the same minor. Functions that a newer patch added are missed when linking.
    fn fits(&self, served: (u64, u64)) -> bool {
        let (major, minor) = self.version;
        major == served.0 && if major == 0 { minor == served.1 } else { minor <= served.1 }
    }
}

#[cfg(test)]
mod tests;
