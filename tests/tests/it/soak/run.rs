//! Has turns on a site whose processes are killed, wherever that site is.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::effects::Effects;
use super::judge::{Verdict, Work, judge};
use super::site::Site;
use crate::support::random::Random;
use crate::support::{Api, EventStream};

/// Sessions that have turns at the same time.
const SESSIONS: usize = 4;
/// Turns of a session, after which another one takes its place: a model is sent all of its session, and after each death
/// all of it is read.
const TURNS_OF_A_SESSION: usize = 250;
/// Turns of a run of the tests, and the most stored events whose sight is waited for between two of its kills.
const TURNS: u64 = 40;
const EVENTS_BETWEEN_KILLS: usize = 40;
/// Events that only tell that a turn was taken up. One to which nothing else happens again and again is given up, and
/// rightly so: in a run of the tests, each turn under way comes further before somebody dies again.
const NO_PROGRESS: [&str; 2] = ["session.activated", "reason.recovered"];
/// How long a turn may take, deaths of its processes included.
const STUCK: Duration = Duration::from_secs(120);
/// Events that are read at once.
const PAGE: usize = 1_000;

/// How long a run is, and how its processes die.
pub(crate) struct Plan {
    turns: u64,
    /// Mean time between two kills; without it so many events that somebody has seen.
    every: Option<Duration>,
    seed: u64,
    /// Where to write the result down.
    report: Option<PathBuf>,
}

impl Plan {
    /// The short run of the tests, or what the environment says.
    #[expect(clippy::disallowed_methods, reason = "it is how a long run is told how long it is")]
    pub(crate) fn read() -> Self {
        let variable = |name: &str| std::env::var(format!("EVERWIT_SOAK_{name}")).ok();
        let number = |name: &str| variable(name).map(|text| text.parse::<u64>().expect("a number"));
        Self {
            turns: number("TURNS").unwrap_or(TURNS),
            every: number("KILL_MILLIS").map(Duration::from_millis),
            seed: number("SEED").unwrap_or(1),
            report: variable("REPORT").map(PathBuf::from),
        }
    }
}

/// What all sessions share.
struct Soak {
    turns: u64,
    next: AtomicU64,
    url: watch::Receiver<Option<String>>,
    seen: watch::Sender<Seen>,
    charge_port: u16,
}

/// What was seen of the stored events.
struct Seen {
    count: usize,
    /// For each session of those at the same time, when its turn last came further; the end of time once it has had all
    /// of its turns.
    came_further: [Timestamp; SESSIONS],
}

impl Soak {
    /// A client of the API, once it is there.
    async fn api(&self) -> Api {
        let mut url = self.url.clone();
        let there = url.wait_for(Option::is_some).await.expect("the site lives").clone();
        Api::new(&there.expect("it was just seen"), None)
    }

    /// Has turn after turn, in one session after the other, until all are had; returns the sessions.
    async fn talk(&self, lane: usize) -> Vec<String> {
        let mut sessions = Vec::new();
        loop {
            let session = self.begin(&format!("session {lane}.{}", sessions.len())).await;
            sessions.push(session.clone());
            for _ in 0..TURNS_OF_A_SESSION {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                if number >= self.turns {
                    self.seen.send_modify(|seen| seen.came_further[lane] = Timestamp::MAX);
                    return sessions;
                }
                let turn = async {
                    let accepted = self.say(&session, number).await;
                    self.until_idle(lane, &session, &accepted).await;
                };
                tokio::time::timeout(STUCK, turn).await.unwrap_or_else(|_| panic!("turn {number} of {session} is stuck"));
            }
        }
    }

    /// Begins a session that has the tools.
    async fn begin(&self, key: &str) -> String {
        let capabilities = json!([{ "ref": "fetcher" }, { "ref": "current_time" }]);
        let session = self.insist("/v1/sessions", key, &json!({ "capabilities": capabilities })).await;
        session["id"].as_str().expect("an id").to_owned()
    }

