//! The contract suite: what every store must do, one function per case, for stores of this
//! crate and of others.
//!
//! [`store_contract_tests!`](crate::store_contract_tests) makes one test of each case:
//!
//! ```text
//! async fn open() -> (RuntimeBackends, impl Sized) {
//!     let directory = tempfile::tempdir().expect("a directory");
//!     (RuntimeBackends::from_store(Arc::new(MyStore::open(directory.path()).await)), directory)
//! }
//! everwit_runtime::store_contract_tests!(my_store, crate::open);
//! ```
//!
//! For a store of one trait, [`run`] the [`CASES`] of its group, and those of `isolation`, on
//! backends that are in memory otherwise:
//!
//! ```text
//! let stores = RuntimeBackends::in_memory().with_message_store(Arc::new(MyMessages::default()));
//! for case in contract::CASES.iter().filter(|case| case.starts_with("messages::")) {
//!     contract::run(case, &stores).await;
//! }
//! ```
//!
//! Each case works in orgs of its own, so all of them can share one database. Cases panic with
//! what they found.

mod append;
pub(super) mod case;
mod cases;
mod components;
mod concurrency;
mod connections;
mod files;
mod isolation;
mod kv;
mod members;
mod messages;
mod methods;
mod models;
mod named;
mod orgs;
mod parking;
mod reading;
mod requests;
mod secrets;
mod sessions;
mod setup;
mod turns;
mod usage;
mod versions;
mod workers;

pub use methods::{ADDING_METHODS, CHANGING_METHODS, READING_METHODS};

use self::case::Case;
use self::named::{agents, harnesses, providers};
use super::RuntimeBackends;

/// Opens a turn in each of so many new sessions.
#[cfg(test)]
pub(crate) async fn open_turns(stores: &RuntimeBackends, sessions: usize) {
    let case = Case::new(stores).await;
    for _ in 0..sessions {
        let session = case.stored_session().await;
        case.open_turn(session).await;
    }
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_contract_runner {
    ([] $($module:ident { $($case:ident)* })*) => {
        /// Names of the cases.
        pub const CASES: &[&str] = &[$($(concat!(stringify!($module), "::", stringify!($case))),*),*];

        /// Runs one case.
        ///
        /// # Panics
        /// If the store fails it, and for a name that is not in [`CASES`].
        pub async fn run(name: &str, stores: &RuntimeBackends) {
            let case = Case::new(stores).await;
            // Boxed, so that this future is not as large as the largest of all cases.
            $($(if name == concat!(stringify!($module), "::", stringify!($case)) {
                return Box::pin($module::$case(&case)).await;
            })*)*
            panic!("{name:?} is no case of the contract");
        }
    };
}

crate::__store_contract_cases! { __store_contract_runner!() }

#[doc(hidden)]
#[macro_export]
macro_rules! __store_contract_tests {
    ([$name:ident, $open:path] $($module:ident { $($case:ident)* })*) => {
        mod $name {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let (stores, _guard) = $open().await;
                    let name = concat!(stringify!($module), "::", stringify!($case));
                    $crate::store::contract::run(name, &stores).await;
                })*
            })*
        }
    };
}

/// Makes a module of tests out of the contract: `store_contract_tests!(name, path::to::open)`.
/// `open` is an async function that returns [`RuntimeBackends`] and a value that is kept until
/// the test ends, named by a path that starts with `crate`. Needs tokio with `macros` and
/// `rt-multi-thread`.
#[macro_export]
macro_rules! store_contract_tests {
    ($name:ident, $open:path) => {
        $crate::__store_contract_cases! { __store_contract_tests!($name, $open) }
    };
}
