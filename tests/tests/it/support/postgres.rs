//! Databases on the PostgreSQL server that the test command started.

use std::sync::Arc;

use everwit_runtime::clock::SystemClock;
use everwit_runtime::id::{IdSource as _, RandomIds};
use everwit_runtime::store::postgres::{PostgresStore, testing};

/// URL of a server on which the tests may create databases.
const VARIABLE: &str = "EVERWIT_TEST_POSTGRES";
/// Connections of one store: fewer than in production, because many tests share the server.
pub(crate) const CONNECTIONS: u32 = 4;

fn server() -> String {
    std::env::var_os(VARIABLE).and_then(|url| url.into_string().ok()).unwrap_or_else(|| {
        panic!(
            "{VARIABLE} is not set: this test needs a PostgreSQL server. `cargo xtask test` starts one; to run \
             some tests, put `cargo xtask postgres` before the command, as in `cargo xtask postgres cargo nextest run stores`"
        )
    })
}

/// A new, empty database.
pub(crate) async fn new_database() -> String {
    let id = RandomIds::new(Arc::new(SystemClock)).next();
    testing::create_database(&server(), &format!("test_{}", id.simple())).await
}

/// The one database of this name, for tests that do not mind each other.
pub(crate) async fn shared_database(name: &str) -> String {
    testing::create_database(&server(), name).await
}

/// A store on a database.
pub(crate) async fn open(database: &str) -> PostgresStore {
    let url = database.parse().expect("the URL of a database");
    PostgresStore::open(&url, CONNECTIONS).await.expect("a store")
}
