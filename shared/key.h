/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// What follows from a session's key: its hash (which bucket, which place in a table, which source
// port) and its VNI.
#pragma once

#include "shared/inlined.h"
#include "shared/session.h"

// 64 bits in which every bit of the key counts: multiply and shift as in splitmix64 (Steele, Lea,
// Flood: Fast splittable pseudorandom number generators, OOPSLA 2014).
inlined __u64 key_hash(const struct session_key *key)
{
	__u64 word[5], h = 0x9E3779B97F4A7C15ull;

	__builtin_memcpy(word, key, sizeof(word));
	UNROLLED
	for (int i = 0; i < 5; i++) {
		h ^= word[i];
		h *= 0xBF58476D1CE4E5B9ull;
		h ^= h >> 29;
	}
	h *= 0x94D049BB133111EBull;
	return h ^ h >> 32;
}

inlined __u32 vni_of(const __u8 vni[3])
{
	return (__u32)vni[0] << 16 | (__u32)vni[1] << 8 | vni[2];
}

// Whether a key is as one that is made from a packet: the endpoint that sorts first is a.
inlined int key_canonical(const struct session_key *key)
{
	__u64 word[4];
	__u32 i;

	__builtin_memcpy(word, key, sizeof(word));
	UNROLLED
	for (i = 0; i < 2; i++)
		if (word[i] != word[2 + i])
			return __builtin_bswap64(word[i]) < __builtin_bswap64(word[2 + i]);
	return __builtin_bswap16(key->a_port) <= __builtin_bswap16(key->b_port);
}
