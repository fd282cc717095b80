//! The real server under load: what calls leave behind, and what one org notices of another.
//! `cargo xtask soak calls` and `cargo xtask soak fairness` do more of it.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use everwit_runtime::id::OrgId;
use everwit_runtime::limits::Budget;
use everwit_runtime::store::UsageStore as _;
use everwit_runtime::store::sqlite::SqliteStore;
use everwit_runtime::usage::{Account, Balance, Period};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::fuzzing::rounds;
use crate::soak::run::write_down;
use crate::support::{Api, Server, ServerOptions, guest};

/// Mixed calls of a test run.
const CALLS: u64 = 200;
/// Calls of a quiet org in a test run, without and with a noisy one beside it.
const QUIET_CALLS: u64 = 10;
/// Calls at once.
const AT_ONCE: usize = 16;
/// Time after which a caller hangs up on a call that would take seconds.
const PATIENCE: Duration = Duration::from_millis(20);
/// Guests of the noisy org.
const SPINNING: usize = 200;
/// Share of its size by which the server may grow in a long run, in percent, and in a short one, in
/// which its pools and caches fill.
const MAX_GROWTH_PERCENT: (u64, u64) = (5, 50);
/// How much longer the slowest of a hundred calls of the quiet org may take.
const MAX_SLOWDOWN: f64 = 3.0;

async fn server(args: &[&str]) -> Server {
    let args = args.iter().map(|&arg| arg.to_owned()).collect();
    Server::start_with(ServerOptions { args, ..ServerOptions::default() }).await
}

async fn upload(api: &Api, names: &[&str]) {
    for name in names {
        api.upload("?activate=true", guest(name)).await.expect(201);
    }
}

async fn call(api: &Api, component: &str, tool: &str) -> Value {
    let arguments = if component == "echo" { json!({ "value": 1 }) } else { json!({}) };
    api.post(&format!("/v1/components/{component}/call"), &json!({ "tool": tool, "arguments": arguments })).await.expect(200)
}

/// A good call, one that fails, one that traps, or one whose caller hangs up.
async fn mixed_call(api: &Api, number: u64) {
    match number % 4 {
        0 => assert_eq!(call(api, "echo", "echo").await["error"], Value::Null),
        1 => assert_eq!(call(api, "panics", "panic").await["error"]["kind"], "panic"),
        2 => assert_eq!(call(api, "panics", "trap").await["error"]["kind"], "trap"),
        _ => {
            let spinning = tokio::time::timeout(PATIENCE, call(api, "spin", "spin")).await;
            assert!(spinning.is_err(), "it takes seconds: {spinning:?}");
        }
    }
}

/// How long a long run goes on, if it is told a time instead of a number of calls, and where its result is written down.
#[expect(clippy::disallowed_methods, reason = "it is how a long run is told how long it is")]
fn timed() -> Option<(Duration, PathBuf)> {
    let seconds = std::env::var("EVERWIT_SOAK_SECONDS").ok()?.parse().expect("a number of seconds");
    Some((Duration::from_secs(seconds), std::env::var("EVERWIT_SOAK_REPORT").expect("a path").into()))
}

/// Makes mixed calls from a number on: so many, or as long as it is told; the number of the next one.
async fn mixed_calls(api: &Api, from: u64, count: u64, time: Option<Duration>) -> u64 {
    let until = time.map(|time| Instant::now() + time);
    let next = Cell::new(from);
    let numbers = stream::iter(from..).take_while(|&number| {
        let goes_on = until.map_or(number < from + count, |until| Instant::now() < until);
        next.set(if goes_on { number + 1 } else { number });
        std::future::ready(goes_on)
    });
    numbers.for_each_concurrent(AT_ONCE, |number| mixed_call(api, number)).await;
    next.get()
}

