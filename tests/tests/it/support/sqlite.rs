//! A server's database in the hands of somebody else.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use super::Server;

/// Runs a statement on the database of a server that is running.
pub(crate) async fn run_sql(server: &Server, statement: &str) {
    let options = SqliteConnectOptions::new().filename(server.data_dir().join("everwit.db"));
    let mut database = options.connect().await.expect("the server's database");
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut database).await.expect("a statement");
}
