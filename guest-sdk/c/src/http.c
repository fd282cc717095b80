/* HTTP through the host's gateway. */
#include "internal.h"

/* Bytes asked for at once. */
enum { PIECE_BYTES = 64 << 10 };

static bool faulty(ew_call *call, const everwit_http_types_fault_t *fault) {
  const ew_text kind = ew_of_bound(fault->kind);
  const bool denied = strcmp(kind.ptr, "denied") == 0, late = strcmp(kind.ptr, "timeout") == 0;
  const char *code = ew_copied(kind.ptr, kind.len).ptr;
  ew_fail_with(call, denied ? "denied" : late ? "timeout" : "upstream", code, ew_of_bound(fault->message));
  call->failure.retryable = !denied && strcmp(kind.ptr, "invalid") != 0 && !fault->request_sent;
  call->failure.retry_after_ms = fault->retry_after_ms;
  return false;
}

bool ew_http_send(ew_call *call, const ew_request *request, ew_response *response) {
  capability_tuple2_string_string_t *fields = ew_memory(request->header_count * sizeof *fields);
  for (size_t i = 0; i < request->header_count; i++) {
    const ew_header *header = &request->headers[i];
    fields[i].f0 = ew_bound(header->name.ptr, header->name.len);
    fields[i].f1 = ew_bound(header->value.ptr, header->value.len);
  }
  everwit_http_client_request_t asked = {
      .method = ew_bound_string(request->method ? request->method : "GET"),
      .url = ew_bound_string(request->url),
      .headers = {fields, request->header_count},
      .body = {(uint8_t *)request->body, request->body_len},
      .timeout_ms = {.is_some = request->timeout_ms > 0, .val = request->timeout_ms},
  };
  everwit_http_client_own_response_t answer;
  everwit_http_client_fault_t fault;
  if (!everwit_http_client_send(&asked, &answer, &fault)) return faulty(call, &fault);
  everwit_http_client_head_t head;
  everwit_http_client_method_response_head(everwit_http_client_borrow_response(answer), &head);
  ew_header *headers = ew_memory(head.headers.len * sizeof *headers);
  for (size_t i = 0; i < head.headers.len; i++) {
    headers[i] = (ew_header){ew_of_bound(head.headers.ptr[i].f0), ew_of_bound(head.headers.ptr[i].f1)};
  }
  *response = (ew_response){
      .status = head.status,
      .headers = headers,
      .header_count = head.headers.len,
      .retry_after_ms = head.retry_after_ms.is_some ? head.retry_after_ms.val : 0,
      .handle = answer.__handle,
  };
  return true;
}

ew_text ew_http_header(const ew_response *response, const char *name) {
  for (size_t i = 0; i < response->header_count; i++) {
    if (strcmp(response->headers[i].name.ptr, name) == 0) return response->headers[i].value;
  }
  return (ew_text){0};
}

bool ew_http_read(ew_call *call, ew_response *response, uint32_t max, ew_text *piece) {
  const everwit_http_client_own_response_t own = {response->handle};
  capability_option_list_u8_t read;
  everwit_http_client_fault_t fault;
  if (!everwit_http_client_method_response_read(everwit_http_client_borrow_response(own), max, &read, &fault)) return faulty(call, &fault);
  *piece = read.is_some ? ew_copied(read.val.ptr, read.val.len) : (ew_text){0};
  if (read.is_some) free(read.val.ptr);
  return true;
}

bool ew_http_body(ew_call *call, ew_response *response, size_t max, ew_text *body) {
  char *bytes = ew_memory(1);
  size_t len = 0;
  for (;;) {
    ew_text piece;
    if (!ew_http_read(call, response, PIECE_BYTES, &piece)) return false;
    if (!piece.ptr) break;
    if (piece.len > max - len) {
      ew_fail(call, "upstream", "body_too_large", "the answer has more than %zu bytes", max);
      return false;
    }
    bytes = ew_grown(bytes, len + piece.len + 1);
    memcpy(bytes + len, piece.ptr, piece.len);
    len += piece.len;
    free((void *)piece.ptr);
  }
  bytes[len] = '\0';
  *body = (ew_text){bytes, len};
  return true;
}
