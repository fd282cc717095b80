//! Counters of core modules.

use wasmparser::{CompositeInnerType, FunctionBody, FunctionSectionReader, MemoryType, Payload, Result, TypeRef, TypeSectionReader};

use super::body::Body;
use super::finding::Findings;
use super::rule::{self, Total, Worst};

/// Size of a page of linear memory, in bytes.
const PAGE_BYTES: u64 = 64 << 10;

/// What later sections of the same module are measured with.
#[derive(Debug, Default)]
pub(super) struct ModuleShape {
    /// Parameters and results of each type; zero for what is no function type.
    types: Vec<(u64, u64)>,
    /// Type index of each function, imported ones first.
    functions: Vec<u32>,
    imported_functions: usize,
    bodies: usize,
    /// Memories, imported ones included.
    memories: u64,
    /// What each instance of it adds.
    pub(super) own_memories: u64,
    pub(super) own_tables: u64,
}

impl ModuleShape {
    /// Parameters plus results of a function; zero if there is none, which validation refuses.
    pub(super) fn function_arity(&self, function: u32) -> u64 {
        self.functions.get(function as usize).map_or(0, |&ty| self.type_arity(ty))
    }

    /// Parameters plus results of a type.
    pub(super) fn type_arity(&self, ty: u32) -> u64 {
        self.types.get(ty as usize).map_or(0, |(params, results)| params + results)
    }

    fn next_body_params(&mut self) -> u64 {
        let function = self.functions.get(self.imported_functions + self.bodies);
        self.bodies += 1;
        function.and_then(|&ty| self.types.get(ty as usize)).map_or(0, |(params, _)| *params)
    }
}

/// Counters over all core modules of an upload.
#[derive(Debug)]
pub(super) struct Modules {
    /// Core modules seen so far.
    seen: usize,
    functions: Total,
    types: Total,
    pub(super) imports: Total,
    exports: Total,
    globals: Total,
    data_segments: Total,
    table_elements: Total,
    total_locals: Total,
    total_loops_x_locals: Total,
    total_br_targets: Total,
    multi_memory: Option<usize>,
    memory_pages: Worst,
    largest_table: u64,
    func_params: Worst,
    locals: Worst,
    loops_x_locals: Worst,
    br_targets: Worst,
    block_arity: Worst,
    stack_traffic: Worst,
    controls: Worst,
    nesting: Worst,
    body_bytes: Worst,
}

impl Modules {
    pub(super) fn new() -> Self {
        Self {
            seen: 0,
            functions: Total::of(&rule::FUNCTIONS),
            types: Total::of(&rule::TYPES),
            imports: Total::of(&rule::IMPORTS),
            exports: Total::of(&rule::EXPORTS),
            globals: Total::of(&rule::GLOBALS),
            data_segments: Total::of(&rule::DATA_SEGMENTS),
            table_elements: Total::of(&rule::TABLE_ELEMENTS),
            total_locals: Total::of(&rule::TOTAL_LOCALS),
            total_loops_x_locals: Total::of(&rule::TOTAL_LOOPS_X_LOCALS),
            total_br_targets: Total::of(&rule::TOTAL_BR_TARGETS),
            multi_memory: None,
            memory_pages: Worst::of(&rule::MEMORY_PAGES),
            largest_table: 0,
            func_params: Worst::of(&rule::FUNC_PARAMS),
            locals: Worst::of(&rule::LOCALS),
            loops_x_locals: Worst::of(&rule::LOOPS_X_LOCALS),
            br_targets: Worst::of(&rule::BR_TARGETS),
            block_arity: Worst::of(&rule::BLOCK_ARITY),
            stack_traffic: Worst::of(&rule::STACK_TRAFFIC),
            controls: Worst::of(&rule::CONTROLS),
            nesting: Worst::of(&rule::NESTING),
            body_bytes: Worst::of(&rule::BODY_BYTES),
        }
    }

    /// Counts one section or body of the current core module. A section whose count is over its
    /// limit is not read, so the time spent is bounded by the limits and not by the claims.
    pub(super) fn section(&mut self, shape: &mut ModuleShape, payload: Payload<'_>) -> Result<()> {
        match payload {
            Payload::TypeSection(types) => return self.types(shape, types),
            Payload::ImportSection(imports) => {
                // One entry can stand for many imports, so each is counted as it is read.
                for import in imports.into_imports() {
                    if !self.imports.add(1) {
                        break;
                    }
                    self.import(shape, import?.ty);
                }
            }
            Payload::FunctionSection(functions) => return self.functions(shape, functions),
            Payload::TableSection(tables) => {
                shape.own_tables += u64::from(tables.count());
                for table in tables.into_iter().take(rule::TABLES.most as usize) {
                    let elements = table?.ty.initial;
                    self.largest_table = self.largest_table.max(elements);
                    let _ = self.table_elements.add(elements);
                }
            }
            Payload::MemorySection(memories) => {
                shape.own_memories += u64::from(memories.count());
                for memory in memories.into_iter().take(rule::MEMORIES.most as usize) {
                    self.memory(shape, &memory?);
                }
            }
            Payload::GlobalSection(globals) => {
                let _ = self.globals.add(globals.count().into());
            }
            Payload::ExportSection(exports) => {
                let _ = self.exports.add(exports.count().into());
            }
            Payload::DataSection(data) => {
                let _ = self.data_segments.add(data.count().into());
            }
            Payload::CodeSectionEntry(body) => return self.body(shape, &body),
            Payload::End(_) => self.seen += 1,
            _ => {}
        }
        Ok(())
    }

