/** Slugs for URLs and file names. */
import { Failure } from "@everwit/guest";
import { toAscii } from "./latin.js";
import { MAX_SLUG_TEXT, checkLength } from "./limits.js";

const DEFAULT_MAX_LENGTH = 80;

/**
 * Makes a slug. Letters that have no ASCII form are dropped, or kept if `unicode` is set.
 * @param {{ text: string, separator?: string, max_length?: number, language?: string, unicode?: boolean }} args
 * @param {{ locale: string | null }} context
 */
export function slugify({ text, separator = "-", max_length = DEFAULT_MAX_LENGTH, language, unicode = false }, context) {
  checkLength("text", text, MAX_SLUG_TEXT);
  const letters = unicode ? text.normalize("NFC") : toAscii(text, language ?? context.locale ?? "");
  const words = letters
    .toLowerCase()
    // "don't" is one word, not two.
    .replaceAll(/(?<=[\p{L}\p{N}])['’](?=\p{L})/gu, "")
    .split(unicode ? /[^\p{L}\p{M}\p{N}]+/u : /[^a-z0-9]+/)
    .filter((word) => word !== "");
  if (words.length === 0) {
    const fix = unicode ? "give a text with letters or digits" : "give another text, or set unicode to keep letters of other scripts";
    throw new Failure("invalid-arguments", `text has no letter or digit that a slug can be made of: ${fix}`, { code: "empty_slug" });
  }
  return cut(words, separator, max_length);
}

/**
 * Joins as many words as fit; a first word that is too long by itself is cut.
 * @param {string[]} words
 * @param {string} separator
 * @param {number} limit in characters
 */
function cut(words, separator, limit) {
  let slug = [...words[0]].slice(0, limit).join("");
  for (const word of words.slice(1)) {
    const longer = slug + separator + word;
    if ([...longer].length > limit) break;
    slug = longer;
  }
  return slug;
}
