//! What a turn asks of the database, in statements, rows and bytes: counted in what the driver logs of
//! the real server, for both databases.

use std::path::PathBuf;
use std::time::Duration;

use everwit_runtime::store::postgres::testing;
use serde_json::{Value, json};
use url::Url;

use crate::support::postgres::new_database;
use crate::support::proxy::Proxy;
use crate::support::{Api, EventStream, Server, ServerOptions};

/// Most statements of one turn over HTTP, with somebody watching its events. What the database
/// executes counts: BEGIN, COMMIT and locks too; what a new connection asks about itself does not.
const MAX_TEXT_TURN: usize = 20;
const MAX_TOOL_TURN: usize = 30;
/// Turns that are measured together: what the engine does once a turn has been told of as ended may
/// be counted to the next one.
const MEASURED: usize = 4;
/// Turns of a long session, and those of its beginning that it is held against.
const LONG: usize = 1_000;
const EARLY: usize = 10;
/// How long PostgreSQL may take to notice that its clients are gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// Turns that wait at the same time while the session becomes long.
const AT_ONCE: usize = 50;
/// Turns whose reading is measured.
const READING: usize = 10;
/// How much more a turn of a long session may cost, in tenths: in statements, rows and bytes. They stand for its time as
/// well, which a machine that others use cannot measure.
const MORE: u64 = 13;
/// Bytes of the pages of our tables and their indexes that PostgreSQL has looked at. What each new connection reads of
/// the catalogue is as much as it is many connections, and no matter of turns.
const BYTES_READ: &str = "SELECT CAST(sum(heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0) \
     + coalesce(toast_blks_hit + toast_blks_read, 0)) * current_setting('block_size')::bigint AS text) FROM pg_statio_user_tables";

const NO_AUTOVACUUM: &str = "DO $$ DECLARE name text; BEGIN FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' \
     LOOP EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = false)', name); END LOOP; END $$";

/// What the database did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cost {
    statements: usize,
    /// Rows that were answered.
    rows: u64,
    /// The statements, to be read when there are too many.
    list: Vec<String>,
}

struct Meter {
    server: Server,
    /// What is between the server and PostgreSQL, and the database without it.
    postgres: Option<(Proxy, String)>,
    api: Api,
    session: String,
    stream: EventStream,
    log: PathBuf,
}

impl Meter {
    async fn start(database: Option<String>) -> Self {
        let log = ["--log", "info,sqlx=debug,everwit_runtime::store=trace", "--log-format", "json"];
        let mut args: Vec<String> = [&log[..], &["--org-turns-per-minute", "100000"]].concat().into_iter().map(str::to_owned).collect();
        let postgres = match database {
            Some(url) => Some((Proxy::before(&url).await, url)),
            None => None,
        };
        args.extend(postgres.iter().flat_map(|(proxy, _)| ["--database".to_owned(), proxy.url().to_owned()]));
        let server = Server::start_with(ServerOptions { script: None, args }).await;
        let api = server.api();
        let session = api.session_with(&json!({ "capabilities": [{ "ref": "current_time" }] })).await;
        let stream = api.stream(&session, "").await;
        let log = server.log_file();
        Self { server, postgres, api, session, stream, log }
    }

    /// Has a turn, from its message to the end of its last event's way to a reader.
    async fn turn(&mut self, text: &str) {
        self.api.say(&self.session, text).await;
        self.stream.until("session.idled").await;
    }

    /// Has so many turns.
    async fn turns(&mut self, count: usize) {
        for first in (0..count).step_by(AT_ONCE) {
            let numbers = first..(first + AT_ONCE).min(count);
            for number in numbers.clone() {
                self.api.say_apart(&self.session, "hello there", number).await;
            }
            for _ in numbers {
                self.stream.until("session.idled").await;
            }
        }
    }

    /// What [`MEASURED`] turns cost.
    async fn cost_of_some(&mut self, text: &str) -> Cost {
        let before = self.length();
        for _ in 0..MEASURED {
            self.turn(text).await;
        }
        self.cost_since(before)
    }

    /// Bytes that [`READING`] turns read: by the server from its files, or by PostgreSQL from its pages.
    async fn bytes_of_some(&mut self, text: &str) -> u64 {
        let before = self.bytes_read(true).await;
        for _ in 0..READING {
            self.turn(text).await;
        }
        self.bytes_read(false).await - before
    }

    /// Bytes that were read so far; before that, PostgreSQL may tidy up as it does every minute.
    async fn bytes_read(&mut self, tidies: bool) -> u64 {
        let Some((proxy, database)) = &self.postgres else { return self.server.bytes_read() };
        // Connections tell what they have read when they end, at the latest.
        proxy.cut();
        if tidies {
            nobody_is_connected_to(database).await;
            testing::execute(database, "VACUUM ANALYZE").await.expect("it tidies up");
        }
        nobody_is_connected_to(database).await;
        let bytes = testing::query(database, BYTES_READ).await[0].parse().expect("a number");
        proxy.mend();
        while self.api.get("/readyz").await.status != 200 {}
        self.stream = self.api.stream(&self.session, "").await;
        bytes
    }

