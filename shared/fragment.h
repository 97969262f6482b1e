/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: fragments of tenants' IPv4 packets, at forwarders (docs/fragments.md).
#pragma once

#include <linux/types.h>

#include "shared/rate.h"

// Map "fragments": LRU hash. What a packet's fragments have in common (RFC 791 section 3.2).
struct fragment_key {
	__be32 source;
	__be32 destination;
	__be16 id;
	__u8 protocol;
	__u8 vni[3];
	__u8 pad[2];
};
_Static_assert(sizeof(struct fragment_key) == 16, "hash key: no padding");

// What its first one said of the session that all of them are of.
struct fragment_value {
	__be16 source_port;
	__be16 destination_port;
	__u32 seen_ms; // tick_ms()
	__u8 no_echo;
	__u8 pad[3];
};

// Map "waiting": one entry. The first end of the pair of interfaces in which fragments wait, 0
// where there is none, and who has come there.
struct waiting_value {
	__u32 ifindex;
	__u32 pad;
	struct bucket bucket;
};

// What all fragments that wait may be, and those of one VPC: so many bytes come in at most while
// one of them waits that WAITING_BYTES hold them. (A burst, and as much again.)
#define WAITING_RATE_OF(share)                                                                     \
	((struct rate){                                                                            \
		.per_byte = (2ull * WAITING_MS * 1000000 * (share) / WAITING_BYTES)                \
			    << (RATE_TIME_BITS + RATE_BYTE_BITS),                                  \
		.burst = WAITING_MS * 1000000ull << RATE_TIME_BITS,                                \
	})
