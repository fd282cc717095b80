//! The global allocator of a guest: a static arena first, growing memory only after it.
//!
//! Growing memory is the dearest thing a short call can do: the host must make pages
//! accessible and take them away again afterwards, which stalls its other cores. Memory that
//! is part of the module from the start costs address space only, until it is touched.

#![expect(unsafe_code, reason = "an allocator hands out raw memory; each use says why it is sound")]

use core::alloc::Layout;
use core::arch::wasm32::memory_grow;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::cell::TalcSyncCell;
use talc::source::Source;
use talc::wasm::WasmBinning;

/// Size of the arena in bytes. Large enough for typical arguments and results with their
/// parsed forms, and a sixteenth of the smallest memory limit that is sensible.
const ARENA_BYTES: usize = 1024 * 1024;

/// Size of a WebAssembly page in bytes.
const PAGE_BYTES: usize = 64 * 1024;

/// Least growth once the arena is full: each growth costs about the same, whatever its size.
const GROWTH_PAGES: usize = 16;

/// Room in a new heap for the allocator's own words, rounding included.
const HEAP_OVERHEAD_BYTES: usize = 256;

/// Zero-initialised, so it takes no space in the module, and handed to the allocator whole.
static ARENA: Arena = Arena(UnsafeCell::new([MaybeUninit::uninit(); ARENA_BYTES]));

#[global_allocator]
static ALLOCATOR: TalcSyncCell<ArenaThenGrow, WasmBinning> = TalcSyncCell::new_wasm(ArenaThenGrow::Untouched);

#[repr(align(16))]
struct Arena(UnsafeCell<[MaybeUninit<u8>; ARENA_BYTES]>);

// SAFETY: the only access is the address taken in `acquire`, which gives the bytes to the
// allocator once and for good; from then on its own rules for sharing apply. This module is
// compiled for single-threaded WebAssembly only, so there is no second thread either.
unsafe impl Sync for Arena {}

/// Where the allocator gets its memory.
#[derive(Debug)]
enum ArenaThenGrow {
    /// Nothing was allocated so far.
    Untouched,
    /// The arena is in use.
    Arena,
    /// Memory was grown; the newest heap ends here.
    Grown(NonNull<u8>),
}

// SAFETY: `acquire` reaches the allocator only through the reference it is given, and
// allocates nothing: it reads a static's address and executes `memory.grow`.
unsafe impl Source for ArenaThenGrow {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        if let ArenaThenGrow::Untouched = talc.source {
            talc.source = ArenaThenGrow::Arena;
            // SAFETY: the arena is valid for reads and writes for the whole life of the
            // instance, nothing else refers to it, and the state left behind by the line
            // above means that it is claimed exactly once.
            if unsafe { talc.claim(ARENA.0.get().cast(), ARENA_BYTES) }.is_some() {
                return Ok(());
            }
        }
        let (base, bytes) = grow(layout)?;
        if let ArenaThenGrow::Grown(end) = talc.source
            && end.as_ptr() == base
        {
            // SAFETY: `end` is the end of a heap that was claimed or extended here and never
            // truncated. The `bytes` after it came into existence with this growth, so they
            // are valid and nobody else's.
            let end = unsafe { talc.extend(end, base.wrapping_add(bytes)) };
            talc.source = ArenaThenGrow::Grown(end);
            return Ok(());
        }
        // SAFETY: as above: fresh pages at the end of memory, valid and nobody else's.
        let end = unsafe { talc.claim(base, bytes) }.ok_or(())?;
        talc.source = ArenaThenGrow::Grown(end);
        Ok(())
    }
}

/// Grows memory by enough for `layout`; returns the new bytes' address and number.
///
/// Near the memory limit the usual step can be refused while the bare need still fits.
fn grow(layout: Layout) -> Result<(*mut u8, usize), ()> {
    let need =
        layout.size().checked_add(layout.align()).and_then(|bytes| bytes.checked_add(HEAP_OVERHEAD_BYTES)).ok_or(())?.div_ceil(PAGE_BYTES);
    let step = need.max(GROWTH_PAGES);
    for pages in [step, need] {
        let before = memory_grow::<0>(pages);
        if before != usize::MAX {
            return Ok(((before * PAGE_BYTES) as *mut u8, pages * PAGE_BYTES));
        }
    }
    Err(())
}
