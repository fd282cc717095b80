//! A turn with a rest before its model answers, parallel tools, a component's tool, an approval, a client's tool and a timer that
//! ends the wait for another one, on a server that dies at each of its events, on both databases: the log becomes the one of a turn
//! that was never interrupted, and no tool that must not be repeated is.

use std::collections::BTreeMap;
use std::fs::File;
use std::future::Future;
use std::os::unix::process::ExitStatusExt as _;
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::postgres::new_database;
use crate::support::{Api, guest, interrupted};

const SERVER: &str = env!("CARGO_BIN_EXE_dying-server");
/// A debug build on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// More than all turns of a test use.
const MUCH: u64 = 1_000_000_000_000;
/// How long a server that is to die may outlive what it was asked for.
const DEATH_LIMIT: Duration = Duration::from_secs(30);
/// Where a new, empty database will be; none for a SQLite file.
pub(crate) type NewDatabase = Pin<Box<dyn Future<Output = Option<String>>>>;

/// Sequence of the session's last event before its first message.
const BEFORE: u64 = 1;
/// Boundaries that one test goes through.
const STEP: usize = 4;

/// When a server dies.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Death {
    /// After the event with this sequence.
    After(u64),
    /// At a place between two effects, the how manieth time that it gets there.
    At(&'static str, u64),
}

