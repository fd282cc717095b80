//! The memory limit of one call: the sum over all its linear memories and tables. The engine's
//! own `StoreLimits` bounds each memory alone, so forty memories would get forty times as much.

use wasmtime::ResourceLimiter;

use crate::limits::Budget;

/// Bytes of one table element in the host.
const TABLE_ELEMENT_BYTES: usize = 8;
/// Tables of one call; CPython and QuickJS components have up to 3.
const MAX_TABLES: usize = 64;
/// Linear memories of one call; QuickJS components have 3.
const MAX_MEMORIES: usize = 16;

/// Sums what a call takes and refuses what would exceed its limit.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: usize,
    instances: usize,
    used: usize,
    peak: usize,
    refused: bool,
}

impl Limiter {
    /// The limits of `budget`.
    pub(super) fn new(budget: &Budget) -> Self {
        Self {
            limit: usize::try_from(budget.memory_bytes).unwrap_or(usize::MAX),
            instances: budget.instances as usize,
            used: 0,
            peak: 0,
            refused: false,
        }
    }

    /// Largest sum so far, in bytes.
    pub(super) fn peak(&self) -> usize {
        self.peak
    }

    /// Whether something was refused; a trap that follows is the guest's way to say that it
    /// ran out of memory.
    pub(super) fn refused(&self) -> bool {
        self.refused
    }

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let sum = self.used.saturating_add(desired.saturating_sub(current));
        if sum > self.limit {
            self.refused = true;
            return false;
        }
        self.used = sum;
        self.peak = self.peak.max(sum);
        true
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current * TABLE_ELEMENT_BYTES, desired.saturating_mul(TABLE_ELEMENT_BYTES)))
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}
