//! How many turns an org begins, by minutes of the clock.

use jiff::Timestamp;

const MICROS_PER_MINUTE: i64 = 60_000_000;

/// Turns that began in a minute of the clock, and in the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BegunTurns {
    /// In the minute of the moment that was asked for.
    pub this_minute: u64,
    /// In the minute before.
    pub last_minute: u64,
}

/// Counts turns as they begin. Of two clocks that differ by less than a minute, the later one counts; a clock that is set
/// begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TurnRate {
    minute: i64,
    turns: u64,
    before: u64,
}

impl TurnRate {
    /// The minute of a moment, in minutes of Unix time.
    pub fn minute(now: Timestamp) -> i64 {
        now.as_microsecond().div_euclid(MICROS_PER_MINUTE)
    }

    /// Counts a turn that begins.
    pub fn count(&mut self, now: Timestamp) {
        let minute = Self::minute(now);
        *self = match minute - self.minute {
            0 | -1 => Self { turns: self.turns + 1, ..*self },
            1 => Self { minute, turns: 1, before: self.turns },
            _ => Self { minute, turns: 1, before: 0 },
        };
    }

    /// Takes back a turn that was counted and has not begun.
    pub fn give_back(&mut self) {
        self.turns = self.turns.saturating_sub(1);
    }

    /// What was counted, seen from a moment.
    pub fn at(&self, now: Timestamp) -> BegunTurns {
        match Self::minute(now) - self.minute {
            0 => BegunTurns { this_minute: self.turns, last_minute: self.before },
            1 => BegunTurns { this_minute: 0, last_minute: self.turns },
            -1 => BegunTurns { this_minute: self.turns + self.before, last_minute: 0 },
            _ => BegunTurns::default(),
        }
    }
}
