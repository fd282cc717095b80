//! Servers that die at each place between two effects of stores, engine, tools and gateway, on both databases: the
//! turn becomes what it is without a death, and no tool that must not be repeated is.

use std::collections::BTreeSet;

use everwit_runtime::fail_point;
use reqwest::Method;
use serde_json::{Value, json};

use crate::boundaries::{Death, NewDatabase, Place, assert_whole, dies, log_of, postgres, sqlite};
use crate::soak::activate;
use crate::soak::effects::Effects;
use crate::support::interrupted::{attempt, essence};
use crate::support::s3::S3;
use crate::support::{Api, guest};

/// Places that the interrupted turn gets to, and how often each of them is died at: there is one message, one wait.
const STORE: [(&str, u64); 9] = [
    ("StoreSubmitting", 1),
    ("StoreSubmitted", 1),
    ("StoreClaimed", 2),
    ("StoreAppending", 1),
    ("StoreAppended", 2),
    ("StoreAnswering", 2),
    ("StoreAnswered", 2),
    ("StoreReserved", 2),
    ("StoreSettled", 2),
];
const ENGINE: [(&str, u64); 5] = [("EngineWoken", 2), ("EngineBegins", 2), ("EngineEnded", 2), ("EngineWaits", 1), ("ToolReturned", 3)];
/// Those of a turn that is cancelled.
const CANCEL: [&str; 1] = ["StoreCancelling"];
/// Those of a request that leaves, and how often it may have been executed: nobody can know whether one that was about
/// to leave did.
const GATEWAY: [(&str, u64); 3] = [("GatewayLeaves", 0), ("GatewayAnswered", 1), ("GatewayEnded", 1)];

/// That of a budget that is topped up.
const TOP_UP: [&str; 1] = ["StoreToppedUp"];
/// Those of a turn that waits at a soft limit, and is resumed.
const PAUSE: [&str; 3] = ["StoreAppending", "StoreAnswering", "StoreAnswered"];

/// Bytes of what is left of components without bytes.
const ROOM_FOR_DESCRIPTIONS: usize = 8 << 10;
/// Those of uploads whose bytes go into a bucket: one that has no room, and the next one, which takes that of an archived version.
const BUCKET: [(&str, u64); 2] = [("StoreObjectWritten", 2), ("StoreObjectLoose", 2)];

#[test]
fn every_fail_point_is_died_at() {
    let counted = STORE.iter().chain(&ENGINE).chain(&GATEWAY).chain(&BUCKET).map(|(place, _)| *place);
    let covered: BTreeSet<String> = counted.chain(CANCEL).chain(TOP_UP).map(str::to_owned).collect();
    assert_eq!(covered, fail_point::names().collect());
}