    /// Sends the message of a turn; returns it.
    async fn say(&self, session: &str, number: u64) -> Value {
        let text = match Work::of(number) {
            Work::Charge => {
                let url = format!("http://127.0.0.1:{}/charge/{number}", self.charge_port);
                format!("/call fetcher__fetch {}", json!({ "url": url }))
            }
            Work::Look => "/call get_current_time {}".to_owned(),
            Work::Talk => format!("talk {number}"),
        };
        let message = json!({ "message": { "content": [{ "type": "text", "text": text }] }, "metadata": { "number": number } });
        self.insist(&format!("/v1/sessions/{session}/messages"), &format!("turn {number}"), &message).await
    }

    /// Posts until it is accepted, under a key by which it has one effect; returns what was made.
    async fn insist(&self, path: &str, key: &str, body: &Value) -> Value {
        loop {
            let request = self.api().await.request(Method::POST, path);
            let Ok(response) = request.header("idempotency-key", key).json(body).send().await else { continue };
            let status = response.status().as_u16();
            match response.bytes().await {
                Ok(body) if status == 201 => return serde_json::from_slice(&body).expect("an answer"),
                Ok(body) => panic!("{key} is refused with {status}: {}", String::from_utf8_lossy(&body)),
                // The process died while it answered.
                Err(_) => {}
            }
        }
    }

    /// Watches a session until the turn of a message has ended.
    async fn until_idle(&self, lane: usize, session: &str, message: &Value) {
        let (turn, mut after) = (&message["turn_id"], message["sequence"].as_u64().expect("a sequence"));
        loop {
            let request = self.api().await.request(Method::GET, &format!("/v1/sessions/{session}/sse?after_sequence={after}"));
            let Some(mut stream) = EventStream::try_open(request).await else { continue };
            while let Some(frame) = stream.next().await {
                // Only what is stored: a kill comes behind something that was done.
                if let Some(sequence) = frame.sequence() {
                    after = sequence;
                    let at: Timestamp = frame.data["ts"].as_str().and_then(|ts| ts.parse().ok()).expect("a time");
                    self.seen.send_modify(|seen| {
                        seen.count += 1;
                        if !NO_PROGRESS.contains(&frame.event.as_str()) {
                            seen.came_further[lane] = at;
                        }
                    });
                }
                if frame.event == "session.idled" && frame.data["data"]["turn_id"] == *turn {
                    return;
                }
            }
        }
    }
}

/// Lets a random process die from time to time, until all turns are had; returns how often.
async fn kill(site: &mut Site, plan: &Plan, mut seen: watch::Receiver<Seen>) -> u64 {
    let mut random = Random(plan.seed);
    let mut started = Timestamp::now();
    for kills in 0.. {
        match plan.every {
            Some(mean) => {
                let pause = mean.mul_f64(0.5 + random.below(1_000) as f64 / 1_000.0);
                // Nobody waits for what comes then; it is when it happens.
                let ended = async { while seen.changed().await.is_ok() {} };
                if tokio::time::timeout(pause, ended).await.is_ok() {
                    return kills;
                }
            }
            None => {
                let until = seen.borrow().count + 1 + random.below(EVENTS_BETWEEN_KILLS);
                let is_time = |seen: &Seen| seen.count >= until && seen.came_further.iter().all(|at| *at > started);
                if seen.wait_for(is_time).await.is_err() {
                    return kills;
                }
            }
        }
        site.kill_and_restart(random.below(site.size())).await;
        started = Timestamp::now();
    }
    unreachable!("there is always one more kill")
}

/// A component whose tool acts on the world, with the right to do so.
pub(super) async fn activate(api: &Api, fetcher: Vec<u8>) {
    let uploaded = api.upload("?activate=false", fetcher).await.expect(201);
    let path = uploaded["activate"]["path"].as_str().expect("the answer has the call");
    api.post(path, &uploaded["activate"]["body"]).await.expect(200);
}

