/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What a client shows to a protected address to prove that it gets what is sent to it, and who has.
#pragma once

#include "shared/session.h"
#include "shared/shield.h"
#include "shared/siphash.h"

// Map "proven": LRU hash. The SYNs whose senders have proven themselves; value __u32: clock_ms().
struct proven_key {
	struct session_key session;
	__u32 isn; // of the SYN, its upper bits as cookie_isn()
	__u32 zero;
};
_Static_assert(sizeof(struct proven_key) == 48, "hash key: no padding");

// A cookie is what a SYN is answered with for an acknowledgment number. A client that has sent no
// such thing says so by a reset with that number, and goes on trying (RFC 9293 section 3.10.7.3).
// The number is less than 64 KB below what the client has sent, as firewalls on the way take others
// for another connection's (those that reckon as in: van Rooij, Real Stateful TCP Packet Filtering
// in IP Filter, 2001). So 15 bits of it are the hash; those above are the SYN's own, which its
// sender so has to repeat.
#define COOKIE_BITS 15
#define COOKIE_MASK ((1u << COOKIE_BITS) - 1)
#define COOKIE_SLOT_SHIFT 12 // of clock_ms(): 4 s, and the slot before: longer than any round trip

inlined __u32 cookie_slot(__u32 now_ms)
{
	return now_ms >> COOKIE_SLOT_SHIFT;
}

// What a SYN's number has in common with what its sender may show for it.
inlined __u32 cookie_isn(__u32 number)
{
	return number >> COOKIE_BITS;
}

// And of a cookie.
inlined __u32 cookie_isn_shown(__u32 cookie)
{
	return cookie_isn(cookie + (1u << COOKIE_BITS));
}

inlined __u64 cookie_hash(const struct shield_secret *secret, const struct session_key *key,
			  __u32 isn, __u32 slot)
{
	__u64 word[6];

	__builtin_memcpy(word, key, sizeof(*key));
	word[5] = (__u64)isn << 32 | slot;
	return siphash(secret->key, word, 6);
}

// isn: of cookie_isn().
inlined __u32 cookie_number(__u64 hash, __u32 isn)
{
	return ((isn - 1) << COOKIE_BITS) | (hash & COOKIE_MASK);
}

inlined int cookie_right(const struct shield_secret *secret, const struct session_key *key,
			 __u32 cookie, __u32 slot)
{
	return !((cookie_hash(secret, key, cookie_isn_shown(cookie), slot) ^ cookie) & COOKIE_MASK);
}
