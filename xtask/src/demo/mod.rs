//! `cargo xtask demo`: the project's main job on a real server, from nothing.
//!
//! All HTTP is curl, as in the README. The simulated model does what the message says, so no
//! account and no key of anybody is needed.

mod api;
pub(crate) mod server;
mod show;

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::components;
use crate::process::{Error, Result, at};
use crate::project::Project;
use crate::steps::Steps;
use crate::tools::CURL;
use api::Api;
use server::Server;

/// What the demo's tools work on: the planets as NASA's fact sheet has them, and our licence.
const PLANETS: &str = include_str!("planets.csv");
const LICENSE: &str = include_str!("../../../LICENSE-MIT");
const COMPONENTS: [&str; 2] = ["data-lens", "text-kit"];
const AGENT: &str = "analyst";

/// How to run the demo.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Options {
    /// Whether to stop the server after the turn.
    once: bool,
    /// Where the server keeps its data; none means the target directory, emptied first.
    data_dir: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        match arguments {
            [] => Ok(Self::default()),
            ["--once", rest @ ..] => Ok(Self { once: true, ..Self::parse(rest)? }),
            ["--data-dir", place, rest @ ..] => Ok(Self { data_dir: Some(place.into()), ..Self::parse(rest)? }),
            [other, ..] => Err(Error::new(format!("demo does not know {other}")).fix("cargo xtask demo [--once] [--data-dir DIR]")),
        }
    }
}

/// Runs the demo.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut steps = Steps::new(components::STEPS + 5);
    steps.run("checking tools", || components::require_tools().and_then(|()| CURL.require()))?;
    let project = Project::find()?;
    steps.run("building everwit", || project.build_everwit())?;
    components::build(&project, &mut steps)?;
    let data_dir = data_dir(&project, options)?;
    let mut server = steps.run("starting the server", || Server::start(&project.everwit(), &data_dir))?;
    let api = Api::new(server.url(), server.key());
    steps.run("uploading components", || upload(&project, &api))?;
    let session = steps.run("running a turn", || turn(&api))?;
    steps.finish("demo done");
    eprintln!("\n{}", api.invitation(&session));
    if options.once {
        eprintln!("\nWithout --once the server would stay up.");
        return server.stop();
    }
    eprintln!("\nThe server runs until Ctrl-C; its data is in {}", data_dir.display());
    server.wait()
}

fn data_dir(project: &Project, options: &Options) -> Result<PathBuf> {
    if let Some(chosen) = &options.data_dir {
        return Ok(chosen.clone());
    }
    let place = project.target.join("demo-data");
    if place.exists() {
        at(&place, fs::remove_dir_all(&place))?;
    }
    Ok(place)
}

fn upload(project: &Project, api: &Api) -> Result<()> {
    for name in COMPONENTS {
        let file = project.target.join("components").join(name).with_extension("wasm");
        let upload = api.upload("/v1/components", &file)?;
        eprintln!("  {}", show::upload(&upload));
        // A component that asks for something waits for somebody to allow it; the answer is the
        // call that allows all it asks for.
        if let (Some(path), body @ Value::Object(_)) = (upload["activate"]["path"].as_str(), &upload["activate"]["body"]) {
            api.post(path, body)?;
        }
    }
    Ok(())
}

/// Creates agent and session, sends a message and shows the turn; returns the session's id.
fn turn(api: &Api) -> Result<String> {
    let capabilities: Vec<Value> = COMPONENTS.iter().map(|name| json!({"ref": name})).collect();
    let agent = json!({"name": AGENT, "system_prompt": "You answer with figures.", "capabilities": capabilities});
    api.post("/v1/agents", &agent)?;
    let session = api.post("/v1/sessions", &json!({"agent": AGENT}))?;
    let id = session["id"].as_str().ok_or_else(|| Error::new(format!("the new session has no id: {session}")))?;
    let events = api.events(id)?;
    api.post(&format!("/v1/sessions/{id}/messages"), &message())?;
    let mut answer = None;
    for event in events {
        let event = event?;
        answer = show::answer(&event).map(str::to_owned).or(answer);
        for line in show::event(&event) {
            eprintln!("  {line}");
        }
        match event["type"].as_str() {
            Some("session.idled") => {
                eprintln!("\n{}\n", answer.unwrap_or_default());
                return Ok(id.to_owned());
            }
            Some("turn.failed" | "turn.sealed" | "turn.cancelled") => return Err(Error::new(format!("the turn has no answer: {event}"))),
            _ => {}
        }
    }
    Err(Error::new("the event stream ended before the turn did"))
}

/// A message that tells the simulated model which tools to call: the first two at once, the third
/// when it has seen their results.
fn message() -> Value {
    let largest = json!({"data": PLANETS, "columns": ["planet", "diameter_km", "moons"], "sort": [{"column": "diameter_km", "descending": true}], "limit": 3});
    let text = [
        "What is in this table, how long is our licence, and which planets are the largest?".to_owned(),
        format!("/call data_lens__describe {}", json!({"data": PLANETS})),
        format!("/call text_kit__stats {}", json!({"text": LICENSE, "top": 3})),
        "/then".to_owned(),
        format!("/call data_lens__filter {largest}"),
    ];
    json!({"message": {"content": [{"type": "text", "text": text.join("\n")}]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_in_any_order_and_others_are_refused() {
        let both = Options { once: true, data_dir: Some("d".into()) };
        assert_eq!(Options::parse(&["--once", "--data-dir", "d"]).ok(), Some(Options { ..both }));
        assert_eq!(Options::parse(&["--data-dir", "d", "--once"]).ok().map(|options| options.once), Some(true));
        assert!(Options::parse(&["--twice"]).is_err());
        assert!(Options::parse(&["--data-dir"]).is_err());
    }
}
