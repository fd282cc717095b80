/**
 * The links in a piece of prose: those of Markdown (CommonMark), and bare URLs and e-mail
 * addresses (as GitHub finds them). It jumps from one character that can matter to the next.
 */
import { normalizeLabel } from "./blocks.js";

/**
 * @typedef {object} Found
 * @property {"link" | "image" | "reference" | "autolink" | "bare"} kind
 * @property {string} url
 * @property {string} text
 * @property {string} [title]
 * @property {boolean} image
 * @property {number} start
 * @property {number} end
 */

/** What can begin or end something; patterns as simple as these are much faster than exact ones. */
const SPECIAL = /[\\`<[\]:@]/g;
const SPECIAL_OR_WWW = /[\\`<[\]:@]|www\.|WWW\./g;
const BARE = /[:@]|www\.|WWW\./g;
/** Without any of these, prose has no link. */
const SIGNS = ["[", "<", "://", "@", "www.", "WWW."];
const SCHEME_BEFORE = /https?$/i;
const CODE_FENCE = /`+/g;
const AUTOLINK = /<([a-z][a-z0-9+.-]{1,31}:[^\s<>]*)>/iy;
const AUTOLINK_EMAIL = /<([\w.!#$%&'*+/=?^`{|}~-]+@[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*)>/iy;
const HTML = /<(?:!--(?:>|->|[^]*?-->)|\?[^]*?\?>|!\[CDATA\[[^]*?\]\]>|![a-z][^>]*>|\/[a-z][a-z0-9-]*\s*>|[a-z][a-z0-9-]*(?:\s+[a-z_:][\w.:-]*(?:\s*=\s*(?:[^\s"'=<>`]+|'[^']*'|"[^"]*"))?)*\s*\/?>)/iy;
const DESTINATION_IN_BRACKETS = /<((?:[^<>\n\\]|\\[^])*)>/y;
/** The part of a destination in which nothing needs a closer look. */
const PLAIN_DESTINATION = /[^\0- ()\\]*/y;
const TITLE = /"((?:[^"\\]|\\[^])*)"|'((?:[^'\\]|\\[^])*)'|\(((?:[^()\\]|\\[^])*)\)/y;
const WHITE_SPACE = /\s*/y;
const LABEL = /\[((?:[^[\]\\]|\\[^]){0,999})\]/y;
const HAS_BRACKET = /(?<!\\)(?:\\\\)*[[\]]/;

const URL_BODY = /[^\s<]+/y;
const DOMAIN = /^[\w\u00a1-\uffff-][\w\u00a1-\uffff.-]*/;
const EMAIL_BEFORE = /[\w.+-]+$/;
const EMAIL_AFTER = /@[\w-]+(?:\.[\w-]+)+/y;
/** Longest local part of an address that is looked for before an "@". */
const MAX_LOCAL_PART = 64;
const MAX_PARENTHESES = 32;