    fn length(&self) -> usize {
        usize::try_from(std::fs::metadata(&self.log).expect("the log").len()).expect("a log that fits")
    }

    fn cost_since(&self, start: usize) -> Cost {
        let log = std::fs::read(&self.log).expect("the log");
        let mut cost = Cost::default();
        for line in log[start..].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Ok(line) = serde_json::from_slice::<Value>(line) else { continue };
            // The driver tells of each statement how many rows it returned.
            if let Some(rows) = line["rows_returned"].as_u64() {
                let of = |field: &str| line[field].as_str().filter(|text| !text.trim().is_empty()).map(str::trim);
                let statement = of("db.statement").or(of("summary")).unwrap_or_default();
                if statement.starts_with("PRAGMA") {
                    continue;
                }
                cost.statements += 1;
                cost.rows += rows;
                cost.list.push(statement.split_whitespace().collect::<Vec<_>>().join(" "));
            } else if let Some(unlogged) = line["statements"].as_u64() {
                // What the driver does not tell: BEGIN, and COMMIT of SQLite.
                cost.statements += usize::try_from(unlogged).expect("a small number");
                cost.list.push(format!("(a transaction of {unlogged} further statements)"));
            }
        }
        cost
    }
}

async fn turns_have_a_budget(database: Option<String>) {
    let mut meter = Meter::start(database).await;
    meter.turn("warm up").await;
    let text = meter.cost_of_some("hello there").await;
    assert!((10 * MEASURED..=MAX_TEXT_TURN * MEASURED).contains(&text.statements), "{text:#?}");
    let tool = meter.cost_of_some("/call get_current_time {}").await;
    let called = meter.api.events(&meter.session).await.iter().filter(|event| event["type"] == "tool.completed").count();
    assert_eq!(called, MEASURED, "each turn called a tool");
    assert!((text.statements + 1..=MAX_TOOL_TURN * MEASURED).contains(&tool.statements), "{tool:#?}");
}

async fn a_turn_costs_the_same_in_a_long_session(database: Option<String>) {
    let mut meter = Meter::start(database).await;
    if let Some((_, database)) = &meter.postgres {
        // It tidies up when it is told to, so that nothing of that is measured.
        testing::execute(database, NO_AUTOVACUUM).await.expect("it takes the settings");
    }
    meter.turns(EARLY - 1).await;
    let early = meter.cost_of_some("hello there").await;
    let early_bytes = meter.bytes_of_some("hello there").await;
    meter.turns(LONG - EARLY - MEASURED - READING).await;
    meter.turn("hello there").await;
    let late = meter.cost_of_some("hello there").await;
    let late_bytes = meter.bytes_of_some("hello there").await;
    assert!(early.statements > 0 && early.rows > 0 && early_bytes > 0, "{early:?}");
    assert!(late.statements as u64 * 10 <= early.statements as u64 * MORE, "{early:#?} became {late:#?}");
    assert!(late.rows * 10 <= early.rows * MORE, "{early:#?} became {late:#?}");
    assert!(late_bytes * 10 <= early_bytes * MORE, "{READING} turns read {early_bytes} bytes, and {late_bytes} in a long session");
}

/// A number that the server's statistics have of a database.
async fn of_database(database: &str, query: &str) -> u64 {
    let mut elsewhere = Url::parse(database).expect("a URL");
    let name = elsewhere.path().trim_start_matches('/').to_owned();
    elsewhere.set_path("/postgres");
    let found = testing::query(elsewhere.as_str(), &format!("{query} WHERE datname = '{name}'")).await;
    found[0].parse().expect("a number")
}

async fn nobody_is_connected_to(database: &str) {
    let connected = "SELECT CAST(count(*) FILTER (WHERE backend_type = 'client backend') AS text) FROM pg_stat_activity";
    let ended = async { while of_database(database, connected).await > 0 {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("the connections end");
}

#[tokio::test]
async fn turns_have_a_budget_on_sqlite() {
    turns_have_a_budget(None).await;
}

#[tokio::test]
async fn turns_have_a_budget_on_postgres() {
    turns_have_a_budget(Some(new_database().await)).await;
}

#[tokio::test]
async fn a_turn_costs_the_same_in_a_long_session_on_sqlite() {
    a_turn_costs_the_same_in_a_long_session(None).await;
}

#[tokio::test]
async fn a_turn_costs_the_same_in_a_long_session_on_postgres() {
    a_turn_costs_the_same_in_a_long_session(Some(new_database().await)).await;
}
