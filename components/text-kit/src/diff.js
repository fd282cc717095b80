/** Line diffs. */
import diffSequences from "@jest/diff-sequences";
import { output } from "@everwit/guest";
import { MAX_COMPARISONS, MAX_TEXT, checkLength, tooLarge } from "./limits.js";

const DEFAULT_CONTEXT = 3;
const NO_NEWLINE = "\\ No newline at end of file";

/** @typedef {{ beforeStart: number, beforeEnd: number, afterStart: number, afterEnd: number }} Change lines of both sides, ends exclusive */

/**
 * Compares two texts line by line.
 * @param {{ before: string, after: string, before_name?: string, after_name?: string, context?: number, ignore_whitespace?: boolean }} args
 */
export function diff({ before, after, before_name = "before", after_name = "after", context = DEFAULT_CONTEXT, ignore_whitespace = false }) {
  checkLength("before", before, MAX_TEXT);
  checkLength("after", after, MAX_TEXT);
  const old = splitLines(before);
  const now = splitLines(after);
  const changes = findChanges(...toNumbers(old, now, ignore_whitespace));
  const hunks = toHunks(changes, context, old.length);
  const counts = {
    identical: changes.length === 0,
    added: changes.reduce((sum, { afterStart, afterEnd }) => sum + afterEnd - afterStart, 0),
    removed: changes.reduce((sum, { beforeStart, beforeEnd }) => sum + beforeEnd - beforeStart, 0),
    hunks: hunks.length,
  };
  const header = [`--- ${before_name}`, `+++ ${after_name}`];
  const unified = counts.identical ? "" : `${[...header, ...hunks.flatMap((hunk) => formatHunk(hunk, old, now))].join("\n")}\n`;
  return output({ parts: [counts.identical ? "The texts are identical." : unified], structured: { ...counts, unified } });
}

/**
 * Lines; one that ends without a line break carries the note that `diff` prints for it, and
 * so differs from one that does not.
 * @param {string} text
 */
function splitLines(text) {
  const lines = text.split("\n");
  const last = lines.pop();
  if (last) lines.push(`${last}\n${NO_NEWLINE}`);
  return lines;
}

/**
 * Gives equal lines equal numbers, which compare faster.
 * @param {string[]} old
 * @param {string[]} now
 * @param {boolean} ignoreWhitespace
 */
function toNumbers(old, now, ignoreWhitespace) {
  /** @type {Map<string, number>} */
  const numbers = new Map();
  const numberOf = (/** @type {string} */ line) => {
    const key = ignoreWhitespace ? line.replace(`\n${NO_NEWLINE}`, "").trim() : line;
    const known = numbers.get(key) ?? numbers.size;
    if (known === numbers.size) numbers.set(key, known);
    return known;
  };
  return /** @type {const} */ ([old.map(numberOf), now.map(numberOf)]);
}

/**
 * The changes that turn one sequence into the other, as few lines as possible. Lines that one
 * side does not have cannot be common, so only the others are compared.
 * @param {number[]} old
 * @param {number[]} now
 */
function findChanges(old, now) {
  const oldShared = positionsOfShared(old, now);
  const nowShared = positionsOfShared(now, old);
  /** @type {Change[]} */
  const changes = [];
  let [i, j] = [0, 0];
  const until = (/** @type {number} */ beforeEnd, /** @type {number} */ afterEnd) => {
    if (i < beforeEnd || j < afterEnd) changes.push({ beforeStart: i, beforeEnd, afterStart: j, afterEnd });
    [i, j] = [beforeEnd + 1, afterEnd + 1];
  };
  let comparisons = 0;
  const isCommon = (/** @type {number} */ a, /** @type {number} */ b) => {
    if (++comparisons > MAX_COMPARISONS) throw tooLarge("before and after differ in too many lines that occur on both sides: compare parts of them");
    return old[oldShared[a]] === now[nowShared[b]];
  };
  diffSequences(oldShared.length, nowShared.length, isCommon, (count, a, b) => {
    for (let k = 0; k < count; k++) until(oldShared[a + k], nowShared[b + k]);
  });
  until(old.length, now.length);
  return changes;
}

/**
 * Where a sequence has what the other has too. (A table and no `Set`: the engine hashes whole
 * numbers badly.)
 * @param {number[]} sequence
 * @param {number[]} other
 */
function positionsOfShared(sequence, other) {
  const present = new Uint8Array(sequence.length + other.length);
  for (let at = 0; at < other.length; at++) present[other[at]] = 1;
  const positions = [];
  for (let at = 0; at < sequence.length; at++) if (present[sequence[at]] === 1) positions.push(at);
  return positions;
}

/**
 * Groups changes whose context touches.
 * @param {Change[]} changes
 * @param {number} context
 * @param {number} length of the old side
 */
function toHunks(changes, context, length) {
  /** @type {(Change & { changes: Change[] })[]} */
  const hunks = [];
  for (const change of changes) {
    const last = hunks.at(-1);
    const lead = Math.min(context, change.beforeStart);
    const trail = Math.min(context, length - change.beforeEnd);
    const ends = { beforeEnd: change.beforeEnd + trail, afterEnd: change.afterEnd + trail };
    if (last && change.beforeStart - lead <= last.beforeEnd) {
      Object.assign(last, ends);
      last.changes.push(change);
    } else {
      hunks.push({ beforeStart: change.beforeStart - lead, afterStart: change.afterStart - lead, ...ends, changes: [change] });
    }
  }
  return hunks;
}

/**
 * @param {Change & { changes: Change[] }} hunk
 * @param {string[]} old
 * @param {string[]} now
 */
function formatHunk({ beforeStart, beforeEnd, afterStart, afterEnd, changes }, old, now) {
  const lines = [`@@ -${range(beforeStart, beforeEnd)} +${range(afterStart, afterEnd)} @@`];
  let at = beforeStart;
  for (const change of changes) {
    for (; at < change.beforeStart; at++) lines.push(` ${old[at]}`);
    for (; at < change.beforeEnd; at++) lines.push(`-${old[at]}`);
    for (let j = change.afterStart; j < change.afterEnd; j++) lines.push(`+${now[j]}`);
  }
  for (; at < beforeEnd; at++) lines.push(` ${old[at]}`);
  return lines;
}

/**
 * Start and length as `diff -u` writes them: counted from 1, a length of 1 left out, and for
 * an empty range the line before it.
 * @param {number} start
 * @param {number} end
 */
function range(start, end) {
  const length = end - start;
  if (length === 1) return `${start + 1}`;
  return length === 0 ? `${start},0` : `${start + 1},${length}`;
}
