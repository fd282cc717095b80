//! CPU time of one call on one and on two threads: growth of memory in a call shows as a multiple.

use std::time::Instant;

use crate::subjects::Subjects;

/// How often one and two threads are compared.
const ROUNDS: usize = 5;

/// One comparison.
#[derive(Clone, Copy)]
pub(crate) struct Round {
    /// CPU time of a call on two threads, as a multiple of that on one.
    pub(crate) ratio: f64,
    /// Cores that the two threads really had.
    pub(crate) cores: f64,
}

/// Makes `calls` calls on each thread, in each round.
pub(crate) fn measure(subjects: &Subjects, calls: usize) -> Vec<Round> {
    let round = |_| {
        let (one, _) = run(subjects, calls, 1);
        let (two, cores) = run(subjects, calls, 2);
        Round { ratio: two / one, cores }
    };
    (0..ROUNDS).map(round).collect()
}

/// CPU time of one call in microseconds, and how many cores were busy.
fn run(subjects: &Subjects, calls: usize, threads: usize) -> (f64, f64) {
    let (cpu, wall) = (process_cpu_seconds(), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    for _ in 0..calls {
                        subjects.add(&subjects.sdk).await;
                    }
                });
            });
        }
    });
    let cpu = process_cpu_seconds() - cpu;
    #[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
    let per_call = cpu * 1e6 / (calls * threads) as f64;
    (per_call, cpu / wall.elapsed().as_secs_f64())
}

/// User and system time of this process, in seconds.
fn process_cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name in parentheses").1.split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().map(|&at| fields[at].parse::<f64>().expect("a number")).sum();
    // Linux reports in USER_HZ, which is 100 on every architecture we support.
    ticks / 100.0
}
