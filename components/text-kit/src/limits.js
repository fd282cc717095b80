/** Limits of the tools' input, and the failures when it is over them. */
import { Failure } from "@everwit/guest";

/**
 * Longest text of `stats`, `links` and each side of `diff`, in characters (UTF-16 units): what
 * they can compute within the usual budget of a call, whatever the text is like.
 */
export const MAX_TEXT = 100_000;
/** Comparisons of lines in one `diff`; its work grows with the square of the changes. */
export const MAX_COMPARISONS = 120_000;
/** Most links that `links` returns. */
export const MAX_LINKS = 1_000;
/** Most words that `stats` ranks. */
export const MAX_TOP_WORDS = 100;
/** Longest slug, in characters. */
export const MAX_SLUG = 200;
/** Longest text of `slugify`: titles and names, not documents. */
export const MAX_SLUG_TEXT = 2_000;

/**
 * Refuses text over a limit.
 * @param {string} what the argument's name
 * @param {string} text
 * @param {number} limit
 */
export function checkLength(what, text, limit) {
  if (text.length > limit) {
    throw tooLarge(`${what} has ${text.length} characters, over the limit of ${limit}: split it and call once per part`);
  }
}

/**
 * The failure for input over a limit.
 * @param {string} message
 */
export const tooLarge = (message) => new Failure("invalid-arguments", message, { code: "too_large" });
