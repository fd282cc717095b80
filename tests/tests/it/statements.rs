//! What a turn asks of the database, in statements and rows: counted in what the driver logs of
//! the real server, for both databases.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::postgres::new_database;
use crate::support::{Api, EventStream, Server, ServerOptions};

/// Most statements of one turn over HTTP, with somebody watching its events. What the database
/// executes counts: BEGIN, COMMIT and locks too; what a new connection asks about itself does not.
const MAX_TEXT_TURN: usize = 23;
const MAX_TOOL_TURN: usize = 30;
/// Turns that are measured together: what the engine does once a turn has been told of as ended may
/// be counted to the next one.
const MEASURED: usize = 4;
/// Turns of a long session; fewer on PostgreSQL, where each takes twice as long.
const LONG_ON_SQLITE: usize = 1_000;
const LONG_ON_POSTGRES: usize = 400;

/// What the database did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cost {
    statements: usize,
    /// Rows that were read.
    rows: u64,
    /// The statements, to be read when there are too many.
    list: Vec<String>,
}

struct Meter {
    _server: Server,
    api: Api,
    session: String,
    stream: EventStream,
    log: PathBuf,
}

impl Meter {
    async fn start(database: Option<String>) -> Self {
        let log = ["--log", "info,sqlx=debug,everwit_runtime::store=trace", "--log-format", "json"];
        let mut args: Vec<String> = [&log[..], &["--org-turns-per-minute", "100000"]].concat().into_iter().map(str::to_owned).collect();
        args.extend(database.into_iter().flat_map(|url| ["--database".to_owned(), url]));
        let server = Server::start_with(ServerOptions { script: None, args }).await;
        let api = server.api();
        let session = api.session_with(&json!({ "capabilities": [{ "ref": "current_time" }] })).await;
        let stream = api.stream(&session, "").await;
        let log = server.log_file();
        Self { _server: server, api, session, stream, log }
    }

    /// Has a turn, from its message to the end of its last event's way to a reader.
    async fn turn(&mut self, text: &str) {
        self.api.say(&self.session, text).await;
        self.stream.until("session.idled").await;
    }

    /// What [`MEASURED`] turns cost.
    async fn cost_of_some(&mut self, text: &str) -> Cost {
        let before = self.length();
        for _ in 0..MEASURED {
            self.turn(text).await;
        }
        self.cost_since(before)
    }

    /// What a turn costs.
    async fn cost(&mut self, text: &str) -> Cost {
        let before = self.length();
        self.turn(text).await;
        self.cost_since(before)
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

async fn a_turn_costs_the_same_in_a_long_session(database: Option<String>, turns: usize) {
    let mut meter = Meter::start(database).await;
    let mut early = Cost::default();
    for turn in 1..turns {
        if turn == 10 {
            early = meter.cost("hello there").await;
        } else {
            meter.turn("hello there").await;
        }
    }
    let late = meter.cost("hello there").await;
    assert!(early.statements > 0 && early.rows > 0, "{early:?}");
    assert!(late.statements * 10 <= early.statements * 13, "{early:#?} became {late:#?}");
    assert!(late.rows * 10 <= early.rows * 13, "{early:#?} became {late:#?}");
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
    a_turn_costs_the_same_in_a_long_session(None, LONG_ON_SQLITE).await;
}

#[tokio::test]
async fn a_turn_costs_the_same_in_a_long_session_on_postgres() {
    a_turn_costs_the_same_in_a_long_session(Some(new_database().await), LONG_ON_POSTGRES).await;
}
