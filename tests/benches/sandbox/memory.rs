//! Memory that many instances leave behind.

use crate::bare::{Bare, Warm};
use crate::subjects::Subjects;

/// How many instances there are.
#[derive(Clone, Copy)]
pub(crate) struct Counts {
    /// Alive at once.
    pub(crate) live: usize,
    /// Dropped before the second look.
    pub(crate) dropped: usize,
}

impl Counts {
    pub(crate) const FULL: Self = Self { live: 500, dropped: 5_000 };
    pub(crate) const SMOKE: Self = Self { live: 5, dropped: 10 };
}

/// Resident memory beyond what the process had before, in KiB.
pub(crate) struct Memory {
    pub(crate) counts: Counts,
    pub(crate) live: u64,
    pub(crate) after: u64,
}

/// Lets instances live in batches and drops each batch, so that as many slots of the pool are
/// used as instances are alive, and as many calls run in the sandbox itself.
pub(crate) async fn measure(subjects: &Subjects, counts: Counts) -> Memory {
    // An engine of its own: one whose pool has had hundreds of slots in use goes through all of
    // them from then on, which would slow down what is measured later.
    let bare = Bare::new(&subjects.sdk_wasm);
    // The first calls bring in code and fill pools of the process.
    drop(bare.warm().await);
    subjects.add(&subjects.sdk).await;
    let before = resident();
    let mut live = 0;
    for _ in 0..counts.dropped.div_ceil(counts.live) {
        let mut instances: Vec<Warm> = Vec::with_capacity(counts.live);
        for _ in 0..counts.live {
            instances.push(bare.warm().await);
        }
        if live == 0 {
            live = resident().saturating_sub(before);
        }
    }
    for _ in 0..counts.dropped {
        subjects.add(&subjects.sdk).await;
    }
    Memory { counts, live, after: resident().saturating_sub(before) }
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a VmRSS line");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}
