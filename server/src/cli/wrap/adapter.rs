//! The adapter: the compiled crate with texts added to its memory, and the module that calls the functions.

use anyhow::{Context as _, Result};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataCountSection, DataSection, EntityType, ExportKind, ExportSection, FunctionSection,
    ImportSection, InstructionSink, MemArg, MemorySection, MemoryType, Module, RawSection, TypeSection, ValType,
};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata, metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Resolve, WorldId, WorldKey};

use super::reflect::Function;

/// The compiled crate `guest-sdk/wrap`; `cargo xtask wrap-adapter` makes it.
static CORE: &[u8] = include_bytes!("adapter.wasm");
/// What the crate imports from the module that is linked to it.
const LINKED: &str = "everwit_wrap";
/// Bytes of a page of memory.
const PAGE: u64 = 64 << 10;
/// Bytes of a slot.
const SLOT: u64 = 8;

/// The crate's core module with texts in its memory.
pub(super) struct Main {
    core: Vec<u8>,
    /// Where the texts begin.
    address: u32,
}

/// Adds texts behind everything that the module's memory begins with.
pub(super) fn with_texts(texts: &[String]) -> Result<Main> {
    let mut content = Vec::new();
    for text in texts {
        content.extend_from_slice(&length(text.len())?);
        content.extend_from_slice(text.as_bytes());
    }
    let mut segment = length(content.len())?.to_vec();
    segment.append(&mut content);
    let mut module = Module::new();
    let mut address = None;
    for payload in Parser::new(0).parse_all(CORE) {
        let payload = payload?;
        match &payload {
            Payload::MemorySection(memories) => {
                let memory = memories.clone().into_iter().next().context("the adapter has no memory")??;
                address = Some(u32::try_from(memory.initial * PAGE)?);
                let minimum = memory.initial + (segment.len() as u64).div_ceil(PAGE);
                let mut grown = MemorySection::new();
                grown.memory(MemoryType { minimum, maximum: memory.maximum, memory64: false, shared: false, page_size_log2: None });
                module.section(&grown);
            }
            Payload::DataCountSection { count, .. } => {
                module.section(&DataCountSection { count: count + 1 });
            }
            Payload::DataSection(segments) => {
                let mut data = DataSection::new();
                for own in segments.clone() {
                    data.raw(&CORE[own?.range]);
                }
                let offset = ConstExpr::i32_const(address.context("the adapter's memory comes before its data")?.cast_signed());
                data.active(0, &offset, segment.iter().copied());
                module.section(&data);
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    module.section(&RawSection { id, data: &CORE[range] });
                }
            }
        }
    }
    Ok(Main { core: module.finish(), address: address.context("the adapter has no memory")? })
}

/// A length as the crate reads it.
fn length(bytes: usize) -> Result<[u8; 4]> {
    Ok(u32::try_from(bytes).context("the descriptions are too large")?.to_le_bytes())
}

/// The contracts that the crate was compiled with.
pub(super) fn contracts() -> Result<Resolve> {
    Ok(metadata::decode(CORE)?.1.resolve)
}

/// The adapter as a component that imports the functions, as the world says, and exports a capability.
pub(super) fn component(resolve: &Resolve, world: WorldId, functions: &[Function], main: &Main) -> Result<Vec<u8>> {
    let mut linked = linked(resolve, functions, main.address);
    embed_component_metadata(&mut linked, resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().validate(true).module(&main.core)?.adapter(LINKED, &linked)?.encode()
}

/// The module that calls the functions with values from slots in the crate's memory.
fn linked(resolve: &Resolve, functions: &[Function], address: u32) -> Vec<u8> {
    let (mut types, mut imports, mut own, mut exports, mut code) =
        (TypeSection::new(), ImportSection::new(), FunctionSection::new(), ExportSection::new(), CodeSection::new());
    let memory = MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None };
    imports.import("env", "memory", EntityType::Memory(memory));
    let mut invoke = wasm_encoder::Function::new([]);
    for (index, function) in (0..).zip(functions) {
        let signature = resolve.wasm_signature(AbiVariant::GuestImport, &function.function);
        let (parameters, results) = (signature.params.iter().map(core_type), signature.results.iter().map(core_type));
        types.ty().function(parameters.clone(), results.clone());
        let module = match &function.key {
            WorldKey::Name(_) => "$root".to_owned(),
            key => resolve.name_world_key(key),
        };
        imports.import(&module, &function.function.name, EntityType::Function(index));
        call(&mut invoke.instructions(), index, parameters, results.collect());
    }
    invoke.instructions().unreachable().end();
    let first = types.len();
    types.ty().function([ValType::I32; 4], [ValType::I32]);
    types.ty().function([], [ValType::I32]);
    types.ty().function([ValType::I32; 2], []);
    // What functions return goes to the crate's memory, by its own allocator.
    imports.import("__main_module__", "cabi_realloc", EntityType::Function(first));
    let allocate = first;
    own.function(first).function(first + 1).function(first + 2);
    for (name, index) in ["cabi_import_realloc", "tables", "invoke"].into_iter().zip(allocate + 1..) {
        exports.export(name, ExportKind::Func, index);
    }
    let (mut allocating, mut tables) = (wasm_encoder::Function::new([]), wasm_encoder::Function::new([]));
    allocating.instructions().local_get(0).local_get(1).local_get(2).local_get(3).call(allocate).end();
    tables.instructions().i32_const(address.cast_signed()).end();
    code.function(&allocating).function(&tables).function(&invoke);
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&own).section(&exports).section(&code);
    module.finish()
}

/// Calls a function and returns, if it is the one that is asked for. The first local is its index, the second the address of the slots.
fn call(sink: &mut InstructionSink<'_>, index: u32, parameters: impl Iterator<Item = ValType>, results: Vec<ValType>) {
    const INDEX: u32 = 0;
    const SLOTS: u32 = 1;
    let place = |offset| MemArg { offset, align: 2, memory_index: 0 };
    sink.local_get(INDEX).i32_const(index.cast_signed()).i32_eq().if_(BlockType::Empty);
    if !results.is_empty() {
        sink.local_get(SLOTS);
    }
    for (slot, parameter) in (0..).zip(parameters) {
        sink.local_get(SLOTS);
        match parameter {
            ValType::I64 => sink.i64_load(place(slot * SLOT)),
            ValType::F32 => sink.f32_load(place(slot * SLOT)),
            ValType::F64 => sink.f64_load(place(slot * SLOT)),
            _ => sink.i32_load(place(slot * SLOT)),
        };
    }
    sink.call(index);
    match results.first() {
        None => {}
        Some(ValType::I64) => _ = sink.i64_store(place(0)),
        Some(ValType::F32) => _ = sink.f32_store(place(0)),
        Some(ValType::F64) => _ = sink.f64_store(place(0)),
        Some(_) => _ = sink.i32_store(place(0)),
    }
    sink.return_().end();
}

fn core_type(ty: &WasmType) -> ValType {
    match ty {
        WasmType::I64 | WasmType::PointerOrI64 => ValType::I64,
        WasmType::F32 => ValType::F32,
        WasmType::F64 => ValType::F64,
        WasmType::I32 | WasmType::Pointer | WasmType::Length => ValType::I32,
    }
}
