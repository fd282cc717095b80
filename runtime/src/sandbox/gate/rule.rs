//! The limits of the structural gate.
//!
//! Compiling is not protected by the engine: inputs of a few kilobytes can take gigabytes or
//! minutes, each by one of the shapes counted here. A limit lies between the largest value seen in
//! 24 real components (CPython, SpiderMonkey, QuickJS, Go, Ruby, SQLite, Zig, C, Rust, AssemblyScript),
//! given as "real", and the value at which compiling takes more than about five seconds or 200 MiB.

use super::finding::Findings;
use crate::mutation::off;

/// One counter with its limit.
#[derive(Debug)]
pub struct Rule {
    /// Code of the finding.
    pub code: &'static str,
    /// Largest value that is allowed.
    pub most: u64,
    /// What is counted, as in "60 functions".
    pub what: &'static str,
    /// What the author can do.
    pub fix: &'static str,
}

const SMALLER: &str = "leave out what is not used: optimize for size, strip dead code, or split the component in two";
const SPLIT_FUNCTION: &str = "split the function, or stop the compiler from inlining so much into it (optimize for size)";
const FLATTER: &str = "compose fewer components into one, for example by linking the parts into one core module";

/// Functions, imported ones included, of all core modules. Each takes 60 µs and 6 KiB to compile. Real: 19,851.
pub(super) const FUNCTIONS: Rule = Rule { code: "too_many_functions", most: 40_000, what: "functions", fix: SMALLER };
/// Core types of all core modules. Each takes 120 µs and 8 KiB. Real: 1,432.
pub(super) const TYPES: Rule = Rule { code: "too_many_types", most: 4_096, what: "core types", fix: SMALLER };
/// Imports, core and component level. A million takes 5 s before it is refused. Real: 2,411.
pub(super) const IMPORTS: Rule = Rule { code: "too_many_imports", most: 5_000, what: "imports", fix: SMALLER };
/// Exports of all core modules. Each is a name in the artifact; Go and C++ export little, dynamic
/// linking (CPython) a few thousand.
pub(super) const EXPORTS: Rule = Rule { code: "too_many_exports", most: 20_000, what: "core exports", fix: SMALLER };
/// Globals of all core modules. Each takes 16 bytes in every instance, which no memory limit counts. Real: 871.
pub(super) const GLOBALS: Rule = Rule { code: "too_many_globals", most: 2_000, what: "globals", fix: SMALLER };
/// Data segments of all core modules. Go: 43,022.
pub(super) const DATA_SEGMENTS: Rule = Rule { code: "too_many_data_segments", most: 100_000, what: "data segments", fix: SMALLER };
/// Minimum size of one memory in pages of 64 KiB; what is initialized is laid out in the artifact
/// when sparse. 1,024 pages are the 64 MiB of the default budget. Real: 338.
pub(super) const MEMORY_PAGES: Rule = Rule {
    code: "memory_too_large",
    most: 1_024,
    what: "memory pages at start",
    fix: "start smaller and grow the memory when it is needed",
};
/// Minimum size of all tables of core modules, in elements of 8 bytes. Real: 8,776.
pub(super) const TABLE_ELEMENTS: Rule = Rule { code: "table_too_large", most: 50_000, what: "table elements at start", fix: SMALLER };

/// Parameters, and results, of one core function type. 1,000 values through a thousand blocks take more than 4 GiB. Real: 19.
pub(super) const FUNC_PARAMS: Rule = Rule {
    code: "too_many_parameters",
    most: 32,
    what: "parameters or results in a function type",
    fix: "pass a pointer to a record instead of so many values",
};
/// Locals of one function, parameters included. Real: 483.
pub(super) const LOCALS: Rule = Rule { code: "too_many_locals", most: 2_000, what: "locals", fix: SPLIT_FUNCTION };
/// Locals of all functions. Real: 112,529.
pub(super) const TOTAL_LOCALS: Rule = Rule { code: "too_many_locals_total", most: 400_000, what: "locals in all functions", fix: SMALLER };
/// Loops times locals of one function: each loop header may merge every local. Real: 46,256.
pub(super) const LOOPS_X_LOCALS: Rule = Rule { code: "loops_times_locals", most: 100_000, what: "loops times locals", fix: SPLIT_FUNCTION };
/// The same summed over all functions. Real: 267,038.
pub(super) const TOTAL_LOOPS_X_LOCALS: Rule =
    Rule { code: "loops_times_locals_total", most: 1_000_000, what: "loops times locals in all functions", fix: SMALLER };
