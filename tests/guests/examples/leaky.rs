//! Says what it is told to, piece by piece, through every way out, once it has opened a secret.

use everwit_guest::prelude::*;
use everwit_guest::{call, files, http, kv, log, secrets};
use serde_json::{Value, json};

/// Says pieces through one way out.
#[tool(destructive)]
fn tell(
    /// The way out
    way: &str,
    /// What to say
    pieces: Vec<String>,
) -> Result<Output> {
    secrets::open("plain-key")?;
    match way {
        "progress" => pieces.iter().try_for_each(|piece| call::progress(1, None, Some(piece)))?,
        "emit" => pieces.iter().try_for_each(|piece| call::emit([Part::Text(piece.clone())]))?,
        "log" => pieces.iter().for_each(|piece| log::info(format_args!("{piece}"))),
        "value" => pieces.iter().enumerate().try_for_each(|(at, piece)| {
            kv::bucket("leaky").put(&format!("{at:03}"), piece, kv::Expect::Any).map(drop)
        })?,
        "key" => kv::bucket("leaky").put(&pieces.concat(), "", kv::Expect::Any).map(drop)?,
        "file" => pieces
            .iter()
            .enumerate()
            .try_for_each(|(at, piece)| files::write(&format!("{at:03}"), piece, files::Expect::Any).map(drop))?,
        "path" => files::write(&pieces.concat(), "", files::Expect::Any).map(drop)?,
        "result" => {
            return Ok(pieces.iter().fold(Output::empty(), |output, piece| output.part(Part::Text(piece.clone()))));
        }
        "structured" => return Output::empty().structured(&json!({ "said": [pieces.concat()], pieces.concat(): 1 })),
        "blob" => return Ok(Output::empty().blob("image/png", pieces.concat().into_bytes())),
        "failure" => return Err(Failure::invalid("leak", pieces.concat())),
        "code" => return Err(Failure::invalid(pieces.concat(), "the code tells")),
        _ => panic!("{}", pieces.concat()),
    }
    Ok(Output::empty())
}

/// Sends the secret to a server, and says backwards what that answers.
#[tool(open_world)]
fn look(url: &str) -> Result<String> {
    let token = secrets::open("plain-key")?.token();
    let answer = http::request("GET", url).header("authorization", token).send()?.text()?;
    Ok(answer.chars().rev().collect())
}

/// Reads back what it stored.
#[tool(read_only)]
fn stored() -> Result<Value> {
    let bucket = kv::bucket("leaky");
    let keys: Vec<String> = bucket.keys("").collect::<Result<_, _>>()?;
    let values =
        keys.iter().map(|key| Ok(bucket.get(key)?.map(|entry| String::from_utf8_lossy(&entry.value).into_owned())));
    Ok(json!({ "values": values.collect::<Result<Vec<_>, Failure>>()?, "keys": keys }))
}

capability! { id: "leaky", title: "Leaky", summary: "Tells everything.", tools: [tell, look, stored], permissions: { kv: ["leaky"], files: "write",
http: [{ host: "upstream.test:80", reason: "Tests" }],
secrets: [{ name: "plain-key", host: "upstream.test:80", place: "header:authorization", required: false }] } }
