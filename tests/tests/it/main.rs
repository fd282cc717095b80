//! End-to-end tests, through public surfaces only.

mod compile;
mod contracts;
mod egress;
mod readme;
mod sandbox;
mod support;
mod tidy;
mod turns;
