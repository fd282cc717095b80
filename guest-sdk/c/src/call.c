/* The two exports, and what a tool says of its call. */
#include <ctype.h>
#include <stdio.h>

#include "internal.h"

void *ew_memory(size_t size) { return ew_grown(NULL, size); }

void *ew_grown(void *memory, size_t size) {
  void *grown = realloc(memory, size ? size : 1);
  if (!grown) ew_panic("there is no memory for %zu bytes", size);
  return grown;
}

ew_text ew_copied(const void *bytes, size_t len) {
  char *copy = ew_memory(len + 1);
  if (len > 0) memcpy(copy, bytes, len);
  copy[len] = '\0';
  return (ew_text){copy, len};
}

ew_text ew_formatted(const char *format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  const int len = vsnprintf(NULL, 0, format, arguments);
  char *text = ew_memory(len < 0 ? 1 : (size_t)len + 1);
  text[0] = '\0';
  if (len > 0) vsnprintf(text, (size_t)len + 1, format, again);
  va_end(again);
  return (ew_text){text, len < 0 ? 0 : (size_t)len};
}

/* "word_count" as "Word count". */
static capability_string_t title_of(const ew_tool *tool) {
  if (tool->title) return ew_bound_string(tool->title);
  const size_t len = strlen(tool->name);
  char *title = (char *)ew_copied(tool->name, len).ptr;
  for (size_t i = 0; i < len; i++) title[i] = title[i] == '_' ? ' ' : title[i];
  title[0] = (char)toupper((unsigned char)title[0]);
  return ew_bound(title, len);
}

static capability_list_string_t strings(const char *const *list) {
  capability_list_string_t to = {0};
  while (list && list[to.len]) to.len++;
  to.ptr = ew_memory(to.len * sizeof *to.ptr);
  for (size_t i = 0; i < to.len; i++) to.ptr[i] = ew_bound_string(list[i]);
  return to;
}

static void describe_permissions(everwit_types_permissions_permissions_t *to) {
  const ew_capability *about = &everwit_capability;
  to->files = ew_bound_string("none");
  to->kv = strings(about->kv);
  while (about->http && about->http[to->http.len].host) to->http.len++;
  to->http.ptr = ew_memory(to->http.len * sizeof *to->http.ptr);
  for (size_t i = 0; i < to->http.len; i++) {
    const ew_http_permission *host = &about->http[i];
    to->http.ptr[i] = (everwit_types_permissions_http_permission_t){
        .host = ew_bound_string(host->host),
        .methods = strings(host->methods),
        .path_prefix = ew_bound_option(host->path_prefix),
        .reason = ew_bound_string(host->reason),
    };
  }
  while (about->secrets && about->secrets[to->secrets.len].name) to->secrets.len++;
  to->secrets.ptr = ew_memory(to->secrets.len * sizeof *to->secrets.ptr);
  for (size_t i = 0; i < to->secrets.len; i++) {
    const ew_secret_permission *secret = &about->secrets[i];
    to->secrets.ptr[i] = (everwit_types_permissions_secret_permission_t){
        .name = ew_bound_string(secret->name),
        .title = ew_bound_string(secret->title ? secret->title : secret->name),
        .host = ew_bound_string(secret->host),
        .place = ew_bound_string(secret->place),
        .required = secret->required,
    };
  }
}

void exports_everwit_capability_describe_describe(exports_everwit_capability_describe_description_t *to) {
  const ew_capability *about = &everwit_capability;
  *to = (exports_everwit_capability_describe_description_t){
      .id = ew_bound_string(about->id),
      .title = ew_bound_string(about->title ? about->title : about->id),
      .version = ew_bound_string(about->version ? about->version : "0.1.0"),
      .summary = ew_bound_string(about->summary),
      .instructions = ew_bound_option(about->instructions),
      .config_schema = ew_bound_string(about->config_schema ? about->config_schema : "{}"),
  };
  while (about->tools && about->tools[to->tools.len].name) to->tools.len++;
  to->tools.ptr = ew_memory(to->tools.len * sizeof *to->tools.ptr);
  for (size_t i = 0; i < to->tools.len; i++) {
    const ew_tool *tool = &about->tools[i];
    to->tools.ptr[i] = (everwit_types_tools_tool_t){
        .name = ew_bound_string(tool->name),
        .title = title_of(tool),
        .description = ew_bound_string(tool->description),
        .input_schema = ew_bound_string(tool->input_schema ? tool->input_schema : EW_JSON({"type": "object", "additionalProperties": false})),
        .output_schema = {.is_some = tool->output_schema != NULL, .val = ew_bound_string(tool->output_schema)},
        .effects = (everwit_types_tools_effects_t)tool->effects,
    };
  }
  describe_permissions(&to->permissions);
}