/// One server after the other on the same data.
pub(crate) struct Place {
    home: TempDir,
    database: Option<String>,
    /// What the servers are told beside that.
    settings: Vec<(&'static str, String)>,
}

impl Place {
    pub(crate) fn new(database: Option<String>, settings: Vec<(&'static str, String)>) -> Self {
        Self { home: tempfile::tempdir().expect("a directory"), database, settings }
    }

    /// The same, with a model that says what the interrupted turn needs.
    fn scripted(database: Option<String>) -> Self {
        // Budgets that nobody gets to the end of, so that calls of models and components are reserved and settled.
        let budgets = ["EVERWIT_ORG_TOKENS_PER_DAY", "EVERWIT_ORG_FUEL_PER_DAY"].map(|name| (name, MUCH.to_string()));
        let mut place = Self::new(database, budgets.to_vec());
        let script = place.home.path().join("script.json");
        std::fs::write(&script, interrupted::script().to_string()).expect("the script is written");
        place.settings.push(("EVERWIT_LLMSIM_SCRIPT", script.display().to_string()));
        place
    }

    /// Starts a server; it dies if it is told to.
    pub(crate) async fn server(&self, death: Option<Death>) -> (Child, Api) {
        let file = |name: &str| self.home.path().join(name);
        let mut command = Command::new(SERVER);
        command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
        command.env("EVERWIT_LISTEN", "127.0.0.1:0").env("EVERWIT_DATA_DIR", file("data"));
        command.env("TEST_EFFECTS", file("effects")).envs(self.settings.iter().cloned());
        command.envs(self.database.iter().map(|url| ("EVERWIT_DATABASE", url)));
        command.envs(death.map(|death| match death {
            Death::After(sequence) => ("TEST_DIE_AFTER", sequence.to_string()),
            Death::At(place, nth) => ("TEST_DIE_AT", format!("{place}:{nth}")),
        }));
        let log = File::options().create(true).append(true).open(file("log")).expect("the log is opened");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
        let line = tokio::time::timeout(START_LIMIT, lines.next_line()).await.expect("the server starts in time");
        let Ok(Some(url)) = line else { panic!("the server ended: {}", std::fs::read_to_string(file("log")).unwrap_or_default()) };
        (child, Api::new(&url, None))
    }

    /// How often each call of each tool was executed.
    fn effects(&self) -> BTreeMap<String, usize> {
        let mut effects = BTreeMap::new();
        for line in std::fs::read_to_string(self.home.path().join("effects")).unwrap_or_default().lines() {
            *effects.entry(line.to_owned()).or_default() += 1;
        }
        effects
    }
}

/// A session that has all the tools, on a server that lives.
async fn session(api: &Api) -> String {
    api.upload("", guest("echo")).await.expect(201);
    api.session_with(&interrupted::session()).await
}

/// Waits for the end of a server that is to die.
pub(crate) async fn dies(child: &mut Child, at: &str) {
    let died = tokio::time::timeout(DEATH_LIMIT, child.wait()).await;
    let died = died.unwrap_or_else(|_| panic!("{at}: the server has not got there"));
    assert!(died.expect("its end is known").signal().is_some(), "{at}: the server ended by itself");
}

/// Has the turn, on a server that dies, and then on one that lives.
pub(crate) async fn log_of(database: Option<String>, death: Option<Death>) -> (Vec<Value>, BTreeMap<String, usize>) {
    let place = Place::scripted(database);
    let (mut child, api) = place.server(death).await;
    let session = session(&api).await;
    let message = json!({ "message": { "content": [{ "type": "text", "text": "go" }] } });
    let stream = api.stream(&session, "?after_sequence=0").await;
    let say = |api: &Api| {
        let request = api.request(Method::POST, &format!("/v1/sessions/{session}/messages"));
        interrupted::attempt(request.header("idempotency-key", "go").json(&message))
    };
    let (_, said) = tokio::join!(interrupted::follow(&api, &session, stream), say(&api));
    let api = if let Some(death) = death {
        dies(&mut child, &format!("{death:?}")).await;
        let (alive, api) = place.server(None).await;
        child = alive;
        // Whoever does not know what became of a message sends it again. Nobody else says anything, so that it is the
        // start that takes the turn up.
        if said.is_none() {
            say(&api).await.expect("the message is known, or accepted");
        }
        let stream = api.stream(&session, "?after_sequence=0").await;
        assert!(interrupted::follow(&api, &session, stream).await, "the turn ends");
        api
    } else {
        api
    };
    let events = api.events(&session).await;
    child.kill().await.expect("the server is ended");
    (events, place.effects())
}

pub(crate) fn assert_whole(events: &[Value], effects: &BTreeMap<String, usize>, expected: &[String], at: &str) {
    let charges: Vec<&usize> = effects.iter().filter(|(call, _)| call.starts_with("charge ")).map(|(_, times)| times).collect();
    assert!(charges.len() <= 1 && charges.iter().all(|times| **times == 1), "{at}: {effects:?}");
    interrupted::assert_whole(events, expected, at);
}

/// A death after every fourth event, beginning with the given one.
async fn dies_at_every_fourth(database: fn() -> NewDatabase, first: u64) {
    let (uninterrupted, effects) = log_of(database().await, None).await;
    let expected = interrupted::essence(&uninterrupted);
    assert_whole(&uninterrupted, &effects, &expected, "uninterrupted");
    interrupted::assert_rested(&uninterrupted);
    assert_eq!(effects.values().sum::<usize>(), 2, "{effects:?}");
    let last = uninterrupted.len() as u64;
    assert!(last > 20, "{expected:#?}");
    for sequence in (BEFORE + first..=last).step_by(STEP) {
        let (events, effects) = log_of(database().await, Some(Death::After(sequence))).await;
        assert_whole(&events, &effects, &expected, &format!("a death after event {sequence} of {last}"));
    }
}

pub(crate) fn sqlite() -> NewDatabase {
    Box::pin(async { None })
}

pub(crate) fn postgres() -> NewDatabase {
    Box::pin(async { Some(new_database().await) })
}

macro_rules! boundaries {
    ($($name:ident: $database:ident, $first:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            dies_at_every_fourth($database, $first).await;
        })*
    };
}

boundaries! {
    the_first_of_four_events_on_sqlite: sqlite, 1;
    the_second_of_four_events_on_sqlite: sqlite, 2;
    the_third_of_four_events_on_sqlite: sqlite, 3;
    the_fourth_of_four_events_on_sqlite: sqlite, 4;
    the_first_of_four_events_on_postgres: postgres, 1;
    the_second_of_four_events_on_postgres: postgres, 2;
    the_third_of_four_events_on_postgres: postgres, 3;
    the_fourth_of_four_events_on_postgres: postgres, 4;
}
