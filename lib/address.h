/* SPDX-License-Identifier: Apache-2.0 */
// Addresses as people write them, and as the maps and the protocol carry them: 16 bytes, IPv4
// v4-mapped.
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#define V4_PREFIX_BITS 96 // of 128: what an IPv4 prefix is longer than its own length says
#define ADDRESS_TEXT 64	  // enough for any of the texts below

// "10.0.0.1" or "2001:db8::1". Returns 0; -EINVAL: not an address (out is left as it was).
int address_parse(const char *text, struct in6_addr *out);
// "10.0.0.0/8": *bits counts of 128. Host bits must be 0. Returns 0 or -EINVAL.
int prefix_parse(const char *text, struct in6_addr *out, unsigned int *bits);
// "02:00:00:00:00:01", either case. Returns 0 or -EINVAL.
int mac_parse(const char *text, uint8_t out[6]);

// Each writes into the caller's text[ADDRESS_TEXT] and returns it. v4-mapped ones print as IPv4.
char *address_text(const struct in6_addr *address, char text[ADDRESS_TEXT]);
char *prefix_text(const struct in6_addr *address, unsigned int bits, char text[ADDRESS_TEXT]);
char *mac_text(const uint8_t mac[6], char text[ADDRESS_TEXT]);

// Whether a packet can come from or go to such an address as an endpoint's: IPv6's are none that
// begin with 64 bits of 0 (unspecified, loopback, what has IPv4 inside), no link-local and no
// multicast ones. NULL: it can; else what it is.
const char *address_odd_name(const struct in6_addr *address);

// Whether the first bits of both are the same.
int prefix_covers(const struct in6_addr *prefix, unsigned int bits, const struct in6_addr *address);
