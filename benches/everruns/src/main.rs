//! Turns of Everwit and of Everruns in one program, one after the other: a text turn, a turn with one
//! tool call, and the 100th turn of a session. `cargo xtask bench everruns` writes the figures to
//! `docs/benchmarks-everruns.md`; with `--test` everything runs once and nothing is written.

mod ours;
mod report;
mod subject;
mod theirs;

use std::error::Error;
use std::time::Duration;

use ours::Ours;
use report::Measured;
use subject::{Kind, Subject};
use theirs::Theirs;

/// Fresh runtimes whose first turn is measured, for each kind of turn.
const FIRST_TURNS: usize = 200;
/// Fresh runtimes whose first hundred turns are measured.
const CONVERSATIONS: usize = 10;
/// Turns of each of them.
const TURNS: usize = 100;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (first_turns, conversations) = if is_test { (1, 1) } else { (FIRST_TURNS, CONVERSATIONS) };
    let mut measured = Measured::default();
    // The two take turns, so that whatever else the machine does hits both.
    for _ in 0..first_turns {
        measured.ours.text.push(first_turn::<Ours>(Kind::Text).await?);
        measured.theirs.text.push(first_turn::<Theirs>(Kind::Text).await?);
        measured.ours.tool.push(first_turn::<Ours>(Kind::Tool).await?);
        measured.theirs.tool.push(first_turn::<Theirs>(Kind::Tool).await?);
    }
    for _ in 0..conversations {
        measured.ours.conversations.push(conversation::<Ours>().await?);
        measured.theirs.conversations.push(conversation::<Theirs>().await?);
    }
    report::tell(&measured, !is_test)
}

async fn first_turn<S: Subject>(kind: Kind) -> Result<Duration, Box<dyn Error>> {
    S::new(kind).await?.turn().await
}

/// The first and the last of a hundred text turns.
async fn conversation<S: Subject>() -> Result<(Duration, Duration), Box<dyn Error>> {
    let mut subject = S::new(Kind::Text).await?;
    let first = subject.turn().await?;
    let mut last = first;
    for _ in 1..TURNS {
        last = subject.turn().await?;
    }
    Ok((first, last))
}
