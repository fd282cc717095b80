//! A compiled component, linked and ready to be instantiated.

use std::sync::OnceLock;

use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};

use super::bindings::Components;
use super::bindings::exports::everwit::capability::{describe, tools};
use super::bindings::exports::everwit::connection::{meta as connection, validation};
use super::bindings::exports::everwit::driver::{codec, discovery, meta, token_exchange};
use super::engine::EngineClass;
use super::state::CallState;
use crate::component::ComponentKind;

/// A component of which every call is one instantiation away.
pub(super) struct Loaded {
    pub(super) pre: InstancePre<CallState>,
    pub(super) exports: Exports,
    pub(super) imports_wasi: bool,
}

/// Where the exports of a component are, each interface by itself: the types of descriptions are
/// many, and the engine checks them at each lookup.
pub(super) enum Exports {
    /// Those of a capability.
    Capability { describe: describe::GuestIndices, tools: tools::GuestIndices },
    /// Those of a driver.
    Driver(DriverExports),
    /// Those of a connection provider.
    ConnectionProvider { meta: connection::GuestIndices, validation: validation::GuestIndices },
}

/// The exports of a driver.
pub(super) struct DriverExports {
    pub(super) meta: meta::GuestIndices,
    pub(super) codec: codec::GuestIndices,
    /// Optional.
    pub(super) discovery: Option<discovery::GuestIndices>,
    /// Optional.
    pub(super) token_exchange: Option<token_exchange::GuestIndices>,
}

impl Loaded {
    /// Links a component. Every import is resolved here, once; a call only copies the result.
    ///
    /// # Errors
    /// The component imports something that nothing serves, or lacks an export of its kind.
    pub(super) fn link(linker: &Linker<CallState>, component: &Component) -> wasmtime::Result<Self> {
        let ty = component.component_type();
        let engine = component.engine();
        let imports_wasi = ty.imports(engine).any(|(name, _)| name.starts_with("wasi:"));
        let has =
            |interface: &str| ty.exports(engine).any(|(name, _)| name.strip_prefix(interface).is_some_and(|rest| rest.starts_with('@')));
        let pre = linker.instantiate_pre(component)?;
        let exports = if has("everwit:driver/codec") {
            Exports::Driver(DriverExports {
                meta: meta::GuestIndices::new(&pre)?,
                codec: codec::GuestIndices::new(&pre)?,
                discovery: has("everwit:driver/discovery").then(|| discovery::GuestIndices::new(&pre)).transpose()?,
                token_exchange: has("everwit:driver/token-exchange").then(|| token_exchange::GuestIndices::new(&pre)).transpose()?,
            })
        } else if has("everwit:connection/validation") {
            Exports::ConnectionProvider { meta: connection::GuestIndices::new(&pre)?, validation: validation::GuestIndices::new(&pre)? }
        } else {
            Exports::Capability { describe: describe::GuestIndices::new(&pre)?, tools: tools::GuestIndices::new(&pre)? }
        };
        Ok(Self { pre, exports, imports_wasi })
    }

    /// What it implements.
    pub(super) fn kind(&self) -> ComponentKind {
        match self.exports {
            Exports::Capability { .. } => ComponentKind::Capability,
            Exports::Driver(_) => ComponentKind::Driver,
            Exports::ConnectionProvider { .. } => ComponentKind::ConnectionProvider,
        }
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
    Components::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state)?;
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    Ok(linker)
}
