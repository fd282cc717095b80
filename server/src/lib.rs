//! The Everwit server and its command line, and what an embedder builds a server of its own with:
//! [`ServerAppBuilder`] and [`WorkerAppBuilder`] on a platform definition, for example
//! [`oss_platform_definition`] with changes.

mod api;
mod app;
mod audit;
mod auth;
mod bucket;
mod cli;
mod components;
mod config;
mod control_plane;
mod data_dir;
mod database;
mod definition;
mod encryption;
mod error;
mod executor;
mod garbage;
mod handle;
mod http;
mod lifecycle;
mod listener;
mod model_args;
mod moments;
mod problem;
mod quota;
mod random;
mod recorder;
mod schema;
mod seed;
mod seed_models;
mod site;
mod telemetry;
mod turns_right;
mod worker;
mod workers;

pub use api::custom::{authorized, authorized_api};
pub use api::table::Module;
pub use app::{ServerAppBuilder, ServerHandle};
pub use auth::{AuthError, Authenticator, Caller, CallingMember};
pub use cli::{EngineArgs, main, main_with};
pub use components::run_as_compile_child;
pub use config::{ConfigError, DurableWorkerConfig, ServerConfig, ServerRole};
pub use control_plane::{ControlPlane, WorkerToken};
pub use database::DatabaseConfig;
pub use definition::oss_platform_definition;
pub use error::AppError;
pub use everwit_runtime::store::{S3Config, Scope};
pub use listener::EventListener;
pub use problem::Problem;
pub use quota::OrgLimits;
pub use seed::{SeedAction, SeedEntry, SeedReport};
pub use worker::{WorkerAppBuilder, WorkerHandle};
