//! Progress lines: `[ 3/9] building components … 12.3 s`.

use std::time::{Duration, Instant};

use crate::process::{Error, Result};

/// The steps of a command, in a fixed order; the first failure ends it.
pub(crate) struct Steps {
    total: usize,
    done: Vec<(String, Duration)>,
    started: Instant,
}

impl Steps {
    pub(crate) fn new(total: usize) -> Self {
        Self { total, done: Vec::with_capacity(total), started: Instant::now() }
    }

    /// Runs one step between a line that announces it and a line with the time it took.
    pub(crate) fn run<T>(&mut self, label: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        let head = format!("[{:>2}/{}] {label} …", self.done.len() + 1, self.total);
        eprintln!("{head}");
        let started = Instant::now();
        let result = step();
        let taken = started.elapsed();
        match result {
            Ok(value) => {
                eprintln!("{head} {}", seconds(taken));
                self.done.push((label.to_owned(), taken));
                Ok(value)
            }
            Err(error) => {
                eprintln!("{head} failed after {}", seconds(taken));
                Err(self.summarize(label, &error))
            }
        }
    }

    /// Prints what was done and how long all of it took.
    pub(crate) fn finish(&self, outcome: &str) {
        for (label, taken) in &self.done {
            eprintln!("  {:>9}  {label}", seconds(*taken));
        }
        eprintln!("{outcome} in {}", seconds(self.started.elapsed()));
    }

    fn summarize(&self, label: &str, error: &Error) -> Error {
        let at = self.done.len() + 1;
        Error::new(format!("step {at} of {} failed, {label}: {error}", self.total))
    }
}

fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole < 60 { format!("{:.1} s", duration.as_secs_f64()) } else { format!("{} min {:02} s", whole / 60, whole % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_named_with_its_place() {
        let mut steps = Steps::new(2);
        steps.run("first", || Ok(())).expect("does nothing");
        let error = steps.run("second", || Err::<(), _>(Error::new("broken"))).expect_err("fails");
        assert_eq!(error.to_string(), "step 2 of 2 failed, second: broken");
    }

    #[test]
    fn long_times_are_shown_in_minutes() {
        assert_eq!(seconds(Duration::from_millis(12_345)), "12.3 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }
}
