/** `TextEncoder` and `TextDecoder` for UTF-8, the only encoding that they know here. */
import { toBytes } from "../seam.js";
import { decodeUtf8, encodeUtf8 } from "../utf8.js";

class TextEncoder {
  get encoding() {
    return "utf-8";
  }

  /** @param {string} [text] */
  encode(text = "") {
    return encodeUtf8(String(text));
  }

  /**
   * @param {string} text
   * @param {Uint8Array} target
   */
  encodeInto(text, target) {
    let read = 0;
    let written = 0;
    for (const character of String(text)) {
      const bytes = encodeUtf8(character);
      if (written + bytes.length > target.length) break;
      target.set(bytes, written);
      written += bytes.length;
      read += character.length;
    }
    return { read, written };
  }
}

class TextDecoder {
  /**
   * @param {string} [label]
   * @param {{ fatal?: boolean, ignoreBOM?: boolean }} [options]
   */
  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!/^\s*(unicode-1-1-utf-8|utf-?8)\s*$/i.test(label)) throw new RangeError(`TextDecoder knows only utf-8 here, not "${label}"`);
    this.encoding = "utf-8";
    this.fatal = fatal;
    this.ignoreBOM = ignoreBOM;
  }

  /**
   * @param {ArrayBuffer | ArrayBufferView} [input]
   * @param {{ stream?: boolean }} [options]
   */
  decode(input = new Uint8Array(0), { stream = false } = {}) {
    if (stream) throw new TypeError("TextDecoder cannot decode piece by piece here: collect the bytes first");
    const text = decodeUtf8(toBytes(input, "the input of TextDecoder", encodeUtf8), this.fatal);
    return this.ignoreBOM ? text : text.replace(/^\ufeff/, "");
  }
}

Object.assign(globalThis, { TextEncoder, TextDecoder });
