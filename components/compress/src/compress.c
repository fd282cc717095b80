/* Compressing, decompressing and checking data with zlib. */
#include <everwit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base64.h"

/* Bytes that a tool takes, and that one returns: a result of the host holds 64 KiB. */
enum { MOST_IN = 512 << 10, MOST_OUT = 40000 };
/* zlib's word for the format is the size of its window, with something added. */
enum { ZLIB = MAX_WBITS, GZIP = MAX_WBITS + 16, RAW = -MAX_WBITS };

static void *allocate(void *unused, unsigned items, unsigned size) { return (void)unused, calloc(items, size); }
static void release(void *unused, void *memory) { (void)unused, free(memory); }

static int window_of(ew_text format) {
  if (format.ptr && strcmp(format.ptr, "zlib") == 0) return ZLIB;
  return format.ptr && strcmp(format.ptr, "raw") == 0 ? RAW : GZIP;
}

static bool too_large(ew_call *call, const char *what, size_t most) {
  ew_fail(call, "invalid-arguments", "too_large", "%s has more than %zu bytes: give a smaller piece", what, most);
  return false;
}

/* What a tool is to work on: `text`, or the bytes of `base64`. */
static bool input(ew_call *call, ew_text *bytes) {
  *bytes = ew_argument_text(call, "text");
  const ew_text encoded = ew_argument_text(call, "base64");
  if (!bytes->ptr == !encoded.ptr) {
    ew_fail(call, "invalid-arguments", "one_input", "give either text or base64");
    return false;
  }
  if (encoded.ptr) *bytes = base64_decoded(encoded);
  if (!bytes->ptr) {
    ew_fail(call, "invalid-arguments", "no_base64", "base64 holds something else than letters of base64 with its padding");
    return false;
  }
  return bytes->len <= MOST_IN || too_large(call, "the input", MOST_IN);
}

static ew_result compress_it(ew_call *call) {
  ew_text bytes;
  if (!input(call, &bytes)) return EW_FAILED;
  z_stream stream = {.zalloc = allocate, .zfree = release, .next_in = (Bytef *)bytes.ptr, .avail_in = (uInt)bytes.len};
  const int level = (int)ew_argument_integer(call, "level", 6);
  const int begun = deflateInit2(&stream, level, Z_DEFLATED, window_of(ew_argument_text(call, "format")), MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY);
  if (begun != Z_OK) ew_panic("deflateInit2 says %d", begun);
  const size_t bound = deflateBound(&stream, bytes.len);
  uint8_t *out = malloc(bound);
  if (!out) ew_panic("there is no memory for %zu bytes", bound);
  stream.next_out = out;
  stream.avail_out = (uInt)bound;
  const int ended = deflate(&stream, Z_FINISH);
  if (ended != Z_STREAM_END) ew_panic("deflate says %d", ended);
  if (stream.total_out > MOST_OUT) {
    return ew_fail(call, "invalid-arguments", "too_large", "the result has %lu bytes, more than %d: give a smaller piece", stream.total_out, MOST_OUT);
  }
  const ew_text encoded = base64_encoded(out, stream.total_out);
  return ew_return_json(call, ew_object("base64", ew_from_text(encoded.ptr, encoded.len), "bytes_in", ew_from_integer((int64_t)bytes.len),
                                        "bytes_out", ew_from_integer((int64_t)stream.total_out)));
}

/* Whether bytes are UTF-8 without NUL: what a result can show as text. */
static bool is_text(const uint8_t *bytes, size_t len) {
  for (size_t i = 0; i < len;) {
    const uint8_t first = bytes[i];
    const size_t more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : 9;
    if (first == 0 || more == 9 || len - i <= more) return false;
    for (size_t k = 1; k <= more; k++) {
      if ((bytes[i + k] & 0xc0) != 0x80) return false;
    }
    /* Longer than needed, halves of pairs, beyond Unicode. */
    if ((first == 0xe0 && bytes[i + 1] < 0xa0) || (first == 0xed && bytes[i + 1] > 0x9f)) return false;
    if ((first == 0xf0 && bytes[i + 1] < 0x90) || (first == 0xf4 && bytes[i + 1] > 0x8f)) return false;
    i += more + 1;
  }
  return true;
}

