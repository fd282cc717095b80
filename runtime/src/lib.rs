//! Everwit's runtime: durable agents whose capabilities and model drivers are native code or
//! sandboxed WebAssembly components. It knows no HTTP server.

pub mod agent;
pub mod bus;
pub mod capability;
pub mod client_tool;
pub mod clock;
pub mod component;
pub mod connection;
pub mod driver;
pub mod egress;
pub mod engine;
pub mod error;
pub mod event;
pub mod harness;
pub mod id;
pub mod limits;
pub mod message;
pub mod platform;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod session;
pub mod store;
pub mod tokens;
pub mod turn;

#[cfg(feature = "builtins")]
pub use capability::CurrentTimeCapability;
pub use capability::{Capability, CapabilityRegistry, CapabilitySource};
pub use connection::{ConnectionProvider, ConnectionProviderRegistry};
pub use driver as driver_registry;
pub use driver::llmsim as llmsim_driver;
pub use driver::{DriverId, DriverRegistry, ResolvedModel};
pub use error::{Error, ErrorKind};
pub use platform::{
    BuiltInCapabilityDefinition, BuiltInHarnessDefinition, BuiltInHarnessRole, PlatformDefinition, PlatformDefinitionBuilder,
};
pub use store::RuntimeBackends;
pub use turn::{ContextReport, assemble_turn_context, context_report, inspect_turn_context, messages_from_events};
