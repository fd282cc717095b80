/* What the parts of the SDK share. */
#ifndef EVERWIT_INTERNAL_H
#define EVERWIT_INTERNAL_H

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "capability.h"
#include "everwit.h"

struct ew_call {
  const everwit_types_tools_context_t *context;
  ew_json arguments;
  everwit_types_tools_part_t *parts;
  size_t part_count;
  ew_json structured;
  everwit_types_common_failure_t failure;
};

/* Memory that is never given back: the instance ends with the call. More than there is ends the call. */
void *ew_memory(size_t size);
void *ew_grown(void *memory, size_t size);
/* A copy with a NUL behind it. */
ew_text ew_copied(const void *bytes, size_t len);
ew_text ew_formatted(const char *format, va_list arguments);
/* Notes a failure with a finished message. */
ew_result ew_fail_with(ew_call *call, const char *kind, const char *code, ew_text message);
/* Tells what C's own streams hold back. */
void ew_flush(void);

/* Texts at the border: those of the SDK are `const`, those of the bindings are not and are not written to either. */
static inline capability_string_t ew_bound(const char *ptr, size_t len) {
  return (capability_string_t){.ptr = (uint8_t *)ptr, .len = len};
}
static inline capability_string_t ew_bound_string(const char *text) { return ew_bound(text ? text : "", text ? strlen(text) : 0); }
static inline capability_option_string_t ew_bound_option(const char *text) {
  return (capability_option_string_t){.is_some = text != NULL, .val = ew_bound_string(text)};
}
static inline ew_text ew_of_bound(capability_string_t text) { return ew_copied(text.ptr, text.len); }

#endif
