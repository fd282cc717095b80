//! End-to-end tests, through public surfaces only.

mod api;
mod api_auth;
mod api_components;
mod api_context;
mod api_document;
mod api_files;
mod api_sessions;
mod build;
mod builtins;
mod cli;
mod compile;
mod contracts;
mod crash;
mod egress;
mod environment;
mod in_process;
mod readme;
mod sandbox;
mod seed_page;
mod sse;
mod stores;
mod support;
mod tidy;
mod turns;
