//! End-to-end tests, through public surfaces only.

mod api;
mod api_auth;
mod compile;
mod contracts;
mod egress;
mod sandbox;
mod support;
mod tidy;
mod turns;