/// Targets of all `br_table`s of one function; compiling is quadratic in them. Real: 15,849.
pub(super) const BR_TARGETS: Rule = Rule { code: "too_many_branch_targets", most: 20_000, what: "br_table targets", fix: SPLIT_FUNCTION };
/// The same summed over all functions. Real: 102,313.
pub(super) const TOTAL_BR_TARGETS: Rule =
    Rule { code: "too_many_branch_targets_total", most: 160_000, what: "br_table targets in all functions", fix: SMALLER };
/// Parameters and results of all blocks with a function type, of one function. Real: 0.
pub(super) const BLOCK_ARITY: Rule =
    Rule { code: "block_arity", most: 4_000, what: "values through multi-value blocks", fix: "turn off multi-value in the compiler" };
/// Parameters and results of all calls of one function. Real: 14,880.
pub(super) const STACK_TRAFFIC: Rule = Rule { code: "call_traffic", most: 50_000, what: "values through calls", fix: SPLIT_FUNCTION };
/// Blocks, loops and ifs of one function. Real: 4,222.
pub(super) const CONTROLS: Rule = Rule { code: "too_many_blocks", most: 8_000, what: "blocks, loops and ifs", fix: SPLIT_FUNCTION };
/// Deepest nesting of them; compiling is quadratic in it. Real: 803.
pub(super) const NESTING: Rule = Rule { code: "nesting_too_deep", most: 2_000, what: "levels of nested blocks", fix: SPLIT_FUNCTION };
/// Body of one function, in bytes. Very large ones have also been miscompiled. Real: 426,843.
pub(super) const BODY_BYTES: Rule =
    Rule { code: "function_too_large", most: 640 << 10, what: "bytes of code in a function", fix: SPLIT_FUNCTION };

/// Core and component instances, multiplied through nested components: doubling thirty times fits
/// 1.6 kB. Real: 41.
pub(super) const INSTANCES: Rule = Rule {
    code: "too_many_instances",
    most: crate::sandbox::engine::MAX_INSTANCES as u64,
    what: "instances when nested components are expanded",
    fix: FLATTER,
};
/// Memories, multiplied likewise; bound by the pool.
pub(super) const MEMORIES: Rule = Rule {
    code: "too_many_memories",
    most: crate::sandbox::engine::MAX_MEMORIES as u64,
    what: "memories when nested components are expanded",
    fix: FLATTER,
};
/// Tables, multiplied likewise; bound by the pool.
pub(super) const TABLES: Rule = Rule {
    code: "too_many_tables",
    most: crate::sandbox::engine::MAX_TABLES as u64,
    what: "tables when nested components are expanded",
    fix: FLATTER,
};
/// Imports, aliases, canonical functions and instantiation arguments of components, multiplied
/// likewise: each is a step of instantiation.
pub(super) const DEFINITIONS: Rule =
    Rule { code: "too_many_definitions", most: 100_000, what: "component definitions when nested components are expanded", fix: FLATTER };
