//! Takes all the memory it can get.

use everwit_guest::prelude::*;

/// Bytes of one step.
const STEP: usize = 1024 * 1024;

/// Takes memory until the guest aborts, because the allocator was refused.
#[tool(read_only)]
fn hog() -> Result<u64> {
    loop {
        std::hint::black_box(Box::leak(vec![1_u8; STEP].into_boxed_slice()));
    }
}

/// Takes memory until it is refused, and returns how many bytes it got.
#[tool(read_only)]
fn grow(
    /// Stop after this many bytes
    at_most: Option<usize>,
) -> Result<usize> {
    let mut taken = 0;
    while taken < at_most.unwrap_or(usize::MAX) {
        let mut block: Vec<u8> = Vec::new();
        if block.try_reserve_exact(STEP).is_err() {
            break;
        }
        block.resize(STEP, 1);
        std::hint::black_box(block.leak());
        taken += STEP;
    }
    Ok(taken)
}

capability! { id: "hog", title: "Hog", summary: "Takes all memory.", tools: [hog, grow] }
