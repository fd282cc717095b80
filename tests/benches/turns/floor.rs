//! The least that a server with a database can do: axum, and one committed row for each request.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use reqwest::Client as Http;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use crate::load::Client;

const TABLE: &str = "CREATE TABLE messages (body TEXT NOT NULL)";
const INSERT: &str = "INSERT INTO messages (body) VALUES ($1)";
/// As many as there are clients at most.
const CONNECTIONS: u32 = 8;

/// A server on a thread of its own.
pub(crate) struct Floor {
    address: SocketAddr,
}

#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    /// With the durability that the store asks for.
    async fn open(url: &str) -> Self {
        if url.starts_with("sqlite:") {
            let options: SqliteConnectOptions = url.parse().expect("a URL");
            let options = options.create_if_missing(true).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full);
            let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.expect("a file");
            sqlx::query(TABLE).execute(&pool).await.expect("a table");
            return Self::Sqlite(pool);
        }
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await.expect("a database");
        sqlx::query(TABLE).execute(&pool).await.expect("a table");
        Self::Postgres(pool)
    }

    async fn insert(&self, body: &str) {
        match self {
            Self::Sqlite(pool) => drop(sqlx::query(INSERT).bind(body).execute(pool).await.expect("a row")),
            Self::Postgres(pool) => drop(sqlx::query(INSERT).bind(body).execute(pool).await.expect("a row")),
        }
    }
}

impl Floor {
    pub(crate) fn start(url: &str) -> Self {
        let url = url.to_owned();
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let pool = Pool::open(&url).await;
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                send.send(listener.local_addr().expect("an address")).expect("the other side waits");
                let app = Router::new().route("/", post(insert)).with_state(pool);
                axum::serve(listener, app).await.expect("the server runs");
            });
        });
        Self { address: receive.recv().expect("the server starts") }
    }

    pub(crate) fn client(&self) -> Inserts {
        let http = Http::builder().no_proxy().tcp_nodelay(true).build().expect("a client");
        Inserts { http, url: format!("http://{}/", self.address) }
    }
}

async fn insert(State(pool): State<Pool>, body: String) -> String {
    pool.insert(&body).await;
    body
}

/// Has rows inserted.
pub(crate) struct Inserts {
    http: Http,
    url: String,
}

impl Client for Inserts {
    async fn send(&mut self) {
        let answer = self.http.post(&self.url).body("{\"message\": \"hello\"}").send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 200);
        answer.bytes().await.expect("a body");
    }
}
