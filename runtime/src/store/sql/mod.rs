//! The aggregates in SQL, one file each: rows, statements, and the traits of the store.
//!
//! This folder is compiled once for each database, as a module of `sqlite` and of `postgres`,
//! which lend it their names: `Store`, `Db`, `dialect`, `error`. It is not generic over them
//! because sqlx would want the bounds of every bound type at every function. Statements are
//! written in what both databases understand, with `$1` for parameters; where they differ, the
//! macros and constants of `dialect` stand. All writes happen in a transaction of a
//! [`Lock`], so that what a transaction reads under it stays true until it commits.

/// The fence of the latest claim of session `$2` of org `$1`.
macro_rules! latest_claim {
    () => {
        concat!(
            "SELECT id, fence, outcome FROM turns",
            indexed_by!("turns_claimed"),
            " WHERE org_id = $1 AND session_id = $2 AND fence > 0 ORDER BY fence DESC LIMIT 1",
            for_update!()
        )
    };
}

mod agent;
mod blob;
mod blob_move;
mod budget;
mod component;
mod component_version;
mod connection;
mod event;
mod file;
mod harness;
mod kv;
mod log;
mod member;
mod org;
mod provider;
mod read;
mod request;
mod row;
mod secret;
mod session;
mod session_secret;
mod setup;
mod turns;
mod tx;
mod usage;

use super::db::Db;
use super::dialect::Database;
use super::{Store, dialect, error};
use crate::store::lock::Lock;

pub(super) use tx::Tx;

type DbRow = <Database as sqlx::Database>::Row;
type DbConnection = <Database as sqlx::Database>::Connection;
type DbQuery<'q> = sqlx::query::Query<'q, Database, <Database as sqlx::Database>::Arguments>;
