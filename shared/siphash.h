/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// SipHash-2-4 (Aumasson and Bernstein: SipHash: a fast short-input PRF, INDOCRYPT 2012) of whole
// 64-bit words: who has not the key cannot tell what it gives, however much of it he has seen.
#pragma once

#include <linux/types.h>

#include "shared/inlined.h"

struct siphash_state {
	__u64 v0, v1, v2, v3;
};

inlined __u64 siphash_turn(__u64 word, __u32 bits)
{
	return word << bits | word >> (64 - bits);
}

inlined void siphash_round(struct siphash_state *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = siphash_turn(s->v1, 13) ^ s->v0;
	s->v3 = siphash_turn(s->v3, 16) ^ s->v2;
	s->v0 = siphash_turn(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = siphash_turn(s->v1, 17) ^ s->v2;
	s->v3 = siphash_turn(s->v3, 21) ^ s->v0;
	s->v2 = siphash_turn(s->v2, 32);
}

inlined void siphash_add(struct siphash_state *s, __u64 word)
{
	s->v3 ^= word;
	siphash_round(s);
	siphash_round(s);
	s->v0 ^= word;
}

// Of so many words, a constant below 32, in this machine's byte order, which is little endian.
inlined __u64 siphash(const __u64 key[2], const __u64 *word, const __u32 words)
{
	struct siphash_state s = {
		.v0 = key[0] ^ 0x736F6D6570736575ull,
		.v1 = key[1] ^ 0x646F72616E646F6Dull,
		.v2 = key[0] ^ 0x6C7967656E657261ull,
		.v3 = key[1] ^ 0x7465646279746573ull,
	};
	__u32 i;

	UNROLLED
	for (i = 0; i < words; i++)
		siphash_add(&s, word[i]);
	siphash_add(&s, (__u64)words * 8 << 56);
	s.v2 ^= 0xFF;
	UNROLLED
	for (i = 0; i < 4; i++)
		siphash_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
