/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// The sessions that are measured with, by number, and what the driving program is told.
#pragma once

#include <linux/types.h>

#include "shared/address.h"
#include "shared/session.h"

#define BENCH_VNI 4711
#define BENCH_FRAME 114 // of which the first BENCH_HEADERS bytes are written for every run
#define BENCH_HEADERS 104
#define BENCH_INNER 64 // where the tenant's IPv4 header is: 14 + 36 + 14

// Session i is between these, TCP.
#define BENCH_A(i) __builtin_bswap32(0x0A010000 | ((i)&0xFFFF))
#define BENCH_B(i) __builtin_bswap32(0x0A020000 | (i) >> 16)
#define BENCH_A_PORT(i) __builtin_bswap16(1024 + ((i)&0x3FFF))
#define BENCH_B_PORT __builtin_bswap16(80)

inlined void bench_key(struct session_key *key, __u32 i)
{
	key->a = address_of_v4(BENCH_A(i));
	key->b = address_of_v4(BENCH_B(i));
	key->a_port = BENCH_A_PORT(i);
	key->b_port = BENCH_B_PORT;
	key->vni[0] = BENCH_VNI >> 16;
	key->vni[1] = BENCH_VNI >> 8 & 0xFF;
	key->vni[2] = BENCH_VNI & 0xFF;
	key->protocol = 6;
}

struct driving {
	__u64 random;	// not 0
	__u32 sessions; // packets are of sessions 0 to this, in random order
	__u32 next;	// where they are taken in turn
	__u64 frame[BENCH_HEADERS / 8];
};

inlined __u32 bench_random(struct driving *d)
{
	d->random ^= d->random << 13;
	d->random ^= d->random >> 7;
	d->random ^= d->random << 17;
	return (d->random >> 32) * d->sessions >> 32;
}