bool exports_everwit_capability_tools_call(exports_everwit_capability_tools_context_t *context, capability_string_t *name,
                                           exports_everwit_capability_tools_json_t *arguments,
                                           exports_everwit_capability_tools_call_output_t *output,
                                           exports_everwit_capability_tools_failure_t *failure) {
  ew_call call = {.context = context, .arguments = {(const char *)arguments->ptr, arguments->len}};
  const ew_tool *tool = everwit_capability.tools;
  while (tool->name && !(strlen(tool->name) == name->len && memcmp(tool->name, name->ptr, name->len) == 0)) tool++;
  ew_result result = EW_FAILED;
  if (tool->name) {
    result = tool->run(&call);
  } else {
    ew_fail(&call, "not-found", "unknown_tool", "there is no tool %.*s", (int)name->len, (const char *)name->ptr);
  }
  ew_flush();
  if (result == EW_FAILED) {
    if (!call.failure.kind.ptr) ew_fail(&call, "internal", "no_reason", "%s failed and did not say why", tool->name);
    *failure = call.failure;
    return false;
  }
  *output = (exports_everwit_capability_tools_call_output_t){
      .parts = {call.parts, call.part_count},
      .structured = {.is_some = call.structured.ptr != NULL, .val = ew_bound(call.structured.ptr, call.structured.len)},
  };
  return true;
}

/* What the host calls when it has read a result. The bindings would free it, text by text; but the instance ends now, and much of it
 * is constant. */
__attribute__((__export_name__("cabi_post_everwit:capability/describe@1.0.0#describe")))
void __wasm_export_exports_everwit_capability_describe_describe_post_return(uint8_t *result) {
  (void)result;
}

__attribute__((__export_name__("cabi_post_everwit:capability/tools@1.0.0#call")))
void __wasm_export_exports_everwit_capability_tools_call_post_return(uint8_t *result) {
  (void)result;
}

static ew_text seen(capability_string_t text) { return ew_of_bound(text); }
ew_text ew_org(const ew_call *call) { return seen(call->context->org); }
ew_text ew_session(const ew_call *call) { return seen(call->context->session); }
ew_text ew_turn(const ew_call *call) { return seen(call->context->turn); }
ew_text ew_idempotency_key(const ew_call *call) { return seen(call->context->idempotency_key); }
ew_text ew_locale(const ew_call *call) { return call->context->locale.is_some ? seen(call->context->locale.val) : (ew_text){0}; }
ew_json ew_config(const ew_call *call) { return (ew_json){(const char *)call->context->config.ptr, call->context->config.len}; }

ew_json ew_argument(const ew_call *call, const char *name) { return ew_get(call->arguments, name); }
ew_text ew_argument_text(const ew_call *call, const char *name) { return ew_to_text(ew_argument(call, name)); }

double ew_argument_number(const ew_call *call, const char *name, double fallback) {
  const ew_json value = ew_argument(call, name);
  return ew_kind_of(value) == EW_NUMBER ? ew_to_number(value) : fallback;
}

int64_t ew_argument_integer(const ew_call *call, const char *name, int64_t fallback) {
  const ew_json value = ew_argument(call, name);
  return ew_kind_of(value) == EW_NUMBER ? ew_to_integer(value) : fallback;
}

bool ew_argument_bool(const ew_call *call, const char *name, bool fallback) {
  const ew_json value = ew_argument(call, name);
  return ew_kind_of(value) == EW_BOOL ? ew_to_bool(value) : fallback;
}

static ew_result add(ew_call *call, everwit_types_tools_part_t part) {
  call->parts = ew_grown(call->parts, (call->part_count + 1) * sizeof *call->parts);
  call->parts[call->part_count++] = part;
  return EW_DONE;
}

ew_result ew_return_text(ew_call *call, const char *text, size_t len) {
  return add(call, (everwit_types_tools_part_t){.tag = EVERWIT_TYPES_CONTENT_PART_TEXT, .val.text = ew_bound(text, len)});
}

ew_result ew_return_textf(ew_call *call, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const ew_text text = ew_formatted(format, arguments);
  va_end(arguments);
  return ew_return_text(call, text.ptr, text.len);
}

ew_result ew_return_json(ew_call *call, ew_json value) {
  if (!call->structured.ptr) call->structured = value;
  return add(call, (everwit_types_tools_part_t){.tag = EVERWIT_TYPES_CONTENT_PART_DATA, .val.data = ew_bound(value.ptr, value.len)});
}

ew_result ew_return_blob(ew_call *call, const char *media_type, const void *data, size_t len) {
  const everwit_types_content_blob_t blob = {.media_type = ew_bound_string(media_type), .data = {(uint8_t *)data, len}};
  return add(call, (everwit_types_tools_part_t){.tag = EVERWIT_TYPES_CONTENT_PART_BLOB, .val.blob = blob});
}

ew_result ew_fail_with(ew_call *call, const char *kind, const char *code, ew_text message) {
  call->failure = (everwit_types_common_failure_t){
      .kind = ew_bound_string(kind),
      .code = ew_bound_string(code),
      .message = ew_bound(message.ptr, message.len),
  };
  return EW_FAILED;
}

ew_result ew_fail(ew_call *call, const char *kind, const char *code, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const ew_text message = ew_formatted(format, arguments);
  va_end(arguments);
  return ew_fail_with(call, kind, code, message);
}

ew_result ew_retryable(ew_call *call, uint64_t after_ms) {
  call->failure.retryable = true;
  call->failure.retry_after_ms = (capability_option_u64_t){.is_some = after_ms > 0, .val = after_ms};
  return EW_FAILED;
}

/* What the bindings call so that an object with the component's type is linked. `everwit build` writes that type itself. */
void __component_type_object_force_link_capability(void);
void __component_type_object_force_link_capability(void) {}
