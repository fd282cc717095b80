//! A server's database in the hands of somebody else.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use super::Server;

/// Runs a statement on the database of a server that is running.
pub(crate) async fn run_sql(server: &Server, statement: &str) {
    run_sql_of(&server.data_dir().join("everwit.db"), statement).await;
}

/// Runs a statement on a database.
pub(crate) async fn run_sql_of(database: &Path, statement: &str) {
    let mut database = SqliteConnectOptions::new().filename(database).connect().await.expect("the server's database");
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut database).await.expect("a statement");
}

/// The number that a query answers.
pub(crate) async fn number_of(database: &Path, query: &str) -> i64 {
    let mut database = SqliteConnectOptions::new().filename(database).connect().await.expect("the server's database");
    sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&mut database).await.expect("a number")
}

/// The first column, which is text, of the rows of a query.
pub(crate) async fn texts_of(database: &Path, query: &str) -> Vec<String> {
    let mut database = SqliteConnectOptions::new().filename(database).connect().await.expect("the server's database");
    sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_all(&mut database).await.expect("rows")
}
