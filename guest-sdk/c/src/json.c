/* JSON as text, read in place. The host hands over valid JSON of at most 64 levels, so reading checks nothing but what it looks for. */
#include <math.h>
#include <stdio.h>

#include "internal.h"

static const ew_json nothing = {0};

static const char *skip_space(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
  return at;
}

/* Behind a string that begins at `at`. */
static const char *skip_string(const char *at, const char *end) {
  for (at++; at < end && *at != '"'; at++) {
    if (*at == '\\') at++;
  }
  return at < end ? at + 1 : end;
}

/* Behind a value that begins at `at`. */
static const char *skip_value(const char *at, const char *end) {
  if (at < end && *at == '"') return skip_string(at, end);
  if (at < end && (*at == '{' || *at == '[')) {
    size_t depth = 0;
    while (at < end) {
      if (*at == '"') {
        at = skip_string(at, end);
        continue;
      }
      if (*at == '{' || *at == '[') depth++;
      if ((*at == '}' || *at == ']') && --depth == 0) return at + 1;
      at++;
    }
    return end;
  }
  while (at < end && !strchr(",]} \t\n\r", *at)) at++;
  return at;
}

static ew_json value_at(const char *at, const char *end) { return (ew_json){at, (size_t)(skip_value(at, end) - at)}; }

ew_kind ew_kind_of(ew_json value) {
  if (!value.ptr || value.len == 0) return EW_NONE;
  switch (value.ptr[0]) {
    case 'n': return EW_NULL;
    case 't':
    case 'f': return EW_BOOL;
    case '"': return EW_TEXT;
    case '[': return EW_ARRAY;
    case '{': return EW_OBJECT;
    default: return EW_NUMBER;
  }
}

/* The first or next element of an array, or key of an object; NULL at the end. */
static const char *first_item(ew_json value, const char *end) {
  const char *at = skip_space(value.ptr + 1, end);
  return at < end && *at != ']' && *at != '}' ? at : NULL;
}

static const char *next_item(const char *behind, const char *end) {
  const char *at = skip_space(behind, end);
  return at < end && *at == ',' ? skip_space(at + 1, end) : NULL;
}

ew_json ew_get(ew_json object, const char *key) {
  if (ew_kind_of(object) != EW_OBJECT) return nothing;
  const char *end = object.ptr + object.len;
  ew_json found = nothing;
  for (const char *at = first_item(object, end); at;) {
    const char *behind = skip_string(at, end);
    const ew_json name = {at, (size_t)(behind - at)};
    const char *colon = skip_space(behind, end);
    const ew_json value = value_at(skip_space(colon + 1, end), end);
    const ew_text text = memchr(name.ptr, '\\', name.len) ? ew_to_text(name) : (ew_text){name.ptr + 1, name.len - 2};
    /* Of two members with the same name the last one counts, as for most readers. */
    if (text.len == strlen(key) && memcmp(text.ptr, key, text.len) == 0) found = value;
    at = next_item(value.ptr + value.len, end);
  }
  return found;
}

size_t ew_count(ew_json array) {
  if (ew_kind_of(array) != EW_ARRAY) return 0;
  const char *end = array.ptr + array.len;
  size_t count = 0;
  for (const char *at = first_item(array, end); at; count++) at = next_item(skip_value(at, end), end);
  return count;
}

ew_json ew_at(ew_json array, size_t index) {
  if (ew_kind_of(array) != EW_ARRAY) return nothing;
  const char *end = array.ptr + array.len;
  for (const char *at = first_item(array, end); at; at = next_item(skip_value(at, end), end)) {
    if (index-- == 0) return value_at(at, end);
  }
  return nothing;
}

static unsigned hex4(const char *at) {
  unsigned code = 0;
  for (int i = 0; i < 4; i++) {
    const char digit = at[i];
    code = code << 4 | (unsigned)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
  }
  return code;
}

