/**
 * Reserves heap at build time: memory that is allocated and freed before the snapshot is part
 * of the component's initial memory, costs no bytes in the file, and spares a normal call from
 * growing memory, which is expensive on a busy host.
 */

const RESERVED_BYTES = 4 * 1024 * 1024;

/** @type {ArrayBuffer | null} */
let reserve = new ArrayBuffer(RESERVED_BYTES);
if (reserve.byteLength !== RESERVED_BYTES) throw new Error("the heap reserve could not be allocated");
// The engine counts references, so this frees the reserve at once.
reserve = null;
