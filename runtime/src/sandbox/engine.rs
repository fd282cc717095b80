//! The engines: the one place with wasmtime settings.
//!
//! There are two [`EngineClass`]es, because a pool slot has a fixed size: [`EngineClass::Small`]
//! for compiled guests, [`EngineClass::Large`] for language engines. Whatever shapes machine code
//! is the same for both and for the compiler's process, so one artifact serves all of them
//! (a test holds [`compatibility`] of all configurations equal).
//!
//! Deliberately not here: budgets of calls (`crate::limits`), and what is linked to a guest.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wasmtime::{
    Config, Enabled, Engine, Inlining, InstanceAllocationStrategy, OperatorCost, OptLevel, PoolingAllocationConfig, RegallocAlgorithm,
    Strategy, WasmBacktraceDetails,
};

/// Stack of guest code, in bytes. Deep recursion in real guests (CPython) needs about half.
pub const GUEST_STACK_BYTES: usize = 512 << 10;
/// Stack of a guest call with the host functions that it calls, in bytes. What host code gets is
/// this minus [`GUEST_STACK_BYTES`]; overrunning it aborts the process, so host code stays below
/// 256 KiB by having no recursion on guest data.
pub const CALL_STACK_BYTES: usize = 2 << 20;
/// Frames in a guest backtrace; wasmtime's default, enough to find a place, and bounded.
const BACKTRACE_FRAMES: usize = 20;
/// Fuel of growing a memory by one page of 64 KiB. Without it growth is free, though each fresh
/// page costs the host about 250 ns per KiB for faulting and zeroing; 255 is the most that fits.
const FUEL_PER_GROWN_PAGE: u8 = 255;
/// Linear memories of one component, nested instances included. QuickJS components have 3.
pub const MAX_MEMORIES: u32 = 8;
/// Tables of one component, nested instances included. QuickJS components have 3.
pub const MAX_TABLES: u32 = 16;
/// Core and component instances of one component, expanded. The largest real guest has 41.
pub const MAX_INSTANCES: u32 = 128;

/// Which pool a component's instances live in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EngineClass {
    /// Compiled guests: memories up to 64 MiB, many at a time.
    Small,
    /// Language engines: memories up to 256 MiB, few at a time.
    Large,
}

impl EngineClass {
    /// The one that so many bytes of memory need.
    pub(super) const fn of(memory_bytes: u64) -> Self {
        if memory_bytes <= Self::Small.memory_bytes() as u64 { Self::Small } else { Self::Large }
    }

    /// Largest size of one linear memory, in bytes.
    pub const fn memory_bytes(self) -> usize {
        match self {
            Self::Small => 64 << 20,
            Self::Large => 256 << 20,
        }
    }

    /// Largest number of elements of one table.
    pub const fn table_elements(self) -> u32 {
        match self {
            Self::Small => 20_000,
            Self::Large => 60_000,
        }
    }

    /// Calls at the same time; whoever calls holds a permit of a semaphore of this size, since an
    /// exhausted pool is an error and not a queue. A memory slot reserves 4 GiB of address space
    /// and a stack two maps, which is what bounds it.
    pub const fn slots(self) -> u32 {
        match self {
            Self::Small => 1_000,
            Self::Large => 100,
        }
    }

    /// The class for a component whose largest memory may reach `memory_bytes` and whose largest
    /// table has `table_elements`; none if even the large class is too small.
    pub const fn fitting(memory_bytes: u64, table_elements: u64) -> Option<Self> {
        let mut classes = [Self::Small, Self::Large].as_slice();
        while let [class, rest @ ..] = classes {
            if memory_bytes <= class.memory_bytes() as u64 && table_elements <= class.table_elements() as u64 {
                return Some(*class);
            }
            classes = rest;
        }
        None
    }

    /// Bytes of a returned memory that are zeroed instead of given back: saves the page faults
    /// of the next call. Without the kernel's page-map scan the whole of it would be zeroed even
    /// if untouched, hence little.
    const fn keep_resident(self, scan: bool) -> usize {
        match (self, scan) {
            (_, false) => 64 << 10,
            (Self::Small, true) => 1 << 20,
            (Self::Large, true) => 8 << 20,
        }
    }
}

/// What an engine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Runs guests from a pool.
    Run,
    /// Compiles and never runs: no pool, whose address space would not fit the compiler
    /// process's limit.
    Compile,
}

/// All settings of an engine.
pub fn config(class: EngineClass, purpose: Purpose) -> Config {
    let mut config = Config::new();
    // Cranelift with its default register allocator: the only pair that wasmtime's security
    // policy covers in full.
    config.strategy(Strategy::Cranelift);
    config.cranelift_opt_level(OptLevel::Speed);
    config.cranelift_regalloc_algorithm(RegallocAlgorithm::Backtracking);
    // Inlining triples compile time and gains nothing for code that a compiler inlined before.
    config.compiler_inlining(Inlining::No);
    // The same NaN bits everywhere, so that a recorded call replays on another machine.
    config.cranelift_nan_canonicalization(true);

    config.consume_fuel(true);
    config.operator_cost(operator_cost());
    config.epoch_interruption(false);

    // Proposals that no guest of ours needs, and that most advisories of the engine were about.
    config.concurrency_support(false);
    config.gc_support(false);
    config.wasm_gc(false);
    config.wasm_function_references(false);
    config.wasm_exceptions(false);
    config.wasm_memory64(false);
    config.wasm_threads(false);
    config.shared_memory(false);
    config.wasm_relaxed_simd(false);
    config.relaxed_simd_deterministic(true);
    // Multi-memory stays on: wasmtime's own adapters between nested components need it, and
    // without it the compiler panics. The gate refuses it in guests' modules.

    config.max_wasm_stack(GUEST_STACK_BYTES);
    config.async_stack_size(CALL_STACK_BYTES);
    config.wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES));
    // Explicit, because the default asks the environment, and the answer is part of what makes
    // an artifact loadable.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config.memory_init_cow(true);

    config.allocation_strategy(match purpose {
        Purpose::Run => InstanceAllocationStrategy::Pooling(pool(class)),
        Purpose::Compile => InstanceAllocationStrategy::OnDemand,
    });
    config
}

