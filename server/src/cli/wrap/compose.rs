//! The result: what both components import, the wrapped one, the adapter with its functions, and the adapter's exports.
//!
//! The types of the imports are the only ones that are written anew; both components go in byte by byte.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use wasm_encoder::{
    Alias, Component, ComponentAliasSection, ComponentExportKind, ComponentExportSection, ComponentInstanceSection, ComponentSectionId,
    RawSection,
};
use wasmparser::{BinaryReader, ComponentExternalKind, ComponentTypeDeclaration, ComponentTypeRef, Parser, Payload};
use wit_component::{StringEncoding, metadata};
use wit_parser::{InterfaceId, Resolve, WorldId, WorldItem, WorldKey};

/// What the adapter exports to hosts.
const CONTRACT: &str = "everwit:capability/";

/// Items by their names.
type Items = BTreeMap<String, (ComponentExportKind, u32)>;

/// Puts it together. The world is the wrapped component's, among the contracts' packages.
pub(super) fn compose(mut resolve: Resolve, world: WorldId, foreign: &[u8], adapter: &[u8]) -> Result<Vec<u8>> {
    let (foreign_sides, adapter_sides) = (Sides::of(foreign)?, Sides::of(adapter)?);
    resolve.worlds[world].exports.clear();
    for name in adapter_sides.imports.iter().filter(|name| !foreign_sides.exports.iter().any(|(export, _)| export == *name)) {
        import(&mut resolve, world, name)?;
    }
    let mut outer = Outer::importing(&encoded(&resolve, world)?)?;
    let arguments = foreign_sides.imports.iter().map(|name| outer.item(name)).collect::<Result<Vec<_>>>()?;
    let instance = outer.instantiate(foreign, arguments);
    for (name, kind) in &foreign_sides.exports {
        if adapter_sides.imports.contains(name) {
            let index = outer.alias(instance, *kind, name);
            outer.items.insert(name.clone(), (*kind, index));
        }
    }
    let arguments = adapter_sides.imports.iter().map(|name| outer.item(name)).collect::<Result<Vec<_>>>()?;
    let instance = outer.instantiate(adapter, arguments);
    for (name, kind) in adapter_sides.exports.iter().filter(|(name, _)| name.starts_with(CONTRACT)) {
        let index = outer.alias(instance, *kind, name);
        let mut exports = ComponentExportSection::new();
        exports.export(name.as_str(), *kind, index, None);
        outer.component.section(&exports);
        // What is exported gets an index once more.
        outer.next(*kind);
    }
    Ok(outer.component.finish())
}

/// Adds an import of an interface to a world, unless it has it.
fn import(resolve: &mut Resolve, world: WorldId, name: &str) -> Result<()> {
    let interfaces: Vec<InterfaceId> = resolve.interfaces.iter().map(|(id, _)| id).collect();
    let found = interfaces.into_iter().find(|id| resolve.interfaces[*id].package.is_some() && resolve.id_of(*id).as_deref() == Some(name));
    let Some(id) = found else {
        let known = resolve.worlds[world].imports.keys().any(|key| resolve.name_world_key(key) == name);
        return if known { Ok(()) } else { bail!("the adapter needs {name}, which is not known") };
    };
    let item =
        WorldItem::Interface { id, stability: Default::default(), external_id: None, docs: Default::default(), span: Default::default() };
    resolve.worlds[world].imports.entry(WorldKey::Interface(id)).or_insert(item);
    Ok(())
}

/// First byte of a component type.
const COMPONENT_TYPE: u8 = 0x41;

/// A component that exports the type of one that imports what a world does.
fn encoded(resolve: &Resolve, world: WorldId) -> Result<Vec<u8>> {
    metadata::encode(resolve, world, StringEncoding::UTF8, None)
}

/// Where that type's declarations begin, in a type that only holds it, and how many they are.
fn declarations(encoded: &[u8]) -> Result<(BinaryReader<'_>, u32)> {
    /// First byte of a type among the declarations of a type.
    const TYPE: u8 = 0x01;
    for payload in Parser::new(0).parse_all(encoded) {
        let Payload::ComponentTypeSection(types) = payload? else { continue };
        let range = types.range();
        let mut reader = BinaryReader::new(&encoded[range.clone()], range.start);
        let (_types, holder, _declared) = (reader.read_var_u32()?, reader.read_u8()?, reader.read_var_u32()?);
        if (holder, reader.read_u8()?, reader.read_u8()?) == (COMPONENT_TYPE, TYPE, COMPONENT_TYPE) {
            let count = reader.read_var_u32()?;
            return Ok((reader, count));
        }
    }
    bail!("a world is encoded in a way that is not known")
}

