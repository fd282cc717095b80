//! End-to-end tests, through public surfaces only.

mod stores;
