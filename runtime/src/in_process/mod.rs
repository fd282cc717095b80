//! Agents inside a program of somebody else: a runtime without server, in one value.
//!
//! [`InProcessRuntimeBuilder`] takes a platform definition, stores and what is to be in them;
//! [`InProcessRuntime`] runs turns. Both are thin: turns run on the same engine, planner and
//! executor as in a server, only the queue in front of them is a lock.
//!
//! Invariants: a session has one turn at a time; everything belongs to one org, [`LOCAL_ORG`] or
//! the default org of the store; dropping the future of a turn does not end the turn.
//!
//! Deliberately not here: a second loop, and anything that outlives the process beyond what the
//! given stores keep.

mod build;
mod builder;
mod check;
#[cfg(feature = "sandbox")]
mod component;
mod input;
mod lock;
mod problem;
mod runtime;
mod seed;
mod single;
mod subscription;
mod turn;

pub use builder::InProcessRuntimeBuilder;
#[cfg(feature = "sandbox")]
pub use component::ComponentCache;
pub use input::InputMessage;
pub use lock::ConcurrentTurns;
pub use problem::{BuildError, BuildProblem};
pub use runtime::InProcessRuntime;
pub use single::SingleSession;
pub use subscription::EventStream;
pub use turn::{TurnResult, TurnStopReason};

use crate::id::OrgId;

/// The org of a runtime whose store has none yet.
pub const LOCAL_ORG: OrgId = OrgId::from_uuid(uuid::Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0001));