const IMAGE = /!\[((?:[^[\]\\]|\\[^])*)\](?:\([^()]*\)|\[[^[\]]*\])?/g;
/** What the description of an image can have in it besides. */
const LINK_OR_IMAGE = /!?\[((?:[^[\]\\]|\\[^])*)\](?:\([^()]*\)|\[[^[\]]*\])/g;
const CODE = /(`+) ?(.+?) ?\1(?!`)/gs;
const STARS = /(?<!\\)(\*{1,3})(?=\S)(.+?)(?<=\S)\1/gs;
const UNDERSCORES = /(?<![\w\\])(_{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)/gs;

const ESCAPE = /\\([!-/:-@[-`{-~])/g;
const ENTITY = /&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(amp|lt|gt|quot|apos|nbsp));/gi;
const ENTITIES = /** @type {Record<string, string>} */ ({ amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" });

/**
 * The bare URLs and addresses of plain text.
 * @param {string} text
 */
export function bareLinks(text) {
  /** @type {Found[]} */
  const found = [];
  BARE.lastIndex = 0;
  for (let match = BARE.exec(text); match; match = BARE.exec(text)) {
    const link = bareLink(text, match.index);
    // An address found at its "@" may begin within the URL before it.
    if (!link || link.start < (found.at(-1)?.end ?? 0)) continue;
    found.push(link);
    BARE.lastIndex = link.end;
  }
  return found;
}

/**
 * The links of a run of Markdown prose.
 * @param {string} text
 * @param {Map<string, import("./blocks.js").Definition>} definitions
 */
export function markdownLinks(text, definitions) {
  if (!SIGNS.some((sign) => text.includes(sign))) return [];
  /** @type {Found[]} */
  const found = [];
  /** @type {Opener[]} */
  const openers = [];
  const special = text.includes("www.") || text.includes("WWW.") ? SPECIAL_OR_WWW : SPECIAL;
  let escaped = -1;
  special.lastIndex = 0;
  for (let match = special.exec(text); match; match = special.exec(text)) {
    const at = match.index;
    if (match[0] === "\\") special.lastIndex = (escaped = at + 1) + 1;
    else if (match[0] === "`") special.lastIndex = afterCode(text, at);
    else if (match[0] === "<") special.lastIndex = afterAngle(text, at, found);
    else if (match[0] === "[") openers.push(openerAt(text, at, escaped));
    else if (match[0] === "]") special.lastIndex = closeBracket(text, at, openers, definitions, found);
    else {
      const link = bareLink(text, at);
      if (!link || link.start < (found.at(-1)?.end ?? 0)) continue;
      found.push(link);
      // Within brackets it may be the text of a link, and the bracket that ends it part of it.
      if (openers.length === 0) special.lastIndex = link.end;
    }
  }
  return withoutNested(found);
}

/** @typedef {{ at: number, inner: number, image: boolean, active: boolean }} Opener */

/**
 * @param {string} text
 * @param {number} at where the bracket is
 * @param {number} escaped the last position with a backslash before it
 * @returns {Opener}
 */
function openerAt(text, at, escaped) {
  const image = text[at - 1] === "!" && escaped !== at - 1;
  return { at: image ? at - 1 : at, inner: at + 1, image, active: true };
}

/**
 * Reads what a closing bracket ends; returns where to go on.
 * @param {string} text
 * @param {number} at
 * @param {Opener[]} openers
 * @param {Map<string, import("./blocks.js").Definition>} definitions
 * @param {Found[]} found
 */
function closeBracket(text, at, openers, definitions, found) {
  const opener = openers.pop();
  const link = opener?.active ? bracketLink(text, opener, at, definitions) : null;
  if (!opener || !link) return at + 1;
  found.push(link);
  // A link cannot contain a link; an image can stand in one.
  if (!opener.image) for (const outer of openers) outer.active &&= outer.image;
  return link.end;
}

/**
 * Where a code span ends that begins at `at`, or its backticks if nothing closes it.
 * @param {string} text
 * @param {number} at
 */
function afterCode(text, at) {
  CODE_FENCE.lastIndex = at;
  const length = CODE_FENCE.exec(text)?.[0].length ?? 1;
  for (let match = CODE_FENCE.exec(text); match; match = CODE_FENCE.exec(text)) {
    if (match[0].length === length) return match.index + length;
  }
  return at + length;
}

/**
 * Reads an autolink or passes HTML; returns where to go on.
 * @param {string} text
 * @param {number} at
 * @param {Found[]} found
 */
function afterAngle(text, at, found) {
  AUTOLINK.lastIndex = AUTOLINK_EMAIL.lastIndex = HTML.lastIndex = at;
  const url = AUTOLINK.exec(text)?.[1];
  const email = url === undefined ? AUTOLINK_EMAIL.exec(text)?.[1] : undefined;
  const inner = url ?? email;
  if (inner !== undefined) {
    const end = at + inner.length + 2;
    found.push({ kind: "autolink", url: url ?? `mailto:${email}`, text: inner, image: false, start: at, end });
    return end;
  }
  const html = HTML.exec(text);
  return html ? at + html[0].length : at + 1;
}

/**
 * The link that a closing bracket ends, if it is one.
 * @param {string} text
 * @param {Opener} opener
 * @param {number} close
 * @param {Map<string, import("./blocks.js").Definition>} definitions
 * @returns {Found | null}
 */
function bracketLink(text, opener, close, definitions) {
  const shown = plainText(text.slice(opener.inner, close), opener.image ? LINK_OR_IMAGE : IMAGE);
  const inline = text[close + 1] === "(" ? resource(text, close + 1) : null;
  if (inline) return link(opener.image ? "image" : "link", inline, shown, opener, inline.end);
  LABEL.lastIndex = close + 1;
  const label = LABEL.exec(text);
  const own = text.slice(opener.inner, close);
  const name = label?.[1].trim() ? label[1] : own;
  // A label has no brackets, so what has a link or an image in it can only be a full reference.
  const definition = name === own && HAS_BRACKET.test(own) ? undefined : definitions.get(normalizeLabel(name));
  return definition ? link("reference", definition, shown, opener, close + 1 + (label?.[0].length ?? 0)) : null;
}

/**
 * @param {Found["kind"]} kind
 * @param {{ url: string, title?: string }} target
 * @param {string} text
 * @param {{ at: number, image: boolean }} opener
 * @param {number} end
 * @returns {Found}
 */
function link(kind, { url, title }, text, { at, image }, end) {
  return { kind, url: unescape(url), text, ...(title ? { title: unescape(title) } : {}), image, start: at, end };
}

/**
 * Reads `(destination "title")`.
 * @param {string} text
 * @param {number} open where the parenthesis is
 */
function resource(text, open) {
  let at = skipSpace(text, open + 1);
  let url = "";
  if (text[at] === "<") {
    DESTINATION_IN_BRACKETS.lastIndex = at;
    const found = DESTINATION_IN_BRACKETS.exec(text);
    if (!found) return null;
    url = found[1];
    at += found[0].length;
  } else {
    const end = destinationEnd(text, at);
    if (end < 0) return null;
    url = text.slice(at, end);
    at = end;
  }
  const next = skipSpace(text, at);
  let title;
  if (next > at) {
    TITLE.lastIndex = next;
    const found = TITLE.exec(text);
    title = found?.[1] ?? found?.[2] ?? found?.[3];
    at = found ? skipSpace(text, next + found[0].length) : next;
  }
  return text[at] === ")" ? { url, title, end: at + 1 } : null;
}

/**
 * Where a destination ends that is not in angle brackets; its parentheses are balanced.
 * @param {string} text
 * @param {number} start
 */
function destinationEnd(text, start) {
  let depth = 0;
  PLAIN_DESTINATION.lastIndex = start;
  for (let at = start + (PLAIN_DESTINATION.exec(text)?.[0].length ?? 0); at < text.length; at++) {
    const character = text[at];
    if (character === "\\") at++;
    else if (character <= " ") return depth === 0 ? at : -1;
    else if (character === "(" && ++depth > MAX_PARENTHESES) return -1;
    else if (character === ")" && depth-- === 0) return at;
  }
  return -1;
}

/**
 * @param {string} text
 * @param {number} at
 */
function skipSpace(text, at) {
  WHITE_SPACE.lastIndex = at;
  return at + (WHITE_SPACE.exec(text)?.[0].length ?? 0);
}

/**
 * The bare URL or address with a mark of one: a colon, an "@" or "www.".
 * @param {string} text
 * @param {number} mark
 * @returns {Found | null}
 */
function bareLink(text, mark) {
  if (text[mark] === "@") return emailAt(text, mark);
  const isWww = text[mark] !== ":";
  if (!isWww && !text.startsWith("://", mark)) return null;
  const scheme = isWww ? "" : SCHEME_BEFORE.exec(text.slice(Math.max(0, mark - 5), mark))?.[0];
  if (scheme === undefined) return null;
  const at = mark - scheme.length;
  const before = text[at - 1] ?? " ";
  if (isWww ? !/[\s*_~([\]]/.test(before) : /[a-z]/i.test(before)) return null;
  URL_BODY.lastIndex = at;
  const written = trimUrl(URL_BODY.exec(text)?.[0] ?? "");
  const domain = DOMAIN.exec(written.slice(isWww ? 0 : scheme.length + 3))?.[0] ?? "";
  // As GitHub has it: no underscore in the last two labels of a domain.
  if (domain === "" || domain.split(".").slice(-2).join("").includes("_") || (isWww && written.length <= 4)) return null;
  return { kind: "bare", url: isWww ? `http://${written}` : written, text: written, image: false, start: at, end: at + written.length };
}

/**
 * Cuts what belongs to the sentence and not to the URL.
 * @param {string} url
 */
function trimUrl(url) {
  let end = url.length;
  for (;;) {
    const last = url[end - 1];
    if (last === ")") {
      const shown = url.slice(0, end);
      if (shown.split(")").length <= shown.split("(").length) break;
      end--;
    } else if (last === ";") {
      const entity = /&[a-z0-9]+;$/i.exec(url.slice(0, end));
      end -= entity?.[0].length ?? 1;
    } else if (last !== undefined && "?!.,:*_~'\"]`".includes(last)) {
      end--;
    } else {
      break;
    }
  }
  return url.slice(0, end);
}

/**
 * @param {string} text
 * @param {number} at where the "@" is
 * @returns {Found | null}
 */
function emailAt(text, at) {
  const local = EMAIL_BEFORE.exec(text.slice(Math.max(0, at - MAX_LOCAL_PART), at))?.[0];
  if (local === undefined || text[at - local.length - 1] === "/") return null;
  EMAIL_AFTER.lastIndex = at;
  const domain = EMAIL_AFTER.exec(text)?.[0];
  if (domain === undefined || /[-_]$/.test(domain) || /\d$/.test(domain)) return null;
  const address = local + domain;
  const start = at - local.length;
  const scheme = /mailto:$/i.exec(text.slice(Math.max(0, start - 7), start))?.[0] ?? "";
  return { kind: "bare", url: `mailto:${address}`, text: scheme + address, image: false, start: start - scheme.length, end: at + domain.length };
}

/**
 * Drops what stands in the text of a link or in the description of an image, but for images
 * that are the text of a link.
 * @param {Found[]} found
 */
function withoutNested(found) {
  /** @type {Found | undefined} */
  let outer;
  return found
    .sort((a, b) => a.start - b.start || b.end - a.end)
    .filter((one) => {
      const isInside = outer !== undefined && one.start < outer.end;
      if (isInside) return one.image && !outer?.image;
      outer = one;
      return true;
    });
}

/**
 * What a reader sees of Markdown prose: without the marks of emphasis, code and images.
 * @param {string} markdown
 * @param {RegExp} nested what has its own text in it
 */
function plainText(markdown, nested) {
  if (!/[\\`*_&[]/.test(markdown)) return markdown;
  /** @type {string[]} */
  const codes = [];
  const prose = markdown
    .replaceAll("\0", "\ufffd")
    .replaceAll(CODE, (_, __, code) => {
      codes.push(code);
      return "\0";
    })
    .replaceAll(nested, "$1");
  return withoutEmphasis(prose).replaceAll("\0", () => /** @type {string} */ (codes.shift()));
}

/** @param {string} text */
function withoutEmphasis(text) {
  // Each pass takes one level of nesting; more than two hardly occur.
  const once = (/** @type {string} */ part) => part.replaceAll(STARS, "$2").replaceAll(UNDERSCORES, "$2");
  return unescape(once(once(text)));
}

/**
 * Resolves backslash escapes and the entities that URLs are written with.
 * @param {string} text
 */
function unescape(text) {
  if (!text.includes("\\") && !text.includes("&")) return text;
  return text.replaceAll(ESCAPE, "$1").replaceAll(ENTITY, (_, decimal, hex, name) => {
    if (name) return ENTITIES[name.toLowerCase()];
    const code = decimal ? Number(decimal) : Number.parseInt(hex, 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : "\ufffd";
  });
}
