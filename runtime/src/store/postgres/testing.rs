//! Databases for tests, and a connection of another program's kind to them.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _};
use url::Url;

use super::PostgresUrl;

/// Creates a database on a server, given the URL of one of its databases, and returns the new
/// one's URL. One of that name that exists already is used as it is.
///
/// # Panics
/// If the server refuses.
pub async fn create_database(server: &str, name: &str) -> String {
    let mut connection = connect(server).await;
    let created = sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE \"{name}\""))).execute(&mut connection).await;
    if let Err(error) = created {
        // Two that create the same one at once see the duplicate as a name or as a row.
        let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        assert!(matches!(code.as_str(), "42P04" | "23505"), "the database {name} was not created: {error}");
    }
    connection.close().await.expect("an end of the connection");
    let mut url = Url::parse(server).expect("a URL");
    url.set_path(name);
    url.into()
}

/// Runs statements on a database without any of the store's settings.
///
/// # Errors
/// What the database says.
pub async fn execute(database: &str, sql: &str) -> Result<(), String> {
    let mut connection = connect(database).await;
    let executed = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
    executed.map(|_| ()).map_err(|error| error.to_string())
}

/// The first column, which is text, of the rows of a query.
///
/// # Panics
/// If the database refuses.
pub async fn query(database: &str, sql: &str) -> Vec<String> {
    let mut connection = connect(database).await;
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.expect("the rows")
}

/// A connection that stays open, and what it holds with it.
pub struct Other {
    connection: PgConnection,
}

impl Other {
    /// Connects.
    ///
    /// # Panics
    /// If the database refuses.
    pub async fn connect(database: &str) -> Self {
        Self { connection: connect(database).await }
    }

    /// Runs statements.
    ///
    /// # Panics
    /// If the database refuses.
    pub async fn execute(&mut self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection).await.expect("the statements are run");
    }
}

async fn connect(database: &str) -> PgConnection {
    let url: PostgresUrl = database.parse().expect("the URL of a database");
    url.options().connect().await.expect("a connection to PostgreSQL")
}
