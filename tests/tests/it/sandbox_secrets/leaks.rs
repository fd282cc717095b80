//! A guest that knows a secret it has opened, and tells it through every way out, in every spelling
//! and in pieces.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use everwit_runtime::capability::ToolSink;
use everwit_runtime::file::FilePath;
use everwit_runtime::message::ContentPart;

use super::*;
use crate::support::planted::spellings;

/// Looks different in each spelling.
const SECRET: &str = r#"pl-"7/7\ aa+?>~x"#;
/// What stands where it was.
const HIDDEN: &str = "[redacted]";
/// Of a secret that is told in lines, so many bytes of its beginning can be seen.
const MOST_SEEN: usize = 3;

/// Keeps what is shown while a call runs.
#[derive(Default)]
struct Shown(Mutex<Vec<String>>);

impl ToolSink for Shown {
    fn progress(&self, _done: u64, _total: Option<u64>, note: &str) {
        self.0.lock().expect("a lock").push(note.to_owned());
    }

    fn emit(&self, parts: &[ContentPart]) {
        self.0.lock().expect("a lock").extend(parts.iter().map(text));
    }
}

fn text(part: &ContentPart) -> String {
    match part {
        ContentPart::Text { text } => text.clone(),
        ContentPart::Image { base64: Some(base64), .. } => {
            String::from_utf8(STANDARD.decode(base64).expect("base64")).expect("the guest wrote text")
        }
        other => panic!("{other:?}"),
    }
}

async fn leaky() -> World {
    World::of("leaky", Accounts { token: SECRET, connected: true, hosts: vec![HOST.to_owned()] }).await
}

impl World {
    /// What comes out of one way out, piece by piece.
    async fn told(&self, way: &str, pieces: &[&str]) -> Vec<String> {
        let shown = Arc::new(Shown::default());
        let call = ToolCallContext { sink: shown.clone(), ..self.call.clone() };
        let outcome = self.capability.call_tool(&call, "tell", json!({ "way": way, "pieces": pieces })).await;
        let result = || outcome.result.clone().unwrap_or_else(|error| panic!("{way}: {error}"));
        let failure = || match outcome.result.clone() {
            Err(CallError::Failed(failure)) => failure,
            other => panic!("{way}: {other:?}"),
        };
        let live = shown.0.lock().expect("a lock").clone();
        match way {
            "progress" => live,
            "emit" => {
                let kept: Vec<String> = result().parts.iter().map(text).collect();
                assert_eq!(kept, live, "what is kept is what was shown");
                kept
            }
            "log" => outcome.logs.iter().map(|line| line.message.clone()).collect(),
            "value" => {
                result();
                let stored = self.stored("values").await;
                stored[..pieces.len()].to_vec()
            }
            "key" => self.stored("keys").await,
            "file" | "path" => {
                result();
                let (store, org, session) = (&call.services.backends.file_store, call.org_id, call.session_id);
                let listed = store.list_directory(org, session, &FilePath::root(), true).await.expect("a list");
                let mut told = Vec::new();
                for stat in listed.iter().filter(|stat| !stat.is_directory) {
                    let file = store.read_file(org, session, &stat.path).await.expect("an answer").expect("a file");
                    told.push(if way == "file" {
                        String::from_utf8(file.content).expect("text")
                    } else {
                        stat.path.as_str()[1..].to_owned()
                    });
                }
                told
            }
            "structured" => {
                let structured = result().structured.expect("a structured result");
                let said = structured["said"][0].as_str().expect("a text").to_owned();
                assert_eq!(structured[&said], 1, "{structured}");
                vec![said]
            }
            "failure" => vec![failure().message],
            "code" => vec![failure().code],
            "panic" => match outcome.result {
                // Behind what it said stands where it panicked.
                Err(CallError::Stopped(stopped)) => vec![stopped.message.split(" (at ").next().unwrap_or_default().to_owned()],
                other => panic!("{other:?}"),
            },
            _ => result().parts.iter().map(text).collect(),
        }
    }

    async fn stored(&self, what: &str) -> Vec<String> {
        let outcome = self.capability.call_tool(&self.call, "stored", json!({})).await;
        let stored = outcome.result.expect("it reads").structured.expect("structured");
        serde_json::from_value(stored[what].clone()).expect("a list of texts")
    }
}

/// Tells `<<…>>` in two pieces, cut at every byte.
async fn tell(way: &str, check: impl Fn(&str, &str) -> bool) {
    let world = leaky().await;
    for (spelled, spelling) in spellings(SECRET) {
        let said = format!("<<{spelling}>>");
        for cut in 1..said.len() {
            let (first, second) = said.split_at(cut);
            let told = world.told(way, &[first, second]).await;
            assert!(check(&spelling, &told.concat()), "{way}, {spelled}, cut at {cut}: {told:?}");
        }
    }
}

fn is_hidden(_: &str, told: &str) -> bool {
    told == format!("<<{HIDDEN}>>")
}

/// Lines cannot wait for each other.
fn is_hidden_but_for_its_beginning(spelling: &str, told: &str) -> bool {
    let rest = told.replace(HIDDEN, "");
    let seen = rest.strip_prefix("<<").and_then(|rest| rest.strip_suffix(">>"));
    told.contains(HIDDEN) && seen.is_some_and(|seen| seen.len() <= MOST_SEEN && spelling.starts_with(seen))
}

#[tokio::test]
async fn partial_output_hides_secrets_across_its_pieces() {
    tell("emit", is_hidden).await;
}

#[tokio::test]
async fn progress_hides_secrets_across_its_notes() {
    tell("progress", is_hidden_but_for_its_beginning).await;
}

#[tokio::test]
async fn logs_hide_secrets_across_their_lines() {
    tell("log", is_hidden_but_for_its_beginning).await;
}

#[tokio::test]
async fn stored_values_hide_secrets_across_writes() {
    tell("value", is_hidden_but_for_its_beginning).await;
    tell("file", is_hidden_but_for_its_beginning).await;
}

#[tokio::test]
async fn results_hide_secrets_across_their_parts() {
    tell("result", is_hidden_but_for_its_beginning).await;
}

#[tokio::test]
async fn what_is_told_at_once_hides_secrets() {
    for way in ["structured", "blob", "failure", "code", "panic", "key", "path"] {
        for (spelled, spelling) in spellings(SECRET) {
            let told = leaky().await.told(way, &[&format!("<<{spelling}>>")]).await;
            assert!(told.iter().all(|told| is_hidden(&spelling, told)) && !told.is_empty(), "{way}, {spelled}: {told:?}");
        }
    }
}

/// What the guest says backwards is found by no search of what leaves the call.
#[tokio::test]
async fn a_server_that_repeats_a_secret_does_not_tell_the_guest() {
    let world = leaky().await;
    let outcome = world.capability.call_tool(&world.call, "look", json!({ "url": "http://upstream.test/x" })).await;
    let said = outcome.result.expect("an answer").parts.iter().map(text).collect::<String>();
    let read: String = said.chars().rev().collect();
    let sent = world.arrived.lock().expect("a lock").concat();
    assert!(sent.contains(SECRET), "the server had it: {sent}");
    assert!(!read.contains(SECRET) && read.contains(&format!("authorization: {HIDDEN}\r\n")), "{read}");
}
