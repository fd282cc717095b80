//! End-to-end tests, through public surfaces only.

mod api;
mod api_auth;
mod compile;
mod contracts;
mod egress;
mod readme;
mod sandbox;
mod stores;
mod support;
mod tidy;
mod turns;
