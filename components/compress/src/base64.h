/* Base64 with padding (RFC 4648 §4). */
#ifndef BASE64_H
#define BASE64_H

#include <everwit.h>

ew_text base64_encoded(const uint8_t *bytes, size_t len);
/* No pointer if the text is no base64; white space between its letters is let pass. */
ew_text base64_decoded(ew_text text);

#endif
