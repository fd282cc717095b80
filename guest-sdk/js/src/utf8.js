/**
 * UTF-8 without `TextEncoder` and `TextDecoder`, which the guest's engine does not have.
 */

const REPLACEMENT = 0xfffd;
const DECODE_CHUNK = 8192;

/**
 * Encodes text as UTF-8; a lone surrogate becomes U+FFFD.
 * @param {string} text
 * @returns {Uint8Array}
 */
export function encodeUtf8(text) {
  const bytes = new Uint8Array(byteLength(text));
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i);
    if (code < 0x80) {
      bytes[at++] = code;
      continue;
    }
    if (code < 0x800) {
      bytes[at++] = 0xc0 | (code >> 6);
      bytes[at++] = 0x80 | (code & 0x3f);
      continue;
    }
    if (code >= 0xd800 && code <= 0xdfff) {
      const low = text.charCodeAt(i + 1);
      if (code <= 0xdbff && low >= 0xdc00 && low <= 0xdfff) {
        i++;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        bytes[at++] = 0xf0 | (code >> 18);
        bytes[at++] = 0x80 | ((code >> 12) & 0x3f);
        bytes[at++] = 0x80 | ((code >> 6) & 0x3f);
        bytes[at++] = 0x80 | (code & 0x3f);
        continue;
      }
      code = REPLACEMENT;
    }
    bytes[at++] = 0xe0 | (code >> 12);
    bytes[at++] = 0x80 | ((code >> 6) & 0x3f);
    bytes[at++] = 0x80 | (code & 0x3f);
  }
  return bytes;
}

/**
 * The number of bytes that `text` takes as UTF-8.
 * @param {string} text
 */
export function byteLength(text) {
  let count = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x80) continue;
    count += code < 0x800 ? 1 : 2;
    if (code >= 0xd800 && code <= 0xdbff) {
      const low = text.charCodeAt(i + 1);
      // The low half of a pair adds nothing to the four bytes counted for its two units.
      if (low >= 0xdc00 && low <= 0xdfff) i++;
    }
  }
  return count;
}

/**
 * Decodes UTF-8. An ill-formed sequence becomes one U+FFFD per maximal subpart, as in the
 * WHATWG Encoding Standard, or throws when `fatal`. A byte order mark is kept.
 * @param {Uint8Array} bytes
 * @param {boolean} [fatal]
 * @returns {string}
 */
export function decodeUtf8(bytes, fatal = false) {
  let text = "";
  /** @type {number[]} */
  let units = [];
  let i = 0;
  while (i < bytes.length) {
    const first = bytes[i++];
    if (first < 0x80) {
      units.push(first);
    } else {
      const [code, next] = sequence(bytes, first, i);
      if (code === REPLACEMENT && next < 0) {
        if (fatal) throw new TypeError(`the data is not UTF-8 at byte ${i - 1}`);
        i = -next;
      } else {
        i = next;
      }
      if (code > 0xffff) units.push(0xd7c0 + (code >> 10), 0xdc00 | (code & 0x3ff));
      else units.push(code);
    }
    // `apply` has an argument limit, so the text grows chunk by chunk.
    if (units.length >= DECODE_CHUNK) {
      text += String.fromCharCode.apply(null, units);
      units = [];
    }
  }
  return text + String.fromCharCode.apply(null, units);
}

/**
 * Reads the rest of a sequence that begins with `first`. Returns the code point and the
 * position behind it; the position is negated when the sequence is ill-formed.
 * @param {Uint8Array} bytes
 * @param {number} first
 * @param {number} at
 * @returns {[number, number]}
 */
function sequence(bytes, first, at) {
  let more = 0;
  let code = 0;
  let low = 0x80;
  let high = 0xbf;
  if (first >= 0xc2 && first <= 0xdf) [more, code] = [1, first & 0x1f];
  else if (first >= 0xe0 && first <= 0xef) {
    [more, code] = [2, first & 0x0f];
    // Excludes overlong forms and surrogates.
    if (first === 0xe0) low = 0xa0;
    if (first === 0xed) high = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    [more, code] = [3, first & 0x07];
    // Excludes overlong forms and what lies beyond U+10FFFF.
    if (first === 0xf0) low = 0x90;
    if (first === 0xf4) high = 0x8f;
  } else return [REPLACEMENT, -at];
  for (; more > 0; more--, at++) {
    const byte = bytes[at];
    if (byte === undefined || byte < low || byte > high) return [REPLACEMENT, -at];
    code = (code << 6) | (byte & 0x3f);
    low = 0x80;
    high = 0xbf;
  }
  return [code, at];
}