    /// Bytes that the largest memory has at least.
    pub(super) fn min_memory_bytes(&self) -> u64 {
        self.memory_pages.value().saturating_mul(PAGE_BYTES)
    }

    /// Elements of the largest table.
    pub(super) fn largest_table(&self) -> u64 {
        self.largest_table
    }

    /// Reports every excess.
    pub(super) fn report(&self, findings: &mut Findings) {
        let totals = [&self.functions, &self.types, &self.imports, &self.exports, &self.globals, &self.data_segments];
        totals.into_iter().for_each(|total| total.report(findings));
        let totals = [&self.table_elements, &self.total_locals, &self.total_loops_x_locals, &self.total_br_targets];
        totals.into_iter().for_each(|total| total.report(findings));
        self.memory_pages.report("memories", findings);
        self.func_params.report("types", findings);
        let bodies = [&self.locals, &self.loops_x_locals, &self.br_targets, &self.block_arity, &self.stack_traffic];
        bodies.into_iter().for_each(|worst| worst.report("functions", findings));
        let bodies = [&self.controls, &self.nesting, &self.body_bytes];
        bodies.into_iter().for_each(|worst| worst.report("functions", findings));
        if let Some(module) = self.multi_memory {
            let fix = "build with one memory per core module; turn the multi-memory proposal off in the compiler";
            findings.add("multi_memory", Some(format!("/modules/{module}")), "a core module with more than one memory".to_owned(), fix);
        }
    }

    fn functions(&mut self, shape: &mut ModuleShape, functions: FunctionSectionReader<'_>) -> Result<()> {
        if self.functions.add(functions.count().into()) {
            for ty in functions {
                shape.functions.push(ty?);
            }
        }
        Ok(())
    }

    fn types(&mut self, shape: &mut ModuleShape, types: TypeSectionReader<'_>) -> Result<()> {
        if !self.types.add(types.count().into()) {
            return Ok(());
        }
        for group in types {
            let group = group?;
            let explicit = group.is_explicit_rec_group();
            let group = group.into_types();
            // An explicit group counts as one in the section's count, whatever is in it.
            if explicit && !self.types.add(group.len() as u64) {
                return Ok(());
            }
            for ty in group {
                let arity = match &ty.composite_type.inner {
                    CompositeInnerType::Func(func) => (func.params().len() as u64, func.results().len() as u64),
                    _ => (0, 0),
                };
                self.func_params.see(arity.0.max(arity.1), (self.seen, shape.types.len() as u32));
                shape.types.push(arity);
            }
        }
        Ok(())
    }

    fn import(&mut self, shape: &mut ModuleShape, ty: TypeRef) {
        match ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                let _ = self.functions.add(1);
                shape.functions.push(ty);
                shape.imported_functions += 1;
            }
            TypeRef::Memory(memory) => self.memory(shape, &memory),
            TypeRef::Global(_) => {
                let _ = self.globals.add(1);
            }
            TypeRef::Table(_) | TypeRef::Tag(_) => {}
        }
    }

    fn memory(&mut self, shape: &mut ModuleShape, memory: &MemoryType) {
        shape.memories += 1;
        if shape.memories > 1 {
            self.multi_memory.get_or_insert(self.seen);
        }
        self.memory_pages.see(memory.initial, (self.seen, shape.memories as u32 - 1));
    }

    fn body(&mut self, shape: &mut ModuleShape, body: &FunctionBody<'_>) -> Result<()> {
        let function = shape.imported_functions + shape.bodies;
        let params = shape.next_body_params();
        let place = (self.seen, function as u32);
        let counts = Body::count(body, params, shape)?;
        let seen = [
            (&mut self.body_bytes, counts.bytes),
            (&mut self.locals, counts.locals),
            (&mut self.loops_x_locals, counts.loops_x_locals()),
            (&mut self.br_targets, counts.br_targets),
            (&mut self.block_arity, counts.block_arity),
            (&mut self.stack_traffic, counts.stack_traffic),
            (&mut self.controls, counts.controls),
            (&mut self.nesting, counts.nesting),
        ];
        for (worst, value) in seen {
            worst.see(value, place);
        }
        let _ = self.total_locals.add(counts.locals);
        let _ = self.total_loops_x_locals.add(counts.loops_x_locals());
        let _ = self.total_br_targets.add(counts.br_targets);
        Ok(())
    }
}