async fn events(api: &Api, session: &str) -> Vec<Value> {
    let mut events: Vec<Value> = Vec::new();
    loop {
        let path = format!("/v1/sessions/{session}/events?limit={PAGE}&after_sequence={}", events.len());
        let page = api.get(&path).await.expect(200)["data"].as_array().expect("a list").clone();
        let is_last = page.len() < PAGE;
        events.extend(page);
        if is_last {
            return events;
        }
    }
}

/// Runs a plan on a site. Its tool that acts on the world is the guest `fetcher`, for the port of the effects.
pub(crate) async fn soak(what: &str, plan: Plan, effects: Effects, mut site: Site, fetcher: Vec<u8>) {
    let seen = watch::Sender::new(Seen { count: 0, came_further: [Timestamp::MIN; SESSIONS] });
    let watched = seen.subscribe();
    let soak = Soak { turns: plan.turns, next: AtomicU64::new(0), url: site.url(), seen, charge_port: effects.port };
    let api = soak.api().await;
    activate(&api, fetcher).await;
    eprintln!("seed {}, {} turns, {SESSIONS} sessions at a time", plan.seed, plan.turns);
    let (started, soak) = (Instant::now(), Arc::new(soak));
    let mut talks = JoinSet::new();
    for lane in 0..SESSIONS {
        let soak = soak.clone();
        talks.spawn(async move { soak.talk(lane).await });
    }
    // The kills end with the last session, when nobody counts events any more.
    drop(soak);
    let (kills, sessions) = tokio::join!(kill(&mut site, &plan, watched), talks.join_all());
    let took = started.elapsed();
    let api = Api::new(site.url().borrow().as_deref().expect("the site serves"), None);
    let mut logs = Vec::new();
    for session in sessions.iter().flatten() {
        logs.push(events(&api, session).await);
    }
    let verdict = judge(plan.turns, &logs, &effects.counts());
    tell(what, &plan, kills, took, &verdict);
    assert!(verdict.wrong.is_empty(), "seed {}: {:#?}", plan.seed, verdict.wrong);
    assert_eq!(verdict.completed, plan.turns);
    assert!(kills > 0, "something was killed");
}

/// Prints what came of it, and writes it down if that is wanted.
fn tell(what: &str, plan: &Plan, kills: u64, took: Duration, verdict: &Verdict) {
    let Verdict { completed, recovered, uncertain, wrong } = verdict;
    let rate = *completed as f64 / took.as_secs_f64();
    let mut row = String::new();
    let cells = [
        what.to_owned(),
        plan.turns.to_string(),
        kills.to_string(),
        plan.every.map_or_else(|| "by events".to_owned(), |every| format!("{:.1} s", every.as_secs_f64())),
        completed.to_string(),
        recovered.to_string(),
        uncertain.to_string(),
        wrong.len().to_string(),
        format!("{:.0} s", took.as_secs_f64()),
        format!("{rate:.1}"),
        plan.seed.to_string(),
    ];
    for cell in cells {
        write!(row, "| {cell} ").expect("text takes text");
    }
    row.push('|');
    eprintln!("{row}");
    if let Some(path) = plan.report.as_ref().filter(|_| wrong.is_empty()) {
        write_down(path, &row).expect("the report is written");
    }
}

/// Puts a row in the place of the one with the same first cell, or behind the last one of a table with as many columns.
pub(crate) fn write_down(path: &Path, row: &str) -> std::io::Result<()> {
    let first = |line: &str| line.split('|').nth(1).map(|cell| cell.trim().to_owned());
    let columns = |line: &str| line.matches('|').count();
    let mut lines: Vec<String> = std::fs::read_to_string(path)?.lines().map(str::to_owned).collect();
    match lines.iter().position(|line| line.starts_with('|') && first(line) == first(row)) {
        Some(at) => row.clone_into(&mut lines[at]),
        None => {
            let last = lines.iter().rposition(|line| line.starts_with('|') && columns(line) == columns(row));
            lines.insert(last.map_or(lines.len(), |at| at + 1), row.to_owned());
        }
    }
    std::fs::write(path, lines.join("\n") + "\n")
}
