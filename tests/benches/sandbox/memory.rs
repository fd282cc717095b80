//! Memory that many instances leave behind.

use crate::bare::{Bare, Warm};

/// Live instances at once.
const LIVE: usize = 500;

/// Resident memory, in KiB.
pub(crate) struct Memory {
    pub(crate) live: u64,
    pub(crate) after: u64,
    pub(crate) dropped: usize,
}

/// Measures with 500 instances alive, and after `count` came and went.
pub(crate) async fn measure(bare: &Bare, count: usize) -> Memory {
    let live = {
        let mut instances: Vec<Warm> = Vec::with_capacity(LIVE);
        for _ in 0..LIVE.min(count) {
            instances.push(bare.warm().await);
        }
        resident()
    };
    for _ in 0..count {
        bare.fresh().await;
    }
    Memory { live, after: resident(), dropped: count }
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a VmRSS line");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}