/// Names of what a component imports and exports itself.
struct Sides {
    imports: Vec<String>,
    exports: Vec<(String, ComponentExportKind)>,
}

impl Sides {
    fn of(wasm: &[u8]) -> Result<Self> {
        let mut sides = Self { imports: Vec::new(), exports: Vec::new() };
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(imports) if depth == 1 => {
                    for import in imports {
                        sides.imports.push(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(exports) if depth == 1 => {
                    for export in exports {
                        let export = export?;
                        sides.exports.push((export.name.name.to_owned(), kind(export.kind)));
                    }
                }
                _ => {}
            }
        }
        Ok(sides)
    }
}

fn kind(kind: ComponentExternalKind) -> ComponentExportKind {
    match kind {
        ComponentExternalKind::Module => ComponentExportKind::Module,
        ComponentExternalKind::Func => ComponentExportKind::Func,
        ComponentExternalKind::Value => ComponentExportKind::Value,
        ComponentExternalKind::Type => ComponentExportKind::Type,
        ComponentExternalKind::Instance => ComponentExportKind::Instance,
        ComponentExternalKind::Component => ComponentExportKind::Component,
    }
}

/// The component that is being written, and what is in its index spaces.
struct Outer {
    component: Component,
    items: Items,
    counts: BTreeMap<u8, u32>,
    components: u32,
}

impl Outer {
    /// Begins with the imports of a component type: each of its declarations is a section of its own.
    fn importing(encoded: &[u8]) -> Result<Self> {
        let mut outer = Self { component: Component::new(), items: Items::new(), counts: BTreeMap::new(), components: 0 };
        let (mut reader, count) = declarations(encoded)?;
        for _ in 0..count {
            let start = reader.original_position();
            let declaration: ComponentTypeDeclaration<'_> = reader.read()?;
            let section = match declaration {
                ComponentTypeDeclaration::Type(_) => {
                    outer.next(ComponentExportKind::Type);
                    ComponentSectionId::Type
                }
                ComponentTypeDeclaration::Alias(_) => {
                    // Of what is imported, only types are declared anew.
                    outer.next(ComponentExportKind::Type);
                    ComponentSectionId::Alias
                }
                ComponentTypeDeclaration::Import(import) => {
                    let kind = match import.ty {
                        ComponentTypeRef::Module(_) => ComponentExportKind::Module,
                        ComponentTypeRef::Func(_) => ComponentExportKind::Func,
                        ComponentTypeRef::Value(_) => ComponentExportKind::Value,
                        ComponentTypeRef::Type(_) => ComponentExportKind::Type,
                        ComponentTypeRef::Instance(_) => ComponentExportKind::Instance,
                        ComponentTypeRef::Component(_) => ComponentExportKind::Component,
                    };
                    let index = outer.next(kind);
                    outer.items.insert(import.name.name.to_owned(), (kind, index));
                    ComponentSectionId::Import
                }
                ComponentTypeDeclaration::CoreType(_) | ComponentTypeDeclaration::Export { .. } => {
                    bail!("a world is encoded with declarations that are not known")
                }
            };
            // One item, without the byte that tells declarations of a type apart.
            let mut data = vec![1];
            data.extend_from_slice(&encoded[start + 1..reader.original_position()]);
            outer.component.section(&RawSection { id: section.into(), data: &data });
        }
        Ok(outer)
    }

    /// The index of an item that is added.
    fn next(&mut self, kind: ComponentExportKind) -> u32 {
        let count = self.counts.entry(kind as u8).or_insert(0);
        *count += 1;
        *count - 1
    }

    fn item(&self, name: &str) -> Result<(String, ComponentExportKind, u32)> {
        let (kind, index) = self.items.get(name).with_context(|| format!("{name} is needed and nobody has it"))?;
        Ok((name.to_owned(), *kind, *index))
    }

    /// Adds a component and an instance of it.
    fn instantiate(&mut self, component: &[u8], arguments: Vec<(String, ComponentExportKind, u32)>) -> u32 {
        self.component.section(&RawSection { id: ComponentSectionId::Component.into(), data: component });
        let mut instances = ComponentInstanceSection::new();
        instances.instantiate(self.components, arguments);
        self.component.section(&instances);
        self.components += 1;
        self.next(ComponentExportKind::Instance)
    }

    /// Gives an instance's export an index.
    fn alias(&mut self, instance: u32, kind: ComponentExportKind, name: &str) -> u32 {
        let mut aliases = ComponentAliasSection::new();
        aliases.alias(Alias::InstanceExport { instance, kind, name });
        self.component.section(&aliases);
        self.next(kind)
    }
}
