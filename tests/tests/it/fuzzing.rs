//! Bytes of strangers: the fuzz targets of the runtime over a corpus and seeded mutations of it, and
//! mutated components at the server's door. The same mutations each time; `cargo xtask soak` does more of them.

use std::panic::catch_unwind;
use std::path::Path;

use everwit_runtime::sandbox::fuzz::{TARGETS, Target};

use crate::compile::inputs;
use crate::support::{Server, guest};
use crate::tidy::root;

/// Mutations of each target. Enough to meet every branch of the readers, and done in seconds.
const MUTATIONS: u64 = 4_000;
/// Mutated uploads.
const UPLOADS: u64 = 120;
/// Uploads before the server's size is taken for the first time: its pools and caches are full by then.
const WARM_UP: u64 = 40;
/// How much larger the server may be after all uploads, in KiB.
const MAX_GROWTH_KIB: u64 = 64 << 10;
/// Largest mutation, in bytes.
const MAX_INPUT: usize = 1 << 20;

/// How many rounds to make: more than usual if the environment says so.
#[expect(clippy::disallowed_methods, reason = "it is how a long run is told how long it is")]
pub(crate) fn rounds(usual: u64) -> u64 {
    std::env::var("EVERWIT_SOAK_ROUNDS").map_or(usual, |text| text.parse().expect("a number of rounds"))
}

/// Random numbers that are the same for the same seed: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// One of the seeds, changed in one to eight places.
fn mutated(seeds: &[Vec<u8>], round: u64) -> Vec<u8> {
    let mut random = Random(round);
    let mut bytes = seeds[random.below(seeds.len())].clone();
    // Lengths that still fit let a part of them get past the readers, to what is behind.
    let kinds = if random.below(4) == 0 { 2 } else { 7 };
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len() + 1);
        let end = (at + 1 + random.below(16)).min(bytes.len());
        match random.below(kinds) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'\n'][random.below(7)],
            2 => bytes.insert(at, (random.next() & 0xff) as u8),
            3 if at < end => drop(bytes.drain(at..end)),
            4 if at < end => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            5 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                let to = (from + random.below(64)).min(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            6 => bytes.truncate(at.max(bytes.len() / 2)),
            _ => {}
        }
    }
    bytes.truncate(MAX_INPUT);
    bytes
}

/// The checked-in inputs of a target, in order of their names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = root().join("tests/corpus").join(name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: &Path| std::fs::read(path).expect("a file");
    paths.iter().map(|path| read(path)).collect()
}

fn try_all(name: &str, target: Target, seeds: &[Vec<u8>]) {
    let attempt = |what: String, bytes: &[u8]| {
        if catch_unwind(|| target(bytes)).is_err() {
            let shown: String = bytes.iter().take(2_048).map(|byte| format!("{byte:02x}")).collect();
            panic!("{name} fails on {what}; keep it in tests/corpus/{name}: {shown}");
        }
    };
    for (at, seed) in seeds.iter().enumerate() {
        attempt(format!("input {at} of its corpus"), seed);
    }
    for round in 0..rounds(MUTATIONS) {
        attempt(format!("mutation {round}"), &mutated(seeds, round));
    }
}

fn run(name: &str) {
    let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name).expect("a target");
    let mut seeds = corpus(name);
    assert!(!seeds.is_empty(), "tests/corpus/{name} is empty");
    let read = |seed: &Vec<u8>| name != "event" || serde_json::from_slice::<everwit_runtime::event::Event>(seed).is_ok();
    assert!(seeds.iter().all(read), "an input of tests/corpus/{name} is not read at all, so that its mutations test nothing");
    if name == "upload" {
        seeds.extend([inputs::working(7), inputs::doubling(3), inputs::wide_blocks(3, 3), inputs::module("(memory 1) (table 1 funcref)")]);
    }
    try_all(name, target, &seeds);
}

#[test]
fn uploads_of_any_bytes_are_judged() {
    run("upload");
}

#[test]
fn descriptions_of_any_form_are_judged() {
    run("description");
}

#[test]
fn events_of_any_form_are_read_or_refused() {
    run("event");
}

#[test]
fn drivers_that_say_anything_are_held_to_their_order() {
    run("codec");
}

#[test]
fn streams_of_any_bytes_are_the_same_however_they_are_cut() {
    run("sse");
}

#[test]
fn every_target_has_a_corpus() {
    let mut folders: Vec<String> = std::fs::read_dir(root().join("tests/corpus"))
        .expect("the corpora")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    folders.sort();
    let mut names = TARGETS.map(|(name, _)| name);
    names.sort_unstable();
    assert_eq!(folders, names);
}

#[tokio::test]
async fn mutated_components_are_answered_and_leave_nothing_behind() {
    let server = Server::start().await;
    let api = server.api();
    let seeds = [guest("minimal"), guest("driver-frames"), inputs::working(7)];
    let (mut before, mut accepted) = (0, 0);
    let rounds = rounds(UPLOADS);
    for round in 0..rounds {
        if round == WARM_UP {
            before = server.resident_kib();
        }
        let answer = api.upload("?dry_run=true", mutated(&seeds, round)).await;
        accepted += u64::from(answer.status < 300);
        assert!((200..300).contains(&answer.status) || (400..500).contains(&answer.status), "upload {round}: {}", answer.text());
    }
    let after = server.resident_kib();
    assert!(after < before + MAX_GROWTH_KIB, "{before} KiB became {after} KiB");
    assert_eq!(api.get("/v1/components").await.expect(200)["total"], 0, "a dry run stores nothing");
    eprintln!("{rounds} uploads, {accepted} of them accepted; {before} KiB became {after} KiB");
}
