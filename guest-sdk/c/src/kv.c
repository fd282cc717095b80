/* Key-value buckets. */
#include "internal.h"

static bool faulty(ew_call *call, const everwit_kv_store_fault_t *fault) {
  switch (fault->tag) {
    case EVERWIT_KV_STORE_FAULT_DENIED:
      ew_fail_with(call, "denied", "kv_denied", ew_of_bound(fault->val.denied));
      break;
    case EVERWIT_KV_STORE_FAULT_TOO_LARGE:
      ew_fail(call, "internal", "kv_too_large", "the key has more than 512 bytes, or the value more than 256 KiB");
      break;
    case EVERWIT_KV_STORE_FAULT_QUOTA:
      ew_fail(call, "internal", "kv_quota", "the bucket is full");
      break;
    case EVERWIT_KV_STORE_FAULT_CONFLICT:
      ew_fail(call, "conflict", "kv_conflict", "the value was changed meanwhile");
      ew_retryable(call, 0);
      break;
    default:
      ew_fail_with(call, "internal", "kv", ew_of_bound(fault->val.other));
  }
  return false;
}

bool ew_kv_get(ew_call *call, const char *bucket, const char *key, ew_entry *entry) {
  capability_string_t in = ew_bound_string(bucket), name = ew_bound_string(key);
  everwit_kv_store_option_entry_t found;
  everwit_kv_store_fault_t fault;
  if (!everwit_kv_store_get(&in, &name, &found, &fault)) return faulty(call, &fault);
  *entry = found.is_some ? (ew_entry){ew_copied(found.val.value.ptr, found.val.value.len), found.val.version} : (ew_entry){0};
  return true;
}

bool ew_kv_put(ew_call *call, const char *bucket, const char *key, const void *value, size_t len, uint64_t expected) {
  capability_string_t in = ew_bound_string(bucket), name = ew_bound_string(key);
  capability_list_u8_t bytes = {(uint8_t *)value, len};
  uint64_t version;
  everwit_kv_store_fault_t fault;
  const bool done = everwit_kv_store_put(&in, &name, &bytes, expected == EW_ANY ? NULL : &expected, &version, &fault);
  return done ? true : faulty(call, &fault);
}

bool ew_kv_remove(ew_call *call, const char *bucket, const char *key, uint64_t expected) {
  capability_string_t in = ew_bound_string(bucket), name = ew_bound_string(key);
  everwit_kv_store_fault_t fault;
  return everwit_kv_store_remove(&in, &name, expected == EW_ANY ? NULL : &expected, &fault) ? true : faulty(call, &fault);
}

bool ew_kv_keys(ew_call *call, const char *bucket, const char *prefix, const char *after, uint32_t limit, const ew_text **keys, size_t *count) {
  capability_string_t in = ew_bound_string(bucket), begins = ew_bound_string(prefix), behind = ew_bound_string(after);
  capability_list_string_t found;
  everwit_kv_store_fault_t fault;
  if (!everwit_kv_store_keys(&in, &begins, after ? &behind : NULL, limit, &found, &fault)) return faulty(call, &fault);
  ew_text *names = ew_memory(found.len * sizeof *names);
  for (size_t i = 0; i < found.len; i++) names[i] = ew_of_bound(found.ptr[i]);
  *keys = names;
  *count = found.len;
  return true;
}
