/**
 * Tells building from running. Top-level code runs once, at build time, and is frozen into the
 * component with its results; the host's functions exist only while a call runs.
 */

let running = false;

/** Marks that the host has called the component. */
export function enterCall() {
  running = true;
}

/** Whether this is a call, and host functions can be used. */
export const isRunning = () => running;

/**
 * Throws if the host's functions are not there yet.
 * @param {string} what the function that needs the host
 */
export function requireCall(what) {
  if (!running) throw new Error(`${what} needs the host, which is not there at build time: move it from the top level of the module into a tool`);
}