#[tokio::test]
async fn mixed_calls_leave_nothing_behind() {
    let server = server(&["--org-fuel-per-day", "1000000000000000"]).await;
    let api = server.api();
    upload(&api, &["echo", "panics", "spin"]).await;
    let org: OrgId = api.get("/v1/orgs/default").await.expect(200)["id"].as_str().expect("an id").parse().expect("an id");
    let (began, started, timed) = (Timestamp::now(), Instant::now(), timed());
    let (count, time) = (rounds(CALLS), timed.as_ref().map(|(time, _)| *time));
    // Its pools and caches are full after the first quarter.
    let warm = mixed_calls(&api, 0, count / 4, time.map(|time| time / 4)).await;
    let before = server.resident_kib();
    let made = mixed_calls(&api, warm, count - count / 4, time.map(|time| time * 3 / 4)).await;
    // Sixteen places are all there are, and an org has three quarters of them: a lost one would be missed.
    run_all_good(&api).await;
    let after = server.resident_kib();
    let percent = if made > CALLS { MAX_GROWTH_PERCENT.0 } else { MAX_GROWTH_PERCENT.1 };
    eprintln!("{made} calls; {before} KiB became {after} KiB");
    assert!(after <= before + before * percent / 100, "{before} KiB became {after} KiB");
    let ledger = SqliteStore::open(&server.data_dir().join("everwit.db")).await.expect("the server's database");
    let settled = tokio::time::timeout(Duration::from_secs(60), until_settled(&ledger, org, began)).await;
    assert!(settled.expect("nothing stays reserved") > 0, "calls are counted");
    if let Some((time, report)) = timed {
        let (what, rate) = (format!("{} minutes", time.as_secs() / 60), made as f64 / started.elapsed().as_secs_f64());
        let growth = (after as f64 / before as f64 - 1.0) * 100.0;
        let row = format!("| {what} | {made} | {rate:.0} | {before} KiB | {after} KiB | {growth:+.1} % | 0 | all |");
        write_down(&report, &row).expect("the result is written down");
    }
}

async fn run_all_good(api: &Api) {
    let good = |_| async { assert_eq!(call(api, "echo", "echo").await["error"], Value::Null) };
    stream::iter(0..4 * AT_ONCE).for_each_concurrent(AT_ONCE, good).await;
}

/// Waits until nothing is reserved, and tells what was used. Who hung up is noticed a moment later.
async fn until_settled(ledger: &SqliteStore, org: OrgId, began: Timestamp) -> u64 {
    loop {
        let mut total = Balance::default();
        let mut days = vec![Period::Day.opened(began), Period::Day.opened(Timestamp::now())];
        days.dedup();
        for day in days {
            let account = Account { key: "every org: fuel per day".to_owned(), opens: day.as_second() };
            let Balance { spent, reserved, .. } = ledger.read_balance(org, &account).await.expect("a balance");
            (total.spent, total.reserved) = (total.spent + spent, total.reserved + reserved);
        }
        if total.reserved == 0 {
            return total.spent;
        }
    }
}

/// The time within which 99 of 100 calls were answered; the health of the server is asked for in between.
async fn slowest(api: &Api, count: u64) -> Duration {
    let mut times = Vec::new();
    for _ in 0..count {
        let started = Instant::now();
        assert_eq!(call(api, "echo", "echo").await["error"], Value::Null);
        times.push(started.elapsed());
        api.get("/healthz").await.expect(200);
    }
    times.sort_unstable();
    times[(times.len() * 99 / 100).min(times.len() - 1)]
}

#[tokio::test]
async fn a_quiet_orgs_calls_go_on_beside_two_hundred_spinning_guests_of_another() {
    let server = server(&[]).await;
    let quiet = server.api_with_key("admin", None).await;
    let noisy = server.api_with_key("admin", Some("noisy")).await;
    upload(&quiet, &["echo"]).await;
    upload(&noisy, &["spin"]).await;
    let limits = json!({ "limits": { "fuel": Budget::CEILING.fuel, "wall_ms": Budget::CEILING.wall_ms } });
    noisy.post("/v1/components/spin/versions/1/activate", &limits).await.expect(200);
    let count = rounds(QUIET_CALLS);
    slowest(&quiet, QUIET_CALLS).await;
    let idle = slowest(&quiet, count).await;
    let spinning: Vec<_> = (0..SPINNING)
        .map(|_| {
            let noisy = noisy.clone();
            tokio::spawn(async move { call(&noisy, "spin", "spin").await })
        })
        .collect();
    slowest(&quiet, QUIET_CALLS).await;
    let busy = slowest(&quiet, count).await;
    let ended = spinning.iter().filter(|call| call.is_finished()).count();
    spinning.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(ended, 0, "all of them spin until the end");
    let slowdown = busy.as_secs_f64() / idle.as_secs_f64();
    eprintln!("{count} calls; p99 {idle:?} without and {busy:?} beside {SPINNING} spinning guests: {slowdown:.2} times");
    // What others do on the machine decides about a few calls; about many it does not.
    assert!(count == QUIET_CALLS || slowdown <= MAX_SLOWDOWN, "the quiet org waits {slowdown:.2} times as long");
}
