//! Counts in statics: each call must find them fresh.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use everwit_guest::prelude::*;

static COUNT: AtomicU64 = AtomicU64::new(0);
static HEAP: Mutex<Vec<u64>> = Mutex::new(Vec::new());

thread_local! {
    static LOCAL: Cell<u64> = const { Cell::new(0) };
}

/// Counts in a static, on the heap and in a thread-local: always [1, 1, 1].
#[tool(read_only)]
fn count() -> Result<[u64; 3]> {
    let mut heap = HEAP.lock().unwrap_or_else(PoisonError::into_inner);
    heap.push(0);
    LOCAL.set(LOCAL.get() + 1);
    Ok([COUNT.fetch_add(1, Ordering::Relaxed) + 1, heap.len() as u64, LOCAL.get()])
}

capability! { id: "counter-static", title: "Static counter", summary: "Counts to one.", tools: [count] }
