//! The component level: how much nested instantiation multiplies, and how deep things nest.
//!
//! The cost of a component is known when its section ends, and what is instantiated always comes
//! before the instantiation, so one pass is enough. It stays exact because the ways in which a
//! component could get at another one later (as an import, an export or an alias of an instance's
//! export) are refused; no component toolchain makes them.

use wasmparser::{
    BinaryReader, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentType,
    ComponentTypeDeclaration, ComponentTypeSectionReader, CoreType, Instance, ModuleTypeDeclaration, Payload, RecGroup, Result,
};

use super::finding::Findings;
use super::module::ModuleShape;
use super::rule::{self, Total};
use crate::mutation::off;

/// What one instantiation of a component or core module adds; all of it saturates.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    instances: u64,
    memories: u64,
    tables: u64,
    definitions: u64,
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.instances = self.instances.saturating_add(other.instances);
        self.memories = self.memories.saturating_add(other.memories);
        self.tables = self.tables.saturating_add(other.tables);
        self.definitions = self.definitions.saturating_add(other.definitions);
    }
}

/// Index spaces of a component whose section has not ended.
#[derive(Debug, Default)]
struct Scope {
    modules: Vec<Cost>,
    components: Vec<Cost>,
    own: Cost,
}

/// Counters over all components of an upload.
#[derive(Debug)]
pub(super) struct Structure {
    scopes: Vec<Scope>,
    root: Cost,
    parts: Total,
    component_types: Total,
    too_deep: bool,
    types_too_deep: bool,
    higher_order: bool,
    start: bool,
}

/// Whether the pass may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a pass that goes on after this is not bounded"]
pub(super) enum Flow {
    Continue,
    Stop,
}

impl Flow {
    fn of(within: bool) -> Self {
        if within { Self::Continue } else { Self::Stop }
    }
}

impl Structure {
    pub(super) fn new() -> Self {
        Self {
            scopes: vec![Scope::default()],
            root: Cost::default(),
            parts: Total::of(&rule::PARTS),
            component_types: Total::of(&rule::COMPONENT_TYPES),
            too_deep: false,
            types_too_deep: false,
            higher_order: false,
            start: false,
        }
    }

    /// Whether the component that is being read is the outermost one.
    pub(super) fn at_root(&self) -> bool {
        self.scopes.len() == 1
    }

    /// A nested component begins.
    pub(super) fn enter(&mut self) -> Flow {
        self.scopes.push(Scope::default());
        self.too_deep |= self.scopes.len() as u64 > rule::DEPTH.most;
        Flow::of(!self.too_deep && self.parts.add(1))
    }

    /// A component ends.
    pub(super) fn leave(&mut self) {
        let cost = self.scopes.pop().unwrap_or_default().own;
        match self.scopes.last_mut() {
            Some(parent) => parent.components.push(cost),
            None => self.root = cost,
        }
    }

    /// A core module begins.
    pub(super) fn enter_module(&mut self) -> Flow {
        Flow::of(self.parts.add(1))
    }

    /// A core module ends.
    pub(super) fn leave_module(&mut self, shape: &ModuleShape) {
        let cost = Cost { instances: 1, memories: shape.own_memories, tables: shape.own_tables, definitions: 1 };
        if let Some(scope) = self.scopes.last_mut() {
            scope.modules.push(cost);
        }
    }

