/**
 * The queue of promise reactions. The engine of a synchronous component never runs its own
 * job queue, so the SDK's promises queue here and each call drains the queue before it ends.
 */

/** @type {(() => void)[]} */
const queue = [];

/**
 * Queues a job.
 * @param {() => void} job
 */
export function enqueueJob(job) {
  queue.push(job);
}

/** Runs jobs, also those that they queue, until none is left. */
export function drainJobs() {
  try {
    for (let next = 0; next < queue.length; next++) queue[next]();
  } finally {
    queue.length = 0;
  }
}
