//! Looks for what an earlier call left in memory: a fresh instance must find only zeros.

#![cfg(target_family = "wasm")]
#![expect(unsafe_code, reason = "it reads memory that no allocator has handed out")]

use everwit_guest::prelude::*;

/// Pages of 64 KiB that are written, and looked at.
const PAGES: usize = 64;

/// Grows memory by 4 MiB and fills it with ones.
#[tool(read_only)]
fn leave() -> Result<usize> {
    let mut written = 0;
    for address in grown() {
        // SAFETY: `grown` returns addresses of pages that exist and belong to nobody else.
        unsafe { (address as *mut u8).write_volatile(1) };
        written += 1;
    }
    Ok(written)
}

/// Grows memory by 4 MiB and counts the bytes that are not zero.
#[tool(read_only)]
fn find() -> Result<usize> {
    // SAFETY: as in `leave`; fresh pages are initialised, to zeros if the host keeps its word.
    let dirty = |&address: &usize| unsafe { (address as *const u8).read_volatile() } != 0;
    Ok(grown().filter(dirty).count())
}

fn grown() -> std::ops::Range<usize> {
    let first = core::arch::wasm32::memory_grow::<0>(PAGES);
    assert_ne!(first, usize::MAX, "memory was refused");
    first * 65_536..(first + PAGES) * 65_536
}

capability! { id: "residue", title: "Residue", summary: "Looks for leftovers.", tools: [leave, find] }
