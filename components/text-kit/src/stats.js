/** Counts of a text. */
import { MAX_TEXT, checkLength } from "./limits.js";

/**
 * Average silent reading speed of adults for English non-fiction, in words a minute
 * (Brysbaert 2019, a meta-analysis of 190 studies).
 */
const WORDS_PER_MINUTE = 238;
const DEFAULT_TOP_WORDS = 10;

/**
 * A word: letters, marks and digits, with single apostrophes, hyphens, and within numbers
 * points or commas inside ("don't", "well-known", "3.5"). Writing without spaces counts each
 * character as a word.
 */
const WORD = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|(?:(?![\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}])[\p{L}\p{M}\p{N}])+(?:(?:['’\u2010\u2011-]|(?<=\p{N})[.,](?=\p{N}))(?:(?![\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}])[\p{L}\p{M}\p{N}])+)*/gu;
/** The same for text that is ASCII, which is several times faster. */
const ASCII_WORD = /[A-Za-z0-9]+(?:(?:['-]|(?<=[0-9])[.,](?=[0-9]))[A-Za-z0-9]+)*/g;
const SURROGATE_PAIR = /[\ud800-\udbff][\udc00-\udfff]/g;
const NON_ASCII = /[^\0-\x7f]/;

/** A single ASCII word with punctuation around it: most pieces of most texts. */
const PLAIN_PIECE = /^["'(]*([A-Za-z0-9]+)([,;:]|[.!?]*)[)"']*$/;

/** Sentence terminators at the end of a piece, with closing quotes and brackets. */
const TERMINATOR = /([.!?…]+)["'”’»)\]]*$/;
/** Those of Chinese and Japanese need no space behind them. */
const WIDE_TERMINATOR = /[。！？]+[”’」』）]*/g;

/** Words that a full stop follows within a sentence, in lower case. */
const ABBREVIATIONS = new Set([
  "mr", "mrs", "ms", "messrs", "dr", "prof", "rev", "hon", "st", "sr", "jr", "capt", "col", "gen", "lt", "sgt",
  "vs", "cf", "e.g", "i.e", "eg", "ie", "viz", "approx", "no", "nos", "vol", "fig", "figs", "ch", "pp", "ed", "eds",
  "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec",
  "bzw", "ca", "d.h", "z.b", "u.a", "nr",
]);

/**
 * Counts a text. Texts repeat themselves, so each distinct piece between spaces is looked into
 * once; the loop over all of them only adds up.
 * @param {{ text: string, top?: number, min_word_length?: number, ignore?: string[], words_per_minute?: number }} args
 */
export function stats({ text, top = DEFAULT_TOP_WORDS, min_word_length = 1, ignore = [], words_per_minute = WORDS_PER_MINUTE }) {
  checkLength("text", text, MAX_TEXT);
  /** @type {Map<string, ReturnType<typeof inspect>>} */
  const pieces = new Map();
  const sentences = new SentenceCounter();
  const lines = linesOf(text);
  for (const line of lines) {
    if (line.trim() === "") {
      sentences.endParagraph();
      continue;
    }
    for (const part of line.split(" ")) {
      if (part === "") continue;
      let piece = pieces.get(part);
      if (piece === undefined) pieces.set(part, (piece = inspect(part)));
      piece.times++;
      sentences.add(piece);
    }
  }
  sentences.endParagraph();
  const all = [...pieces.values()];
  const counts = countWords(all);
  const words = sum(counts.values());
  return {
    characters: text.length - sum(all.map(({ pairs, times }) => pairs * times)),
    characters_without_spaces: sum(all.map(({ visible, times }) => visible * times)),
    words,
    unique_words: counts.size,
    sentences: sentences.count,
    lines: lines.length,
    paragraphs: sentences.paragraphs,
    words_per_sentence: sentences.count === 0 ? 0 : Math.round((words / sentences.count) * 10) / 10,
    reading_seconds: Math.ceil((words / words_per_minute) * 60),
    top_words: topWords(counts, top, min_word_length, new Set(ignore.map(fold))),
  };
}

/**
 * Lines as an editor numbers them: a line break at the very end begins no further line.
 * @param {string} text
 */
function linesOf(text) {
  const lines = (text.includes("\r") ? text.replaceAll(/\r\n?/g, "\n") : text).split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/**
 * What there is to know about a piece of text without spaces.
 * @param {string} piece
 */
function inspect(piece) {
  const plain = PLAIN_PIECE.exec(piece);
  if (plain) {
    const [, word, mark] = plain;
    const ends = mark !== "" && ".!?".includes(mark[0]) && (mark !== "." || isFullStop(word));
    const beginsLower = word[0] >= "a" && word[0] <= "z";
    return { times: 0, words: [word.toLowerCase()], pairs: 0, visible: piece.length, beginsLower, ends, inner: 0, hasWord: true };
  }
  const isAscii = !NON_ASCII.test(piece);
  const words = piece.match(isAscii ? ASCII_WORD : WORD) ?? [];
  const wide = isAscii ? [] : [...piece.matchAll(WIDE_TERMINATOR)];
  const last = wide.at(-1);
  const pairs = isAscii ? 0 : (piece.match(SURROGATE_PAIR)?.length ?? 0);
  return {
    times: 0,
    words: words.map(fold),
    /** Characters of two UTF-16 units. */
    pairs,
    visible: (isAscii && !piece.includes("\t") ? piece : piece.replaceAll(/\s/g, "")).length - pairs,
    beginsLower: (isAscii ? /^[^A-Za-z0-9]*[a-z]/ : /^[^\p{L}\p{N}]*\p{Ll}/u).test(piece),
    ends: endsSentence(piece),
    /** Sentences that end within it. */
    inner: wide.length,
    /** Whether it has a word behind the last of them. */
    hasWord: last ? /[\p{L}\p{N}]/u.test(piece.slice(last.index)) : words.length > 0,
  };
}

/** @param {string} piece */
function endsSentence(piece) {
  const match = TERMINATOR.exec(piece);
  if (!match) return false;
  if (match[1] !== ".") return true;
  return isFullStop(/[\p{L}\p{N}.]*$/u.exec(piece.slice(0, match.index))?.[0] ?? "");
}

/**
 * Whether a point behind this ends a sentence, and no abbreviation or initial.
 * @param {string} before
 */
function isFullStop(before) {
  const isInitial = before !== "I" && /^\p{Lu}$/u.test(before);
  return !isInitial && !ABBREVIATIONS.has(before.toLowerCase());
}

/** Counts sentences piece by piece; paragraphs end them. */
class SentenceCounter {
  count = 0;
  paragraphs = 0;
  #inParagraph = false;
  /** Whether there was a word since the last sentence ended. */
  #open = false;
  /** Whether the last piece ended a sentence, unless the next begins in lower case. */
  #ending = false;

  /** @param {ReturnType<typeof inspect>} piece */
  add(piece) {
    this.#inParagraph = true;
    // "…!" she said: the quotation ends, its sentence goes on.
    if (this.#ending && !piece.beginsLower) this.#end();
    if (piece.inner > 0) {
      this.count += piece.inner;
      this.#open = false;
    }
    this.#open ||= piece.hasWord;
    this.#ending = this.#open && piece.ends;
  }

  /** What is left without a full stop is a sentence too, if it has words. */
  endParagraph() {
    if (this.#open) this.#end();
    if (this.#inParagraph) this.paragraphs++;
    this.#inParagraph = false;
  }

  #end() {
    this.count++;
    this.#open = false;
    this.#ending = false;
  }
}

/** @param {ReturnType<typeof inspect>[]} pieces */
function countWords(pieces) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { words, times } of pieces) {
    for (const word of words) counts.set(word, (counts.get(word) ?? 0) + times);
  }
  return counts;
}

/** @param {string} word */
const fold = (word) => (NON_ASCII.test(word) ? word.normalize("NFC").toLowerCase().replaceAll("’", "'") : word.toLowerCase());

/** @param {Iterable<number>} numbers */
function sum(numbers) {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}

/**
 * The most frequent words. Most words of a text occur once or twice, so words are gathered by
 * their count and only those that can be among the first are sorted.
 * @param {Map<string, number>} counts
 * @param {number} top
 * @param {number} shortest
 * @param {Set<string>} ignored
 */
function topWords(counts, top, shortest, ignored) {
  /** @type {Map<number, string[]>} */
  const byCount = new Map();
  counts.forEach((count, word) => {
    if (word.length < shortest || ignored.has(word)) return;
    const words = byCount.get(count);
    if (words) words.push(word);
    else byCount.set(count, [word]);
  });
  /** @type {{ word: string, count: number }[]} */
  const ranked = [];
  for (const count of [...byCount.keys()].sort((a, b) => b - a)) {
    if (ranked.length >= top) break;
    for (const word of byCount.get(count)?.sort() ?? []) ranked.push({ word, count });
  }
  return ranked.slice(0, top);
}
