/**
 * The block structure of Markdown (CommonMark), as far as links need it: which text is prose
 * and which is code or HTML, and where references are defined. It jumps from line to line
 * instead of reading every character, because a guest's computing is metered.
 */

/** @typedef {{ at: number, source: number }} Piece where a part of a run begins in the run and in the source */
/** @typedef {{ text: string, pieces: Piece[] }} Run a piece of prose: one paragraph, or one heading */
/** @typedef {{ url: string, title: string | undefined }} Definition */

const FENCE = /^(?:(`{3,})[^`]*|(~{3,}).*)$/;
const BULLET = /^(?:[-+*]|(\d{1,9})[.)])(?=[ \t]|$)/;
const THEMATIC_BREAK = /^(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const HEADING = /^#{1,6}(?=[ \t]|$)/;
const UNDERLINE = /^(?:=+|-+)[ \t]*$/;

/** HTML blocks: how they begin and end; those without an end end at a blank line. */
const HTML_BLOCKS = [
  { begin: /^<(?:script|pre|style|textarea)(?=[\s>]|$)/i, end: /<\/(?:script|pre|style|textarea)>/i },
  { begin: /^<!--/, end: /-->/ },
  { begin: /^<\?/, end: /\?>/ },
  { begin: /^<!\[CDATA\[/, end: /\]\]>/ },
  { begin: /^<![a-z]/i, end: />/ },
  {
    begin: /^<\/?(?:address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog|dir|div|dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|legend|li|link|main|menu|menuitem|nav|noframes|ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|th|thead|title|tr|track|ul)(?=\s|\/?>|$)/i,
    end: null,
  },
];
const ANY_TAG_ALONE = /^(?:<[a-z][a-z0-9-]*(?:\s+[a-z_:][\w.:-]*(?:\s*=\s*(?:[^\s"'=<>`]+|'[^']*'|"[^"]*"))?)*\s*\/?>|<\/[a-z][a-z0-9-]*\s*>)[ \t]*$/i;

const DEFINITION =
  /^ {0,3}\[((?:[^[\]\\]|\\.){1,999})\]:[ \t]*\n?[ \t]*(?:<((?:[^<>\n\\]|\\.)*)>|([^\s<]\S*))(?:(?:[ \t]*\n[ \t]*|[ \t]+)(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|\(((?:[^()\\]|\\.)*)\)))?[ \t]*(?:\n|$)/s;
/** The same without a title, for when what follows on the next line is none. */
const DEFINITION_WITHOUT_TITLE = /^ {0,3}\[((?:[^[\]\\]|\\.){1,999})\]:[ \t]*\n?[ \t]*(?:<((?:[^<>\n\\]|\\.)*)>|([^\s<]\S*))[ \t]*(?:\n|$)/s;

/**
 * Reads the blocks of a document.
 * @param {string} text
 */
export function readBlocks(text) {
  const reader = new BlockReader(text);
  // Line breaks are looked up once each: a search that fails reads the whole rest of the text.
  let feed = next(text, "\n", 0);
  let carriage = next(text, "\r", 0);
  for (let start = 0; start < text.length; ) {
    const end = Math.min(feed, carriage);
    reader.line(start, end);
    start = carriage + 1 === feed ? end + 2 : end + 1;
    if (feed < start) feed = next(text, "\n", start);
    if (carriage < start) carriage = next(text, "\r", start);
  }
  reader.flush();
  return { runs: reader.runs, definitions: reader.definitions };
}

/**
 * The name under which a reference is looked up.
 * @param {string} label
 */
export const normalizeLabel = (label) => label.trim().replaceAll(/\s+/g, " ").toLowerCase().toUpperCase();

/**
 * Where a character is next; the end of the text if it is not.
 * @param {string} text
 * @param {string} character
 * @param {number} from
 */
function next(text, character, from) {
  const at = text.indexOf(character, from);
  return at < 0 ? text.length : at;
}

/** What is open while the lines go by. */
class BlockReader {
  /** @type {Run[]} */
  runs = [];
  /** @type {Map<string, Definition>} */
  definitions = new Map();
  /** Content indent of each open list item; 0 stands for a block quote. @type {number[]} */
  #containers = [];
  /** @type {{ marker: string, length: number, depth: number } | null} */
  #fence = null;
  /** @type {{ end: RegExp | null, depth: number } | null} */
  #html = null;
  /** Lines of the open paragraph. @type {{ start: number, end: number }[]} */
  #paragraph = [];

  /** @param {string} text */
  constructor(text) {
    this.text = text;
  }

  /**
   * @param {number} start
   * @param {number} end
   */
  line(start, end) {
    const cursor = new Cursor(this.text, start, end);
    const depth = this.#enterContainers(cursor);
    if (this.#fence && (depth < this.#fence.depth || this.#isClosingFence(cursor))) {
      const closed = depth >= this.#fence.depth;
      this.#fence = null;
      if (closed) return;
    }
    if (this.#fence) return;
    if (this.#html && depth < this.#html.depth) this.#html = null;
    if (this.#html) {
      this.#continueHtml(cursor);
      return;
    }
    const opened = this.#openContainers(cursor, depth);
    const rest = cursor.rest();
    const isLazy = !opened && depth < this.#containers.length && this.#paragraph.length > 0;
    if (isLazy && rest !== "" && !this.#beginsBlock(cursor, rest)) {
      this.#paragraph.push(cursor.span());
      return;
    }
    if (!opened && depth < this.#containers.length) {
      this.flush();
      this.#containers.length = depth;
    }
    this.#leaf(cursor, rest);
  }

  /** Ends the open paragraph. */
  flush() {
    if (this.#paragraph.length === 0) return;
    const run = this.#run(this.#paragraph);
    this.#paragraph = [];
    const skipped = run.text.startsWith("[") ? this.#readDefinitions(run.text) : 0;
    if (skipped < run.text.length) this.runs.push(skipped === 0 ? run : dropStart(run, skipped));
  }

  /**
   * Passes the markers of the containers that go on in this line; returns how many do.
   * @param {Cursor} cursor
   */
  #enterContainers(cursor) {
    let depth = 0;
    for (const indent of this.#containers) {
      const goesOn = indent === 0 ? cursor.takeQuote() : cursor.isBlank() || cursor.takeIndent(indent);
      if (!goesOn) break;
      depth++;
    }
    return depth;
  }

  /**
   * Opens the containers that begin in this line; returns whether there are any.
   * @param {Cursor} cursor
   * @param {number} depth
   */
  #openContainers(cursor, depth) {
    let opened = false;
    for (;;) {
      if (cursor.indent() > 3) return opened;
      const rest = cursor.rest();
      const bullet = THEMATIC_BREAK.test(rest) ? null : BULLET.exec(rest);
      const interrupts = !opened && depth === this.#containers.length && this.#paragraph.length > 0;
      if (bullet && !(interrupts && (bullet[0] === rest.trimEnd() || (bullet[1] !== undefined && Number(bullet[1]) !== 1)))) {
        this.#begin(depth, opened);
        this.#containers.push(cursor.takeBullet(bullet[0].length));
      } else if (rest.startsWith(">")) {
        this.#begin(depth, opened);
        cursor.takeQuote();
        this.#containers.push(0);
      } else {
        return opened;
      }
      opened = true;
    }
  }

  /**
   * Closes what does not go on before the first new container.
   * @param {number} depth
   * @param {boolean} opened
   */
  #begin(depth, opened) {
    this.flush();
    if (!opened) this.#containers.length = depth;
  }

  /**
   * Whether a line begins a block of its own, so that it cannot continue a paragraph.
   * @param {Cursor} cursor
   * @param {string} rest
   */
  #beginsBlock(cursor, rest) {
    if (cursor.indent() > 3) return false;
    return FENCE.test(rest) || HEADING.test(rest) || THEMATIC_BREAK.test(rest) || HTML_BLOCKS.some(({ begin }) => begin.test(rest));
  }

  /**
   * @param {Cursor} cursor
   * @param {string} rest
   */
  #leaf(cursor, rest) {
    if (rest === "") {
      this.flush();
      return;
    }
    if (cursor.indent() > 3) {
      // An indented line continues a paragraph and is code otherwise.
      if (this.#paragraph.length > 0) this.#paragraph.push(cursor.span());
      return;
    }
    const fence = FENCE.exec(rest);
    if (fence) {
      this.flush();
      const marker = fence[1] ?? fence[2];
      this.#fence = { marker: marker[0], length: marker.length, depth: this.#containers.length };
    } else if (rest.startsWith("<") && this.#beginHtml(rest)) {
      this.#continueHtml(cursor);
    } else if (HEADING.test(rest)) {
      this.flush();
      this.runs.push(this.#run([cursor.span()]));
    } else if (this.#paragraph.length > 0 && UNDERLINE.test(rest)) {
      this.flush();
    } else if (THEMATIC_BREAK.test(rest)) {
      this.flush();
    } else {
      this.#paragraph.push(cursor.span());
    }
  }

  /** @param {string} rest */
  #beginHtml(rest) {
    const known = HTML_BLOCKS.find(({ begin }) => begin.test(rest));
    if (!known && !(this.#paragraph.length === 0 && ANY_TAG_ALONE.test(rest))) return false;
    this.flush();
    this.#html = { end: known?.end ?? null, depth: this.#containers.length };
    return true;
  }

  /** @param {Cursor} cursor */
  #continueHtml(cursor) {
    const end = this.#html?.end;
    if (end ? end.test(cursor.rest()) : cursor.isBlank()) this.#html = null;
  }

  /** @param {Cursor} cursor */
  #isClosingFence(cursor) {
    const rest = cursor.rest().trimEnd();
    const { marker, length } = /** @type {{ marker: string, length: number }} */ (this.#fence);
    return cursor.indent() <= 3 && rest.length >= length && rest === marker.repeat(rest.length);
  }

  /**
   * @param {{ start: number, end: number }[]} lines
   * @returns {Run}
   */
  #run(lines) {
    const pieces = [];
    const parts = [];
    let at = 0;
    for (const { start, end } of lines) {
      pieces.push({ at, source: start });
      parts.push(this.text.slice(start, end));
      at += end - start + 1;
    }
    return { text: parts.join("\n"), pieces };
  }

  /**
   * Reads the definitions that a paragraph begins with; returns their length.
   * @param {string} text
   */
  #readDefinitions(text) {
    let skipped = 0;
    for (;;) {
      const rest = text.slice(skipped);
      const found = DEFINITION.exec(rest) ?? DEFINITION_WITHOUT_TITLE.exec(rest);
      if (!found || found[1].trim() === "") return skipped;
      const label = normalizeLabel(found[1]);
      // The first definition of a label counts.
      if (!this.definitions.has(label)) this.definitions.set(label, { url: found[2] ?? found[3], title: found[4] ?? found[5] ?? found[6] });
      skipped += found[0].length;
    }
  }
}

/**
 * @param {Run} run
 * @param {number} count
 * @returns {Run}
 */
function dropStart({ text, pieces }, count) {
  return { text: text.slice(count), pieces: pieces.filter(({ at }) => at >= count).map(({ at, source }) => ({ at: at - count, source })) };
}

/** A position in a line; columns count tabs as up to four. */
class Cursor {
  #column = 0;
  /** Columns of a tab that a container took a part of. */
  #spare = 0;

  /**
   * @param {string} text
   * @param {number} at
   * @param {number} end
   */
  constructor(text, at, end) {
    this.text = text;
    this.at = at;
    this.end = end;
  }

  /** Columns of white space ahead. */
  indent() {
    return this.#whitespace().columns;
  }

  /** What is left of the line, without white space at its beginning. */
  rest() {
    return this.text.slice(this.#whitespace().at, this.end);
  }

  /** Where the rest is. */
  span() {
    return { start: this.#whitespace().at, end: this.end };
  }

  isBlank() {
    return this.#whitespace().at === this.end;
  }

  /**
   * Passes `columns` of white space if there are as many.
   * @param {number} columns
   */
  takeIndent(columns) {
    if (this.indent() < columns) return false;
    this.#skip(columns);
    return true;
  }

  /** Passes the marker of a block quote, if it is there. */
  takeQuote() {
    const { at, columns } = this.#whitespace();
    if (columns > 3 || this.text[at] !== ">" || at >= this.end) return false;
    this.#skip(columns);
    this.at++;
    this.#column++;
    if (this.indent() > 0) this.#skip(1);
    return true;
  }

  /**
   * Passes the marker of a list item; returns the indent of its content.
   * @param {number} length of the marker
   */
  takeBullet(length) {
    const before = this.indent();
    this.#skip(before);
    this.at += length;
    this.#column += length;
    const after = this.indent();
    const padding = this.isBlank() || after > 4 ? 1 : after;
    if (!this.isBlank()) this.#skip(padding);
    return before + length + padding;
  }

  #whitespace() {
    let { at } = this;
    let columns = this.#spare;
    for (; at < this.end; at++) {
      const code = this.text.charCodeAt(at);
      if (code === 32) columns++;
      else if (code === 9) columns += 4 - ((this.#column + columns) % 4);
      else break;
    }
    return { at, columns };
  }

  /** @param {number} columns */
  #skip(columns) {
    const taken = Math.min(columns, this.#spare);
    this.#spare -= taken;
    let left = columns - taken;
    this.#column += taken;
    while (left > 0) {
      const width = this.text.charCodeAt(this.at) === 9 ? 4 - (this.#column % 4) : 1;
      this.at++;
      this.#column += Math.min(width, left);
      this.#spare = Math.max(0, width - left);
      left -= width;
    }
  }
}
