//! CPU time of one call on one and on two threads: growth of memory in a call shows as a multiple.

use std::sync::Arc;
use std::time::Instant;

use everwit_runtime::sandbox::ComponentCapability;

use crate::subjects;

/// Figures of one and of two threads.
pub(crate) struct Threads {
    pub(crate) one_cpu_micros: f64,
    pub(crate) two_cpu_micros: f64,
    /// Cores that the two threads really had; below 1.6 the comparison says nothing.
    pub(crate) cores: f64,
}

/// Makes `calls` calls on each thread.
pub(crate) fn measure(capability: &Arc<ComponentCapability>, calls: usize) -> Threads {
    let (one, _) = run(capability, calls, 1);
    let (two, cores) = run(capability, calls, 2);
    Threads { one_cpu_micros: one, two_cpu_micros: two, cores }
}

fn run(capability: &Arc<ComponentCapability>, calls: usize, threads: usize) -> (f64, f64) {
    let (cpu, wall) = (process_cpu_seconds(), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    for _ in 0..calls {
                        subjects::add(capability).await;
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
