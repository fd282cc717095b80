const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Base64 of bytes; the engine has no `btoa`. */
export function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const group = (bytes[at] << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    const [a, b, c, d] = [18, 12, 6, 0].map((shift) => ALPHABET[(group >> shift) & 63]);
    text += a + b + (at + 1 < bytes.length ? c : "=") + (at + 2 < bytes.length ? d : "=");
  }
  return text;
}
