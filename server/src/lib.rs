//! The Everwit server and its command line. A library so that tests and embedders can start the
//! same program.

mod api;
mod app;
mod auth;
mod cli;
mod components;
mod config;
mod data_dir;
mod encryption;
mod http;
mod lifecycle;
mod moments;
mod problem;
mod random;
mod schema;
mod seed;
mod seed_models;
mod telemetry;

pub use cli::main;
