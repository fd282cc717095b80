//! Turns of the real server over HTTP, with a simulated model that takes no time, on SQLite and
//! PostgreSQL; beside them the least that a server with a database can do, under the same client. Then what a turn
//! costs in time behind a thousand others of its session.
//!
//! `cargo xtask bench turns` writes `docs/benchmarks-turns.md`. With `--test` everything runs once and
//! nothing is written.

mod floor;
mod growth;
mod load;
mod report;
mod server;

use std::sync::Arc;
use std::time::Duration;

use everwit_runtime::clock::SystemClock;
use everwit_runtime::id::{IdSource as _, RandomIds};
use everwit_runtime::store::postgres::testing::create_database;

use growth::Growth;
use load::{Client, Load};
use report::Row;
use server::Server;

/// URL of a server on which this may create databases; `cargo xtask` starts one and sets it.
const VARIABLE: &str = "EVERWIT_TEST_POSTGRES";
/// Clients that send at once.
const CLIENTS: [usize; 2] = [1, 8];

/// How much is measured.
#[derive(Clone, Copy)]
struct Counts {
    /// Requests of each client that are not timed.
    warm_up: usize,
    /// Requests of each client that are.
    timed: usize,
    /// How often server and floor take turns: neighbours on the machine come and go.
    rounds: usize,
}

const FULL: Counts = Counts { warm_up: 20, timed: 100, rounds: 5 };
const SMOKE: Counts = Counts { warm_up: 0, timed: 1, rounds: 1 };

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (counts, plan) = if is_test { (SMOKE, growth::SMOKE) } else { (FULL, growth::FULL) };
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (mut rows, mut growths) = (Vec::new(), Vec::new());
    for database in ["SQLite", "PostgreSQL"] {
        let (ours, theirs) = match database {
            "SQLite" => (None, format!("sqlite:{}", folder.path().join("floor.db").display())),
            _ => (Some(new_database().await), new_database().await),
        };
        let server = Server::start(folder.path().join(database), ours).await;
        let floor = floor::Floor::start(&theirs);
        for clients in CLIENTS {
            rows.extend(measure(database, &server, &floor, clients, counts).await);
        }
        // Last, when the server is warm, or the first turns would pay for that.
        growths.push(Growth::measure(database, &server, plan).await);
    }
    report::tell(&rows, &growths, plan);
    if !is_test {
        report::write(&rows, counts.timed * counts.rounds, &growths, plan);
    }
}

/// Server and floor with so many clients.
async fn measure(database: &'static str, server: &Server, floor: &floor::Floor, clients: usize, counts: Counts) -> [Row; 3] {
    let mut loads = [Load::default(), Load::default(), Load::default()];
    let mut text = Vec::new();
    let mut tool = Vec::new();
    let mut insert = Vec::new();
    for _ in 0..clients {
        text.push(server.client("hello").await);
        tool.push(server.client("/call get_current_time {}").await);
        insert.push(floor.client());
    }
    for round in 0..counts.rounds {
        let warm_up = if round == 0 { counts.warm_up } else { 0 };
        run(&mut text, warm_up, counts.timed, &mut loads[0]).await;
        run(&mut tool, warm_up, counts.timed, &mut loads[1]).await;
        run(&mut insert, warm_up, counts.timed, &mut loads[2]).await;
    }
    let what = ["text turn", "turn with one tool call", "axum and one insert"];
    let mut loads = loads.into_iter();
    what.map(|what| Row { database, what, clients, load: loads.next().expect("a load for each") })
}

/// Has all clients send at once.
async fn run<C: Client>(clients: &mut [C], warm_up: usize, timed: usize, load: &mut Load) {
    load::together(clients, warm_up).await;
    let measured = load::together(clients, timed).await;
    load.add(measured);
}

async fn new_database() -> String {
    let server = std::env::var_os(VARIABLE).and_then(|url| url.into_string().ok());
    let server = server.unwrap_or_else(|| panic!("{VARIABLE} is not set; run this by `cargo xtask bench turns`"));
    let id = RandomIds::new(Arc::new(SystemClock)).next();
    create_database(&server, &format!("bench_{}", id.simple())).await
}

/// What a time is, as people read it.
fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
