//! Everwit's runtime: durable agents whose capabilities and model drivers are native code or
//! sandboxed WebAssembly components. It needs no server and no database:
//!
//! ```
//! use everwit_runtime::driver::llmsim::LlmSimConfig;
//! use everwit_runtime::InProcessRuntime;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = InProcessRuntime::builder()
//!     .llm_sim(LlmSimConfig::fixed("Lisbon, in October."))
//!     .single_session(|session| session.harness("concierge", "You plan weekends."))
//!     .build()
//!     .await?;
//! let session = runtime.default_session_id().expect("single_session makes one");
//!
//! // What the model will be told is known before anything is said.
//! let context = runtime.load_context(session).await?;
//! assert_eq!(context.runtime_agent.system_prompt, "You plan weekends.");
//!
//! let turn = runtime.run_text_turn(session, "Where to?").await?;
//! assert_eq!(turn.response, "Lisbon, in October.");
//! # Ok(())
//! # }
//! ```
//!
//! `default_model` and `driver_registry` set another model. Own tools implement [`Capability`], own stores
//! the traits of [`store`].
//!
//! # Components
//!
//! `component_file` gives agents the tools of a WebAssembly component, with a grant and limits. It is
//! compiled in a child process of the program itself, because compiling has no bound on time and memory.
//! `main` therefore begins with one line, before the async runtime starts:
//! ```no_run
//! # #[cfg(feature = "sandbox")]
//! # mod host {
//! use std::process::ExitCode;
//!
//! pub fn main() -> ExitCode {
//!     if let Some(code) = everwit_runtime::sandbox::compile_child() {
//!         return code;
//!     }
//!     // … the program …
//!     ExitCode::SUCCESS
//! }
//! # }
//! # fn main() {}
//! ```
//!
//! Without that line components are refused, and the refusal says what to add.
//!
//! | feature | what it adds |
//! |---|---|
//! | `sandbox` (default) | WebAssembly components |
//! | `drivers` | the native model drivers of the known vendors |
//! | `builtins` | the native capabilities that ship with the runtime |
//! | `oauth` | connections of users over OAuth 2 |
//! | `sqlite`, `postgres` | stores in an SQLite file, in a PostgreSQL database |
//! | `s3` | bytes of components in an S3 bucket beside those databases |
//! | `openapi` | `utoipa::ToSchema` for the types of an HTTP API |
//! | `testing` | the contract suite of the stores, and other doubles |

pub mod agent;
pub mod bus;
pub mod capability;
pub mod client_tool;
pub mod clock;
pub mod component;
pub mod connection;
pub mod driver;
#[cfg(feature = "drivers")]
pub mod drivers;
pub mod egress;
pub mod engine;
pub mod error;
pub mod event;
pub mod fail_point;
pub mod file;
pub mod harness;
pub mod id;
pub mod in_process;
pub mod limits;
pub mod message;
#[cfg_attr(not(feature = "testing"), doc(hidden))]
pub mod mutation;
pub mod platform;
pub mod provider;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod secret;
pub mod session;
pub mod store;
pub mod tokens;
pub mod turn;
pub mod usage;

pub use bus::{EventBus, EventEmitter};
#[cfg(feature = "builtins")]
pub use capability::{
    AgentInstructionsCapability, AskUserCapability, CompactionCapability, CurrentTimeCapability, LoopDetectionCapability, NoopCapability,
    SessionCapability, SessionFileSystemCapability, SessionStorageCapability, StatelessTodoListCapability, TestMathCapability,
    TestWeatherCapability, ToolApprovalCapability, WebFetchCapability,
};
pub use capability::{Capability, CapabilityRegistry, CapabilitySource};
pub use connection::{ConnectionProvider, ConnectionProviderRegistry};
pub use driver as driver_registry;
pub use driver::llmsim as llmsim_driver;
pub use driver::{DriverId, DriverRegistry, ResolvedModel};
pub use error::{Error, ErrorKind};
pub use in_process::{InProcessRuntime, InProcessRuntimeBuilder, InputMessage, TurnResult, TurnStopReason};
pub use platform::{
    BuiltInCapabilityDefinition, BuiltInHarnessDefinition, BuiltInHarnessRole, ComponentDefinition, PlatformDefinition,
    PlatformDefinitionBuilder, SeedAgent,
};
pub use provider::{Model, Provider};
pub use store::{
    RuntimeAgentStore, RuntimeBackends, RuntimeFileStore, RuntimeHarnessStore, RuntimeMessageStore, RuntimeProviderStore,
    RuntimeSessionStore,
};
pub use turn::{
    ContextReport, RuntimeAgent, TurnContext, assemble_turn_context, context_report, inspect_turn_context, messages_from_events,
};
