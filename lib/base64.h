/* SPDX-License-Identifier: Apache-2.0 */
// Bytes as text (RFC 4648 section 4), with padding and without line breaks.
#pragma once

#include <stddef.h>
#include <stdint.h>

// The caller frees it. NULL: no memory.
char *base64_encode(const uint8_t *bytes, size_t size);
// The caller frees *out. Returns 0; -EINVAL: not such text; -ENOMEM.
int base64_decode(const char *text, uint8_t **out, size_t *size);
