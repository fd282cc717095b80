/*
 * Everwit capabilities in C.
 *
 * A project defines `everwit_capability`: what it is, and its tools. One instance of the component serves one call, so whatever
 * these functions return stays valid until the tool returns, and nothing has to be freed. A function that can fail returns false
 * (or EW_FAILED) after it has noted the failure in the call: the tool returns EW_FAILED, or goes on and notes its own.
 */
#ifndef EVERWIT_H
#define EVERWIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes, in texts UTF-8. A NUL follows them, which is not counted; `ptr` is NULL if there is no value. */
typedef struct {
  const char *ptr;
  size_t len;
} ew_text;

/* One JSON value as text; `ptr` is NULL if there is none. */
typedef struct {
  const char *ptr;
  size_t len;
} ew_json;

/* The call now running. */
typedef struct ew_call ew_call;

/* How a tool ended: with a result, or with the failure that the call holds. */
typedef enum { EW_DONE, EW_FAILED } ew_result;

/* What a tool may do to the world; any of them together. */
enum {
  EW_READ_ONLY = 1 << 0,   /* changes nothing outside the call */
  EW_DESTRUCTIVE = 1 << 1, /* may remove or overwrite what cannot be brought back */
  EW_IDEMPOTENT = 1 << 2,  /* a repetition with the same idempotency key has no further effect */
  EW_OPEN_WORLD = 1 << 3,  /* reaches beyond the agent's own data */
};

/* JSON as C source: EW_JSON({"type": "object"}). */
#define EW_JSON(...) #__VA_ARGS__

/* A tool. */
typedef struct {
  const char *name;          /* [a-z][a-z0-9_]*, at most 64 bytes */
  const char *title;         /* for people; made of the name if NULL */
  const char *description;   /* what it does and when to use it, for the model */
  const char *input_schema;  /* JSON Schema of the arguments object; NULL takes none */
  const char *output_schema; /* JSON Schema of the structured result, or NULL */
  unsigned effects;
  ew_result (*run)(ew_call *call);
} ew_tool;

/* Access to one host that the capability asks for. */
typedef struct {
  const char *host;           /* "api.example.com" is https on port 443; plain http needs "api.example.com:80" */
  const char *const *methods; /* upper case, ends with NULL; GET and HEAD if it is NULL */
  const char *path_prefix;    /* only URLs whose path starts with this, or NULL */
  const char *reason;         /* for the person who decides */
} ew_http_permission;

/* A secret that the capability uses without seeing it. */
typedef struct {
  const char *name;  /* kebab-case */
  const char *title; /* for people */
  const char *host;  /* the only host on which it may be used */
  const char *place; /* "header:<name>" or "query:<name>" */
  bool required;
} ew_secret_permission;

/* What a component is. Lists end with an element of zeros, and may be NULL; so may what is marked optional. */
typedef struct {
  const char *id;
  const char *title;
  const char *version; /* optional: "0.1.0" */
  const char *summary;
  const char *instructions;  /* optional: addition to the system prompt */
  const char *config_schema; /* optional: JSON Schema of the configuration; anything is accepted without */
  const ew_tool *tools;
  const ew_http_permission *http;
  const ew_secret_permission *secrets;
  const char *const *kv; /* names of key-value buckets */
} ew_capability;

/* Defined by the project. */
extern const ew_capability everwit_capability;

/* Circumstances. The ids are opaque, and others in every component. */
ew_text ew_org(const ew_call *call);
ew_text ew_session(const ew_call *call);
ew_text ew_turn(const ew_call *call);
ew_text ew_idempotency_key(const ew_call *call); /* the same for every execution of the same tool call */
ew_text ew_locale(const ew_call *call);          /* BCP 47; none if unknown */
ew_json ew_config(const ew_call *call);          /* the agent's configuration of this capability */

/* Arguments, which the host has held against the schema. What is absent has the fallback, or no pointer. */
ew_json ew_argument(const ew_call *call, const char *name);
ew_text ew_argument_text(const ew_call *call, const char *name);
double ew_argument_number(const ew_call *call, const char *name, double fallback);
int64_t ew_argument_integer(const ew_call *call, const char *name, int64_t fallback);
bool ew_argument_bool(const ew_call *call, const char *name, bool fallback);

/* Reading JSON. What is not there, or of another kind, is no value: no pointer, zero, false. */
typedef enum { EW_NONE, EW_NULL, EW_BOOL, EW_NUMBER, EW_TEXT, EW_ARRAY, EW_OBJECT } ew_kind;
ew_kind ew_kind_of(ew_json value);
ew_json ew_get(ew_json object, const char *key);
size_t ew_count(ew_json array);
ew_json ew_at(ew_json array, size_t index);
ew_text ew_to_text(ew_json value);
double ew_to_number(ew_json value);
int64_t ew_to_integer(ew_json value);
bool ew_to_bool(ew_json value);

