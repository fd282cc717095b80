/**
 * Prepares the heap for the snapshot, after everything else has loaded: takes memory in blocks
 * of many sizes and gives it back.
 *
 * What a call allocates is then there already, so that a normal call does not grow memory,
 * which is expensive on a busy host. And the blocks, which are zeroed, overwrite what parsing
 * the module left in the gaps of the heap, so that it is not part of the component.
 */

/** Memory to take in blocks of one size. */
const BYTES_PER_SIZE = 512 * 1024;
const LARGEST_BLOCK = 1024 * 1024;
/** Below this, the blocks' own objects would leave behind more than they clear. */
const SMALLEST_BLOCK = 4096;
/** A little less than a power of two, so that a block fits with its header. */
const HEADER_BYTES = 16;

/** @type {ArrayBuffer[]} */
const blocks = [];
for (let size = LARGEST_BLOCK; size >= SMALLEST_BLOCK; size /= 2) {
  for (let taken = 0; taken < BYTES_PER_SIZE; taken += size) blocks.push(new ArrayBuffer(size - HEADER_BYTES));
}
// The engine counts references, so this gives the memory back at once.
blocks.length = 0;
