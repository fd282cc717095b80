//! The adapter's memory, as the functions see it, and what `everwit wrap` links to it.
//!
//! One instance serves one call, so that nothing is given back.

#![expect(unsafe_code, reason = "values cross the canonical ABI through memory; each use says why it is sound")]

#[cfg(target_family = "wasm")]
#[link(wasm_import_module = "everwit_wrap")]
unsafe extern "C" {
    /// Address of the tables.
    #[link_name = "tables"]
    safe fn linked_tables() -> u32;
    /// Calls a function with the values in the slots, and puts a result that fits one slot into the first.
    #[link_name = "invoke"]
    fn linked_invoke(index: u32, slots: *mut u64);
}

/// Alignment of everything that is allocated: the most that the canonical ABI asks for.
const ALIGNMENT: usize = 8;

/// Zeroed memory that stays.
pub(crate) fn allocate(bytes: usize) -> &'static mut [u8] {
    let place = vec![0; bytes + ALIGNMENT - 1].leak();
    let skipped = place.as_ptr().align_offset(ALIGNMENT);
    &mut place[skipped..skipped + bytes]
}

/// Where memory lies.
pub(crate) fn address(place: &[u8]) -> u32 {
    // Addresses of the target have 32 bits.
    place.as_ptr() as usize as u32
}

/// What a function has returned a pointer to.
pub(crate) fn read(address: u32, bytes: usize) -> &'static [u8] {
    if bytes == 0 {
        return &[];
    }
    // SAFETY: the address and the size come from the runtime's own lowering of a function's result into this memory: it has allocated
    // the range by this module's `cabi_realloc`, checked that it lies within the memory, and initialised it. Nothing frees it, and
    // nothing writes to it after the function has returned.
    unsafe { core::slice::from_raw_parts(address as usize as *const u8, bytes) }
}

/// What `everwit wrap` has added: a size in four bytes, little end first, and as many bytes.
#[cfg(target_family = "wasm")]
pub(crate) fn tables() -> &'static [u8] {
    /// Bytes of the size.
    const SIZE: usize = size_of::<u32>();
    let start = linked_tables();
    let size = u32::from_le_bytes([0, 1, 2, 3].map(|at| read(start, SIZE)[at])) as usize;
    read(start + SIZE as u32, size)
}

/// Calls the function with an index.
#[cfg(target_family = "wasm")]
pub(crate) fn invoke(index: u32, slots: &mut [u64]) {
    // SAFETY: the linked module loads as many slots as the function's signature has values, which is how many were lowered from the same
    // signature, and stores at most the first one. There is always one.
    unsafe { linked_invoke(index, slots.as_mut_ptr()) }
}

/// On other targets nothing is linked, so that there are no tables and no function can be found.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn tables() -> &'static [u8] {
    &[]
}

/// See [`tables`].
#[cfg(not(target_family = "wasm"))]
pub(crate) fn invoke(_: u32, _: &mut [u64]) {}
