//! The figures as people read them.

use std::fmt::Write as _;
use std::path::Path;

use crate::growth::{Growth, Plan};
use crate::load::Load;
use crate::millis;

/// What one subject did under so many clients.
pub(crate) struct Row {
    pub(crate) database: &'static str,
    pub(crate) what: &'static str,
    pub(crate) clients: usize,
    pub(crate) load: Load,
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| database | clients | what | per second | p50 | p99 | of the floor's rate |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let floor =
            rows.iter().rfind(|floor| (floor.database, floor.clients) == (row.database, row.clients)).expect("the last of each group");
        let share = 100.0 * row.load.rate() / floor.load.rate();
        let (rate, p50, p99) = (row.load.rate(), millis(row.load.percentile(50)), millis(row.load.percentile(99)));
        let _ = writeln!(text, "| {} | {} | {} | {rate:.0} | {p50} | {p99} | {share:.0} % |", row.database, row.clients, row.what);
    }
    text
}

fn growth_table(growths: &[Growth], plan: Plan) -> String {
    let [early, late] = plan.windows().map(|(first, last)| format!("turns {first} to {last}, p50"));
    let mut text = format!("| database | {early} | {late} | ratio |\n| --- | --- | --- | --- |\n");
    for growth in growths {
        let (early, late) = (millis(growth.early.percentile(50)), millis(growth.late.percentile(50)));
        let _ = writeln!(text, "| {} | {early} | {late} | {:.2} |", growth.database, growth.ratio());
    }
    text
}

/// Prints the figures.
pub(crate) fn tell(rows: &[Row], growths: &[Growth], plan: Plan) {
    eprintln!("{}\n{}", table(rows), growth_table(growths, plan));
}

/// Writes `docs/benchmarks-turns.md`.
pub(crate) fn write(rows: &[Row], requests: usize, growths: &[Growth], plan: Plan) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let text = format!(
        "# Turns over HTTP\n\nWritten by `cargo xtask bench turns`; do not edit.\n\nA release build of `everwit serve` as a process of its \
         own, a simulated model that takes no time, and clients that each have a session: a client sends a message and reads the \
         session's event stream until `session.idled`, then sends the next. A *turn with one tool call* is two model calls and \
         `get_current_time` between them. The floor is axum and one committed insert for each request, under the same client. Both \
         databases write to the disk before anything is answered (SQLite: write-ahead log, `synchronous=FULL`; PostgreSQL: `fsync=on`). \
         {requests} requests of each client; server and floor take turns. Clients, server, floor and database share {cores} cores, so \
         the figures are good for their ratios, not as a promise.\n\n{}\n## As a session grows\n\nText turns of one client, behind all \
         turns of its session before: {} sessions, one after the other, on the servers of the table above. The tests assert \
         that statements and bytes read grow by no more than a factor of 1.3.\n\n{}",
        table(rows),
        plan.sessions,
        growth_table(growths, plan)
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks-turns.md");
    std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