/// One unit per operator as by default, and a charge for growing a memory.
fn operator_cost() -> OperatorCost {
    let mut cost = OperatorCost::new();
    cost.variable.memory_grow_per_page = FUEL_PER_GROWN_PAGE;
    cost
}

/// Bounds of the pool. The counts below `slots` are only counters; memories reserve address
/// space and stacks cost maps from the start.
fn pool(class: EngineClass) -> PoolingAllocationConfig {
    let scan = PoolingAllocationConfig::is_pagemap_scan_available();
    let slots = class.slots();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_stacks(slots)
        // Compiled guests have one memory, QuickJS has three; half as many again as slots holds a mix.
        .total_memories(slots + slots / 2)
        .total_tables(slots * 6)
        .total_core_instances(slots * 32)
        .max_core_instances_per_component(MAX_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_memories_per_module(1)
        .max_tables_per_module(MAX_TABLES)
        // Instance contexts are outside of the memory limit of a call; the largest seen is 60 KiB.
        .max_core_instance_size(1 << 20)
        .max_component_instance_size(4 << 20)
        .max_memory_size(class.memory_bytes())
        .table_elements(class.table_elements() as usize)
        .linear_memory_keep_resident(class.keep_resident(scan))
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto)
        .max_unused_warm_slots(100)
        .decommit_batch_size(1);
    pool
}

/// The process's engines. Cheap to have: an engine is made when it is first asked for, so a
/// server that never runs a language engine never reserves its pool.
#[derive(Default)]
pub struct Engines {
    small: OnceLock<Engine>,
    large: OnceLock<Engine>,
}

impl Engines {
    /// No engine yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The engine of a class.
    ///
    /// # Errors
    /// The settings do not fit this machine, for example because address space is limited.
    pub fn get(&self, class: EngineClass) -> wasmtime::Result<&Engine> {
        let cell = match class {
            EngineClass::Small => &self.small,
            EngineClass::Large => &self.large,
        };
        if let Some(engine) = cell.get() {
            return Ok(engine);
        }
        // Two threads may both get here; one engine is kept and the other one dropped.
        let engine = Engine::new(&config(class, Purpose::Run))?;
        Ok(cell.get_or_init(|| engine))
    }
}

impl fmt::Debug for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engines").field("small", &self.small.get().is_some()).field("large", &self.large.get().is_some()).finish()
    }
}

/// Identifies everything that an artifact depends on beside the component itself: engine version,
/// settings and the machine's instruction set. Artifacts are only loaded into an engine of the
/// same value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Compatibility([u8; 16]);

/// The [`Compatibility`] of an engine.
pub fn compatibility(engine: &Engine) -> Compatibility {
    /// Feeds a digest with what a value hashes, since the standard hasher has only 64 bits and
    /// may change between releases.
    struct Feed(Sha256);
    impl Hasher for Feed {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut feed = Feed(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut feed);
    let digest = feed.0.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Compatibility(bytes)
}

impl Compatibility {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Compatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Compatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// THREAT[U09]: what the compiler's process makes must be what the server's engines accept,
    /// and one artifact serves both classes.
    #[test]
    fn all_configurations_accept_the_same_artifacts() {
        let of = |class, purpose| compatibility(&Engine::new(&config(class, purpose)).expect("a valid configuration"));
        let compile = of(EngineClass::Small, Purpose::Compile);
        assert_eq!(compile, of(EngineClass::Large, Purpose::Compile));
        assert_eq!(compile, of(EngineClass::Small, Purpose::Run));
        assert_eq!(compile, of(EngineClass::Large, Purpose::Run));
        let other = Engine::new(config(EngineClass::Small, Purpose::Compile).cranelift_opt_level(OptLevel::None)).expect("valid");
        assert_ne!(compile, compatibility(&other), "the optimization level is part of the key");
    }

    #[test]
    fn engines_are_made_when_asked_for() {
        let engines = Engines::new();
        engines.get(EngineClass::Small).expect("a valid configuration");
        assert_eq!(format!("{engines:?}"), "Engines { small: true, large: false }");
    }

    #[test]
    fn a_class_is_chosen_by_what_must_fit() {
        assert_eq!(EngineClass::fitting(1 << 20, 10), Some(EngineClass::Small));
        assert_eq!(EngineClass::fitting(65 << 20, 10), Some(EngineClass::Large));
        assert_eq!(EngineClass::fitting(1 << 20, 20_001), Some(EngineClass::Large));
        assert_eq!(EngineClass::fitting(257 << 20, 10), None);
    }
}
