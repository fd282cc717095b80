//! Comments of WIT's source for what was found in a component, by the names of packages, interfaces and what is in them.

use std::path::Path;

use wit_parser::{Interface, InterfaceId, PackageName, Resolve, TypeDefKind, WorldId, WorldItem, WorldKey};

use crate::cli::output::Failure;

/// Copies comments from a WIT file or the folder of a package.
///
/// # Errors
/// It cannot be read, or has nothing of what the component exports.
pub(super) fn add(resolve: &mut Resolve, world: WorldId, source: &Path) -> Result<(), Failure> {
    let mut written = Resolve::default();
    written.push_path(source).map_err(|error| Failure::usage(format!("--wit {}: {error:#}", source.display())))?;
    let mut found = false;
    let interfaces: Vec<InterfaceId> = resolve.interfaces.iter().map(|(id, _)| id).collect();
    for id in interfaces {
        let interface = &resolve.interfaces[id];
        let Some(package) = interface.package.map(|id| &resolve.packages[id].name) else { continue };
        let same = written.interfaces.iter().map(|(_, candidate)| candidate).find(|candidate| {
            let name = candidate.package.map(|id| &written.packages[id].name);
            candidate.name == interface.name && name.is_some_and(|name| is_same(name, package))
        });
        if let Some(same) = same {
            found = true;
            copy(&written, same, resolve, id);
        }
    }
    for (key, item) in &mut resolve.worlds[world].exports {
        let (WorldKey::Name(name), WorldItem::Function(function)) = (key, item) else { continue };
        let mut worlds = written.worlds.iter().map(|(_, candidate)| candidate);
        let same = worlds.find_map(|candidate| candidate.exports.get(&WorldKey::Name(name.clone())));
        if let Some(WorldItem::Function(same)) = same {
            found = true;
            function.docs = same.docs.clone();
        }
    }
    if found {
        return Ok(());
    }
    let fix = "name the WIT that it was built from";
    Err(Failure::usage(format!("--wit {} has nothing of what the component exports\nto fix it: {fix}", source.display())))
}

/// Versions may differ: comments are no part of the types.
fn is_same(one: &PackageName, other: &PackageName) -> bool {
    (&one.namespace, &one.name) == (&other.namespace, &other.name)
}

fn copy(written: &Resolve, from: &Interface, resolve: &mut Resolve, to: InterfaceId) {
    let to = &mut resolve.interfaces[to];
    to.docs = from.docs.clone();
    for (name, function) in &mut to.functions {
        if let Some(same) = from.functions.get(name) {
            function.docs = same.docs.clone();
        }
    }
    for (name, id) in &to.types {
        let Some(same) = from.types.get(name).map(|id| &written.types[*id]) else { continue };
        let ty = &mut resolve.types[*id];
        ty.docs = same.docs.clone();
        match (&mut ty.kind, &same.kind) {
            (TypeDefKind::Record(to), TypeDefKind::Record(from)) => {
                for (to, from) in to.fields.iter_mut().zip(&from.fields).filter(|(to, from)| to.name == from.name) {
                    to.docs = from.docs.clone();
                }
            }
            (TypeDefKind::Variant(to), TypeDefKind::Variant(from)) => {
                for (to, from) in to.cases.iter_mut().zip(&from.cases).filter(|(to, from)| to.name == from.name) {
                    to.docs = from.docs.clone();
                }
            }
            (TypeDefKind::Enum(to), TypeDefKind::Enum(from)) => {
                for (to, from) in to.cases.iter_mut().zip(&from.cases).filter(|(to, from)| to.name == from.name) {
                    to.docs = from.docs.clone();
                }
            }
            _ => {}
        }
    }
}