/// Nested components and core modules. The engine's parser allows 1,000 of each.
pub(super) const PARTS: Rule = Rule { code: "too_many_parts", most: 256, what: "nested components and core modules", fix: FLATTER };
/// Components within components, the outermost counted; compiling is quadratic in it. Real: 3.
pub(super) const DEPTH: Rule = Rule { code: "components_too_deep", most: 6, what: "levels of nested components", fix: FLATTER };
/// Component-level types, declarations in them included. They are cheap; real ones have a few hundred.
pub(super) const COMPONENT_TYPES: Rule =
    Rule { code: "too_many_component_types", most: 50_000, what: "component-level types", fix: SMALLER };
/// Types nested in types; parsers recurse on it. Real: 3.
pub(super) const TYPE_DEPTH: Rule = Rule { code: "types_too_deep", most: 16, what: "levels of nested component types", fix: FLATTER };

/// Every rule, for tests and documentation.
pub const RULES: [&Rule; 28] = [
    &FUNCTIONS,
    &TYPES,
    &IMPORTS,
    &EXPORTS,
    &GLOBALS,
    &DATA_SEGMENTS,
    &MEMORY_PAGES,
    &TABLE_ELEMENTS,
    &FUNC_PARAMS,
    &LOCALS,
    &TOTAL_LOCALS,
    &LOOPS_X_LOCALS,
    &TOTAL_LOOPS_X_LOCALS,
    &BR_TARGETS,
    &TOTAL_BR_TARGETS,
    &BLOCK_ARITY,
    &STACK_TRAFFIC,
    &CONTROLS,
    &NESTING,
    &BODY_BYTES,
    &INSTANCES,
    &MEMORIES,
    &TABLES,
    &DEFINITIONS,
    &PARTS,
    &DEPTH,
    &COMPONENT_TYPES,
    &TYPE_DEPTH,
];

/// A running total of one rule.
#[derive(Debug)]
pub(super) struct Total {
    rule: &'static Rule,
    value: u64,
}

impl Total {
    /// Nothing counted yet.
    pub(super) fn of(rule: &'static Rule) -> Self {
        Self { rule, value: 0 }
    }

    /// Counts `more`. False once the total is over the limit: what is counted need then not be
    /// looked at, which is what bounds the gate itself.
    #[must_use = "what is over the limit must not be read"]
    pub(super) fn add(&mut self, more: u64) -> bool {
        self.value = self.value.saturating_add(more);
        self.value <= self.rule.most
    }

    /// Reports an excess.
    pub(super) fn report(&self, findings: &mut Findings) {
        if self.value > self.rule.most && !off("gate.rules") {
            let Rule { code, most, what, fix } = self.rule;
            findings.add(code, None, format!("{} {what}; at most {most} are allowed", self.value), fix);
        }
    }
}

/// The worst case of one rule among many things, with how many are over the limit.
#[derive(Debug)]
pub(super) struct Worst {
    rule: &'static Rule,
    value: u64,
    place: (usize, u32),
    over: u64,
}

impl Worst {
    /// Nothing seen yet.
    pub(super) fn of(rule: &'static Rule) -> Self {
        Self { rule, value: 0, place: (0, 0), over: 0 }
    }

    /// Looks at one thing; `place` is the core module and the item in it.
    pub(super) fn see(&mut self, value: u64, place: (usize, u32)) {
        self.over += u64::from(value > self.rule.most);
        if value > self.value {
            (self.value, self.place) = (value, place);
        }
    }

    /// The largest value seen.
    pub(super) fn value(&self) -> u64 {
        self.value
    }

    /// Reports an excess: one finding for all places, with the worst of them. `list` names the
    /// items, as in "functions".
    pub(super) fn report(&self, list: &str, findings: &mut Findings) {
        if self.over == 0 || off("gate.rules") {
            return;
        }
        let Rule { code, most, what, fix } = self.rule;
        let (module, item) = self.place;
        let others = match self.over - 1 {
            0 => String::new(),
            others => format!(" ({others} more are over it)"),
        };
        let pointer = format!("/modules/{module}/{list}/{item}");
        findings.add(code, Some(pointer), format!("{} {what}; at most {most} are allowed{others}", self.value), fix);
    }
}
