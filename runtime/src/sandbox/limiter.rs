//! The memory limit of one call: the sum over all its linear memories and tables. The engine's
//! own `StoreLimits` bounds each memory alone, so forty memories would get forty times as much.

use wasmtime::ResourceLimiter;

use super::engine::{MAX_MEMORIES, MAX_TABLES};
use crate::limits::Budget;

/// Bytes of one table element in the host.
const TABLE_ELEMENT_BYTES: usize = 8;

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
        MAX_TABLES as usize
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most guests have one memory and never grow their table, so the sum shows here alone.
    #[test]
    fn memories_and_tables_share_one_limit() {
        let mut limiter = Limiter::new(&Budget { memory_bytes: 100_000, ..Budget::TOOL_CALL });
        let mut grow = |table: bool, current: usize, desired: usize| {
            let grown = if table { limiter.table_growing(current, desired, None) } else { limiter.memory_growing(current, desired, None) };
            (grown.expect("refusals are no errors"), limiter.used, limiter.refused())
        };
        assert_eq!(grow(false, 0, 40_000), (true, 40_000, false));
        assert_eq!(grow(false, 0, 40_000), (true, 80_000, false), "a second memory is added to the first");
        assert_eq!(grow(true, 0, 2_000), (true, 96_000, false), "an element has eight bytes");
        assert_eq!(grow(true, 2_000, 2_501), (false, 96_000, true));
        assert_eq!(grow(false, 40_000, 44_000), (true, 100_000, true), "only what is added counts");
        assert_eq!(grow(false, 0, usize::MAX), (false, 100_000, true));
        assert_eq!(limiter.peak(), 100_000);
    }

    #[test]
    fn there_are_no_more_memories_and_tables_than_the_gate_lets_in() {
        let limiter = Limiter::new(&Budget { instances: 7, ..Budget::TOOL_CALL });
        assert_eq!((limiter.memories(), limiter.tables(), limiter.instances()), (8, 16, 7));
    }
}
