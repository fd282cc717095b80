/** Links of a text. */
import { readBlocks } from "./blocks.js";
import { bareLinks, markdownLinks } from "./inlines.js";
import { MAX_LINKS, MAX_TEXT, checkLength } from "./limits.js";

/** @typedef {import("./inlines.js").Found} Found */

/**
 * Extracts the links of a text, in order.
 * @param {{ text: string, format?: "markdown" | "text", unique?: boolean }} args
 */
export function links({ text, format = "markdown", unique = false }) {
  checkLength("text", text, MAX_TEXT);
  const all = format === "text" ? bareLinks(text) : linksOfDocument(text);
  const kept = unique ? all.filter(isFirst()) : all;
  const shown = kept.slice(0, MAX_LINKS);
  return { count: kept.length, truncated: kept.length > shown.length, links: withPositions(text, shown) };
}

/** A filter that keeps the first link of each URL. */
function isFirst() {
  const seen = new Set();
  return (/** @type {Found} */ { url }) => !seen.has(url) && Boolean(seen.add(url));
}

/**
 * @param {string} text
 * @returns {Found[]}
 */
function linksOfDocument(text) {
  const { runs, definitions } = readBlocks(text);
  return runs.flatMap(({ text: prose, pieces }) => {
    const found = markdownLinks(prose, definitions);
    let piece = 0;
    // Links come in the order of their beginnings, but one can end behind the next.
    return found.map((link) => {
      while (piece + 1 < pieces.length && pieces[piece + 1].at <= link.start) piece++;
      let last = piece;
      while (last + 1 < pieces.length && pieces[last + 1].at < link.end) last++;
      return { ...link, start: toSource(link.start, pieces[piece]), end: toSource(link.end, pieces[last]) };
    });
  });
}

/**
 * @param {number} at
 * @param {import("./blocks.js").Piece} piece
 */
const toSource = (at, piece) => at - piece.at + piece.source;

/**
 * Turns offsets in UTF-16 units into code points, as other languages count, and adds lines.
 * @param {string} text
 * @param {Found[]} found in order of their beginnings
 */
function withPositions(text, found) {
  const links = found.map(({ kind, url, text: shown, title, start, end }) => ({ kind, url, text: shown, ...(title ? { title } : {}), start, end, line: 1 }));
  const marks = links
    .flatMap((link) => /** @type {const} */ ([{ at: link.start, link, side: "start" }, { at: link.end, link, side: "end" }]))
    .sort((a, b) => a.at - b.at);
  const hasPairs = /[\ud800-\udbff]/.test(text);
  let [offset, line, from] = [0, 1, 0];
  for (const { at, link, side } of marks) {
    const between = text.slice(from, at);
    offset += between.length - (hasPairs ? (between.match(/[\ud800-\udbff][\udc00-\udfff]/g)?.length ?? 0) : 0);
    if (between.includes("\n") || between.includes("\r")) line += between.match(/\r\n?|\n/g)?.length ?? 0;
    link[side] = offset;
    if (side === "start") link.line = line;
    from = at;
  }
  return links;
}
