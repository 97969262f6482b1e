/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
// Map ABI: sessions, in the flow table and in a forwarder's cache.
#pragma once

#include <linux/bpf.h>
#include <linux/in6.h>
#include <linux/types.h>

#include "dft/record.h"

// Both directions of a connection have this one key: the endpoint that sorts first (address as
// 16 bytes, then port) is a. ICMP echo: the identifier is both ports; an ICMP error has the key
// of the packet it embeds; IPv6 fragments have ports 0; other ICMP, and ICMPv6 in fragments, 0 and
// 0xFFFF.
struct session_key {
	struct in6_addr a;
	struct in6_addr b;
	__be16 a_port;
	__be16 b_port;
	__u8 vni[3];
	__u8 protocol;
} __attribute__((aligned(8))); // hashed as 64-bit words
_Static_assert(sizeof(struct session_key) == 40, "hash key: no padding");

// Map "sessions" (flow table nodes): hash.
struct session_value {
	struct bpf_spin_lock lock;
	__u32 used_s; // session_now_s() when an op last asked for it
	__u32 dying;  // session_mark() of the term in which its end was asked for; 0: of none
	__u32 check;  // upper half of key_hash() of its key
	struct dft_record record;
};

// Map "cache" (forwarders): LRU hash. Replaced whole, never edited but for told_ms and the record's
// state, which says also what the forwarder saw and has not told yet (docs/dft.md O7).
struct cache_value {
	struct dft_record record;
	__u32 asked_ms;	  // this forwarder's clock when the op was sent that this answers
	__u32 told_ms[2]; // when the sender's host was last told the direct path, per direction
	__u32 stateful;	  // the flow table holds a record
};
