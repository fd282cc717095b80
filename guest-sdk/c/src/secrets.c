/* Secrets as placeholders. */
#include "internal.h"

bool ew_secret_token(ew_call *call, const char *name, ew_text *token) {
  capability_string_t asked = ew_bound_string(name);
  everwit_secrets_store_own_secret_t secret;
  everwit_secrets_store_absent_t absent;
  if (!everwit_secrets_store_open(&asked, &secret, &absent)) {
    /* Both cases hold a text. */
    ew_fail_with(call, "denied", "secret_unavailable", ew_of_bound(absent.val.unavailable));
    return false;
  }
  capability_string_t text;
  everwit_secrets_handles_method_secret_token(everwit_secrets_handles_borrow_secret(secret), &text);
  *token = ew_of_bound(text);
  return true;
}