/* Writing JSON. Numbers that are not finite become null. */
ew_json ew_from_text(const char *text, size_t len);
ew_json ew_from_string(const char *text); /* null if it is NULL */
ew_json ew_from_number(double number);
ew_json ew_from_integer(int64_t number);
ew_json ew_from_bool(bool value);
ew_json ew_null(void);
ew_json ew_array(const ew_json *items, size_t count);
/* ew_object("name", value, …): a member whose value has no pointer is left out. */
#define ew_object(...) ew_object_of(__VA_ARGS__, (const char *)NULL)
ew_json ew_object_of(const char *key, ...);

/* Results: each adds a part that the model sees, in order. */
ew_result ew_return_text(ew_call *call, const char *text, size_t len);
ew_result ew_return_textf(ew_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The value is the structured result too, unless the call has one. */
ew_result ew_return_json(ew_call *call, ew_json value);
ew_result ew_return_blob(ew_call *call, const char *media_type, const void *data, size_t len);

/* Notes a failure, which the model sees, and returns EW_FAILED. `kind` is one of "invalid-arguments", "not-found", "denied",
 * "rate-limited", "upstream", "timeout", "conflict", "internal"; `code` is snake_case and your own. */
ew_result ew_fail(ew_call *call, const char *kind, const char *code, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Says of the failure just noted that the same call can succeed later; after that many milliseconds, if not 0. */
ew_result ew_retryable(ew_call *call, uint64_t after_ms);

/* A bug: ends the call, with this text and its place. A failed `assert` does the same. */
#define ew_panic(...) ew_panic_at(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn void ew_panic_at(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The log. `printf` writes to it too, on the level info, and `fprintf(stderr, …)` on the level warn. */
typedef enum { EW_TRACE, EW_DEBUG, EW_INFO, EW_WARN, EW_ERROR } ew_level;
void ew_log(ew_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The time and random numbers are those of C and POSIX: time, clock_gettime, getentropy, arc4random; they come from the host. `rand`
 * begins anew in every call, with the same seed, unless `srand` gives it another. */

/* Why to stop. */
typedef enum { EW_GO_ON, EW_CANCELLED, EW_DEADLINE } ew_stop;
uint64_t ew_remaining_ms(void);
ew_stop ew_stopped(void);
/* `done` of `total`, 0 if that is not known; `note` may be NULL. */
ew_stop ew_progress(uint64_t done, uint64_t total, const char *note);
/* Shows a text at once, in addition to what the call returns. */
ew_stop ew_emit_text(const char *text, size_t len);

/* A header field. */
typedef struct {
  ew_text name;
  ew_text value;
} ew_header;

/* A request; zeros are defaults. */
typedef struct {
  const char *method; /* GET if NULL */
  const char *url;
  const ew_header *headers;
  size_t header_count;
  const void *body;
  size_t body_len;
  uint32_t timeout_ms; /* none if 0 */
} ew_request;

/* A response whose body is still to be read. */
typedef struct {
  int status;
  const ew_header *headers; /* names in lower case */
  size_t header_count;
  uint64_t retry_after_ms; /* 0 if the server did not say */
  int32_t handle;
} ew_response;

/* Sends a request and waits for the response's head. Redirects are responses like others. */
bool ew_http_send(ew_call *call, const ew_request *request, ew_response *response);
ew_text ew_http_header(const ew_response *response, const char *lower_case_name);
/* The next piece of the body, of at most `max` bytes; no pointer at its end. */
bool ew_http_read(ew_call *call, ew_response *response, uint32_t max, ew_text *piece);
/* The rest of the body; one of more than `max` bytes is a failure. */
bool ew_http_body(ew_call *call, ew_response *response, size_t max, ew_text *body);

/* A stored value; `version` is 0 if there is none. */
typedef struct {
  ew_text value;
  uint64_t version;
} ew_entry;

/* `expected` is EW_ANY, 0 for a key that must be absent, or the version that is replaced; another one is a failure of the kind "conflict". */
#define EW_ANY UINT64_MAX
bool ew_kv_get(ew_call *call, const char *bucket, const char *key, ew_entry *entry);
bool ew_kv_put(ew_call *call, const char *bucket, const char *key, const void *value, size_t len, uint64_t expected);
bool ew_kv_remove(ew_call *call, const char *bucket, const char *key, uint64_t expected);
/* Up to `limit` (1 to 1,000) keys with a prefix, in the order of their bytes, after the key `after` unless that is NULL. */
bool ew_kv_keys(ew_call *call, const char *bucket, const char *prefix, const char *after, uint32_t limit, const ew_text **keys, size_t *count);

/* The placeholder of a secret, to put where its grant says; the host replaces it there. */
bool ew_secret_token(ew_call *call, const char *name, ew_text *token);

#endif
