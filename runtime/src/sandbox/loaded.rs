//! A compiled component, linked and ready to be instantiated.

use std::sync::OnceLock;

use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

use super::bindings::exports::everwit::capability::tools;
use super::bindings::{Capability, CapabilityPre};
use super::engine::EngineClass;
use super::state::CallState;

/// A component of which every call is one instantiation away.
pub(super) struct Loaded {
    pub(super) pre: CapabilityPre<CallState>,
    /// Where the exports of `tools` are. A call of a tool looks up these alone: the types of
    /// `describe` are many, and the engine checks them at each lookup.
    pub(super) tools: tools::GuestIndices,
    pub(super) imports_wasi: bool,
}

impl Loaded {
    /// Links a component. Every import is resolved here, once; a call only copies the result.
    ///
    /// # Errors
    /// The component imports something that nothing serves, or lacks an export of its world.
    pub(super) fn link(linker: &Linker<CallState>, component: &Component) -> wasmtime::Result<Self> {
        let ty = component.component_type();
        let imports_wasi = ty.imports(component.engine()).any(|(name, _)| name.starts_with("wasi:"));
        let pre = CapabilityPre::new(linker.instantiate_pre(component)?)?;
        let tools = tools::GuestIndices::new(pre.instance_pre())?;
        Ok(Self { pre, tools, imports_wasi })
    }
}

/// The linker of each engine, made when first asked for.
#[derive(Default)]
pub(super) struct Linkers {
    small: OnceLock<Linker<CallState>>,
    large: OnceLock<Linker<CallState>>,
}

impl Linkers {
    /// The linker for `engine`, which is the engine of `class`.
    ///
    /// # Errors
    /// A defect: two definitions of one import.
    pub(super) fn get(&self, class: EngineClass, engine: &Engine) -> wasmtime::Result<&Linker<CallState>> {
        let cell = match class {
            EngineClass::Small => &self.small,
            EngineClass::Large => &self.large,
        };
        if let Some(linker) = cell.get() {
            return Ok(linker);
        }
        let linker = linker(engine)?;
        Ok(cell.get_or_init(|| linker))
    }
}

/// Defines every import that there is. What is not granted is not missing: it answers with a
/// typed denial that says what to grant.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<CallState>> {
    let mut linker = Linker::new(engine);
    Capability::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    Ok(linker)
}
