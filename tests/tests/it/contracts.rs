//! The WIT packages: documented, dated, and changed only on purpose.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use everwit_runtime::component::Digest;
use wit_parser::{Docs, Interface, PackageName, Resolve, Stability, Type, TypeDef, TypeDefKind, TypeOwner, World, WorldItem};

use crate::tidy;

/// Digests of the contracts' files, in the checkout.
const LOCK: &str = "tests/tests/it/wit.lock";

#[test]
fn every_item_is_documented_and_dated() {
    let mut resolve = Resolve::default();
    resolve.push_dir(tidy::root().join("wit")).expect("the contracts parse");
    let mut findings = Findings { resolve: &resolve, found: Vec::new() };
    for (_, package) in &resolve.packages {
        findings.package(&package.name, &package.docs);
        for &id in package.interfaces.values() {
            findings.interface(&package.name, &resolve.interfaces[id]);
        }
        for &id in package.worlds.values() {
            findings.world(&package.name, &resolve.worlds[id]);
        }
    }
    assert_eq!(findings.found, Vec::<String>::new());
}

/// A released contract never changes, and one that is being written changes in a commit that says
/// so. `cargo xtask bless contracts` accepts the text as it is.
#[test]
fn a_change_of_the_text_is_deliberate() {
    let root = tidy::root();
    let mut digests = String::new();
    for file in tidy::files_below(&root.join("wit")) {
        let text = fs::read(&file).expect("a file of the checkout is readable");
        let name = file.strip_prefix(&root).expect("it was found below the root").display();
        writeln!(digests, "{} {name}", Digest::of(&text)).expect("text can be written into memory");
    }
    if std::env::var_os("EVERWIT_BLESS").is_some() {
        fs::write(root.join(LOCK), &digests).expect("the checkout is writable");
    }
    let locked = fs::read_to_string(root.join(LOCK)).expect("the lock is checked in");
    assert_eq!(digests, locked, "the contracts differ from {LOCK}: `cargo xtask bless contracts` accepts them");
}

/// What an exported interface defines belongs to that export: a type that two of them share would
/// have to be defined anew for each choice of exports.
#[test]
fn no_export_of_a_capability_needs_another() {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(tidy::root().join("wit")).expect("the contracts parse");
    let mut needed = Vec::new();
    for (name, &id) in &resolve.packages[package].interfaces {
        for def in resolve.interfaces[id].types.values().map(|&id| &resolve.types[id]) {
            let TypeDefKind::Type(Type::Id(original)) = def.kind else { continue };
            if let TypeOwner::Interface(owner) = resolve.types[original].owner
                && owner != id
                && resolve.interfaces[owner].package == Some(package)
            {
                needed.push(format!("{name} uses {} of {}", def.name.as_deref().unwrap_or("?"), resolve.id_of(owner).unwrap_or_default()));
            }
        }
    }
    assert_eq!(needed, Vec::<String>::new());
}

/// What is missing, as `package/interface item: what`.
struct Findings<'a> {
    resolve: &'a Resolve,
    found: Vec<String>,
}

impl Findings<'_> {
    fn package(&mut self, name: &PackageName, docs: &Docs) {
        self.documented(&name.to_string(), docs);
        let version = name.version.as_ref();
        if version.is_none_or(|version| version.major == 0) {
            self.found.push(format!("{name}: has no version from 1.0.0 on"));
        }
    }

    fn interface(&mut self, package: &PackageName, interface: &Interface) {
        let place = format!("{package}/{}", interface.name.as_deref().unwrap_or("?"));
        self.documented(&place, &interface.docs);
        self.dated(&place, &interface.stability);
        for (name, &id) in &interface.types {
            self.type_def(&format!("{place} {name}"), &self.resolve.types[id]);
        }
        for function in interface.functions.values() {
            self.documented(&format!("{place} {}", function.name), &function.docs);
        }
    }

    fn world(&mut self, package: &PackageName, world: &World) {
        let place = format!("{package}/{}", world.name);
        self.documented(&place, &world.docs);
        self.dated(&place, &world.stability);
        for item in world.imports.values().chain(world.exports.values()) {
            if let WorldItem::Function(function) = item {
                self.documented(&format!("{place} {}", function.name), &function.docs);
            }
        }
    }

    fn type_def(&mut self, place: &str, def: &TypeDef) {
        if self.is_used_from_elsewhere(def) {
            return;
        }
        self.documented(place, &def.docs);
        let members: Vec<(&str, &Docs)> = match &def.kind {
            TypeDefKind::Record(record) => record.fields.iter().map(|field| (field.name.as_str(), &field.docs)).collect(),
            TypeDefKind::Variant(variant) => variant.cases.iter().map(|case| (case.name.as_str(), &case.docs)).collect(),
            TypeDefKind::Enum(cases) => cases.cases.iter().map(|case| (case.name.as_str(), &case.docs)).collect(),
            TypeDefKind::Flags(flags) => flags.flags.iter().map(|flag| (flag.name.as_str(), &flag.docs)).collect(),
            _ => Vec::new(),
        };
        for (name, docs) in members {
            self.documented(&format!("{place}.{name}"), docs);
        }
    }

    /// Whether it is what `use` makes: a name for a type of another interface, documented there.
    fn is_used_from_elsewhere(&self, def: &TypeDef) -> bool {
        let TypeDefKind::Type(Type::Id(original)) = def.kind else { return false };
        let original = self.resolve.types[original].owner;
        original != TypeOwner::None && original != def.owner
    }

    fn documented(&mut self, place: &str, docs: &Docs) {
        if docs.contents.as_deref().is_none_or(|text| text.trim().is_empty()) {
            self.found.push(format!("{place}: has no documentation"));
        }
    }

    /// What is added to an interface later is dated on its own; wit-parser itself refuses a date
    /// that the package has not reached.
    fn dated(&mut self, place: &str, stability: &Stability) {
        if stability.is_unknown() {
            self.found.push(format!("{place}: has no @since"));
        }
    }
}

#[test]
fn what_is_missing_is_found() {
    let mut resolve = Resolve::default();
    let source = "package a:b@0.1.0; interface i { record r { x: u8 } f: func(); }";
    resolve.push_str(Path::new("a.wit"), source).expect("the source parses");
    let (_, package) = resolve.packages.iter().next().expect("one package was pushed");
    let mut findings = Findings { resolve: &resolve, found: Vec::new() };
    findings.package(&package.name, &package.docs);
    findings.interface(&package.name, &resolve.interfaces[package.interfaces["i"]]);
    let expected = [
        "a:b@0.1.0: has no documentation",
        "a:b@0.1.0: has no version from 1.0.0 on",
        "a:b@0.1.0/i: has no documentation",
        "a:b@0.1.0/i: has no @since",
        "a:b@0.1.0/i r: has no documentation",
        "a:b@0.1.0/i r.x: has no documentation",
        "a:b@0.1.0/i f: has no documentation",
    ];
    assert_eq!(findings.found, expected);
}