static char *put_code(char *to, unsigned code) {
  if (code < 0x80) {
    *to++ = (char)code;
  } else if (code < 0x800) {
    *to++ = (char)(0xc0 | code >> 6);
    *to++ = (char)(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    *to++ = (char)(0xe0 | code >> 12);
    *to++ = (char)(0x80 | (code >> 6 & 0x3f));
    *to++ = (char)(0x80 | (code & 0x3f));
  } else {
    *to++ = (char)(0xf0 | code >> 18);
    *to++ = (char)(0x80 | (code >> 12 & 0x3f));
    *to++ = (char)(0x80 | (code >> 6 & 0x3f));
    *to++ = (char)(0x80 | (code & 0x3f));
  }
  return to;
}

ew_text ew_to_text(ew_json value) {
  if (ew_kind_of(value) != EW_TEXT) return (ew_text){0};
  const char *at = value.ptr + 1;
  const char *end = value.ptr + value.len - 1;
  /* No escape is shorter than what it stands for. */
  char *text = ew_memory(value.len);
  char *to = text;
  while (at < end) {
    if (*at != '\\') {
      *to++ = *at++;
      continue;
    }
    static const char escaped[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *known = strchr(escaped, at[1]);
    if (at[1] != 'u') {
      *to++ = known ? meant[known - escaped] : at[1];
      at += 2;
      continue;
    }
    unsigned code = hex4(at + 2);
    at += 6;
    if (code >= 0xd800 && code < 0xdc00 && at + 6 <= end && at[0] == '\\' && at[1] == 'u') {
      const unsigned low = hex4(at + 2);
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        at += 6;
      }
    }
    to = put_code(to, code >= 0xd800 && code < 0xe000 ? 0xfffd : code);
  }
  *to = '\0';
  return (ew_text){text, (size_t)(to - text)};
}

double ew_to_number(ew_json value) {
  if (ew_kind_of(value) != EW_NUMBER) return 0;
  return strtod(ew_copied(value.ptr, value.len).ptr, NULL);
}

int64_t ew_to_integer(ew_json value) {
  if (ew_kind_of(value) != EW_NUMBER) return 0;
  const char *digits = ew_copied(value.ptr, value.len).ptr;
  /* A whole number may be written as 1.0 or 1e3 too; as a double it is exact up to 2^53. */
  if (!strpbrk(digits, ".eE")) return strtoll(digits, NULL, 10);
  const double number = strtod(digits, NULL);
  if (number >= 9223372036854775808.0) return INT64_MAX;
  return number <= -9223372036854775808.0 ? INT64_MIN : (int64_t)number;
}

bool ew_to_bool(ew_json value) { return ew_kind_of(value) == EW_BOOL && value.ptr[0] == 't'; }

/* Text that grows. */
typedef struct {
  char *ptr;
  size_t len, room;
} growing;

static void append(growing *to, const char *bytes, size_t len) {
  if (to->len + len + 1 > to->room) {
    to->room = (to->len + len + 1) * 2;
    to->ptr = ew_grown(to->ptr, to->room);
  }
  memcpy(to->ptr + to->len, bytes, len);
  to->len += len;
  to->ptr[to->len] = '\0';
}

static ew_json finished(growing text) { return (ew_json){text.ptr, text.len}; }

static void append_string(growing *to, const char *text, size_t len) {
  append(to, "\"", 1);
  size_t plain = 0;
  for (size_t i = 0; i < len; i++) {
    const unsigned char byte = (unsigned char)text[i];
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    append(to, text + plain, i - plain);
    char escape[8];
    const int length = byte < 0x20 ? snprintf(escape, sizeof escape, "\\u%04x", byte) : snprintf(escape, sizeof escape, "\\%c", byte);
    append(to, escape, (size_t)length);
    plain = i + 1;
  }
  append(to, text + plain, len - plain);
  append(to, "\"", 1);
}

ew_json ew_from_text(const char *text, size_t len) {
  growing to = {0};
  append_string(&to, text, len);
  return finished(to);
}

ew_json ew_from_string(const char *text) { return text ? ew_from_text(text, strlen(text)) : ew_null(); }

ew_json ew_from_number(double number) {
  if (!isfinite(number)) return ew_null();
  char digits[32];
  /* The shortest of the two that is the same number again. */
  int length = snprintf(digits, sizeof digits, "%.15g", number);
  if (strtod(digits, NULL) != number) length = snprintf(digits, sizeof digits, "%.17g", number);
  const ew_text text = ew_copied(digits, (size_t)length);
  return (ew_json){text.ptr, text.len};
}

ew_json ew_from_integer(int64_t number) {
  char digits[24];
  const int length = snprintf(digits, sizeof digits, "%lld", (long long)number);
  const ew_text text = ew_copied(digits, (size_t)length);
  return (ew_json){text.ptr, text.len};
}

ew_json ew_from_bool(bool value) { return value ? (ew_json){"true", 4} : (ew_json){"false", 5}; }

ew_json ew_null(void) { return (ew_json){"null", 4}; }

ew_json ew_array(const ew_json *items, size_t count) {
  growing to = {0};
  append(&to, "[", 1);
  for (size_t i = 0; i < count; i++) {
    if (i > 0) append(&to, ",", 1);
    append(&to, items[i].ptr, items[i].len);
  }
  append(&to, "]", 1);
  return finished(to);
}

ew_json ew_object_of(const char *key, ...) {
  va_list members;
  va_start(members, key);
  growing to = {0};
  append(&to, "{", 1);
  for (; key; key = va_arg(members, const char *)) {
    const ew_json value = va_arg(members, ew_json);
    if (!value.ptr) continue;
    if (to.len > 1) append(&to, ",", 1);
    append_string(&to, key, strlen(key));
    append(&to, ":", 1);
    append(&to, value.ptr, value.len);
  }
  va_end(members);
  append(&to, "}", 1);
  return finished(to);
}
