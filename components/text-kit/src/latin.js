/** Latin letters as ASCII. */

/** Letters that Unicode does not decompose into a base letter and marks; lower case. */
const LETTERS = new Map(Object.entries({
  ß: "ss", æ: "ae", œ: "oe", ø: "o", đ: "d", ð: "d", þ: "th", ł: "l", ħ: "h", ŧ: "t", ŋ: "ng", ĸ: "k", ı: "i", ə: "e",
  ɓ: "b", ɖ: "d", ɗ: "d", ɛ: "e", ɣ: "g", ɨ: "i", ƙ: "k", ɲ: "n", ɔ: "o", ƥ: "p", ʊ: "u", ƴ: "y", ʼ: "'", "’": "'",
}));

/** What languages write instead when they have no diacritics, by primary language tag. */
const BY_LANGUAGE = new Map(Object.entries({
  de: { ä: "ae", ö: "oe", ü: "ue" },
  da: { å: "aa", ø: "oe" },
  nb: { å: "aa", ø: "oe" },
  nn: { å: "aa", ø: "oe" },
  no: { å: "aa", ø: "oe" },
}));

/**
 * Writes Latin letters without diacritics, and compatibility forms (ﬁ, ², Ａ) plainly; lower
 * case. Letters of other alphabets stay as they are.
 * @param {string} text
 * @param {string} language BCP 47 tag, or ""
 */
export function toAscii(text, language) {
  const own = BY_LANGUAGE.get(language.toLowerCase().split("-")[0]);
  let result = "";
  // Lower case first, but not by the host's locale: İ becomes i and a mark that is dropped.
  for (const letter of text.normalize("NFC").toLowerCase()) {
    const special = /** @type {Record<string, string> | undefined} */ (own)?.[letter] ?? LETTERS.get(letter);
    result += special ?? withoutMarks(letter);
  }
  return result;
}

/** @param {string} letter */
function withoutMarks(letter) {
  if (letter <= "\x7f") return letter;
  return [...letter.normalize("NFKD").replaceAll(/\p{M}/gu, "")].map((part) => LETTERS.get(part) ?? part).join("");
}
