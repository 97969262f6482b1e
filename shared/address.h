/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Addresses are 128 bits everywhere above the parser; IPv4 is v4-mapped (RFC 4291 2.5.5.2).
#pragma once

#include <linux/in6.h>
#include <linux/types.h>

#include "shared/inlined.h"

#define V4_MAPPED_BITS 96
#define V4_MAPPED_WORD 0xFFFF // ::ffff:a.b.c.d, third word, host byte order

inlined struct in6_addr address_of_v4(__be32 ip)
{
	struct in6_addr a = {};

	a.s6_addr32[2] = __builtin_bswap32(V4_MAPPED_WORD);
	a.s6_addr32[3] = ip;
	return a;
}

// The IPv4 address of a v4-mapped one; what it gives for others means nothing.
inlined __be32 address_v4(const struct in6_addr *a)
{
	return a->s6_addr32[3];
}

inlined int address_is_v4(const struct in6_addr *a)
{
	return !a->s6_addr32[0] && !a->s6_addr32[1] &&
	       a->s6_addr32[2] == __builtin_bswap32(V4_MAPPED_WORD);
}

inlined int address_equal(const struct in6_addr *a, const struct in6_addr *b)
{
	return a->s6_addr32[0] == b->s6_addr32[0] && a->s6_addr32[1] == b->s6_addr32[1] &&
	       a->s6_addr32[2] == b->s6_addr32[2] && a->s6_addr32[3] == b->s6_addr32[3];
}
