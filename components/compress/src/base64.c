#include "base64.h"

#include <stdlib.h>
#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

ew_text base64_encoded(const uint8_t *bytes, size_t len) {
  char *text = malloc((len + 2) / 3 * 4 + 1);
  if (!text) ew_panic("there is no memory for %zu bytes", len);
  char *to = text;
  for (size_t i = 0; i < len; i += 3) {
    const size_t here = len - i < 3 ? len - i : 3;
    const unsigned bits = (unsigned)bytes[i] << 16 | (here > 1 ? (unsigned)bytes[i + 1] << 8 : 0) | (here > 2 ? bytes[i + 2] : 0);
    *to++ = letters[bits >> 18];
    *to++ = letters[bits >> 12 & 63];
    *to++ = here > 1 ? letters[bits >> 6 & 63] : '=';
    *to++ = here > 2 ? letters[bits & 63] : '=';
  }
  *to = '\0';
  return (ew_text){text, (size_t)(to - text)};
}

ew_text base64_decoded(ew_text text) {
  uint8_t *bytes = malloc(text.len / 4 * 3 + 4);
  if (!bytes) ew_panic("there is no memory for %zu bytes", text.len);
  size_t len = 0, count = 0, padding = 0;
  unsigned bits = 0;
  for (size_t i = 0; i < text.len; i++) {
    const char letter = text.ptr[i];
    if (letter == ' ' || letter == '\n' || letter == '\r' || letter == '\t') continue;
    const char *found = letter ? strchr(letters, letter) : NULL;
    if (letter == '=') {
      padding++;
    } else if (!found || padding > 0) {
      return (ew_text){0};
    }
    bits = bits << 6 | (found ? (unsigned)(found - letters) : 0);
    if (++count % 4 == 0) {
      bytes[len++] = (uint8_t)(bits >> 16);
      bytes[len++] = (uint8_t)(bits >> 8);
      bytes[len++] = (uint8_t)bits;
    }
  }
  if (count % 4 != 0 || padding > 2) return (ew_text){0};
  len -= padding;
  bytes[len] = '\0';
  return (ew_text){(const char *)bytes, len};
}
