//! End-to-end tests, through public surfaces only.

mod api;
mod api_auth;
mod api_components;
mod api_document;
mod build;
mod cli;
mod compile;
mod contracts;
mod crash;
mod egress;
mod environment;
mod readme;
mod sandbox;
mod sse;
mod stores;
mod support;
mod tidy;
mod turns;
