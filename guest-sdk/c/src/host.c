/* The log, panics, and what a running call can ask and tell. */
#include <stdio.h>

#include "internal.h"

void ew_log(ew_level level, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const ew_text line = ew_formatted(format, arguments);
  va_end(arguments);
  capability_string_t message = ew_bound(line.ptr, line.len);
  capability_list_tuple2_string_string_t fields = {0};
  everwit_host_log_write((everwit_host_log_level_t)level, &message, &fields);
}

static _Noreturn void end(const char *text, size_t len) {
  ew_flush();
  capability_string_t message = ew_bound(text, len);
  everwit_host_log_panicked(&message);
  __builtin_trap();
}

/* Needs no memory but the stack: that there is none may be what it tells. */
_Noreturn void ew_panic_at(const char *file, int line, const char *format, ...) {
  char text[1024];
  const int place = snprintf(text, sizeof text, "%s:%d: ", file, line);
  size_t len = place < 0 ? 0 : (size_t)place < sizeof text ? (size_t)place : sizeof text - 1;
  va_list arguments;
  va_start(arguments, format);
  const int said = vsnprintf(text + len, sizeof text - len, format, arguments);
  va_end(arguments);
  if (said > 0) len += (size_t)said < sizeof text - len ? (size_t)said : sizeof text - len - 1;
  end(text, len);
}

/* What a failed `assert` calls: `everwit build` gives this name for that of C's library. */
_Noreturn void ew_assert_failed(const char *expression, const char *file, int line, const char *function);
_Noreturn void ew_assert_failed(const char *expression, const char *file, int line, const char *function) {
  ew_panic_at(file, line, "%s: assertion failed: %s", function, expression);
}

static ew_stop stop_of(everwit_host_call_stop_t stop) { return stop == EVERWIT_HOST_CALL_STOP_CANCELLED ? EW_CANCELLED : EW_DEADLINE; }

uint64_t ew_remaining_ms(void) { return everwit_host_call_remaining_ms(); }

ew_stop ew_stopped(void) {
  everwit_host_call_stop_t stop;
  return everwit_host_call_stopped(&stop) ? stop_of(stop) : EW_GO_ON;
}

ew_stop ew_progress(uint64_t done, uint64_t total, const char *note) {
  capability_string_t text = ew_bound_string(note);
  everwit_host_call_stop_t stop;
  return everwit_host_call_progress(done, total ? &total : NULL, note ? &text : NULL, &stop) ? EW_GO_ON : stop_of(stop);
}

ew_stop ew_emit_text(const char *text, size_t len) {
  everwit_host_call_part_t part = {.tag = EVERWIT_TYPES_CONTENT_PART_TEXT, .val.text = ew_bound(text, len)};
  everwit_host_call_list_part_t parts = {&part, 1};
  everwit_host_call_stop_t stop;
  return everwit_host_call_emit(&parts, &stop) ? EW_GO_ON : stop_of(stop);
}