    /// Counts one section of the current component.
    pub(super) fn section(&mut self, upload: &[u8], payload: Payload<'_>) -> Result<Flow> {
        match payload {
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    match instance? {
                        Instance::Instantiate { module_index, args } => {
                            let cost = self.scope().modules.get(module_index as usize).copied().unwrap_or_default();
                            self.instantiate(cost, args.len());
                        }
                        Instance::FromExports(exports) => self.define(1 + exports.len() as u64),
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances {
                    match instance? {
                        ComponentInstance::Instantiate { component_index, args } => {
                            let mut cost = self.scope().components.get(component_index as usize).copied().unwrap_or_default();
                            cost.instances = cost.instances.saturating_add(1);
                            self.instantiate(cost, args.len());
                        }
                        ComponentInstance::FromExports(exports) => self.define(1 + exports.len() as u64),
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    self.alias(&alias?);
                }
            }
            Payload::ComponentTypeSection(types) => return self.types(upload, &types),
            Payload::CoreTypeSection(types) => {
                for ty in types {
                    if !self.component_types.add(core_type_size(&ty?)) {
                        return Ok(Flow::Stop);
                    }
                }
            }
            Payload::ComponentCanonicalSection(functions) => self.define(functions.count().into()),
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    self.define(1);
                    self.refuse_higher_order(import?.ty.kind());
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    self.define(1);
                    self.refuse_higher_order(export?.kind);
                }
            }
            Payload::ComponentStartSection { .. } => self.start = true,
            _ => {}
        }
        Ok(Flow::Continue)
    }

    /// Reports every excess.
    pub(super) fn report(&self, findings: &mut Findings) {
        // A pass that stopped early has not seen the root's end.
        let mut cost = self.root;
        self.scopes.iter().for_each(|scope| cost.add(scope.own));
        let expanded = [
            (&rule::INSTANCES, cost.instances),
            (&rule::MEMORIES, cost.memories),
            (&rule::TABLES, cost.tables),
            (&rule::DEFINITIONS, cost.definitions),
        ];
        for (rule, value) in expanded {
            let mut total = Total::of(rule);
            let _ = total.add(value);
            total.report(findings);
        }
        self.parts.report(findings);
        self.component_types.report(findings);
        for (exceeded, rule) in [(self.too_deep, &rule::DEPTH), (self.types_too_deep, &rule::TYPE_DEPTH)] {
            if exceeded {
                findings.add(rule.code, None, format!("more than {} {}", rule.most, rule.what), rule.fix);
            }
        }
        if self.higher_order && !off("gate.shapes") {
            let detail = "a component or core module is passed as a value (imported, exported or taken from an instance)";
            findings.add("higher_order_component", None, detail.to_owned(), "nest what is to be instantiated instead of passing it");
        }
        if self.start && !off("gate.shapes") {
            let detail = "a component start function; work at load is not allowed";
            findings.add("component_start", None, detail.to_owned(), "do the work in `describe` or `call`");
        }
    }

    fn scope(&mut self) -> &mut Scope {
        if self.scopes.is_empty() {
            self.scopes.push(Scope::default());
        }
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }

    fn define(&mut self, definitions: u64) {
        let own = &mut self.scope().own;
        own.definitions = own.definitions.saturating_add(definitions);
    }

    fn instantiate(&mut self, cost: Cost, arguments: usize) {
        self.scope().own.add(cost);
        self.define(1 + arguments as u64);
    }

    fn refuse_higher_order(&mut self, kind: ComponentExternalKind) {
        self.higher_order |= matches!(kind, ComponentExternalKind::Component | ComponentExternalKind::Module);
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) {
        self.define(1);
        match *alias {
            ComponentAlias::InstanceExport { kind, .. } => self.refuse_higher_order(kind),
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::CoreModule, count, index } => {
                let cost = self.outer(count).and_then(|scope| scope.modules.get(index as usize)).copied().unwrap_or_default();
                self.scope().modules.push(cost);
            }
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
                let cost = self.outer(count).and_then(|scope| scope.components.get(index as usize)).copied().unwrap_or_default();
                self.scope().components.push(cost);
            }
            ComponentAlias::Outer { .. } | ComponentAlias::CoreInstanceExport { .. } => {}
        }
    }

    /// The scope that is `count` levels out; none if there are not so many, which validation refuses.
    fn outer(&self, count: u32) -> Option<&Scope> {
        let innermost = self.scopes.len().checked_sub(1)?;
        self.scopes.get(innermost.checked_sub(count as usize)?)
    }

    /// Counts types and the declarations in them with an explicit stack, since the parser's own
    /// reader recurses into nested types and the depth is the guest's choice. After this the
    /// depth is known to be small.
    fn types(&mut self, upload: &[u8], section: &ComponentTypeSectionReader<'_>) -> Result<Flow> {
        /// Tags of the binary format: a component type, an instance type, and a type as a declaration.
        const COMPONENT: u8 = 0x41;
        const INSTANCE: u8 = 0x42;
        const DECLARATION: u8 = 0x01;

        let start = section.original_position();
        let mut reader = BinaryReader::new(upload.get(start..section.range().end).unwrap_or_default(), start);
        let mut open = vec![section.count()];
        while let Some(left) = open.last_mut() {
            if *left == 0 {
                open.pop();
                continue;
            }
            *left -= 1;
            let top = open.len() == 1;
            let mut ahead = reader.clone();
            let is_type = top || ahead.read_u8()? == DECLARATION;
            let size = if is_type && matches!(ahead.read_u8()?, COMPONENT | INSTANCE) {
                reader = ahead;
                open.push(reader.read_var_u32()?);
                1
            } else if top {
                reader.read::<ComponentType<'_>>()?;
                1
            } else {
                match reader.read()? {
                    ComponentTypeDeclaration::CoreType(ty) => core_type_size(&ty),
                    _ => 1,
                }
            };
            // One level is the section itself.
            self.types_too_deep |= open.len() as u64 > rule::TYPE_DEPTH.most + 1;
            if self.types_too_deep || !self.component_types.add(size) {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Continue)
    }
}

/// A core type with the declarations in it.
fn core_type_size(ty: &CoreType<'_>) -> u64 {
    let group = |group: &RecGroup| group.types().len() as u64;
    match ty {
        CoreType::Rec(types) => 1 + group(types),
        CoreType::Module(declarations) => declarations.iter().fold(1, |size, declaration| match declaration {
            ModuleTypeDeclaration::Type(types) => size + group(types),
            _ => size + 1,
        }),
    }
}