/// Deaths of the interrupted turn, the first time at each place, and so on.
async fn die_at(database: fn() -> NewDatabase, places: &[(&'static str, u64)]) {
    let (uninterrupted, effects) = log_of(database().await, None).await;
    let expected = essence(&uninterrupted);
    assert_whole(&uninterrupted, &effects, &expected, "uninterrupted");
    for &(place, times) in places {
        for nth in 1..=times {
            let (events, effects) = log_of(database().await, Some(Death::At(place, nth))).await;
            assert_whole(&events, &effects, &expected, &format!("a death at {place}, time {nth}"));
        }
    }
}

/// A turn that waits for a client and is cancelled, by a request that nobody sends again if the server dies of it.
async fn cancelled(database: Option<String>, death: Option<Death>) -> Vec<String> {
    let tab = json!({ "type": "client_side", "name": "open_tab", "description": "Opens one.", "parameters": { "type": "object" } });
    let place = Place::new(database, Vec::new());
    let (mut child, api) = place.server(death).await;
    let session = api.session_with(&json!({ "tools": [tab] })).await;
    let mut stream = api.stream(&session, "").await;
    api.say(&session, "/call open_tab {}").await;
    stream.until("tool.call_requested").await;
    let cancel = format!("/v1/sessions/{session}/cancel");
    let answer = attempt(api.request(Method::POST, &cancel).json(&json!({}))).await;
    let (_alive, api) = match death {
        None => (child, api),
        Some(death) => {
            assert_eq!(answer, None, "nobody answers after {death:?}");
            dies(&mut child, &format!("{death:?}")).await;
            place.server(None).await
        }
    };
    api.stream(&session, "?after_sequence=0").await.until("session.idled").await;
    essence(&api.events(&session).await)
}

async fn die_cancelling(database: fn() -> NewDatabase) {
    let expected = cancelled(database().await, None).await;
    assert!(expected.iter().any(|line| line.starts_with("turn.cancelled")), "{expected:#?}");
    for place in CANCEL {
        assert_eq!(cancelled(database().await, Some(Death::At(place, 1))).await, expected, "a death at {place}");
    }
}

/// A turn whose tool sends a request, and may not be repeated: the types of its events, what it was told of the tool,
/// and how often the request came.
async fn sending(database: Option<String>, death: Option<Death>) -> (Vec<String>, Value, u64) {
    let effects = Effects::listen().await;
    let place = Place::new(database, vec![("EVERWIT_ALLOW_PRIVATE_TARGETS", format!("127.0.0.1:{}", effects.port))]);
    let (mut child, api) = place.server(death).await;
    activate(&api, effects.port).await;
    let session = api.session_with(&json!({ "capabilities": [{ "ref": "fetcher" }] })).await;
    let url = format!("http://127.0.0.1:{}/charge/1", effects.port);
    api.say(&session, &format!("/call fetcher__fetch {}", json!({ "url": url }))).await;
    let (_alive, api) = match death {
        None => (child, api),
        Some(death) => {
            dies(&mut child, &format!("{death:?}")).await;
            place.server(None).await
        }
    };
    api.stream(&session, "?after_sequence=0").await.until("session.idled").await;
    let events = api.events(&session).await;
    let told = events.iter().find(|event| event["type"] == "tool.completed").expect("a result")["data"].clone();
    let types = essence(&events).iter().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    (types, told, effects.counts().values().sum())
}

async fn die_at_the_gateway(database: fn() -> NewDatabase) {
    let (expected, told, sent) = sending(database().await, None).await;
    assert_eq!((&told["success"], sent), (&json!(true), 1), "{told}");
    for (place, most) in GATEWAY {
        let (types, told, sent) = sending(database().await, Some(Death::At(place, 1))).await;
        assert_eq!(types, expected, "a death at {place}");
        assert_eq!((&told["success"], &told["status"]), (&json!(false), &json!("interrupted")), "{place}: {told}");
        assert_eq!(sent, most, "a death at {place}");
    }
}

/// Two uploads where there is room for one: what is in the bucket at the end.
async fn uploading(database: Option<String>, death: Option<Death>) -> Vec<String> {
    let mut s3 = S3::start().await;
    let (minimal, echo) = (guest("minimal"), guest("echo"));
    let room = minimal.len().max(echo.len()) + ROOM_FOR_DESCRIPTIONS;
    let settings = [s3.settings(), vec![("EVERWIT_ORG_COMPONENT_BYTES", room.to_string())]].concat();
    let place = Place::new(database, settings);
    let (mut first, api) = place.server(None).await;
    api.upload("", minimal).await.expect(201);
    assert_eq!(api.delete("/v1/components/minimal").await.status, 204);
    first.kill().await.expect("the server is ended");
    let (mut child, api) = place.server(death).await;
    let request = |api: &Api| api.request(Method::POST, "/v1/components").header("content-type", "application/wasm").body(echo.clone());
    let answer = attempt(request(&api)).await;
    let (_alive, api) = match death {
        None => (child, api),
        Some(death) => {
            assert_eq!(answer, None, "nobody answers after {death:?}");
            dies(&mut child, &format!("{death:?}")).await;
            place.server(None).await
        }
    };
    assert!(attempt(request(&api)).await.is_some(), "the upload is taken");
    assert_eq!(api.get("/v1/components/echo/versions/1/wasm").await.bytes, echo);
    s3.list().await
}

async fn die_uploading(database: fn() -> NewDatabase) {
    assert_eq!(uploading(database().await, None).await.len(), 1);
    for (place, times) in BUCKET {
        for nth in 1..=times {
            let left = uploading(database().await, Some(Death::At(place, nth))).await;
            // What was written and not named goes later, because somebody could be about to name it.
            let expected = if place == "StoreObjectWritten" { 2 } else { 1 };
            assert_eq!(left.len(), expected, "a death at {place}, time {nth}: {left:?}");
        }
    }
}

/// A turn that reaches a soft limit behind its tool and is resumed, by whoever does not know what became of that before: the
/// types of its events.
async fn pausing(database: Option<String>, death: Option<Death>) -> Vec<String> {
    let place = Place::new(database, Vec::new());
    let (mut child, api) = place.server(death).await;
    let session = api.session_with(&json!({ "capabilities": [{ "ref": "current_time" }] })).await;
    let made = json!({ "subject_type": "org", "currency": "tokens", "limit": 1_000_000, "soft_limit": 1 });
    api.post("/v1/budgets", &made).await.expect(201);
    api.say(&session, "/call get_current_time {}").await;
    let resume = |api: &Api| attempt(api.request(Method::POST, &format!("/v1/sessions/{session}/resume")));
    let paused = async |api: &Api| {
        let mut stream = api.stream(&session, "?after_sequence=0").await;
        while let Some(frame) = stream.next().await {
            if frame.event == "budget.paused" {
                return true;
            }
        }
        false
    };
    if paused(&api).await {
        resume(&api).await;
    }
    let (_alive, api) = match death {
        None => (child, api),
        Some(death) => {
            dies(&mut child, &format!("{death:?}")).await;
            let (alive, api) = place.server(None).await;
            assert!(paused(&api).await, "{death:?}");
            // Refused if it was resumed before the death.
            resume(&api).await;
            (alive, api)
        }
    };
    api.stream(&session, "?after_sequence=0").await.until("session.idled").await;
    let lines = essence(&api.events(&session).await);
    lines.iter().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

async fn die_pausing(database: fn() -> NewDatabase) {
    let expected = pausing(database().await, None).await;
    let times = |name: &str| expected.iter().filter(|kind| *kind == name).count();
    assert_eq!((times("budget.paused"), times("budget.resumed"), times("tool.completed")), (1, 1, 1), "{expected:#?}");
    for place in PAUSE {
        assert_eq!(pausing(database().await, Some(Death::At(place, 1))).await, expected, "a death at {place}");
    }
}

/// A top-up whose sender is not told what became of it, and sends it again.
async fn die_topping_up(database: fn() -> NewDatabase) {
    for place in TOP_UP {
        let death = Death::At(place, 1);
        let site = Place::new(database().await, Vec::new());
        let (mut child, api) = site.server(Some(death)).await;
        let budget = api.post("/v1/budgets", &json!({ "subject_type": "org", "currency": "usd", "limit": 1 })).await.expect(201);
        let path = format!("/v1/budgets/{}/top-up", budget["id"].as_str().expect("an id"));
        let request = |api: &Api| api.request(Method::POST, &path).header("idempotency-key", "a").json(&json!({ "amount": 0.5 }));
        assert_eq!(attempt(request(&api)).await, None, "nobody answers after {death:?}");
        dies(&mut child, &format!("{death:?}")).await;
        let (_alive, api) = site.server(None).await;
        let topped = attempt(request(&api)).await.expect("it is known");
        assert_eq!((&topped["topped_up"], &topped["balance"]), (&json!(0.5), &json!(1.5)), "{topped}");
        let audit = api.get("/v1/audit").await.expect(200);
        assert!(audit["data"].as_array().expect("a list").iter().any(|one| one["target"] == path.as_str()), "{audit}");
    }
}

macro_rules! deaths {
    ($($database:ident)*) => {
        $(mod $database {
            use super::*;

            #[tokio::test]
            async fn at_the_store() {
                die_at($database, &STORE[..5]).await;
            }

            #[tokio::test]
            async fn at_answers_and_budgets() {
                die_at($database, &STORE[5..]).await;
            }

            #[tokio::test]
            async fn at_the_engine() {
                die_at($database, &ENGINE).await;
            }

            #[tokio::test]
            async fn while_a_turn_is_cancelled() {
                die_cancelling($database).await;
            }

            #[tokio::test]
            async fn while_a_session_is_paused() {
                die_pausing($database).await;
            }

            #[tokio::test]
            async fn while_a_budget_is_topped_up() {
                die_topping_up($database).await;
            }

            #[tokio::test]
            async fn while_bytes_go_into_a_bucket() {
                die_uploading($database).await;
            }

            #[tokio::test]
            async fn at_the_gateway() {
                die_at_the_gateway($database).await;
            }
        })*
    };
}

deaths! { sqlite postgres }