static ew_result decompress(ew_call *call) {
  const ew_text bytes = base64_decoded(ew_argument_text(call, "base64"));
  if (!bytes.ptr) return ew_fail(call, "invalid-arguments", "no_base64", "base64 holds something else than letters of base64 with its padding");
  if (bytes.len > MOST_IN) return too_large(call, "the input", MOST_IN), EW_FAILED;
  z_stream stream = {.zalloc = allocate, .zfree = release, .next_in = (Bytef *)bytes.ptr, .avail_in = (uInt)bytes.len};
  const int begun = inflateInit2(&stream, window_of(ew_argument_text(call, "format")));
  if (begun != Z_OK) ew_panic("inflateInit2 says %d", begun);
  uint8_t *out = malloc(MOST_OUT + 1);
  if (!out) ew_panic("there is no memory for %d bytes", MOST_OUT);
  stream.next_out = out;
  stream.avail_out = MOST_OUT + 1;
  const int ended = inflate(&stream, Z_FINISH);
  /* Small data can stand for very much: no more of it is made than can be returned. */
  if (stream.total_out > MOST_OUT) return too_large(call, "the result", MOST_OUT), EW_FAILED;
  if (ended != Z_STREAM_END) {
    const char *why = stream.msg ? stream.msg : stream.avail_in == 0 ? "it ends too early" : "it is damaged";
    return ew_fail(call, "invalid-arguments", "not_compressed", "this is no whole data of that format: %s", why);
  }
  const bool text = is_text(out, stream.total_out);
  const ew_text encoded = text ? (ew_text){0} : base64_encoded(out, stream.total_out);
  return ew_return_json(call, ew_object("text", text ? ew_from_text((const char *)out, stream.total_out) : (ew_json){0}, "base64",
                                        text ? (ew_json){0} : ew_from_text(encoded.ptr, encoded.len), "bytes_in",
                                        ew_from_integer((int64_t)stream.total_in), "bytes_out", ew_from_integer((int64_t)stream.total_out)));
}

static ew_result checksum(ew_call *call) {
  ew_text bytes;
  if (!input(call, &bytes)) return EW_FAILED;
  char crc[9], adler[9];
  snprintf(crc, sizeof crc, "%08lx", crc32(crc32(0, NULL, 0), (const Bytef *)bytes.ptr, (uInt)bytes.len));
  snprintf(adler, sizeof adler, "%08lx", adler32(adler32(0, NULL, 0), (const Bytef *)bytes.ptr, (uInt)bytes.len));
  return ew_return_json(call, ew_object("crc32", ew_from_string(crc), "adler32", ew_from_string(adler), "bytes", ew_from_integer((int64_t)bytes.len)));
}

static const ew_tool tools[] = {
    {.name = "compress", .description = "Compresses a text, or bytes given as base64.", .effects = EW_READ_ONLY | EW_IDEMPOTENT, .run = compress_it,
     .input_schema = EW_JSON({"type": "object", "additionalProperties": false, "properties": {
       "text": {"type": "string", "description": "What is compressed, as UTF-8"},
       "base64": {"type": "string", "description": "What is compressed, instead of text"},
       "format": {"enum": ["gzip", "zlib", "raw"], "default": "gzip", "description": "raw is deflate without header and checksum"},
       "level": {"type": "integer", "minimum": 1, "maximum": 9, "default": 6, "description": "1 is fastest, 9 smallest"}}}),
     .output_schema = EW_JSON({"type": "object", "required": ["base64", "bytes_in", "bytes_out"], "properties": {
       "base64": {"type": "string"}, "bytes_in": {"type": "integer"}, "bytes_out": {"type": "integer"}}})},
    {.name = "decompress", .description = "Decompresses gzip, zlib or raw deflate, and checks it.", .effects = EW_READ_ONLY | EW_IDEMPOTENT,
     .run = decompress,
     .input_schema = EW_JSON({"type": "object", "additionalProperties": false, "required": ["base64"], "properties": {
       "base64": {"type": "string", "description": "The compressed data"},
       "format": {"enum": ["gzip", "zlib", "raw"], "default": "gzip"}}}),
     .output_schema = EW_JSON({"type": "object", "required": ["bytes_in", "bytes_out"], "properties": {
       "text": {"type": "string", "description": "The data if it is UTF-8 without NUL"}, "base64": {"type": "string", "description": "The data otherwise"},
       "bytes_in": {"type": "integer", "description": "How much of the input it took"}, "bytes_out": {"type": "integer"}}})},
    {.name = "checksum", .description = "Computes CRC-32 and Adler-32.", .effects = EW_READ_ONLY | EW_IDEMPOTENT, .run = checksum,
     .input_schema = EW_JSON({"type": "object", "additionalProperties": false, "properties": {
       "text": {"type": "string", "description": "What is summed up, as UTF-8"}, "base64": {"type": "string", "description": "The same, instead of text"}}}),
     .output_schema = EW_JSON({"type": "object", "required": ["crc32", "adler32", "bytes"], "properties": {
       "crc32": {"type": "string"}, "adler32": {"type": "string"}, "bytes": {"type": "integer"}}})},
    {0}};

const ew_capability everwit_capability = {
    .id = "compress",
    .title = "Compress",
    .summary = "Compresses, decompresses and checks data with zlib.",
    .tools = tools,
};
