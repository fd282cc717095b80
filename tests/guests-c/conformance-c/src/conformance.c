/* What `everwit conformance` asks for, as an author writes it in C. */
#include <assert.h>
#include <everwit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static ew_result echo(ew_call *call) { return ew_return_json(call, ew_object("value", ew_argument(call, "value"))); }

static ew_result measure(ew_call *call) {
  return ew_return_json(call, ew_object("bytes", ew_from_integer((int64_t)ew_argument_text(call, "text").len)));
}

static ew_result repeat(ew_call *call) {
  const size_t count = (size_t)ew_argument_integer(call, "bytes", 0);
  char *text = malloc(count + 1);
  assert(text);
  memset(text, 'x', count);
  return ew_return_text(call, text, count);
}

static ew_result fail(ew_call *call) {
  ew_fail(call, "not-found", "no_such_thing", "there is no such thing");
  return ew_retryable(call, 1500);
}

static ew_result crash(ew_call *call) {
  assert(!call && "on purpose");
  return EW_DONE;
}

static ew_result spin(ew_call *call) {
  for (volatile unsigned turns = 0;; turns++) (void)call;
}

static ew_result wait_for_it(ew_call *call) {
  for (;;) {
    ew_stop stop = ew_progress(1, 3, "waiting");
    if (stop == EW_GO_ON) stop = ew_stopped();
    if (stop != EW_GO_ON) return ew_return_textf(call, "%s", stop == EW_CANCELLED ? "cancelled" : "deadline");
  }
}

static ew_result stream(ew_call *call) {
  ew_emit_text("one", 3);
  return ew_return_textf(call, "two");
}

static ew_result remember(ew_call *call) {
  const ew_json value = ew_argument(call, "value");
  ew_entry before;
  if (!ew_kv_get(call, "notes", "last", &before)) return EW_FAILED;
  if (!ew_kv_put(call, "notes", "last", value.ptr, value.len, EW_ANY)) return EW_FAILED;
  return ew_return_json(call, ew_object("before", before.version ? (ew_json){before.value.ptr, before.value.len} : ew_null()));
}

static ew_result fetch(ew_call *call) {
  char url[512];
  snprintf(url, sizeof url, "http://conformance.test%s", ew_argument_text(call, "path").ptr);
  ew_response response;
  ew_text body;
  if (!ew_http_send(call, &(ew_request){.url = url}, &response) || !ew_http_body(call, &response, 1 << 20, &body)) return EW_FAILED;
  return ew_return_json(call, ew_object("status", ew_from_integer(response.status), "body", ew_from_text(body.ptr, body.len)));
}

extern char **environ;

static ew_result environment(ew_call *call) {
  const ew_json names = ew_argument(call, "names");
  ew_json found[64];
  size_t count = 0;
  for (size_t i = 0; i < ew_count(names) && count < 32; i++) {
    const ew_json name = ew_at(names, i);
    if (getenv(ew_to_text(name).ptr)) found[count++] = name;
  }
  for (char **variable = environ; variable && *variable && count < 64; variable++) found[count++] = ew_from_string(*variable);
  /* A component has no `main`, and so no arguments. */
  return ew_return_json(call, ew_object("found", ew_array(found, count), "arguments", ew_from_integer(0)));
}

static ew_result chance(ew_call *call) {
  uint64_t number;
  assert(getentropy(&number, sizeof number) == 0);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return ew_return_json(call, ew_object("number", ew_from_number((double)(number >> 11) / 9007199254740992.0), "now_ms",
                                        ew_from_number((double)now.tv_sec * 1000.0 + (double)now.tv_nsec / 1e6)));
}

static ew_result log_it(ew_call *call) {
  fprintf(stderr, "a warning\n");
  return ew_return_textf(call, "logged");
}

static const ew_tool tools[] = {
    {.name = "echo", .description = "Returns its argument.", .effects = EW_READ_ONLY, .run = echo, .input_schema = EW_JSON(
      {"type": "object", "properties": {"value": {}}, "required": ["value"]})},
    {.name = "measure", .description = "Measures a text.", .run = measure, .input_schema = EW_JSON(
      {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]})},
    {.name = "repeat", .description = "Returns a long text.", .run = repeat, .input_schema = EW_JSON(
      {"type": "object", "properties": {"bytes": {"type": "integer", "minimum": 0}}, "required": ["bytes"]})},
    {.name = "fail", .description = "Fails as expected.", .run = fail},
    {.name = "crash", .description = "Fails as nobody expects.", .run = crash},
    {.name = "spin", .description = "Never ends.", .run = spin},
    {.name = "wait", .description = "Waits until it should stop.", .run = wait_for_it},
    {.name = "stream", .description = "Says two things, one at once.", .run = stream},
    {.name = "remember", .description = "Remembers a value, and returns the one before.", .run = remember, .input_schema = EW_JSON(
      {"type": "object", "properties": {"value": {}}, "required": ["value"]})},
    {.name = "fetch", .description = "Fetches a page.", .run = fetch, .input_schema = EW_JSON(
      {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]})},
    {.name = "environment", .description = "Looks for variables and arguments.", .run = environment, .input_schema = EW_JSON(
      {"type": "object", "properties": {"names": {"type": "array", "items": {"type": "string"}}}, "required": ["names"]})},
    {.name = "chance", .description = "Draws a number and tells the time.", .run = chance},
    {.name = "log", .description = "Logs a warning.", .run = log_it},
    {0}};

const ew_capability everwit_capability = {
    .id = "conformance-c",
    .title = "Conformance",
    .summary = "Does what a conformance check asks for.",
    .tools = tools,
    .http = (const ew_http_permission[]){{.host = "conformance.test:80", .reason = "The check's own server"}, {0}},
    .kv = (const char *const[]){"notes", NULL},
};
