//! Randomness from the host's cryptographic source.
//!
//! With the feature `getrandom`, crates that draw from getrandom 0.3 or 0.4 get it too; their
//! build needs `--cfg getrandom_backend="custom"` in the flags of rustc. The feature
//! `getrandom-02` does the same for getrandom 0.2 and needs no flag.

use crate::host;

/// Most bytes that one call to the host may ask for.
const CHUNK_BYTES: usize = 65_536;

/// Fills `buffer` with random bytes.
pub fn fill(buffer: &mut [u8]) {
    for chunk in buffer.chunks_mut(CHUNK_BYTES) {
        let count = u32::try_from(chunk.len()).expect("a chunk is at most 65,536 bytes");
        chunk.copy_from_slice(&host::random::bytes(count));
    }
}

/// Random bytes, as many as asked for.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// One random number, uniform over the whole range.
pub fn number() -> u64 {
    host::random::number()
}

/// One random number from 0 up to, but without, `bound`; without bias.
///
/// # Panics
/// If `bound` is 0.
pub fn below(bound: u64) -> u64 {
    assert!(bound > 0, "no number is below 0");
    // The numbers from `usable` on would make the small remainders more likely than the rest.
    let usable = u64::MAX - u64::MAX % bound;
    loop {
        let number = number();
        if number < usable {
            return number % bound;
        }
    }
}

#[cfg(all(target_family = "wasm", feature = "getrandom"))]
#[expect(unsafe_code, reason = "getrandom finds its backend by this symbol, and passes a raw buffer")]
// SAFETY of the name: it is the one that getrandom 0.3 and 0.4 declare for a custom backend,
// with this signature; a second definition would fail to link.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(dest: *mut u8, len: usize) -> Result<(), getrandom::Error> {
    // SAFETY: getrandom promises that `dest` is valid for writes of `len` bytes, and that
    // nobody else uses them meanwhile. They may be uninitialised, hence the zeros first.
    let buffer = unsafe {
        core::ptr::write_bytes(dest, 0, len);
        core::slice::from_raw_parts_mut(dest, len)
    };
    fill(buffer);
    Ok(())
}

#[cfg(all(target_family = "wasm", feature = "getrandom-02"))]
mod getrandom_02 {
    fn fill(buffer: &mut [u8]) -> Result<(), ::getrandom_02::Error> {
        super::fill(buffer);
        Ok(())
    }

    ::getrandom_02::register_custom_getrandom!(fill);
}
